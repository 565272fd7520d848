package dag

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/syndtr/goleveldb/leveldb/util"
)

// LevelDB's journal is a sequence of blocks of 32 KiB, each a sequence of
// chunks: checksum 4 bytes, length 2, type 1, data. A record is one FULL chunk,
// or FIRST, MIDDLE…, LAST. goleveldb leaves damaged chunks out without an
// error, with all that follows in their block.
const (
	journalBlock  = 32 << 10
	journalHeader = 7
	journalFull   = 1
	journalFirst  = 2
	journalLast   = 4
)

// checkJournals reports damage inside the journals of a store that is not
// open. Every batch is synced before the next is written, so what a crash tears
// is the end: a damaged chunk with the start of a whole record behind it was
// damaged later, and acknowledged writes would be lost.
func checkJournals(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		if at, damaged := journalDamage(b); damaged {
			return corrupt("journal %s at byte %d", filepath.Base(name), at)
		}
	}
	return nil
}

// journalDamage finds the first damaged chunk that has the start of a whole
// record behind it.
func journalDamage(b []byte) (at int, damaged bool) {
	for at < len(b) {
		rest := journalBlock - at%journalBlock
		if rest < journalHeader { // the trailer of a block
			at += rest
			continue
		}
		size, ok := journalChunk(b, at)
		if !ok {
			return at, recordBehind(b, at+1)
		}
		at += size
	}
	return 0, false
}

// journalChunk checks the chunk at a place and returns its length.
func journalChunk(b []byte, at int) (size int, ok bool) {
	if at+journalHeader > len(b) {
		return 0, false
	}
	size = journalHeader + int(binary.LittleEndian.Uint16(b[at+4:]))
	kind := b[at+6]
	if kind < journalFull || kind > journalLast || at+size > len(b) || at%journalBlock+size > journalBlock {
		return 0, false
	}
	return size, util.NewCRC(b[at+6:at+size]).Value() == binary.LittleEndian.Uint32(b[at:])
}

// recordBehind reports whether the start of a record stands whole anywhere
// from a place on.
func recordBehind(b []byte, from int) bool {
	for at := from; at+journalHeader <= len(b); at++ {
		if kind := b[at+6]; kind != journalFull && kind != journalFirst {
			continue
		}
		if _, ok := journalChunk(b, at); ok {
			return true
		}
	}
	return false
}
