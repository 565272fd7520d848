package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"

	"crush/crdt"
	"crush/rpc"
)

// documentSizes are what documents works with.
type documentSizes struct {
	times, conflicts, elements, heads int
}

// tenth is how much smaller the sizes are that these are compared with.
const tenth = 10

// documents measures crush alone: what a document costs beside bytes, and what a document with many conflicts, elements
// or heads costs.
func documents(ctx context.Context, args []string) error {
	var s documentSizes
	r, err := begin("documents", args, func(flags *flag.FlagSet) {
		flags.IntVar(&s.times, "times", 500, "puts or gets of 10 KB in a round")
		flags.IntVar(&s.conflicts, "conflicts", 1000, "fields in conflict of the document with many")
		flags.IntVar(&s.elements, "elements", 10_000, "elements of the document with many")
		flags.IntVar(&s.heads, "heads", 200, "heads of the document with many")
	})
	if err != nil {
		return err
	}
	defer r.end()
	if s.times < tenth || s.conflicts < tenth || s.elements < tenth || s.heads < 2*tenth {
		return fmt.Errorf("documents: want at least %d times, conflicts and elements, and %d heads", tenth, 2*tenth)
	}
	l, err := openLocal(ctx, filepath.Join(r.tmp, "replica"))
	if err != nil {
		return err
	}
	err = r.besideBytes(ctx, "in one process", l, s.times)
	if err == nil {
		err = r.besideBytesOnSocket(ctx, s.times)
	}
	if err == nil {
		err = r.largeDocuments(ctx, l, s)
	}
	return errors.Join(err, l.Close())
}

// besideBytesOnSocket is besideBytes with the daemon.
func (r *run) besideBytesOnSocket(ctx context.Context, times int) error {
	program, err := r.program(ctx)
	if errors.Is(err, errNoCrush) {
		return nil
	}
	if err != nil {
		return err
	}
	data := filepath.Join(r.tmp, "data")
	server, err := startCrush(ctx, program, data, "off")
	if err != nil {
		return err
	}
	client := &rpc.Client{Socket: socketIn(data)}
	err = r.besideBytes(ctx, "over the socket", client, times)
	client.Close()
	return errors.Join(err, server.stop())
}

// kindsCompared are the kinds of the same 10 KB; bytes are the baseline.
var kindsCompared = []crdt.Kind{crdt.Bytes, crdt.Text, crdt.JSON, crdt.YAML}

// besideBytes compares puts of 10 KB with one changed field, and gets, by kind.
func (r *run) besideBytes(ctx context.Context, where string, on rpc.Values, times int) error {
	version := 0
	put := func(kind crdt.Kind) error {
		version++
		_, err := on.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "config." + kind.String()}, Value: tenKilobytes(kind, version), Kind: kind})
		return err
	}
	get := func(bare bool) func(kind crdt.Kind) error {
		return func(kind crdt.Kind) error {
			e, err := on.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "config." + kind.String()}, Bare: bare})
			if err == nil && len(e.Value) < 10_000 {
				err = fmt.Errorf("%s has %d bytes", e.Key, len(e.Value))
			}
			return err
		}
	}
	for _, operation := range []struct {
		name string
		do   func(kind crdt.Kind) error
	}{
		{"put of 10 KB with one changed field", put},
		{"get of 10 KB", get(true)},
		{"get of 10 KB with who wrote it, and a document's JSON", get(false)},
	} {
		var contestants []contestant
		for _, kind := range kindsCompared {
			contestants = append(contestants, contestant{kind.String(), func(context.Context, string) (float64, error) {
				return microseconds(times, func() error { return operation.do(kind) })
			}})
		}
		t, err := r.race(ctx, contestants)
		if err != nil {
			return err
		}
		fmt.Printf("%s, one client, %s\n", operation.name, where)
		t.print("µs", crdt.Bytes.String())
	}
	return nil
}

// tenKilobytes is a config of 250 fields, of which one differs from version to version.
func tenKilobytes(kind crdt.Kind, version int) []byte {
	const service = `,
  "service-%d": {
    "image": "registry.example.com/team/service:%d.4.1",
    "port": %d,
    "labels": {"tier": "backend"},
    "args": ["--verbose", "--port=80"]
  }`
	text := fmt.Appendf(nil, "{\n  \"replicas\": %d", version)
	for i := range 62 {
		text = fmt.Appendf(text, service, i, i, 8000+i)
	}
	text = append(text, "\n}\n"...)
	if kind != crdt.YAML {
		return text
	}
	// The same in YAML, in blocks.
	yaml := bytes.NewBufferString(fmt.Sprintf("replicas: %d\n", version))
	for i := range 62 {
		fmt.Fprintf(yaml, "service-%d:\n  image: registry.example.com/team/service:%d.4.1\n  port: %d\n", i, i, 8000+i)
		yaml.WriteString("  # where requests come from\n  labels:\n    tier: backend\n  args:\n    - --verbose\n    - --port=80\n")
	}
	return yaml.Bytes()
}

// largeDocument is what is compared of a document of a size: how it is made, and what is timed then.
type largeDocument struct {
	name string
	size int
	make func(ctx context.Context, l *local, key string, size int) error
	// written: a put leaves it as large as it was.
	written bool
}

