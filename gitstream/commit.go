package gitstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// readCommit reads a commit behind its first line.
func (r *Reader) readCommit(ref string) (*CommitCommand, error) {
	c := &CommitCommand{Line: r.line, Ref: ref}
	r.commit, r.within, r.loose = "on "+ref, true, true
	if ref == "" {
		return nil, errors.New("the commit names no ref")
	}
	var err error
	if c.Mark, err = r.readMark(); err != nil {
		return nil, err
	}
	if c.Mark != 0 {
		r.commit = c.Mark.String() + " of " + ref
	}
	if err := r.commitHeader(c); err != nil {
		return nil, err
	}
	if c.Message, err = r.message(); err != nil {
		return nil, err
	}
	if err := r.parents(c); err != nil {
		return nil, err
	}
	for {
		more, err := r.change(c)
		if err != nil {
			return nil, err
		}
		if !more {
			r.within = false
			return c, nil
		}
	}
}

// commitHeader reads the lines in front of the message.
func (r *Reader) commitHeader(c *CommitCommand) error {
	for {
		line, err := r.inside()
		if err != nil {
			return err
		}
		word, rest, _ := bytes.Cut(line, []byte(" "))
		switch string(word) {
		case "original-oid":
		case "author":
			c.Author, err = parsePerson(string(rest))
		case "committer":
			c.Committer, err = parsePerson(string(rest))
		case "encoding":
			c.Encoding = string(rest)
		case "gpgsig":
			_, err = r.message()
		case "data":
			if c.Committer == (Person{}) {
				return errors.New("the commit has no committer")
			}
			if c.Author == (Person{}) {
				c.Author = c.Committer
			}
			r.unread()
			return nil
		default:
			err = fmt.Errorf("%s does not belong in front of a commit's message", quoteLine(line))
		}
		if err != nil {
			return err
		}
	}
}

func (r *Reader) parents(c *CommitCommand) error {
	from, _, err := r.optional("from")
	if err != nil {
		return err
	}
	c.From, r.loose = from, r.loose || from != ""
	for len(c.Merge) < maxParents {
		merged, ok, err := r.optional("merge")
		if err != nil || !ok {
			return err
		}
		c.Merge, r.loose = append(c.Merge, merged), true
	}
	return fmt.Errorf("the commit merges more than %d others", maxParents)
}

// change reads one line of the tree's changes; false if the commit ends.
func (r *Reader) change(c *CommitCommand) (more bool, err error) {
	line, err := r.readLine()
	if err == io.EOF && r.loose {
		return false, ErrTruncated
	}
	if err != nil {
		return false, ignoreEOF(err)
	}
	if len(line) == 0 {
		r.loose = false
		return false, nil
	}
	word, rest, _ := strings.Cut(string(line), " ")
	ch := Change{Line: r.line}
	r.loose = true
	switch word {
	case "M":
		ch, err = r.modify(rest)
	case "D":
		ch.Op = OpDelete
		if ch.Path, err = lastPath(rest); err == nil && ch.Path == "" {
			ch.Op = OpDeleteAll
		}
	case "R", "C":
		ch.Op = Op(word[0])
		ch.Path, ch.To, err = twoPaths(rest)
	case "deleteall":
		ch.Op = OpDeleteAll
	case "N":
		return true, r.note(rest)
	default:
		r.unread()
		r.loose = false
		return false, nil
	}
	c.Changes = append(c.Changes, ch)
	return true, err
}

// modify reads a change of one file: mode, content and path.
func (r *Reader) modify(text string) (ch Change, err error) {
	ch = Change{Op: OpModify, Line: r.line}
	mode, rest, _ := strings.Cut(text, " ")
	data, path, ok := strings.Cut(rest, " ")
	if !ok {
		return ch, errors.New("a line M wants a mode, a content and a path")
	}
	if ch.Path, err = lastPath(path); err != nil {
		return ch, err
	}
	if ch.Path == "" {
		return ch, errors.New("a line M of the whole tree is not supported")
	}
	switch mode {
	case "100644", "644", "100755", "755", "120000":
	case "160000":
		ch.Submodule = true
		return ch, nil
	default:
		return ch, fmt.Errorf("the mode %s is not supported", quoteLine([]byte(mode)))
	}
	if data == "inline" {
		ch.Blob, err = r.keep()
		return ch, err
	}
	ch.Blob, err = r.blob(data)
	return ch, err
}

// blob finds a content that the stream had before.
func (r *Reader) blob(text string) (Blob, error) {
	mark, err := parseMark(text)
	if err != nil {
		return 0, fmt.Errorf("the content %s is not in the stream: it must be exported with its data", quoteLine([]byte(text)))
	}
	blob, ok := r.marks[mark]
	if !ok {
		return 0, fmt.Errorf("no blob has the mark %s", mark)
	}
	return blob, nil
}

// note reads over a note.
func (r *Reader) note(text string) error {
	if strings.HasPrefix(text, "inline ") {
		_, err := r.message()
		return err
	}
	return nil
}

// parsePerson reads a name, an address and a date in the raw format.
func parsePerson(text string) (p Person, err error) {
	i := strings.LastIndexByte(text, '>')
	if i < 0 || !strings.Contains(text[:i], "<") {
		return p, fmt.Errorf("%s names nobody: want NAME <ADDRESS> TIME ZONE", quoteLine([]byte(text)))
	}
	p.Label = strings.TrimSpace(text[:i+1])
	seconds, zone, ok := strings.Cut(strings.TrimSpace(text[i+1:]), " ")
	if p.Time, err = strconv.ParseInt(seconds, 10, 64); err != nil || !ok || !isZone(zone) {
		return p, fmt.Errorf("%s is no time in Git's raw format", quoteLine([]byte(text[i+1:])))
	}
	if p.Time < -maxSeconds || p.Time > maxSeconds {
		return p, fmt.Errorf("the time %d is out of range", p.Time)
	}
	p.Zone = zone
	return p, nil
}

// When is the time as a point in time.
func (p Person) When() time.Time { return time.Unix(p.Time, 0).UTC() }

// maxSeconds bounds times to what fits milliseconds.
const maxSeconds = 1 << 43

// isZone reports whether text is an offset from UTC. Real histories have
// absurd ones, as -7530: only its form is checked.
func isZone(text string) bool {
	if len(text) < 2 || text[0] != '+' && text[0] != '-' {
		return false
	}
	_, err := strconv.ParseUint(text[1:], 10, 32)
	return err == nil
}
