package rpc

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// maxDistance is the edit distance at which [Diff] gives up on being small:
// the work grows with its square.
const maxDistance = 1000

// Op says what one step of a [Patch] does with its text.
type Op string

// The steps.
const (
	OpEqual  Op = "eq"  // the text stands in both values
	OpInsert Op = "ins" // the text stands in the older value only
	OpDelete Op = "del" // the text stands in the newer value only
)

// Edit is one step of a patch.
type Edit struct {
	Op   Op
	Text []byte
}

// Patch turns a value into the one before it. Its JSON form is that of the
// ancestor's API: a list of ["eq"|"ins"|"del", base64].
type Patch []Edit

// Diff returns the patch from newer to older. It is a pure function: greedy
// Myers (An O(ND) Difference Algorithm and Its Variations, 1986) over Unicode
// code points if both values are valid UTF-8, else over bytes, in the
// normal form of the ancestor (see [script]). When more than 1,000 code points
// differ, it is the common prefix, then the whole rest of both.
// It takes O(n) memory, and the texts alias the arguments.
func Diff(newer, older []byte) Patch {
	ascii, text := classify(newer, older)
	prefix := commonPrefix(newer, older)
	if text && !ascii {
		for prefix < len(newer) && !utf8.RuneStart(newer[prefix]) ||
			prefix < len(older) && !utf8.RuneStart(older[prefix]) {
			prefix--
		}
	}
	a, b := newer[prefix:], older[prefix:]
	s := script{newer: newer, older: older, inNewer: len(newer), inOlder: len(older)}
	var ok bool
	if text && !ascii {
		ok = s.runes(a, b)
	} else {
		ok = s.bytes(a, b)
	}
	if !ok {
		s.step(OpInsert, len(b))
		s.step(OpDelete, len(a))
	}
	s.step(OpEqual, prefix)
	return s.patch()
}

// Apply returns the older value of the patch's two. The error says where the
// patch does not fit newer.
func (p Patch) Apply(newer []byte) ([]byte, error) {
	size := 0
	for _, e := range p {
		if e.Op != OpDelete {
			size += len(e.Text)
		}
	}
	older := make([]byte, 0, size)
	rest := newer
	for i, e := range p {
		switch e.Op {
		case OpInsert:
			older = append(older, e.Text...)
			continue
		case OpEqual:
			older = append(older, e.Text...)
		case OpDelete:
		default:
			return nil, fmt.Errorf("apply patch: step %d has the unknown operation %q", i, e.Op)
		}
		if !bytes.HasPrefix(rest, e.Text) {
			return nil, fmt.Errorf("apply patch: step %d does not fit at byte %d", i, len(newer)-len(rest))
		}
		rest = rest[len(e.Text):]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("apply patch: it ends at byte %d of %d", len(newer)-len(rest), len(newer))
	}
	return older, nil
}

// MarshalJSON returns the ancestor's form.
func (p Patch) MarshalJSON() ([]byte, error) { return p.appendJSON(nil), nil }

