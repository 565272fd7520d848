package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"crush/gitstream"
	"crush/rpc"
)

// importGit reads a stream as a whole, and then writes what is new in it.
func (p *program) importGit(cmd *cobra.Command, f *gitFlags) error {
	if err := f.readRules(); err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	door, err := p.door()
	if err != nil {
		return err
	}
	spool, err := gitstream.NewSpool("", maxValue)
	if err != nil {
		return err
	}
	defer spool.Close()
	h, broken := p.readStream(ctx, f.from, spool)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case broken != nil && h == nil:
		return broken
	case broken != nil && len(h.Commits) == 0:
		return fmt.Errorf("%s: %w", f.from, broken)
	}
	w := &gitWriter{p: p, flags: f, door: door, spool: spool, history: h, pending: map[*gitstream.Commit]bool{}, newest: map[*gitstream.Line]*gitstream.Commit{}}
	if err := w.run(ctx); err != nil {
		return err
	}
	w.done.Broken = broken != nil
	if err := p.print(w.done, func() { p.printImported(&w.done) }); err != nil || broken == nil {
		return err
	}
	return fmt.Errorf("%s: %w; what is whole before it is imported: run it again with a whole stream, and it goes on", f.from, broken)
}

// readStream reads the history of a file. It returns what is whole with the
// error of what is not; nil if it cannot be read at all.
func (p *program) readStream(ctx context.Context, name string, spool *gitstream.Spool) (*gitstream.History, error) {
	in := p.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	plain, err := decompressed(&interruptible{ctx, in})
	if err != nil {
		return nil, &localError{verb: "read " + name, cause: err}
	}
	defer plain.Close()
	g := p.startProgress("reading the stream")
	defer g.end()
	h, err := gitstream.Read(plain, spool)
	if err != nil {
		// The checksum stands at the end. What unpacks to something else than was
		// packed has no part that can be trusted.
		_, _ = io.Copy(io.Discard, plain)
	}
	if plain.damage != nil {
		return nil, fmt.Errorf("%s is damaged, and nothing of it is imported: %w", name, plain.damage)
	}
	if err := spool.Flush(); err != nil {
		return nil, err
	}
	return h, err
}

// unpacked is a stream without its compression.
type unpacked struct {
	io.ReadCloser

	damage error // why it is not what was packed; nil if it only breaks off
}

// Read implements io.Reader.
func (u *unpacked) Read(b []byte) (int, error) {
	n, err := u.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, context.Canceled) {
		u.damage = err
	}
	return n, err
}

// interruptible is a reader that ends with its context.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader.
func (r *interruptible) Read(b []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.in.Read(b)
}

// decompressed reads plain text, gzip or zstd, as the first bytes say.
func decompressed(in io.Reader) (*unpacked, error) {
	const room = 256 << 10
	buffered := bufio.NewReaderSize(in, room)
	start, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		d, err := gzip.NewReader(buffered)
		return &unpacked{ReadCloser: d}, err
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		const window = 128 << 20 // that of zstd --long=27, what its own program takes
		d, err := zstd.NewReader(buffered, zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, err
		}
		return &unpacked{ReadCloser: d.IOReadCloser()}, nil
	}
	return &unpacked{ReadCloser: io.NopCloser(buffered)}, nil
}

// imported is the answer of an import of Git.
type imported struct {
	Into       string       `json:"into"`
	Ref        string       `json:"ref"`
	Commits    int          `json:"commits"`   // written now
	Before     int          `json:"before"`    // written by earlier imports
	Empty      int          `json:"empty"`     // that change nothing
	Revisions  int          `json:"revisions"` // deletes aside
	Deletes    int          `json:"deletes"`
	Merges     int          `json:"merges"`
	Forks      int          `json:"forks"` // made; those of merged lines are removed again
	Removed    int          `json:"removed"`
	Tags       int          `json:"tags"`
	Equal      int          `json:"equal"`    // values that were there already
	Unparsed   int          `json:"unparsed"` // values that were to be a json or yaml, and are none
	Submodules int          `json:"submodules"`
	Large      []largeValue `json:"large"` // left out
	Notices    []string     `json:"notices"`
	Broken     bool         `json:"broken,omitempty"`
}

// largeValue is one that is over the limit.
type largeValue struct {
	Commit string `json:"commit"`
	Key    string `json:"key"`
	Size   int64  `json:"size"`
}

