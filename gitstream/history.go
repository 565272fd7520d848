package gitstream

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// notesRefs is where Git keeps notes.
const notesRefs = "refs/notes/"

// Write is what becomes of a path.
type Write struct {
	Path    string
	Blob    Blob // of a path that is there
	Deleted bool
}

// Commit is one commit of a history.
type Commit struct {
	ID      CommitID
	Index   int // in History.Commits
	Line    int64
	Ref     string // under which the stream has it
	Mark    Mark
	Author  Person
	Message []byte // in Encoding
	// Encoding is what the message and the names are in; "" for UTF-8.
	Encoding string
	Parents  []*Commit
	// Writes are the paths that differ from the first parent, in byte order; of
	// a commit without parents, all of its tree.
	Writes []Write
	// Wanted are the paths that differ from any parent, with what this commit
	// has there; nil if it has no more than one parent.
	Wanted []Write
}

// Name is how errors call the commit.
func (c *Commit) Name() string {
	if c.Mark != 0 {
		return c.Mark.String() + " of " + c.Ref
	}
	return "on " + c.Ref
}

// Tag is a tag of a history.
type Tag struct {
	Name    string // below refs/tags/
	Commit  *Commit
	Tagger  Person // zero of a lightweight tag
	Message []byte
}

// History is the graph of commits of a stream.
type History struct {
	Commits []*Commit // parents first
	// Refs are the commits at the ends of the refs, but tags and notes.
	Refs map[string]*Commit
	Tags []Tag
	// Submodules counts the changes of submodules: they have no value.
	Submodules int
	// Broken is true of a history whose stream breaks off: it holds the commits
	// before the fault. Refs and Tags are as they were there.
	Broken bool
}

// Read reads a stream to its end. At a fault it returns the commits before it,
// with an *Error. An error of blobs stands in it as the cause.
func Read(r io.Reader, blobs Blobs) (*History, error) {
	b := &builder{
		reader: NewReader(r, blobs), blobs: blobs, marks: map[Mark]*Commit{}, refs: map[string]*Commit{},
		out: &History{Refs: map[string]*Commit{}},
	}
	err := b.read()
	if err == nil {
		err = b.trees()
	} else {
		err = errors.Join(b.trees(), err)
		if first, ok := errors.AsType[*Error](err); ok {
			err = first
		}
	}
	b.out.Broken = err != nil
	b.settleRefs()
	return b.out, err
}

// builder makes a history of commands.
type builder struct {
	reader *Reader
	blobs  Blobs
	out    *History
	marks  map[Mark]*Commit
	refs   map[string]*Commit
	moves  []refMove
	raw    []*CommitCommand // of out.Commits
}

// refMove is a ref that was set while there were n commits.
type refMove struct {
	ref    string
	commit *Commit // nil: it was cleared
	tag    Tag     // of an annotated tag
	n      int
}

// ignored stands for the commits of notes.
var ignored = &Commit{Index: -1}

func (b *builder) read() error {
	for {
		command, err := b.reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		line := int64(0)
		switch c := command.(type) {
		case *CommitCommand:
			line, err = c.Line, b.commit(c)
		case *ResetCommand:
			line, err = c.Line, b.reset(c)
		case *TagCommand:
			line, err = c.Line, b.tag(c)
		}
		if err != nil {
			fault := b.reader.fault(err)
			fault.Line = line
			_, fault.Within = command.(*CommitCommand)
			return fault
		}
	}
}

func (b *builder) commit(c *CommitCommand) error {
	if strings.HasPrefix(c.Ref, notesRefs) {
		b.marks[c.Mark], b.refs[c.Ref] = ignored, ignored
		return nil
	}
	node := &Commit{
		Index: len(b.out.Commits), Line: c.Line, Ref: c.Ref, Mark: c.Mark, Author: c.Author, Message: c.Message, Encoding: c.Encoding,
	}
	if c.From != "" {
		p, err := b.resolve(c.From)
		if err != nil {
			return err
		}
		node.Parents = append(node.Parents, p)
	} else if p := b.refs[c.Ref]; p != nil {
		// As git fast-import does: the ref goes on.
		node.Parents = append(node.Parents, p)
	}
	for _, name := range c.Merge {
		p, err := b.resolve(name)
		if err != nil {
			return err
		}
		if !slices.Contains(node.Parents, p) {
			node.Parents = append(node.Parents, p)
		}
	}
	if c.Mark != 0 {
		b.marks[c.Mark] = node
	}
	b.out.Commits, b.raw = append(b.out.Commits, node), append(b.raw, c)
	b.move(c.Ref, node)
	return nil
}

func (b *builder) move(ref string, c *Commit) {
	b.refs[ref] = c
	b.moves = append(b.moves, refMove{ref: ref, commit: c, n: len(b.out.Commits)})
}