func (p Patch) appendJSON(b []byte) []byte {
	b = append(b, '[')
	for i, e := range p {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[', '"')
		b = append(b, e.Op...)
		b = append(b, '"', ',', '"')
		b = base64.StdEncoding.AppendEncode(b, e.Text)
		b = append(b, '"', ']')
	}
	return append(b, ']')
}

// UnmarshalJSON reads the ancestor's form.
func (p *Patch) UnmarshalJSON(data []byte) error {
	var steps [][]string
	if err := json.Unmarshal(data, &steps); err != nil {
		return fmt.Errorf("read patch: %w", err)
	}
	out := make(Patch, 0, len(steps))
	for i, s := range steps {
		if len(s) != 2 {
			return fmt.Errorf("read patch: step %d has %d members, want 2", i, len(s))
		}
		op := Op(s[0])
		if op != OpEqual && op != OpInsert && op != OpDelete {
			return fmt.Errorf("read patch: step %d has the unknown operation %q", i, s[0])
		}
		text, err := base64.StdEncoding.DecodeString(s[1])
		if err != nil {
			return fmt.Errorf("read patch: step %d: %w", i, err)
		}
		out = append(out, Edit{op, text})
	}
	*p = out
	return nil
}

// run is a step of a script: op on the next n bytes.
type run struct {
	op Op
	n  int
}

// script collects the steps of a patch from the last to the first. While an
// edit still precedes it, "eq X, ins X, eq Y" becomes "ins X, eq XY", which is
// how the ancestor moves an insertion to the left.
type script struct {
	newer, older []byte
	steps        []run // the last step of the patch first
	// Where the step that was added last begins.
	inNewer, inOlder int
}

// step puts op on n bytes before the steps so far.
func (s *script) step(op Op, n int) {
	if n == 0 {
		return
	}
	if top := len(s.steps) - 1; top >= 0 && s.steps[top].op != op {
		s.shift()
	}
	if top := len(s.steps) - 1; top >= 0 && s.steps[top].op == op {
		s.steps[top].n += n
	} else {
		s.steps = append(s.steps, run{op, n})
	}
	if op != OpInsert {
		s.inNewer -= n
	}
	if op != OpDelete {
		s.inOlder -= n
	}
}

// shift applies the rule of the ancestor's form to the first three steps.
func (s *script) shift() {
	top := len(s.steps) - 1
	if top < 2 {
		return
	}
	x, ins, y := &s.steps[top], &s.steps[top-1], &s.steps[top-2]
	if x.op != OpEqual || ins.op != OpInsert || y.op != OpEqual || x.n != ins.n {
		return
	}
	from := s.inOlder + x.n
	if !bytes.Equal(s.older[s.inOlder:from], s.older[from:from+ins.n]) {
		return
	}
	y.n += x.n
	s.steps = s.steps[:top]
}

func (s *script) patch() Patch {
	slices.Reverse(s.steps)
	p := make(Patch, len(s.steps))
	newer, older := s.newer, s.older
	for i, r := range s.steps {
		if r.op == OpInsert {
			p[i] = Edit{r.op, older[:r.n]}
		} else {
			p[i] = Edit{r.op, newer[:r.n]}
			newer = newer[r.n:]
		}
		if r.op != OpDelete {
			older = older[r.n:]
		}
	}
	return p
}

// bytes adds the steps that turn a into b, which end newer and older. It adds
// none and reports false if there are more than maxDistance.
func (s *script) bytes(a, b []byte) bool {
	t := trace{n: len(a), m: len(b)}
	if !t.search(func(x, y int) int { return commonPrefix(a[x:], b[y:]) }) {
		return false
	}
	t.back(s.step)
	return true
}

// runes is bytes, over code points.
func (s *script) runes(a, b []byte) bool {
	if n, m := utf8.RuneCount(a), utf8.RuneCount(b); max(n-m, m-n) > maxDistance {
		return false
	}
	ra, rb := bytes.Runes(a), bytes.Runes(b)
	t := trace{n: len(ra), m: len(rb)}
	ok := t.search(func(x, y int) int {
		n := 0
		for x < len(ra) && y < len(rb) && ra[x] == rb[y] {
			x, y, n = x+1, y+1, n+1
		}
		return n
	})
	if !ok {
		return false
	}
	// Steps come from the end; what each covers in a or b has as many bytes
	// as its code points take.
	x, y := len(ra), len(rb)
	t.back(func(op Op, n int) {
		size := 0
		if op == OpInsert {
			size = encodedLen(rb[y-n : y])
		} else {
			size = encodedLen(ra[x-n : x])
			x -= n
		}
		if op != OpDelete {
			y -= n
		}
		s.step(op, size)
	})
	return true
}

// trace is a run of the greedy algorithm from a sequence of n elements to one
// of m: for each distance d, how far x the path got on the diagonals
// k = x-y = -d, -d+2, … d.
type trace struct {
	n, m int
	far  [][]int32
}

// search fills the trace up to the shortest path, and reports false if that
// is longer than maxDistance. The argument says how many elements are equal
// from (x, y) on.
func (t *trace) search(snake func(x, y int) int) bool {
	if max(t.n-t.m, t.m-t.n) > maxDistance {
		return false
	}
	for d := range maxDistance + 1 {
		far := make([]int32, d+1)
		t.far = append(t.far, far)
		for i := range far {
			k := 2*i - d
			x := t.start(d, k)
			if y := x - k; x < t.n && y < t.m {
				x += snake(x, y)
			}
			far[i] = int32(x)
			if x >= t.n && x-k >= t.m {
				return true
			}
		}
	}
	return false
}

// start is the x at which the path of distance d enters diagonal k.
func (t *trace) start(d, k int) int {
	if d == 0 {
		return 0
	}
	if t.inserts(d, k) {
		return t.at(d-1, k+1)
	}
	return t.at(d-1, k-1) + 1
}

// inserts is the rule that picks one of two paths: the step to diagonal k at
// distance d is an insertion, else a deletion.
func (t *trace) inserts(d, k int) bool {
	return k == -d || k != d && t.at(d-1, k-1) < t.at(d-1, k+1)
}

func (t *trace) at(d, k int) int { return int(t.far[d][(k+d)/2]) }

// back reports the steps of the path that search found, the last one first.
func (t *trace) back(step func(op Op, n int)) {
	x, k := t.n, t.n-t.m
	for d := len(t.far) - 1; d >= 0; d-- {
		from := t.start(d, k)
		step(OpEqual, x-from)
		switch {
		case d == 0:
		case t.inserts(d, k):
			step(OpInsert, 1)
			x, k = from, k+1
		default:
			step(OpDelete, 1)
			x, k = from-1, k-1
		}
	}
}

// classify reports whether both values are ASCII and whether both are UTF-8.
func classify(a, b []byte) (ascii, text bool) {
	if isASCII(a) && isASCII(b) {
		return true, true
	}
	return false, utf8.Valid(a) && utf8.Valid(b)
}

func isASCII(s []byte) bool {
	const high = 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		if binary.LittleEndian.Uint64(s)&high != 0 {
			return false
		}
	}
	for _, c := range s {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func encodedLen(rs []rune) int {
	n := 0
	for _, r := range rs {
		n += utf8.RuneLen(r)
	}
	return n
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[:n], b[:n]
	i := 0
	for ; i+8 <= n; i += 8 {
		if d := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); d != 0 {
			return i + bits.TrailingZeros64(d)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