func (p *program) printImported(r *imported) {
	for _, notice := range r.Notices {
		p.note("%s", notice)
	}
	for _, l := range r.Large {
		p.note("left out: %s in commit %s has %d bytes", l.Key, l.Commit, l.Size)
	}
	p.printf("%s imported into %s: %s, %s, %s\n", count(r.Commits, "commit"), escape(r.Into),
		count(r.Revisions, "revision"), count(r.Deletes, "delete"), count(r.Merges, "merge"))
	p.printf("%s made, %d of them removed after their merge; %s\n", count(r.Forks, "fork"), r.Removed, count(r.Tags, "tag"))
	for _, extra := range []struct {
		n            int
		format, what string
	}{
		{r.Before, "imported before: %s\n", "commit"},
		{r.Empty, "without a change: %s\n", "commit"},
		{r.Equal, "there already: %s\n", "value"},
		{r.Unparsed, "that do not parse, and are text or bytes: %s\n", "value"},
		{r.Submodules, "of submodules, left out: %s\n", "change"},
		{len(r.Large), "over the limit, left out: %s\n", "value"},
	} {
		if extra.n > 0 {
			p.printf(extra.format, count(extra.n, extra.what))
		}
	}
}

// gitWriter writes the steps of a plan.
type gitWriter struct {
	p       *program
	flags   *gitFlags
	door    *rpc.Client
	spool   *gitstream.Spool
	history *gitstream.History
	plan    *gitstream.Plan

	series  string
	places  map[*gitstream.Commit]rpc.SeriesPlace
	pending map[*gitstream.Commit]bool // steps that have no receipt yet
	newest  map[*gitstream.Line]*gitstream.Commit
	batch   flight
	flying  []*flight // on their way, the oldest first
	sent    int       // steps, so far
	value   []byte    // buffer
	shown   *progress
	done    imported
}

// flight is some steps on their way to the daemon.
type flight struct {
	body  []byte
	steps []*gitstream.Step

	landed   chan struct{} // closed when the rest is set
	receipts []rpc.SeriesReceipt
	err      error
}

const (
	// flightSteps and flightBytes bound what is sent at once.
	flightSteps = 256
	flightBytes = 4 << 20
	// flights is how many are on their way: while one is written the next is read.
	flights = 2
)

func (w *gitWriter) run(ctx context.Context) error {
	w.done = imported{Into: w.flags.into, Submodules: w.history.Submodules, Large: []largeValue{}}
	if err := w.open(ctx); err != nil {
		return err
	}
	if err := w.sizes(); err != nil {
		return err
	}
	w.done.Ref, w.done.Before, w.done.Empty = w.plan.Main, w.plan.Known, w.plan.Empty
	w.done.Notices = append([]string{}, w.plan.Notices...)
	w.shown = w.p.startProgress(fmt.Sprintf("commits imported, of %d", w.plan.Commits))
	defer w.shown.end()
	for i := range w.plan.Steps {
		if err := w.add(ctx, &w.plan.Steps[i]); err != nil {
			_ = w.settle() // what is behind it fails because of it
			return err
		}
	}
	err := w.send(ctx, w.p.claim(""))
	if landed := w.settle(); err == nil {
		err = landed
	}
	return err
}

// open begins a series, and plans what earlier ones have left to do.
func (w *gitWriter) open(ctx context.Context) error {
	o := gitstream.Options{Into: w.flags.into, Main: w.flags.ref, Taken: map[string]bool{}}
	forks, err := w.door.Forks(ctx)
	if err != nil {
		return err
	}
	for _, f := range forks {
		if f.Deleted {
			continue
		}
		if o.Taken[f.Name] = true; f.Name == w.flags.into {
			o.Fork = f.ID.String()
		}
	}
	at := map[string]rpc.SeriesPlace{}
	for e, err := range w.door.OpenSeries(ctx, gitstream.SourcePrefix(w.flags.into)) {
		if err != nil {
			return err
		}
		if e.Series != "" {
			w.series = e.Series
			continue
		}
		known := gitstream.Known{Source: e.Source, Live: e.Live}
		if !e.Fork.IsZero() {
			known.Fork = e.Fork.String()
			at[e.Source] = rpc.SeriesPlace{Fork: known.Fork, Block: e.Block}
		}
		o.Known = append(o.Known, known)
	}
	if w.plan, err = w.history.Plan(o); err != nil {
		return err
	}
	w.places = map[*gitstream.Commit]rpc.SeriesPlace{}
	for _, c := range w.history.Commits {
		if place, ok := at[gitstream.Source(w.flags.into, c)]; ok {
			w.places[c] = place
		}
	}
	return nil
}

