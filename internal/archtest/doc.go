// Package archtest holds the rules of the house as tests: which room may import which, which calls are
// forbidden and why, how long a file may be, what a package comment owes its reader. It reads source text
// alone, so that it answers in a second, and it must not know what any room does.
//
// A rule that is wrong in one place is lifted there by a comment on the line, or on the line above it, that
// names the rule and gives the reason:
//
//	//house:allow exit the child of a crash test must not run its deferred calls
//
// A comment without a reason, and one that lifts nothing, are violations themselves.
package archtest
