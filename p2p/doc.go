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
//	length   varint of at most 4 bytes, of the payload
//	payload
//
//	1 HELLO     version 1 byte (2: the highest that the sender speaks) |
//	            flags 1 byte (1: FRONTIER follows without being asked for;
//	            2: the sender only asks who this is) | cluster 32 bytes, zero
//	            for a node without history | digest of the frontier 16 bytes |
//	            clock 8 bytes, unix milliseconds. 58 bytes in 1 and 2; what
//	            a later version appends is skipped; 256 bytes at most
//	2 FRONTIER  number of tips varint | a pin for every tip | pins, to the end,
//	            of what the sender fetches from others now; each list sorted,
//	            none twice; 4 MiB at most
//	3 RANGE     length of the chunk varint | the next part of this
//	            direction's one zstd stream (window 1 MiB at most), flushed:
//	            it decompresses to exactly the chunk. What a chunk is stands
//	            in the comment of package dag; at most [dag.MaxChunk] bytes
//	4 DONE      digest of the sender's frontier, 16 bytes
//	5 REFUSE    reason 1 byte: 1 busy, ask again later; 2 the receiver of this
//	            sent damaged or unexpected bytes; 3 the sender's store failed;
//	            4 the receiver of this sent blocks of which the sender does
//	            not have what comes before
//	6 LOCATOR   for each chain: first 8 bytes of its id | number of samples
//	            varint | for each: seq varint, as the difference to the one
//	            before | first 16 bytes of the block id. Chains and samples
//	            sorted, none twice; 512 KiB at most
//
// A pin is a block: first 8 bytes of the chain id | seq varint | first 16 bytes
// of the block id: 25 to 28 bytes for the first two million blocks of a chain.
// A pin that the receiver knows stands for that block and all before it; one
// that it does not know says only that there is something to get.
//
// The opener sends HELLO and FRONTIER in one flight. The answerer sends HELLO;
// if the digests are equal, both are done: 120 bytes in all, and the FRONTIER.
// Else it sends FRONTIER and at once one flow of RANGE frames with all that the
// opener lacks, in its own arrival order, then DONE. The opener then sends what
// the answerer lacks, and DONE; the answerer's last DONE says that all of it is
// on its disk. An opener that expects equality, or wants to see the answerer's
// FRONTIER before it tells its own, sends HELLO alone.
//
// Other clusters: the answerer sends its HELLO and both sides stop with
// [OtherClusterError]. A node without history (zero cluster) takes the other's.
//
// A chunk is whole blocks, of which signatures vouch for all. The receiver
// applies it in one batch. There is no session state: what was applied shows in
// the next frontier, so an interrupted sync goes on from there. A chunk that
// does not connect to what is here ends the session, and so do more than 64 MiB
// of chunks that bring nothing, and a DONE before all tips of the FRONTIER came.
//
// # Divergent chains
//
// One chain can have two blocks at one seq: a node that ran twice from one disk
// wrote them. A tip that this side does not have, on a chain of which it has
// that seq, says nothing about what is common. Neither does any unknown tip of a
// chain that has several here or there. A single unknown tip that is further
// than ours is taken to contain ours; if that is wrong, the other side sees the
// divergence by our tip.
//
// Who sees one says so by LOCATOR: samples of its own chain, the last block and
// those 1, 2, 4, 8 and so on before it, and what it knows of the other's. The
// answerer then sends no RANGE in this round, only DONE. The opener, when that
// came or when a chunk does not connect, begins another round: LOCATOR and
// FRONTIER. Who has had the samples of a chain knows what is common to within as
// many blocks as lie behind it. The answerer replies with its own samples,
// FRONTIER, RANGE and DONE, and so on as above. A sample list that is empty asks
// for all of the chain. So a divergence costs one more round trip, and at most
// as many blocks again as it is long. A session has three rounds at most.
//
// # Several sessions
//
// Two sessions move blocks at a time. What one fetches, the others tell their
// peers as coming: it is not sent, nor is what comes before it. Where a block
// then does not connect, the session ends as busy and is made again later.
//
// # Later versions
//
// Version 2 differs from 1 in that chunks may have payloads as deltas: they go to
// peers whose HELLO says 2 or more.
//
// Blocks of a later version of the format, and what follows on them, are left
// out, by gossip and by sync: they can be had after an upgrade. It is nobody's
// fault, and the rest goes on.
//
// # Example of a stream
//
//	01 3a 01 01 ; HELLO, FRONTIER follows
//	   636c757374657220636c757374657220636c757374657220636c757374657221
//	   646967657374206f66206265666f7265 000001977420dc00
//	02 35 01 636861696e206f66 ac02 626c6f636b20626c6f636b20626c6f63 ; FRONTIER: one tip, seq 300
//	   636861696e206f66 ad02 6e6578742066726f6d206f7468657273 ; seq 301 is coming
//	06 2c 636861696e206f66 02 ; LOCATOR: one chain
//	   00 74686520766572792066697273742031 ac02 626c6f636b20626c6f636b20626c6f63
//	03 11 07 28b52ffd0050 380000 6f6e652074776f ; RANGE: "one two"
//	03 09 05 280000 7468726565 ; RANGE: "three", same zstd stream
//	04 10 646967657374206f6620616674657221 ; DONE
//	05 01 01 ; REFUSE: busy
//
// # Gossip, topic crush/1/CLUSTER
//
//	kind     1 byte: 1 inline, 2 head
//	digest   16 bytes, of the sender's frontier when it wrote the message
//	body     inline: for each block length varint | bundle, 16 KiB at most;
//	         head: block id, 32 bytes
//
// Messages are not signed and carry no author (blocks are signed). The id of a
// message is its kind, the id of its last block and, if it is inline, the first
// 8 bytes of the SHA-256 of its body, because a block's id says nothing of its
// signature. Bad bytes and bad signatures are not passed on.
//
// # Example of a gossip message
//
//	02 646967657374206f6620616674657221 ; head, digest
//	   626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c
package p2p
