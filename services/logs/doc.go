// Package logs is the part of CloudWatch Logs that functions and their users need: groups, streams, events, filter
// patterns, retention and tags. Events are in logstore; what is said of a group is one record of store.State, which
// holds for that life of the group alone: a group that is deleted and made again starts without it. It must not know of
// functions: they write to logstore directly, and make their groups and streams by it.
package logs