// resolve finds a commit by its mark or by a ref.
func (b *builder) resolve(name string) (*Commit, error) {
	var c *Commit
	if strings.HasPrefix(name, ":") {
		mark, err := parseMark(name)
		if err != nil {
			return nil, err
		}
		c = b.marks[mark]
	} else {
		c = b.refs[strings.TrimSuffix(name, "^0")]
	}
	switch c {
	case nil:
		return nil, fmt.Errorf("there is no commit %s before it in the stream: export the whole history", quoteLine([]byte(name)))
	case ignored:
		return nil, fmt.Errorf("%s is a commit of notes", quoteLine([]byte(name)))
	}
	return c, nil
}

func (b *builder) reset(c *ResetCommand) error {
	if strings.HasPrefix(c.Ref, notesRefs) {
		return nil
	}
	if c.From == "" {
		b.move(c.Ref, nil)
		return nil
	}
	to, err := b.resolve(c.From)
	if err == nil {
		b.move(c.Ref, to)
	}
	return err
}

func (b *builder) tag(c *TagCommand) error {
	if mark, err := parseMark(c.From); err == nil && b.marks[mark] == nil {
		return fmt.Errorf("the tag %s names %s, which is no commit of the stream", quoteLine([]byte(c.Name)), c.From)
	}
	to, err := b.resolve(c.From)
	if err != nil {
		return err
	}
	b.moves = append(b.moves, refMove{
		ref: tagRefs + c.Name, commit: to, n: len(b.out.Commits),
		tag: Tag{Name: c.Name, Commit: to, Tagger: c.Tagger, Message: c.Message},
	})
	if c.Mark != 0 {
		b.marks[c.Mark] = to // a tag of a tag names its commit
	}
	return nil
}

// tagRefs is where Git keeps tags.
const tagRefs = "refs/tags/"

// settleRefs computes the refs and tags behind the commits that are left.
func (b *builder) settleRefs() {
	tags := map[string]Tag{}
	for _, m := range b.moves {
		if m.n > len(b.out.Commits) {
			break
		}
		name, isTag := strings.CutPrefix(m.ref, tagRefs)
		switch {
		case m.commit == nil && isTag:
			delete(tags, name)
		case m.commit == nil:
			delete(b.out.Refs, m.ref)
		case isTag && m.tag.Commit != nil:
			tags[name] = m.tag
		case isTag:
			tags[name] = Tag{Name: name, Commit: m.commit}
		default:
			b.out.Refs[m.ref] = m.commit
		}
	}
	b.out.Tags = slices.SortedFunc(maps.Values(tags), func(a, b Tag) int { return cmp.Compare(a.Name, b.Name) })
}

// trees computes what each commit changes. At a fault it keeps the commits
// before it.
func (b *builder) trees() error {
	uses := make([]int, len(b.out.Commits))
	for _, c := range b.out.Commits {
		for _, p := range c.Parents {
			uses[p.Index]++
		}
	}
	kept := make([]*tree, len(b.out.Commits))
	left := slices.Clone(uses)
	for i, c := range b.out.Commits {
		t := newTree()
		if len(c.Parents) > 0 {
			first := c.Parents[0].Index
			t = kept[first].child(uses[first] == 1)
		}
		if err := b.writes(c, b.raw[i], t); err != nil {
			b.out.Commits = b.out.Commits[:i]
			return err
		}
		b.want(c, t, kept)
		c.ID = identify(c, b.raw[i], b.blobs)
		b.raw[i], kept[i] = nil, t
		for _, p := range c.Parents {
			if left[p.Index]--; left[p.Index] == 0 {
				kept[p.Index] = nil
			}
		}
	}
	return nil
}

// writes applies a commit's changes to the tree of its first parent.
func (b *builder) writes(c *Commit, raw *CommitCommand, t *tree) error {
	e := &editor{tree: t, before: make(map[string]Blob, len(raw.Changes))}
	for i := range raw.Changes {
		ch := &raw.Changes[i]
		if ch.Submodule {
			b.out.Submodules++
		}
		if err := e.apply(ch); err != nil {
			return &Error{Line: ch.Line, Commit: c.Name(), Within: true, Cause: err}
		}
	}
	for path, before := range e.before {
		if now := t.get(path); now != before {
			c.Writes = append(c.Writes, newWrite(path, now))
		}
	}
	slices.SortFunc(c.Writes, byPath)
	return nil
}

func newWrite(path string, now Blob) Write {
	if now == absent {
		return Write{Path: path, Deleted: true}
	}
	return Write{Path: path, Blob: now}
}

func byPath(a, b Write) int { return cmp.Compare(a.Path, b.Path) }

// want computes what a merge has where it differs from any parent.
func (b *builder) want(c *Commit, t *tree, kept []*tree) {
	if len(c.Parents) < 2 {
		return
	}
	c.Wanted = slices.Clone(c.Writes)
	for _, p := range c.Parents[1:] {
		differing("", kept[p.Index].root, t.root, func(path string, now Blob) {
			c.Wanted = append(c.Wanted, newWrite(path, now))
		})
	}
	slices.SortFunc(c.Wanted, byPath)
	c.Wanted = slices.Compact(c.Wanted)
}
