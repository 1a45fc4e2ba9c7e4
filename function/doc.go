// Package function holds the nouns of Lambda: function, version, ARN, limits and error codes, in AWS's words.
// It does no I/O and imports nothing of ours; everything else may import it.
package function
