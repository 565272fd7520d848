// Package crdt holds the values of the store and the rules that join them:
// what a read of a key returns, when that is a conflict, and which side of
// it is served. It implements algorithm m1 of the model.
//
// Everything here is a pure function of its arguments. There is no I/O, no
// clock, no goroutine and no state, and the standard library is all that is
// imported. The package knows nothing of blocks, signatures or storage: its
// ids are opaque bytes that the caller converts from its own.
//
// # Reading
//
// A caller fills a [Visible] with what it knows of one key on one fork and
// calls its View. The result does not depend on the order in which anything
// is listed, and so not on the order in which it arrived at a node.
//
// The kinds bytes and text are registers: each write replaces the whole
// value at the path "/". A register's live writes are exactly its heads, and
// values are compared by kind and hash, so neither older revisions nor
// values are looked at.
//
// A kind that this version has no rules for (see [Kind.Opaque]) is read as a
// register whose value is the payload of the revision, and the view says so.
//
// # How kinds with deltas take part
//
// A document, a counter or a set is not decided by its heads alone; its view
// also needs visible revisions behind them. Such a kind adds one field to
// Visible, a history: an interface of one method that returns, for an id, a
// visible revision with its parents and its delta. View walks it from Heads
// as far back as it needs. The lookup has no error result, so that View stays
// total: an implementation that reads from a store keeps its first error, and
// the caller that passed it throws the view away.
//
// What such a kind returns has its form already. A [View] carries conflicts
// at any number of paths; a [Side] names revisions and hashes, never bytes;
// the ranks that sides had on the source are found in [Visible.Source] by
// revision; sides, rank, letters, ids and states are computed for a path and
// groups of writes, whatever made the groups. The rendered document, the sum
// and the elements become further fields of View.
//
// Kinds are a closed list, since all nodes must agree on every one of them.
// View is the only place that chooses rules by kind, and so kinds are no
// interface to be implemented elsewhere.
//
// # Conflict ids and states
//
// A [ConflictID] is the first 20 bytes of the SHA-256 of, in this order:
//
//	16 bytes  the ASCII text "crush/conflict/1"
//	32 bytes  fork
//	 8 bytes  length of the key in bytes, unsigned, big-endian
//	 n bytes  key
//	 8 bytes  length of the path in bytes, unsigned, big-endian
//	 n bytes  path; "/" for a whole value
//
// A [ConflictState] is the first 20 bytes of the SHA-256 of:
//
//	22 bytes  the ASCII text "crush/conflict-state/1"
//	32 bytes  for each revision of each side, ascending, each once
//
// Both are written as 32 digits of lower-case base32 (RFC 4648, no padding).
//
// For the fork of 32 bytes 0x01, the key "app/config", the path "/" and the
// revisions of 32 bytes 0x0a and 32 bytes 0x0b:
//
//	id     6i53vopt7vznxgztycvxczvecndxchre
//	state  a2bgmm2ag3mlned4bsfrnhihqsz42c6t
package crdt
