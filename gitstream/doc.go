// Package gitstream reads what `git fast-export` writes, and says how the
// history in it becomes forks, atomic changes and merges.
//
// A [Reader] reads the commands of a stream, strictly and in bounded memory.
// [Read] makes a [History] of them: the graph of commits, and for each commit
// the paths that it changes, after the rules of a Git tree. [History.Plan] lays
// that graph out on lines, and returns the steps in order. The contents of
// files stand in a [Spool], a temporary file.
//
// # What is read
//
// blob, commit, tag, reset, feature, option, progress, checkpoint, done and
// comments; of a commit its mark, original-oid, author, committer, gpgsig,
// encoding, data (also with a delimiter), from, merge, and M, D, R, C, deleteall
// and N. Paths may be quoted as in C. Dates are in the raw format. Everything
// else, and whatever breaks off, is an [Error] that names line and commit. A
// commit that has lost its last lines can only be told from a whole one by the
// empty line behind it: where a stream ends without done, its last commit must
// have one, as that of git fast-export has.
//
//   - D of a path also removes everything below it; M and C of a path remove
//     everything below it, and files where it needs directories. Where a commit
//     has put files below what was a file before it, D, R and C of that path mean
//     the file: git fast-export writes so, and git fast-import loses the files.
//   - The value of a symbolic link is its target. Executable bits are ignored.
//   - A submodule has no value: its path is empty. Submodules are counted.
//   - N, and commits on refs below refs/notes/, are ignored.
//
// # Identity
//
// The id of a commit is a hash of its parents' ids, of what it changes, its
// author, committer and message. It does not depend on marks, on the order of
// the stream, on object names or on the options of git fast-export: two
// streams of one history give the same ids. Submodules, executable bits,
// signatures and notes are not in it.
package gitstream
