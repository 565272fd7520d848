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
// # Documents, counters and sets
//
// These are not decided by their heads alone. A caller gives [Visible] a
// [History], in which View looks up what is behind the heads. A single head that
// is complete (see [Write]) is its own text, and nothing is looked up.
//
// Else View walks back from the heads, until one complete revision is all that
// is left to look at, and all that it met has seen that: no revision met has no
// parents, or a parent older than that one. Its text then stands for all that is
// older: each leaf is a write of it. So a read costs what was written since the
// branches parted, and not the history.
//
// As long as a conflict is open, every revision is, and the walk gets longer with
// each of them. A caller spares itself that with a [Memory]: the [State] of an open
// revision that is all that is left to look at takes the place of what is behind
// it. It holds the writes that are live there, so that a read costs what is in
// conflict, and what was written beside it and not written over. What it holds
// follows from the revision alone: nobody is believed anything, and a view is what
// it is without one. The exception is a side of a conflict that is served as the
// view of its revisions and their ancestors alone, which the state does not have:
// they are walked, from those revisions to where the whole walk ended.
//
// This gives what reading everything gives, as far as authors write what the
// [Context] of this package has them write: that is, whoever writes below a leaf
// that was live in what he read writes a DEL at its path too, and so does who
// puts elements where members were or a value of another kind; and a revision
// that is not marked open has the text that the view of it and of all it has seen
// gives. Of other authors' revisions the walk makes the same on every node, but
// a conflict can name the revision at which the walk ended in place of an older
// one, and a text that is not what its change made of the one before counts.
//
// Of a revision whose payload was purged (see [Revision]) nothing is known but its
// kind, and it is read as a register. The document at which the walk ends is put
// together of the texts of those that have seen it and nothing else, without what
// they wrote; of several that differ, as only dishonest authors can make them, the
// first by ID counts.
//
// What is written, by rule 1 of the model:
//
//   - a register: its value at "/"
//   - a deletion: a DEL at "/"
//   - a document: the leaves of its text, or DEL, at the paths of its change
//   - a counter: the number at "/" if it is set; an addition writes nothing
//   - a set: an element at the path of its name, or a DEL there; a change that
//     sets all of it writes a DEL at "/" too
//
// Where the model leaves something open, it is read so:
//
//   - The classes register (of each kind), document, counter and set cannot be
//     at one place: live values of two of them are a type conflict at "/", and
//     sides hold values of one class. In the same way members and elements below
//     one path are a type conflict there.
//   - An element of a set that is added and removed at once is no conflict, and a
//     set whose elements are all removed is an empty set. A set that is deleted
//     while elements are added is a conflict.
//   - A document from which everything was removed, by authors who did not know
//     of one another and left no {}, is absent.
//   - The sides of a counter are told apart by what they read as, with the
//     additions counted. Additions beside a deletion are those that no deletion
//     has seen, and nobody who put a value of another kind. Additions that
//     compete with a value of another kind, and with no setting and no deletion,
//     are a side of their own.
//   - A group of writes of rule 4 that are all DELs is a side. It ranks as a
//     deletion.
//   - What a side serves is decided by the writes at and below its path, with all
//     that covers them. Where that is the conflict again, as only authors can
//     make it who write below a live leaf without a DEL, the side is its own
//     live writes.
//   - The rank that a side had on the source of a fork is that of the side of a
//     conflict there, at the same path, that had one of its inherited revisions;
//     the best if there are several, conflicts inside of sides included.
//   - A payload that does not decode is the value of a register of its kind. If
//     the change does, and the text is no document, it covers what it declares,
//     and is such a value as long as one of its writes is live. The text of a set
//     only matters where it is all that is looked at; if it is none, it is such a
//     value there.
//
// Kinds are a closed list, since all nodes must agree on every one of them; so
// they are no interface to be implemented elsewhere.
//
// # Texts in conflict
//
// The view of a text is one side or the other. [MergeLines] makes a proposal of
// both, for who settles a conflict; it decides no value on any read.
//
// A text that says the document of its author's context in other words, with
// other comments or in another order, is a revision too. It has an empty change,
// so it is in conflict with nothing, and gives way to a deletion.
//
// The text of a document that several wrote at once may be no head's. If the
// merged lines of what all of them wrote say just what the document is, that is
// how it is spelled; so a comment that one head changed and a field that another
// did are both seen. Else it is the text of a head that has all of it: of
// several, one of the fork's own line, and then that of the highest (time, chain,
// id). Else it is spelled like one of them.
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
//	32 bytes  for each revision of each side, and each addition that is counted
//	          in one and that no other such addition has seen, ascending, each
//	          once
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
// behind a point, "e" and E. An exponent is spelled with at most 999999. The
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
// on with the byte 0 for an addition, or 1 if the counter is set, and the number,
// of 64 bits in zigzag code; that to which it is set is the text. Where that does
// not fit into 64 bits the change goes on with the byte 2, and no number. In a set the text is the canonical
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
