package dag

import "encoding/binary"

// The first byte of a key says what it holds. Numbers are big-endian, so that
// byte order is number order; user keys hold no NUL, so that a NUL ends them.
const (
	tagBlock   = 'b' // line seq           -> block record; then line seq index+1 -> payload
	tagFind    = 'c' // first lsn          -> segment of the index of ids
	tagFork    = 'f' // lsn index          -> an operation on forks, with its place and cuts
	tagMember  = 'g' // lsn index          -> (nothing): a membership operation
	tagHead    = 'h' // fork key           -> entry record
	tagLine    = 'i' // line               -> line record
	tagArrival = 'l' // lsn                -> line seq, trail
	tagMeta    = 'm' // name               -> see the metadata keys
	tagForkLog = 'n' // fork lsn           -> line and activity: a block that wrote on the fork
	tagHistory = 'r' // fork key 0 line ~seq ~index -> history record
	tagPurge   = 'p' // lsn index          -> whether all that the purge covers has gone
	tagClock   = 'v' // line seq           -> clock record
	tagWrote   = 'w' // key                -> forks, other than default, that wrote the key
	tagVoid    = 'x' // lsn index          -> why it is void
)

// The metadata keys.
var (
	keyFormat = []byte("mformat") // formatMark
	keyState  = []byte("mstate")  // state record, in every batch
	keyClean  = []byte("mclean")  // fingerprint of a clean stop, consumed at the start

	keyContested = []byte("mcontested") // see contested
	keyWorn      = []byte("mworn")      // ranges that Compact has not been through; see worn
)

// formatMark is the value of keyFormat: it names the layout of the records. A
// store that has seen a purge, or lacks payloads, has formatPurged, so that
// versions which know neither leave it alone.
const (
	formatMark   = "crush graph 3"
	formatPurged = "crush graph 4"
)

// knownFormat reports whether this code reads and writes stores of a format.
func knownFormat(mark []byte) bool {
	return string(mark) == formatMark || string(mark) == formatPurged
}

// loc is where a revision stands, in local numbers.
type loc struct {
	line  uint32
	seq   uint64
	index uint32
}

func tagged(tag byte, room int) []byte { return append(make([]byte, 0, 1+room), tag) }

func blockKey(line uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(tagged(tagBlock, 16), line), seq)
}

func payloadKey(l loc) []byte {
	return binary.BigEndian.AppendUint32(blockKey(l.line, l.seq), l.index+1)
}

// parseBlockKey is the inverse of blockKey and payloadKey; main is false for a
// payload, whose index is then set.
func parseBlockKey(k []byte) (l loc, main, ok bool) {
	if len(k) != 13 && len(k) != 17 || k[0] != tagBlock {
		return l, false, false
	}
	l.line, l.seq = binary.BigEndian.Uint32(k[1:]), binary.BigEndian.Uint64(k[5:])
	if len(k) == 13 {
		return l, true, true
	}
	n := binary.BigEndian.Uint32(k[13:])
	l.index = n - 1
	return l, false, n > 0
}

func clockKey(line uint32, seq uint64) []byte {
	k := blockKey(line, seq)
	k[0] = tagClock
	return k
}

func numKey(tag byte, n uint32) []byte { return binary.BigEndian.AppendUint32(tagged(tag, 4), n) }

func lsnKey(tag byte, lsn uint64) []byte { return binary.BigEndian.AppendUint64(tagged(tag, 12), lsn) }

func lsnIndexKey(tag byte, lsn uint64, index uint32) []byte {
	return binary.BigEndian.AppendUint32(lsnKey(tag, lsn), index)
}

func forkLogKey(fork uint32, lsn uint64) []byte {
	return binary.BigEndian.AppendUint64(numKey(tagForkLog, fork), lsn)
}

func headKey(fork uint32, key string) []byte {
	k := binary.BigEndian.AppendUint32(tagged(tagHead, 4+len(key)), fork)
	return append(k, key...)
}

// historyPrefix starts the history records of a key, of one line if line > 0.
func historyPrefix(fork uint32, key string, line uint32) []byte {
	k := binary.BigEndian.AppendUint32(tagged(tagHistory, 4+len(key)+17), fork)
	k = append(append(k, key...), 0)
	if line > 0 {
		k = binary.BigEndian.AppendUint32(k, line)
	}
	return k
}

// historyKey orders the revisions of a key by one line, newest first.
func historyKey(fork uint32, key string, l loc) []byte {
	k := binary.BigEndian.AppendUint64(historyPrefix(fork, key, l.line), ^l.seq)
	return binary.BigEndian.AppendUint32(k, ^l.index)
}

// parseHistoryKey returns the place in a key of historyKey.
func parseHistoryKey(k []byte) (l loc, ok bool) {
	if len(k) < 1+4+1+16 {
		return l, false
	}
	t := k[len(k)-16:]
	return loc{binary.BigEndian.Uint32(t), ^binary.BigEndian.Uint64(t[4:]), ^binary.BigEndian.Uint32(t[12:])}, true
}
