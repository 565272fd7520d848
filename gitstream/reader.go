package gitstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// maxLine is the longest line that is read, data aside.
	maxLine = 64 << 10
	// maxMessage is the longest message that is read.
	maxMessage = 16 << 20
	// maxParents is the most parents that a commit has.
	maxParents = 1 << 10
)

// Blob is the number of a content that a [Blobs] keeps. Equal contents have
// equal numbers.
type Blob int32

// Blobs keeps the contents of a stream.
type Blobs interface {
	// Keep reads r to its end. An error of r is returned as it is.
	Keep(r io.Reader) (Blob, error)
	// Sum is the SHA-256 of a content.
	Sum(b Blob) [32]byte
}

// Mark is the number that a stream gives to something; 0 for none.
type Mark uint64

// String returns it as in a stream: ":17".
func (m Mark) String() string { return ":" + strconv.FormatUint(uint64(m), 10) }

// CommitCommand is a commit as the stream has it.
type CommitCommand struct {
	Line      int64
	Ref       string
	Mark      Mark
	Author    Person // the committer, if the stream names no author
	Committer Person
	Encoding  string
	Message   []byte
	From      string // a commit as the stream names it; "" for none
	Merge     []string
	Changes   []Change
}

// ResetCommand sets or clears a ref.
type ResetCommand struct {
	Line int64
	Ref  string
	From string // "" clears it
}

// TagCommand is an annotated tag.
type TagCommand struct {
	Line    int64
	Name    string
	Mark    Mark
	From    string
	Tagger  Person // zero if there is none
	Message []byte
}

// Person is who made something, and when.
type Person struct {
	Label string // "Name <address>"
	Time  int64  // seconds since 1970
	Zone  string // "+0200"
}

// Op is what a change does.
type Op byte

// The operations.
const (
	OpModify    Op = 'M'
	OpDelete    Op = 'D'
	OpRename    Op = 'R'
	OpCopy      Op = 'C'
	OpDeleteAll Op = 'A'
)

// Change is one line of a commit that changes its tree.
type Change struct {
	Op        Op
	Submodule bool // of OpModify: there is no blob
	Blob      Blob // of OpModify
	Path      string
	To        string // of OpRename and OpCopy
	Line      int64
}

// Reader reads a stream, command by command. It is for one goroutine.
type Reader struct {
	in    *bufio.Reader
	blobs Blobs
	marks map[Mark]Blob

	line   int64  // number of the last line that was read
	cur    []byte // the last line; valid until the next
	back   bool   // it is to be read once more
	within bool   // a commit is being read
	commit string // the newest

	wantDone bool // the stream says that it ends with done
	done     bool

	// loose is true if what was read last lacks the empty line that git
	// fast-export ends it with. Behind a blob there is always more.
	loose bool
}

// NewReader reads the commands of r. Contents go to blobs.
func NewReader(r io.Reader, blobs Blobs) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, maxLine), blobs: blobs, marks: map[Mark]Blob{}}
}

