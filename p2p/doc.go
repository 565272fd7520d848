// Package p2p is the line to the other nodes: who may connect, gossip of new
// blocks, and the sync protocol that makes two frontiers equal.
//
// Gossip is a hint and never the guarantee; sync is the guarantee. The
// protocol itself is [Session], a state machine without sockets, clocks and
// goroutines; [Host] drives it over libp2p.
//
// # Sync, /crush/sync/1
//
// A libp2p stream carries frames both ways. Numbers are big-endian; "varint"
// is an unsigned LEB128 in its shortest form. A frame is
//
//	type     1 byte
//	length   4 bytes, of the payload
//	payload
//
//	1 HELLO     version 1 byte (1: the highest that the sender speaks) |
//	            flags 1 byte (1: FRONTIER follows without being asked for;
//	            2: the sender only asks who this is) | cluster 32 bytes, zero
//	            for a node without history | digest of the frontier 16 bytes |
//	            clock 8 bytes, unix milliseconds. 58 bytes in version 1; what
//	            a later version appends is skipped; 256 bytes at most
//	2 FRONTIER  for every tip: first 16 bytes of the chain id | seq varint |
//	            block id 32 bytes; sorted by these, none twice; 16 MiB at most
//	3 RANGE     length of the chunk varint | the next part of this
//	            direction's one zstd stream (window 1 MiB at most), flushed:
//	            it decompresses to exactly the chunk, for each block length
//	            varint | bundle. 17 MiB of chunk at most
//	4 DONE      digest of the sender's frontier, 16 bytes
//	5 REFUSE    reason 1 byte: 1 busy, ask again later; 2 the receiver of this
//	            sent damaged or unexpected bytes; 3 the sender's store takes
//	            nothing
//
// The opener sends HELLO and FRONTIER in one flight. The answerer sends HELLO;
// if the digests are equal, both are done. Else FRONTIER and at once its RANGE
// frames with all that the opener lacks, in its own arrival order, then DONE.
// The opener then sends what the answerer lacks, and DONE; the answerer's last
// DONE says that all of it is on its disk. An opener that expects equality
// sends HELLO alone and FRONTIER when the digests turn out to differ.
//
// Other clusters: the answerer sends its HELLO and both sides stop with
// [OtherClusterError]. A node without history (zero cluster) takes the other's.
//
// A chunk is whole blocks, closed after the block that passes 256 KiB and that
// leaves no chain of the chunk without a signature at its end. The receiver
// applies it in one batch. There is no session state: what was applied shows
// in the next frontier, so an interrupted sync goes on from there.
//
// Tips are told by the whole block id, so a tip costs about 50 bytes, not 35:
// with a prefix of the id the receiver would have to find blocks by (chain,
// seq), which the history does not offer yet.
//
// Divergent chains (two blocks of one chain at one seq): a tip that the other
// side does not know although it has that seq says nothing about what is
// common, so the other side sends all it has of that chain, and known blocks
// are skipped. A tip that is unknown and further than all that this side has
// of the chain is taken to contain it; if that is wrong, the other side sees
// the divergence, sends the chain whole, and the next sync has both tips known
// on both sides. LOCATOR frames, which find the common part in one or two
// round trips, take the place of "all" in a later version.
//
// # Example of a stream
//
//	01 0000003a 01 01 ; HELLO, FRONTIER follows
//	   636c757374657220636c757374657220636c757374657220636c757374657221
//	   646967657374206f66206265666f7265 000001977420dc00
//	02 00000032 636861696e206f662061206e6f646521 ac02 ; FRONTIER: one tip, seq 300
//	   626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c
//	03 00000012 08 28b52ffd0050 400000 03 6f6e65 03 74776f ; RANGE: "one", "two"
//	03 0000000a 06 300000 05 7468726565 ; RANGE: "three", same zstd stream
//	04 00000010 646967657374206f6620616674657221 ; DONE
//	05 00000001 01 ; REFUSE: busy
//
// # Gossip, topic crush/1/CLUSTER
//
//	kind     1 byte: 1 inline, 2 head
//	digest   16 bytes, of the sender's frontier when it wrote the message
//	body     inline: for each block length varint | bundle, 16 KiB at most;
//	         head: block id, 32 bytes
//
// Messages are not signed and carry no author (blocks are signed). The id of a
// message is its kind and the id of its last block.
//
// # Example of a gossip message
//
//	02 646967657374206f6620616674657221 ; head, digest
//	   626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c
package p2p
