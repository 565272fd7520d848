package crdt

import "bytes"

// MergeLines joins two texts that were made of one, line by line. It returns
// the merged text, or a conflict and no text.
//
// It is diff3 as Khanna, Kunal and Pierce describe it (A Formal Investigation of
// Diff3, 2007): the lines of base that both others keep stand in the result, and
// cut the texts into hunks. Of a hunk that only one of the two has changed its
// text is taken, and of one that both have changed alike that of both. Any other
// hunk is a conflict. So changes that overlap are one, and so are changes with no
// kept line between them.
//
// A line is kept only if every shortest edit script keeps it: where it is not
// certain which of several equal lines was removed, or between which of them one
// was added, all of them have been changed. Hence a result is what diff3 gives
// with whichever shortest scripts, and nothing is guessed. More is a conflict
// than in Git, which chooses one script; see TestMergeLinesLikeGit.
//
// Lines are compared as bytes, their ends too: a newline that is added to the
// last line changes that line. The result does not depend on which side is
// called ours, but for the names in [LineConflict.Render]. If more than 1,000
// lines are removed and added between base and a side, all of the text is one
// conflict, unless one of the sides is base, or equal to the other.
//
// The result may share memory with the arguments.
func MergeLines(base, ours, theirs []byte) ([]byte, *LineConflict) {
	whole := LineHunk{Base: base, Ours: ours, Theirs: theirs}
	if text, ok := whole.settle(); ok {
		return text, nil
	}
	hunks, ok := cutIntoHunks(base, ours, theirs)
	switch {
	case !ok:
		return nil, &LineConflict{Hunks: []LineHunk{whole}, TooDifferent: true}
	case len(hunks) == 1 && !hunks[0].Conflict():
		return hunks[0].Merged, nil
	}
	return nil, &LineConflict{Hunks: hunks}
}

// LineHunk is a part of a merge: text that is merged, or else what the three
// texts have there.
type LineHunk struct {
	Merged             []byte
	Base, Ours, Theirs []byte
}

// Conflict reports whether the hunk is one.
func (h *LineHunk) Conflict() bool { return h.Merged == nil }

// settle applies the rules to what the three texts have.
func (h *LineHunk) settle() (merged []byte, ok bool) {
	switch {
	case bytes.Equal(h.Ours, h.Base), bytes.Equal(h.Ours, h.Theirs):
		return h.Theirs, true
	case bytes.Equal(h.Theirs, h.Base):
		return h.Ours, true
	}
	return nil, false
}

// LineConflict is a merge that is not clean.
type LineConflict struct {
	// Hunks are all parts of the texts, in their order. No two that are merged
	// are neighbours.
	Hunks []LineHunk
	// TooDifferent is true if a side has too little in common with the base to
	// be compared. The one hunk is the whole then.
	TooDifferent bool
}

// Render shows the texts as one, the conflicts between marks as diff3 -m and git
// merge-file --diff3 show them. In a conflict a last line without a newline gets
// one. The names must be of one line.
func (c *LineConflict) Render(base, ours, theirs string) []byte {
	var out []byte
	mark := func(sign byte, name string) {
		if n := len(out); n > 0 && out[n-1] != '\n' {
			out = append(out, '\n')
		}
		out = append(out, bytes.Repeat([]byte{sign}, 7)...)
		if name != "" {
			out = append(append(out, ' '), name...)
		}
		out = append(out, '\n')
	}
	for _, h := range c.Hunks {
		if !h.Conflict() {
			out = append(out, h.Merged...)
			continue
		}
		mark('<', ours)
		out = append(out, h.Ours...)
		mark('|', base)
		out = append(out, h.Base...)
		mark('=', "")
		out = append(out, h.Theirs...)
		mark('>', theirs)
	}
	return out
}

// cutIntoHunks cuts three texts at the lines that both sides keep.
func cutIntoHunks(base, ours, theirs []byte) (hunks []LineHunk, ok bool) {
	n := lineNumbers{}
	lines := n.of(base)
	inOurs, ok := keptLines(lines, n.of(ours))
	if !ok {
		return nil, false
	}
	inTheirs, ok := keptLines(lines, n.of(theirs))
	if !ok {
		return nil, false
	}
	c := lineCutter{base: textLines{text: base}, ours: textLines{text: ours}, theirs: textLines{text: theirs}}
	for len(inOurs) > 0 && len(inTheirs) > 0 {
		switch o, t := inOurs[0], inTheirs[0]; {
		case o.A < t.A:
			inOurs = inOurs[1:]
		case o.A > t.A:
			inTheirs = inTheirs[1:]
		default:
			c.cut(o.A, o.B, t.B)
			c.cut(o.A+1, o.B+1, t.B+1)
			inOurs, inTheirs = inOurs[1:], inTheirs[1:]
		}
	}
	c.add(LineHunk{Base: c.base.text, Ours: c.ours.text, Theirs: c.theirs.text})
	return c.hunks, true
}

// textLines is a text that lines are taken off.
type textLines struct {
	text []byte
	at   int // number of the first line of text
}

// upTo takes the lines before the line n, which need not be there.
func (t *textLines) upTo(n int) []byte {
	size := 0
	for ; t.at < n; t.at++ {
		i := bytes.IndexByte(t.text[size:], '\n')
		if i < 0 {
			size = len(t.text)
			continue
		}
		size += i + 1
	}
	taken := t.text[:size]
	t.text = t.text[size:]
	return taken
}

// lineCutter collects hunks.
type lineCutter struct {
	base, ours, theirs textLines
	hunks              []LineHunk
}

// cut ends a hunk before the given lines.
func (c *lineCutter) cut(base, ours, theirs int) {
	c.add(LineHunk{Base: c.base.upTo(base), Ours: c.ours.upTo(ours), Theirs: c.theirs.upTo(theirs)})
}

// add puts a hunk behind the others.
func (c *lineCutter) add(h LineHunk) {
	merged, ok := h.settle()
	last := len(c.hunks) - 1
	switch {
	case !ok:
		c.hunks = append(c.hunks, h)
	case last >= 0 && !c.hunks[last].Conflict():
		c.hunks[last].Merged = append(c.hunks[last].Merged, merged...)
	case len(merged) > 0:
		c.hunks = append(c.hunks, LineHunk{Merged: bytes.Clone(merged)})
	}
}
