// Package dag keeps the history of a cluster: a signed Merkle DAG of blocks and
// revisions, its forks and members, and the indexes that are computed from it,
// in an ordered key-value store. Payloads are opaque here; what a value is and
// how two are joined is known by package crdt. A [Graph] is opened on a [Store];
// [Graph.Commit] writes, [Graph.Take] takes blocks of other nodes and
// [Graph.Chunks] gives them theirs.
//
// The rest of this comment is the formats. They are frozen: what is hashed
// today is hashed the same for ever.
//
// # Canonical DAG-CBOR
//
// Revisions, blocks and the bodies of operations are maps in DAG-CBOR: integers
// and lengths in their shortest form, lengths definite, keys of maps text, the
// shorter first, of equal length the lower bytes first, none twice; text is
// valid UTF-8. A link is tag 42 (d82a) over 37 bytes (5825): 00, then a CIDv1
// with SHA-256: 01, the codec (71 dag-cbor, 55 raw), 12, 20, the digest. There
// are no floats, no undefined, no other tags; integers fit in 63 bits and a
// sign. Nothing stands more than 16 levels below the map of a revision or
// block, and a map of ours has at most 48 fields. Each thing has one encoding;
// any other one is refused.
//
// Fields that a reader does not know are kept, in revisions, blocks and notes,
// and are hashed again as they were. A field that must not be ignored needs
// another version of the block.
//
// In the tables, "bytes n" is a byte string of exactly n, "link" a link to a
// dag-cbor node, "raw link" one to a payload, "time" milliseconds since 1970
// UTC from 0 to 2^53. A field with ? is left out when it is empty, 0, false or
// not there; every other field is always there, and null only where it says so.
//
// # Revision
//
//	key      text            1 to 1,024 bytes, without NUL
//	seq      integer         of its block
//	fork     bytes 32        id of the fork
//	kind     integer         of the value, see package crdt; a delete has the
//	                         kind that it deletes
//	mark?    integer         1 resolved, 2 reverted; others are kept
//	note?    note            replaces the block's
//	salt     bytes 16        of its block
//	size     integer         bytes of the payload; 0 of a delete
//	time     time            of its block
//	chain    bytes 32        of its block
//	index    integer         in the block's list, from 0
//	label?   text            of `apply --as`; 128 bytes, without NUL
//	value    raw link, null  SHA-256 of the payload; null is a delete
//	parents  array of links  revisions that the writer had read, the one that
//	                         was served to it first
//
// The id of a revision is the CIDv1 (dag-cbor, SHA-256) of these bytes. A
// payload is at most 4 MiB for the kinds 1 and 2, else 8 MiB and 64 KiB. An
// example, with the digest 9a15… of the payload "port: 80\n":
//
//	ab                                          # map of 11
//	636b6579 677376632f617069                   # key "svc/api"
//	63736571 07                                 # seq 7
//	64666f726b 5820                             # fork, the default one
//	  d608e34fd6321ce70e9255af5a8d3f8bb733e9000e0587c57194c96de9a055d3
//	646b696e64 01                               # kind 1
//	6473616c74 50                               # salt
//	  b0b1b2b3b4b5b6b7b8b9babbbcbdbebf
//	6473697a65 09                               # size 9
//	6474696d65 1b0000019b76daa87b               # time 2026-01-01T00:00:00.123Z
//	65636861696e 5820                           # chain
//	  03486b3df4b810d03c74544209336d1857ac4e69b500fdfc5220351e2c58412a
//	65696e646578 00                             # index 0
//	6576616c7565 d82a582500 01551220            # value
//	  9a15d119375b5027bb82337d4d21130403bd1fdcb371929d9df194882e830b29
//	67706172656e7473 80                         # parents: none
//
// Its id is bafyreif3qm37du2ly4mhchl5defkse3e7saatpqmpbsquezek7ek54vpoa.
//
// # Note
//
// What a writer claims, not verified: author? (text), message? (text), time?
// (integer, milliseconds since 1970, may be negative), source? (text: names what
// was imported, so that nobody imports it again). The texts and the unknown
// fields together are at most 64 KiB.
//
// # Block
//
//	v      integer          1. In any later version it stays the first field,
//	                         and an integer: blocks of a later version are left
//	                         out, with what follows on them, not refused
//	ops    array            of operations, at most 65,536
//	seq    integer          0 for the first of a chain
//	deps   array of links   every tip that the writer had applied and that
//	                        neither prev nor another one reaches; the lower
//	                        digest first, none twice, none is prev
//	note?  note
//	prev   link, null       the block before it in the chain; null at seq 0
//	revs   array of links   ids of its revisions, in order
//	salt   bytes 16         random
//	time   time             the author's clock, a claim
//	chain  bytes 32         id of the chain
//
// The id of a block is the CIDv1 of these bytes. The first block of a chain has
// the operation chain as its first, and its id follows from that. A block at
// seq 0 without deps founds a cluster, has the operation genesis as its second,
// and its id is the cluster's.
//
// The size of a block is 128, and the bytes of its map, and for each of its
// revisions the bytes of its map and of its payload; it is at most 16 MiB. All
// limits belong to v.
//
// # Operations
//
// An operation is an array of two: its kind and its body, a map. They act
// before the block's revisions, in order.
//
//	 1 genesis  name text
//	 2 chain    key bytes 32 (Ed25519), nonce bytes 16
//	 3 member   node bytes 32 (Ed25519), role text (admin, writer, reader,
//	            removed), name text, zone text
//	 4 fork     name text ("" for a fork without one), named? bool,
//	            from array of contributions
//	 5 merge    into bytes 32, from contribution
//	 6 delete   fork bytes 32
//	 7 rename   fork bytes 32, name text
//	 8 restore  fork bytes 32
//	 9 tag      name text, cut array of links, gone? bool
//	10 alias    name text, fork bytes 32, gone? bool
//	11 purge    keys? array of texts, revs? array of links, why text
//
// A purge takes the payloads of revisions that are in the causal past of its
// block, before its own revisions: those that revs names, and those of keys, on
// every fork; one of the two has something, and why has 1 to 4,096 bytes.
// Nothing else of the revisions goes. Who has applied it has the payloads no
// more, and gives blocks without them (see Bundle); who gets such a block and
// not yet the purge, which comes behind it, takes it so.
//
// A contribution is fork (bytes 32), cut (array of links to blocks: the maximal
// ones of a closed set; none stands for the causal past of the block that
// carries it) and filter?. A filter is keys?, scopes?, skip_keys?, skips?, each
// an array of texts: a key passes that is among keys or matches one of scopes,
// or both are empty, and that is not among skip_keys and matches none of skips.
// A pattern matches a whole key: ** any characters or none, a single * any but
// a slash or none, everything else itself.
//
// Kind 0 is not used: it stands for the revisions, which have their own list.
// An operation of an unknown kind, or with an unknown field anywhere in its
// body, is kept and has no effect but one: kinds to come name the fork that they
// act on, if they act on one, in a field "fork" (bytes 32), and a reader which
// does not know the kind, or a field of a merge, delete, rename or restore, does
// not write that fork, nor merges it.
//
// # Ids and signature
//
// H(domain, part, …) is SHA-256 over the domain and the parts, each with its
// length before it in 4 bytes, big-endian.
//
//	chain       H("crush chain 1", node key, nonce)
//	fork        H("crush fork 1", chain, seq in 8 bytes and index of the
//	            operation in 4, big-endian, salt)
//	named fork  H("crush named fork 1", name); the default fork is the one
//	            named "default"
//	frontier    the exclusive or, over its tips, of the first 16 bytes of
//	            SHA-256(chain, seq in 8 bytes, block digest)
//
// The signature of a block is Ed25519 (RFC 8032) by the key of its chain, over
// "crush block 1", a zero byte, and the 36 bytes of its CID. It is no part of
// the block: a block is valid when it or a later one of its chain is signed.
//
// # Bundle
//
// A block is stored, and travels alone, as a bundle: an array, canonical like the
// above, of what cannot be computed.
//
//	1          version of the bundle; later ones are left out like blocks of a
//	           later version
//	block      its map, with revs empty
//	signature  bytes 64, or of length 0 if it is not known
//	revisions  array of arrays of 6:
//	           key text | fork bytes 32, or of length 0 for the default one |
//	           digests of the parents, bytes | kind | payload bytes, or null
//	           for a delete | rest map
//
// The rest holds mark?, label? and note? of the revision, more? (a map of its
// unknown fields) and place? (array of chain, seq, index, salt, time) if that
// is not where it stands. In storage, not on the wire, the payload may be null
// and the rest hold apart?, an array of its digest and size. The ids of the
// revisions, then of the block, follow.
//
// A bundle that travels and lacks payloads, because they were purged, is of
// version 2: there the payload is null, and the rest holds apart.
//
// # Chunk
//
// Blocks go to a peer in flows of chunks, without what the receiver can
// compute. A chunk is whole blocks in causal order of which signatures vouch for
// all; only the last block of each line has its signature with it. Both ends of
// a flow remember the same of what passed: all chains and forks that were named,
// up to 65,536 of each; the newest 65,536 blocks; the newest 131,072 revisions,
// fewer if their keys are more than 8 MiB together (the oldest go before the new
// one is noted); and of these revisions' payloads that have 320 bytes and more
// the newest 8 MiB (the oldest go when the new one is noted). Numbers are unsigned LEB128 in their shortest form.
//
//	length of the plan | length of the ids | plan | ids | payloads
//
// The plan is the number of blocks (not 0), then each block:
//
//	form       1 byte: 1 has a signature, 2 has deps, 4 has a rest, as a sum; 8:
//	           a block that lacks payloads, and more: one of a later version;
//	           both as length and bytes (of 8, a bundle), with its id among the
//	           ids; it is remembered as a block, no more
//	chain      its number in the flow, from 0. If it was not named before: the
//	           id of the chain among the ids, seq, and if that is not 0, prev as
//	           a block. Else the block follows on the newest one of this number
//	time       less that of the block before in the flow, at first less 0;
//	           the number is 2d of a difference d that is not negative, else -2d-1
//	deps?      how many (not 0), and each as a block
//	rest?      length and bytes of a map: note? and ops? of the block, and its
//	           unknown fields
//	revisions  how many, then each revision
//
// A block, like the parent of a revision, is named as how many back it passed,
// 1 for the newest; or as 0, with its digest among the ids. A revision is
//
//	flags      1 byte: 1 a delete; 2 has a rest; 4 has the key, fork and kind of
//	           its first parent, which passed and whose fork has a number; 8 has
//	           one parent; 16 has its payload as a delta of its first parent's,
//	           which is remembered; as a sum
//	parents    how many, unless there is one; and each
//	kind, fork, key  unless like its parent. The fork is 0 for the default one,
//	           else its number in the flow from 1; the next number not in use
//	           names another, with its id among the ids. The key is how many
//	           bytes it shares with the start of the key of the revision before
//	           in the flow, how many follow, and those
//	rest?      of the bundle: length and bytes
//	delta?     its form, 2 or 3 as in storage, 1 byte; the size of the payload if
//	           that is 3
//	size       of the payload, or of the delta's bytes, unless it is a delete
//
// Deltas go only to a node that says that it reads them (version 2 of the sync
// protocol). The ids are, for each block in order, its salt, then digests and ids in the
// order in which the plan needs them, then its signature. The payloads, and the
// bytes of deltas, follow on one another. The sizes of the blocks of a chunk are together at most 32 MiB.
// An example: the plain one of the blocks of the golden vectors, and the next of
// its chain:
//
//	29 a001                  # 41 bytes of plan, 160 of ids
//	02                       # two blocks
//	00 00 07 00              # the first: a new chain, seq 7, prev among the ids
//	  f6a1d5edee66           # 2026-01-01T00:00:00.123Z
//	  01                     # one revision:
//	    00 00 01 00          # no parents, kind 1, default fork
//	    00 07 7376632f617069 # "svc/api"
//	    09                   # 9 bytes
//	01 00                    # the second, signed: the same chain goes on
//	  904e                   # 5 seconds later
//	  02                     # two revisions:
//	    0c 01 09             # one parent, the newest revision, and like it; 9 bytes
//	    01 00 01 00          # a delete, no parents, kind 1, default fork
//	    06 01 74             # "svc/ap" of the key before, and "t"
//	b0b1b2b3b4b5b6b7b8b9babbbcbdbebf # salt of the first
//	  03486b3df4b810d03c74544209336d1857ac4e69b500fdfc5220351e2c58412a # its chain
//	  f80c05e36bb80366631cb4f6305262ec362c9587644b4222dfc0f37e8943af6b # its prev
//	b0b1b2b3b4b5b6b7b8b9babbbcbdbebf # salt of the second
//	  dd8bf92650e55d327b327756a5be2e9025d10d8e5d729d2d88ea11b289f54609 # its signature
//	  8cbd47ff0bf4294dd6aaec38de2016aaf4be73d47bead28cf2bcde2c37b6140c
//	706f72743a2038300a       # "port: 80\n"
//	706f72743a2038310a       # "port: 81\n"
//
// # CAR
//
// A whole history goes into a file as a CAR, version 1, which other tools of
// IPLD read: a header, then sections, each with its length before it (unsigned
// LEB128) and starting with a CID. The header is a map: roots (array of links:
// the blocks that no other stands on) and version (1). The sections are
//
//	about        map: crush 1, or 2 if payloads were purged | keys, blocks,
//	             revisions: how many there are, keys of all forks, deleted ones
//	             included | node bytes 32, that wrote the file, and time, when |
//	             cluster link
//	seal?        map: sig bytes 64 | block link to the section that follows
//	block        its map
//	revision     its map, for each revision in order, and behind it
//	payload?     its bytes, unless it is a delete; or, if it was purged, a map:
//	             absent bytes 32, its digest
//
// from seal on once for each block, in an order of causality: the first is the
// genesis of the cluster. No link leads to about, to a seal or to an absent,
// which other tools skip; from the roots all else is reached. Only links of what
// has no effect, and to what a purge in the file took, can lead nowhere. A payload stands in the file as often
// as revisions have it. Of a chain at least the last block has a seal, and no
// more than 32 MiB of blocks stand before one.
//
// # Storage
//
// Numbers in keys are big-endian. Chains and forks are interned to numbers of 4
// bytes; a chain with two blocks at one seq is two lines. Everything but b can
// be computed again from b, and Check does. What the records hold stands in
// keys.go and records.go; they are local, and a change of them is another
// "mformat".
//
//	b line seq            the block, as it came and when; with index+1 behind
//	                      it a payload that is kept apart
//	c lsn                 index of ids: sorted starts of digests
//	f lsn index           an operation on forks, with its place and cuts
//	g lsn index           a membership operation
//	h fork key            heads, count
//	i line                chain, author
//	l lsn                 the block that arrived as this
//	m name                format, state, mark of a clean stop; contested keys, a
//	                      cache; where purges wrote and nothing was compacted yet
//	n fork lsn            a block that wrote on the fork
//	p lsn index           a purge, and whether all that it covers has gone
//	r fork key 0 line ~seq ~index   history, newest first
//	v line seq            vector clock
//	w key                 forks, other than the default one, that wrote the key
//	x lsn index           what has no effect, and why
//
// A payload of more than 1 KiB is kept apart, and so is a shorter one if little
// of it is new: most revisions change a line of what was there. Its record is a
// form (1 byte) and, in numbers as in a chunk,
//
//	0 whole    the payload
//	1 packed   size, and a zstd frame (RFC 8878)
//	2 spliced  depth, base, prefix, suffix, and bytes: the payload is so many bytes
//	           of the start of the base's, these, and so many of the end of the base's
//	3 patched  depth, base, size, and a zstd frame that has the base's payload as
//	           a dictionary of raw content
//	4 absent   nothing: it was purged, or came without its bytes
//
// The base is a revision that came before, as its line, seq and index; writers
// take the first parent. The depth is above the base's, and at most 31; that of a
// payload in its block, whole or packed is 0. So a payload is read with at
// most 31 others, and each is checked against its digest. The size is that of
// the payload: a reader allocates no more. Examples, on "replicas: 2\nport: 80\n":
//
//	02 03 01 ac02 00 0a 0a 33  # depth 3, line 1 seq 300 index 0: "replicas: 3\nport: 80\n"
//	01 18 28b52ffd00584d00001861626301007e6e08  # "abc" 8 times
//	03 01 01 07 02 2a 28b52ffd202a350000000100119a40  # the base twice
package dag