// sizes finds the values over the limit, before anything is written: they are
// refused, or with --skip-large not there.
func (w *gitWriter) sizes() error {
	for i := range w.plan.Steps {
		s := &w.plan.Steps[i]
		for j := range s.Writes {
			wr := &s.Writes[j]
			if wr.Deleted || w.spool.Size(wr.Blob) <= maxValue {
				continue
			}
			l := largeValue{s.Commit.Name(), wr.Path, w.spool.Size(wr.Blob)}
			if !w.flags.skipLarge {
				return &rpc.Error{Code: rpc.CodeTooLarge, Message: fmt.Sprintf(
					"%s: line %d, in commit %s: %s has %d bytes, and a value at most %d; --skip-large leaves such values out",
					w.flags.from, s.Commit.Line, l.Commit, l.Key, l.Size, maxValue)}
			}
			w.done.Large = append(w.done.Large, l)
			*wr = gitstream.Write{Path: wr.Path, Deleted: true}
		}
	}
	return nil
}

// add puts a step into the batch, and sends that when it is full.
func (w *gitWriter) add(ctx context.Context, s *gitstream.Step) error {
	from, err := w.from(ctx, s)
	if err != nil {
		return err
	}
	if s.Kind == gitstream.StepCommit && len(from)+len(s.Writes) == 0 {
		w.done.Empty++ // a merge of commits that change nothing
		return nil
	}
	change, err := w.change(s, from)
	if err != nil {
		return err
	}
	w.batch.body = rpc.AppendSeriesChange(w.batch.body, change)
	w.batch.steps = append(w.batch.steps, s)
	switch s.Kind {
	case gitstream.StepCommit:
		w.pending[s.Commit], w.newest[s.Line] = true, s.Commit
	case gitstream.StepMove:
		delete(w.newest, s.Line)
	}
	if len(w.batch.steps) < flightSteps && len(w.batch.body) < flightBytes {
		return nil
	}
	return w.send(ctx, rpc.Claim{Author: rpc.Author(w.p.flags.author)})
}

// from finds where the other commits of a step are. One at the end of its line is
// where that line is; one that changes nothing is where those before it are,
// perhaps on the line of the step. If a place is not known yet, what is under way
// is waited for.
func (w *gitWriter) from(ctx context.Context, s *gitstream.Step) (from []rpc.SeriesPlace, err error) {
	for _, c := range s.From {
		place, ok, err := w.place(ctx, s, c)
		if err != nil {
			return nil, err
		}
		if ok && (s.Kind != gitstream.StepCommit && s.Kind != gitstream.StepMove || place.Fork != s.Line.Address()) {
			from = append(from, place)
		}
	}
	return from, nil
}

func (w *gitWriter) place(ctx context.Context, s *gitstream.Step, c *gitstream.Commit) (place rpc.SeriesPlace, ok bool, err error) {
	for ; c != nil; c = w.plan.Previous(c) {
		if l := w.plan.LineOf(c); w.newest[l] == c && s.Kind != gitstream.StepTag {
			return rpc.SeriesPlace{Fork: l.Address()}, true, nil
		}
		if w.pending[c] {
			if err := w.send(ctx, rpc.Claim{Author: rpc.Author(w.p.flags.author)}); err != nil {
				return place, false, err
			}
			if err := w.settle(); err != nil {
				return place, false, err
			}
		}
		if place, ok = w.places[c]; ok {
			return place, true, nil
		}
	}
	return place, false, nil
}

// change is a step as the daemon takes it.
func (w *gitWriter) change(s *gitstream.Step, from []rpc.SeriesPlace) (*rpc.SeriesChange, error) {
	c := &rpc.SeriesChange{Source: s.Source, From: from}
	switch s.Kind {
	case gitstream.StepTag:
		c.Tag = s.Tag.Name
		w.note(c, s.Tag.Tagger, "", s.Tag.Message)
		return c, nil
	case gitstream.StepFork:
		c.Create, c.Fork = true, s.Line.Name
	default:
		c.Fork = s.Line.Address()
	}
	for _, l := range s.Remove {
		c.Remove = append(c.Remove, l.Address())
	}
	if s.Kind != gitstream.StepCommit {
		return c, nil
	}
	w.note(c, s.Commit.Author, s.Commit.Encoding, s.Commit.Message)
	w.value = w.value[:0]
	for _, wr := range s.Writes {
		out := rpc.SeriesWrite{Key: wr.Path, Deleted: wr.Deleted}
		if !wr.Deleted {
			start := len(w.value)
			var err error
			if w.value, err = w.spool.Load(w.value, wr.Blob); err != nil {
				return nil, err
			}
			// The buffer may move while it grows: the part that is there stays as it is.
			out.Value, out.Kind = w.value[start:len(w.value):len(w.value)], rpc.KindOf(w.flags.rules, wr.Path)
		}
		c.Writes = append(c.Writes, out)
	}
	return c, nil
}

