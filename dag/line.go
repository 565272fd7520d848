package dag

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// Tip is the last block of a line that is applied. A chain has one, unless its
// author wrote two blocks with one seq.
type Tip struct {
	Chain ChainID
	Seq   uint64
	Block BlockID
}

// line is a chain in local numbers: a run of blocks without gaps. A chain with
// two blocks at one seq is two lines, the second starting there.
type line struct {
	lineRecord
	num   uint32
	next  uint64  // seq after the tip's; first if nothing is applied
	tip   BlockID // zero if nothing is applied
	lam   uint64  // of the tip
	at    int64   // of the tip
	base  clock   // of the tip's past; shared, never changed
	delta uint64  // of the tip's newest clock record
}

// past is the causal past of the line's tip.
func (l *line) past() past { return past{l.base, l.num, l.next - 1} }

// frontier is the set of lines; it is replaced, never changed, after each
// batch, so that a reader holds one moment.
type frontier struct {
	lines  []*line             // by number, from 1: lines[0] is nil
	chains map[ChainID][]*line // in order of first
	tips   map[BlockID]loc     // blocks that no applied block depends on
	last   map[BlockID]loc     // the last block of each line
	digest Digest
}

func newFrontier() *frontier {
	return &frontier{lines: []*line{nil}, chains: map[ChainID][]*line{}, tips: map[BlockID]loc{}, last: map[BlockID]loc{}}
}

// clone copies the frontier so that lines can be replaced in the copy.
func (f *frontier) clone() *frontier {
	return &frontier{lines: slices.Clone(f.lines), chains: maps.Clone(f.chains), tips: maps.Clone(f.tips), last: maps.Clone(f.last), digest: f.digest}
}

// line returns the line of a number that a record holds.
func (f *frontier) line(num uint32) (*line, error) {
	if num == 0 || int(num) >= len(f.lines) {
		return nil, corrupt("line %d does not exist", num)
	}
	return f.lines[num], nil
}

// chainOf names the chain of a line; zero if the line does not exist, which
// Check reports.
func (f *frontier) chainOf(num uint32) ChainID {
	if l, err := f.line(num); err == nil {
		return l.chain
	}
	return ChainID{}
}

// add appends a new line.
func (f *frontier) add(rec lineRecord) *line {
	l := &line{lineRecord: rec, num: uint32(len(f.lines)), next: rec.first, base: clock{}}
	f.lines = append(f.lines, l)
	f.chains[rec.chain] = append(slices.Clone(f.chains[rec.chain]), l)
	return l
}

// replace puts a changed copy of a line into the frontier.
func (f *frontier) replace(l *line) {
	f.lines[l.num] = l
	ls := slices.Clone(f.chains[l.chain])
	for i := range ls {
		if ls[i].num == l.num {
			ls[i] = l
		}
	}
	f.chains[l.chain] = ls
}

// all is the clock of everything applied.
func (f *frontier) all() clock {
	c := clock{}
	for _, l := range f.lines[1:] {
		if l.next > l.first {
			c[l.num] = l.next
		}
	}
	return c
}

// list returns the tips in order of chain, seq and block.
func (f *frontier) list() []Tip {
	out := make([]Tip, 0, len(f.lines)-1)
	for _, l := range f.lines[1:] {
		if l.next > l.first {
			out = append(out, Tip{l.chain, l.next - 1, l.tip})
		}
	}
	slices.SortFunc(out, func(a, b Tip) int {
		if c := bytes.Compare(a.Chain[:], b.Chain[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.Block[:], b.Block[:])
	})
	return out
}

// DigestOf is the fingerprint of a frontier; the order of tips is irrelevant.
func DigestOf(tips []Tip) Digest {
	var sum Digest
	for _, t := range tips {
		sum = sum.toggle(t)
	}
	return sum
}

// toggle adds a tip to the set that d stands for, or takes it out: the digest
// is the exclusive or of the tips' hashes, so that one new block costs two
// hashes however many chains there are. Peers are members, and a block is
// checked by its own hash: a forged collision could only delay a sync until
// the next block.
func (d Digest) toggle(t Tip) Digest {
	var b [72]byte
	copy(b[:], t.Chain[:])
	binary.BigEndian.PutUint64(b[32:], t.Seq)
	copy(b[40:], t.Block[:])
	h := sha256.Sum256(b[:])
	for i := range d {
		d[i] ^= h[i]
	}
	return d
}

// advance makes the block at seq the tip of a copy of l, and returns the copy.
func (f *frontier) advance(l *line, id BlockID, deps []BlockID, prev BlockID) *line {
	next := *l
	if l.next > l.first {
		f.digest = f.digest.toggle(Tip{l.chain, l.next - 1, l.tip})
	}
	next.tip, next.next = id, l.next+1
	f.digest = f.digest.toggle(Tip{l.chain, next.next - 1, id})
	f.replace(&next)
	for _, d := range deps {
		delete(f.tips, d)
	}
	delete(f.tips, prev)
	delete(f.last, l.tip)
	at := loc{line: l.num, seq: next.next - 1}
	f.tips[id], f.last[id] = at, at
	return &next
}

// String describes a tip for people.
func (t Tip) String() string { return fmt.Sprintf("%s/%d %s", t.Chain.Short(), t.Seq, t.Block.Short()) }

// pastOf returns the causal past of a stored block.
func (f *frontier) pastOf(r Reader, at loc) (past, error) {
	l, err := f.line(at.line)
	if err != nil {
		return past{}, err
	}
	if at.seq == l.next-1 {
		return l.past(), nil
	}
	cp, err := loadClock(r, at.line, at.seq)
	return past{cp.base, at.line, at.seq}, err
}