// Next returns the next *CommitCommand, *ResetCommand or *TagCommand, and
// io.EOF at the end. Any other error is an *Error, and the last.
func (r *Reader) Next() (any, error) {
	c, err := r.next()
	if err == nil || err == io.EOF {
		return c, err
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	return nil, r.fault(err)
}

func (r *Reader) fault(err error) *Error {
	return &Error{Line: r.line, Commit: r.commit, Within: r.within, Cause: err}
}

func (r *Reader) next() (any, error) {
	for !r.done {
		line, err := r.readLine()
		if err == io.EOF {
			return nil, r.end()
		}
		if err != nil {
			return nil, err
		}
		word, rest, _ := bytes.Cut(line, []byte(" "))
		switch string(word) {
		case "blob":
			err = r.readBlob()
		case "commit":
			return r.readCommit(string(rest))
		case "reset":
			return r.readReset(string(rest))
		case "tag":
			return r.readTag(string(rest))
		case "feature":
			err = r.feature(string(rest))
		case "done":
			r.done = true
		case "", "option", "progress", "checkpoint":
			// An empty line between commands, or nothing that changes what is read.
		default:
			err = fmt.Errorf("%s is no command of a fast-export stream", quoteLine(line))
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, io.EOF
}

// end judges the end of the input between two commands.
func (r *Reader) end() error {
	if r.wantDone || r.loose {
		return ErrTruncated
	}
	return io.EOF
}

func (r *Reader) feature(name string) error {
	name, value, _ := strings.Cut(name, "=")
	switch {
	case name == "done":
		r.wantDone = true
	case name == "date-format" && (value == "raw" || value == "raw-permissive"):
	case name == "force", name == "notes", name == "export-marks", name == "relative-marks", name == "no-relative-marks":
	default:
		return fmt.Errorf("the feature %s is not supported", quoteLine([]byte(name)))
	}
	return nil
}

// readLine returns the next line that is no comment, without its end, valid
// until the next call. io.EOF stands for the end between two lines.
func (r *Reader) readLine() ([]byte, error) {
	if r.back {
		r.back = false
		return r.cur, nil
	}
	for {
		line, err := r.in.ReadSlice('\n')
		switch {
		case err == io.EOF && len(line) == 0:
			return nil, io.EOF
		case err == bufio.ErrBufferFull:
			r.line++
			return nil, fmt.Errorf("the line is longer than %d bytes", maxLine)
		case err != nil:
			r.line++
			return nil, readFault(err)
		}
		r.line++
		if line[0] != '#' {
			r.cur = line[:len(line)-1]
			return r.cur, nil
		}
	}
}

// inside is readLine within a command, where the end is a fault.
func (r *Reader) inside() ([]byte, error) {
	line, err := r.readLine()
	return line, readFault(err)
}

// unread makes the next readLine return the line again.
func (r *Reader) unread() { r.back = true }

// optional returns what stands behind a word, if the next line begins with it.
func (r *Reader) optional(word string) (string, bool, error) {
	line, err := r.readLine()
	if err == io.EOF {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if rest, ok := bytes.CutPrefix(line, []byte(word+" ")); ok {
		return string(rest), true, nil
	}
	r.unread()
	return "", false, nil
}

func (r *Reader) readMark() (Mark, error) {
	text, ok, err := r.optional("mark")
	if err != nil || !ok {
		return 0, err
	}
	return parseMark(text)
}

func parseMark(text string) (Mark, error) {
	if digits, ok := strings.CutPrefix(text, ":"); ok {
		if n, err := strconv.ParseUint(digits, 10, 63); err == nil && n > 0 {
			return Mark(n), nil
		}
	}
	return 0, fmt.Errorf("%s is no mark", quoteLine([]byte(text)))
}

func (r *Reader) readBlob() error {
	mark, err := r.readMark()
	if err != nil {
		return err
	}
	if _, _, err := r.optional("original-oid"); err != nil {
		return err
	}
	blob, err := r.keep()
	if err == nil && mark != 0 {
		r.marks[mark] = blob
	}
	r.loose = true
	return err
}

func (r *Reader) readReset(ref string) (*ResetCommand, error) {
	c := &ResetCommand{Line: r.line, Ref: ref}
	if ref == "" {
		return nil, errors.New("reset names no ref")
	}
	var err error
	c.From, _, err = r.optional("from")
	return c, err
}

func (r *Reader) readTag(name string) (*TagCommand, error) {
	c := &TagCommand{Line: r.line, Name: name}
	var err error
	if c.Mark, err = r.readMark(); err != nil {
		return nil, err
	}
	from, ok, err := r.optional("from")
	if err != nil || !ok || name == "" {
		return nil, errors.Join(err, errors.New("the tag names nothing"))
	}
	c.From = from
	if _, _, err := r.optional("original-oid"); err != nil {
		return nil, err
	}
	tagger, ok, err := r.optional("tagger")
	if err == nil && ok {
		c.Tagger, err = parsePerson(tagger)
	}
	if err != nil {
		return nil, err
	}
	c.Message, err = r.message()
	return c, err
}

// quoteLine shows the start of a line in an error.
func quoteLine(line []byte) string {
	const most = 60
	if len(line) > most {
		return strconv.Quote(string(line[:most])) + "…"
	}
	return strconv.Quote(string(line))
}