const (
	maxAuthor  = 1 << 10  // bytes of an author
	maxComment = 56 << 10 // bytes of a message: a note has at most 64 KiB
)

// note fills in who made something, when and why.
func (w *gitWriter) note(c *rpc.SeriesChange, who gitstream.Person, encoding string, message []byte) {
	author, _ := gitstream.Text(encoding, []byte(who.Label))
	text, exact := gitstream.Text(encoding, bytes.TrimRight(message, "\n"))
	if !exact {
		w.done.Notices = append(w.done.Notices, fmt.Sprintf("the message of %s is not UTF-8 and not in an encoding that is known: what could not be read is replaced", c.Source))
	}
	c.Author, c.Message = rpc.Author(clip(author, maxAuthor)), clip(text, maxComment)
	if who != (gitstream.Person{}) {
		c.Time = who.When()
	}
}

// clip shortens a text to a number of bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const mark = "…"
	end := most - len(mark)
	for end > 0 && text[end]&0xc0 == 0x80 { // within a character
		end--
	}
	return text[:end] + mark
}

// send sends the batch, when few enough are on their way.
func (w *gitWriter) send(ctx context.Context, claim rpc.Claim) error {
	if len(w.batch.steps) == 0 && claim.Wait.IsZero() {
		return nil
	}
	for len(w.flying) >= flights {
		if err := w.land(); err != nil {
			return err
		}
	}
	f := w.batch
	f.landed = make(chan struct{})
	sent := w.sent
	w.flying, w.batch, w.sent = append(w.flying, &f), flight{}, sent+len(f.steps)
	go func() {
		defer close(f.landed)
		f.receipts, f.err = w.door.WriteSeriesBody(ctx, w.series, sent, f.body, claim)
	}()
	return nil
}

// settle waits for all that is on its way: send starts nothing that this does
// not wait for. It returns the error of the first that failed.
func (w *gitWriter) settle() error {
	var first error
	for len(w.flying) > 0 {
		if err := w.land(); first == nil {
			first = err
		}
	}
	return first
}

// land waits for the oldest batch that is on its way, and keeps its receipts.
func (w *gitWriter) land() error {
	f := w.flying[0]
	<-f.landed
	w.flying = w.flying[1:]
	for i, r := range f.receipts {
		w.keep(f.steps[i], r)
	}
	for _, s := range f.steps {
		delete(w.pending, s.Commit)
	}
	if f.err == nil || len(f.receipts) >= len(f.steps) {
		return f.err
	}
	return w.explain(f.steps[len(f.receipts)], f.err)
}

func (w *gitWriter) keep(s *gitstream.Step, r rpc.SeriesReceipt) {
	w.done.Revisions += r.Written
	w.done.Deletes += r.Deleted
	w.done.Unparsed += r.Unparsed
	w.done.Removed += len(s.Remove)
	switch s.Kind {
	case gitstream.StepFork:
		s.Line.Fork = r.Fork.String()
		w.done.Forks++
	case gitstream.StepTag:
		w.done.Tags++
	case gitstream.StepCommit:
		w.done.Commits++
		w.shown.add(1)
		if len(s.From) > 0 {
			w.done.Merges++
		} else {
			w.done.Equal += r.Equal // those of a merge came by it
		}
		if !r.Block.IsZero() {
			w.places[s.Commit] = rpc.SeriesPlace{Fork: r.Fork.String(), Block: r.Block}
		}
	}
}

// explain says at which commit the daemon stopped.
func (w *gitWriter) explain(s *gitstream.Step, err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || s.Commit == nil || e.Code == rpc.CodeNoDaemon {
		return err
	}
	return &rpc.Error{
		Code: e.Code, Cause: err,
		Message: fmt.Sprintf("line %d, in commit %s: %s", s.Commit.Line, s.Commit.Name(), e.Message),
	}
}