// largeDocuments times reads and writes of documents with many conflicts, elements and heads, beside ones with a tenth.
func (r *run) largeDocuments(ctx context.Context, l *local, s documentSizes) error {
	for _, d := range []largeDocument{
		{"conflicts", s.conflicts, makeConflicts, true},
		{"elements of a list", s.elements, makeElements, true},
		{"heads", s.heads, makeHeads, false},
	} {
		if err := r.largeDocument(ctx, l, d); err != nil {
			return fmt.Errorf("%d %s: %w", d.size, d.name, err)
		}
	}
	return nil
}

func (r *run) largeDocument(ctx context.Context, l *local, d largeDocument) error {
	few, many := fmt.Sprint(d.size/tenth, " ", d.name), fmt.Sprint(d.size, " ", d.name)
	for i, name := range []string{few, many} {
		if err := d.make(ctx, l, name, []int{d.size / tenth, d.size}[i]); err != nil {
			return err
		}
	}
	version := 0
	for _, operation := range []struct {
		name   string
		writes bool
		do     func(key string) error
	}{
		{"get", false, func(key string) error {
			_, err := l.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: key}})
			return err
		}},
		{"list of conflicts", false, func(key string) error {
			for _, err := range l.Conflicts(ctx, "default", key) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"put of another field", true, func(key string) error {
			version++
			_, err := l.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Path: "/other", Value: fmt.Append(nil, version)})
			return err
		}},
	} {
		if operation.writes && !d.written {
			continue
		}
		var contestants []contestant
		for _, name := range []string{few, many} {
			contestants = append(contestants, contestant{name, func(context.Context, string) (float64, error) {
				return microseconds(tenth, func() error { return operation.do(name) })
			}})
		}
		t, err := r.race(ctx, contestants)
		if err != nil {
			return err
		}
		fmt.Printf("%s of a document: linear is %d\n", operation.name, tenth)
		t.print("µs", few)
	}
	return nil
}

// fields is a JSON object of n fields with values of a version, but for one, which another version has.
func fields(n, version, odd, other int) []byte {
	text := []byte(`{"other": 0`)
	for i := range n {
		v := version
		if i == odd {
			v = other
		}
		text = fmt.Appendf(text, ",\n\"field-%d\": \"version %d\"", i, v)
	}
	return append(text, "}\n"...)
}

// none is no field.
const none = -1

func (l *local) putDocument(ctx context.Context, fork, key string, text []byte) error {
	_, err := l.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: key}, Value: text, Kind: crdt.JSON})
	return err
}

// mergeKeeping merges a fork into default and leaves conflicts open.
func (l *local) mergeKeeping(ctx context.Context, fork string, conflicts int) error {
	m, err := l.Merge(ctx, rpc.MergeRequest{Source: fork, Into: "default", OnConflict: rpc.OnConflictKeep})
	if err == nil && len(m.Conflicts) != conflicts {
		err = fmt.Errorf("the merge has %d conflicts, want %d", len(m.Conflicts), conflicts)
	}
	return err
}

// makeConflicts makes a document on default of which n fields are in conflict.
func makeConflicts(ctx context.Context, l *local, key string, n int) error {
	fork := fmt.Sprint("conflicts-", n)
	err := l.putDocument(ctx, "", key, fields(n, 0, none, 0))
	if err == nil {
		err = l.fork(ctx, fork, "")
	}
	if err == nil {
		err = l.putDocument(ctx, "", key, fields(n, 1, none, 0))
	}
	if err == nil {
		err = l.putDocument(ctx, fork, key, fields(n, 2, none, 0))
	}
	if err != nil {
		return err
	}
	return l.mergeKeeping(ctx, fork, n)
}

// makeElements makes a document with a list of n elements.
func makeElements(ctx context.Context, l *local, key string, n int) error {
	text := []byte(`{"other": 0, "list": [{"name": "first"}`)
	for i := range n - 1 {
		text = fmt.Appendf(text, ",\n{\"name\": \"element-%d\", \"port\": %d}", i, i)
	}
	return l.putDocument(ctx, "", key, append(text, "]}\n"...))
}

// fieldsOfHeads is the least that a document with many heads has of fields.
const fieldsOfHeads = 200

// makeHeads makes a document of n heads: n writers who had read the same, and each changed another field.
func makeHeads(ctx context.Context, l *local, key string, n int) error {
	size := max(n, fieldsOfHeads)
	if err := l.putDocument(ctx, "", key, fields(size, 0, none, 0)); err != nil {
		return err
	}
	e, err := l.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: key}})
	if err != nil {
		return err
	}
	for i := range n {
		q := rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: fields(size, 0, i, 1), Kind: crdt.JSON, Base: e.Token}
		if _, err := l.Put(ctx, q); err != nil {
			return err
		}
	}
	e, err = l.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: key}})
	if err == nil && (len(e.Heads) != n || e.Conflict) {
		err = fmt.Errorf("it has %d heads, in conflict: %v", len(e.Heads), e.Conflict)
	}
	return err
}
