// Package crdt holds the values of the store and the rules that join them:
// what a read of a key returns, when that is a conflict, and which side of
// it is served. It implements algorithm m1 of the model.
//
// Everything here is a pure function of its arguments. There is no I/O, no
// clock, no goroutine and no state. Beside the standard library only a parser
// of YAML is imported. The package knows nothing of blocks, signatures or storage: its
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
// # Texts in conflict
//
// The view of a text is one side or the other. [MergeLines] makes a proposal of
// both, for who settles a conflict; it has no part in any read.
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
//
// # Paths
//
// A place in a document is a [Path]: "/", which is the whole, or "/" and a
// segment for every step down, at most 500 of them. The segment of a member of
// an object is its name, in which
//
//	~0 stands for ~ and ~1 for /
//	~2 stands for a leading [ and ~4 for a leading *
//	~3 alone stands for the empty name
//
// The segment of an element of a keyed list is "[", its identity with ~0 and
// ~1 in the same way, and "]". By the schema of the list the identity is
//
//	map(FIELD)  the value of that member: a string as such, a number or a
//	            boolean as canonical JSON
//	set         the canonical JSON of the element
//	documents   apiVersion, kind, metadata.namespace and metadata.name of a
//	            document in a YAML stream, each as in map, joined by commas;
//	            inside them \ is \\ and a comma is \, and a namespace that is
//	            missing is empty
//
// A list with an element that has no identity, or two with the same, is atomic
// in that document. There is one spelling for one place, and nothing else is
// taken. Paths are ordered by their segments, and segments by their bytes, so
// that what is within a path is contiguous.
//
// # JSON and YAML
//
// JSON is that of RFC 8259, in UTF-8 without a byte order mark. Names that are
// there twice, also by different escapes, and surrogates without their other
// half are refused.
//
// YAML is read by the core schema of version 1.2, whatever a %YAML directive
// says: yes, on and 1:30 are strings, 0o17 and 0x1f are integers, 0777 is 777. A
// text has the value that JSON would have:
//
//   - The names of a mapping are strings. A key that is a plain scalar is its
//     text, and so 1 and "1" are the same name. Other keys are refused, and so
//     are names that are there twice.
//   - Aliases are what their anchors stand for.
//   - A plain key << brings the members of a mapping, or of each of a list of
//     them, that the mapping does not have itself; of several the first counts.
//   - .inf and .nan have no exact value and are refused. So are all tags but
//     !!str, !!int, !!float, !!bool, !!null, !!map, !!seq and !, where they fit
//     what they stand at.
//   - A text with several documents is a stream. Documents with nothing in them
//     are no elements of it, and if it has only one that has, and that has no
//     identity, the stream is that document. An empty text is null.
//
// # Canonical content
//
// A [Sum] of a leaf is the SHA-256 of its canonical JSON: no space, members in
// the order of their names' bytes, and in strings only the quote, the
// backslash and what is below U+0020 escaped, as \b \f \n \r \t or \u00xx. A
// number is exact and has no zeros that say nothing and no minus before 0. With
// D its first digit that is not 0 and E the decimal exponent of that digit, it
// has no exponent if E is from -6 to 20, and else is D, the other digits
// behind a point, "e" and E. An exponent is spelled with at most 999999999. The
// documents of a YAML stream that are one leaf are a list with "---" before it.
//
// The sum of a document that has structure is the SHA-256 of the ASCII text
// "crush/document/1" and, for each leaf in ascending order, the length of its
// path as 8 bytes big-endian, the path, and the leaf's sum.
//
// # Limits
//
// A text of more than 4 MiB, objects and lists nested deeper than 500, and
// leaves whose paths have more than 32 MiB in sum are no document, on every
// node alike. Nor is a YAML stream with a document of more than 1 MiB, or of
// more than 20000 dashes, colons, commas and question marks that are marks of
// YAML, or more than 60000 of them in all documents; or one that has more than
// 16 MiB when its aliases are written out, of scalars and names in bytes, and 64
// for every node.
//
// # Payloads
//
// The payload of a revision of the kind bytes or text is the value. That of a
// json, yaml, counter or set is
//
//	n bytes  text: the whole value, as its author saw it after the change
//	m bytes  change
//	4 bytes  n, unsigned, big-endian; at most 4 MiB
//
// Numbers in a change are unsigned LEB128 with no byte too many. A change begins
// with the byte 1, its version. A path in it is: how many bytes it shares with
// the path before it in its list, as many as it can; how many follow; these.
// Paths in a list are ascending and have at most 64 MiB in sum.
//
// In a json or yaml the text is the author's bytes. The change goes on with
//
//	the number of keyed lists by which the text is read; for each its path, and
//	the byte 1 for a set; 2 for a map, with the length of the field's name, and
//	that; 3 for documents. All other lists are atomic.
//	the number of paths written; each of them
//
// The write at a path is the leaf that the text has there, or, if it has none,
// a deletion of what is within the path. In a counter the text is the total in
// decimal digits, after "-" if it is below 0; at most 64 bytes. The change goes
// on with the byte 0 for an addition or 1 for a set, and the number, of 64 bits
// in zigzag code. A set's text is the total. In a set the text is the canonical
// JSON of a list of strings in the order of their bytes. The change goes on with
// the byte 0; the number of elements that were added, for each its length and
// its bytes; and the same of those that were removed, both in the same order.
// Those that were added are in the text, those that were removed are not. Or it
// goes on with the byte 1, for a change that sets the whole value, all elements
// of the text, and none that were removed.
//
// A payload that breaks any of this does not decode. A json of {"s":["x"],"v":2},
// where /s is a set, and /s/["x"] and /v were written:
//
//	7b2273223a5b2278225d2c2276223a327d  text
//	01                                  version
//	01 00 02 2f73 01                    one list: /s, a set
//	02 00 08 2f732f5b2278225d           two paths: /s/["x"]
//	   01 01 76                         and /v
//	00000011                            length of the text
//
// A counter that had 2 subtracted and then was 11:
//
//	3131 01 00 03 00000002
//
// A set of "a", which was added when "b" was removed:
//
//	5b2261225d 01 00 01 01 61 01 01 62 00000005
package crdt
