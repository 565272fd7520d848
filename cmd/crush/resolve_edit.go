package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"crush/rpc"
)

// disputed is what an editor is to settle.
type disputed struct {
	served    rpc.Entry // at the path of the request
	text      string
	conflicts []rpc.Conflict
}

// resolveInEditor lets the person make the value that settles a conflict.
func (p *program) resolveInEditor(cmd *cobra.Command, door *rpc.Client, r rpc.ResolveRequest) error {
	d, err := p.readDisputed(cmd.Context(), door, &r)
	if err != nil {
		return err
	}
	key, path := d.served.Key, string(r.Path)
	now, err := p.runEditor(editing{name: key, kind: d.served.Kind.String(), head: d.head(), text: d.text})
	if err != nil {
		return err
	}
	if now.text == d.text {
		now.discard()
		return p.print(rpc.Written{Heads: d.served.Heads, Token: d.served.Token, Conflict: true, Unchanged: true}, func() {
			p.printf("%s is unchanged: its conflict stays open (--take settles it by a side)\n", place(key, path))
		})
	}
	ctx, cancel := p.afterEditing(cmd.Context())
	defer cancel()
	w, err := d.settle(ctx, door, r, []byte(now.text))
	if err != nil {
		return now.keep(err)
	}
	now.discard()
	return p.printSettled(key, path, w)
}

// readDisputed reads the conflicts that a request means, and what is served in
// their place. A request by id becomes one by key and path.
func (p *program) readDisputed(ctx context.Context, door *rpc.Client, r *rpc.ResolveRequest) (*disputed, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	if r.ID != "" {
		s, err := door.Show(ctx, r.ID)
		if err != nil || s.Conflict == nil {
			return nil, errors.Join(err, noConflict(r.ID))
		}
		r.KeyRef, r.ID = rpc.KeyRef{Fork: s.Conflict.Fork, Key: s.Conflict.Key}, ""
		if err := setPath(&r.Path, s.Conflict.Path); err != nil {
			return nil, err
		}
	}
	e, err := door.Get(ctx, rpc.GetRequest{KeyRef: r.KeyRef, Winner: true})
	if err != nil {
		return nil, err
	}
	d := &disputed{served: e, text: string(e.Value)}
	for _, c := range e.Conflicts {
		if meant(r, &c) {
			d.conflicts = append(d.conflicts, c)
		}
	}
	if len(d.conflicts) == 0 {
		return nil, noConflict(place(r.Key, string(r.Path)))
	}
	if r.Path != "" && r.Path != "/" {
		// What is disputed is served whole, from where its conflict begins.
		if err := setPath(&r.Path, d.conflicts[0].Path); err != nil {
			return nil, err
		}
		if err := d.narrow(ctx, door, r); err != nil {
			return nil, err
		}
	}
	if !isText([]byte(d.text)) {
		return nil, fmt.Errorf("the value of %s is not text: use --take or --file", r.Key)
	}
	return d, nil
}

// meant reports whether a request is for a conflict: the one that stands at or
// above its path, or any.
func meant(r *rpc.ResolveRequest, c *rpc.Conflict) bool {
	if r.State != "" && c.State.String() != r.State {
		return false
	}
	if r.Path == "" {
		return true
	}
	at := r.Path
	return setPath(&at, c.Path) == nil && r.Path.Within(at)
}

func noConflict(what string) error {
	return &rpc.Error{Code: rpc.CodeStale, Message: what + " has no such open conflict: it has moved, or somebody has settled it (see crush conflicts)"}
}

// narrow leaves what is served at the request's path, in the notation that a
// value there is written in.
func (d *disputed) narrow(ctx context.Context, door *rpc.Client, r *rpc.ResolveRequest) error {
	e, err := door.Get(ctx, rpc.GetRequest{KeyRef: r.KeyRef, Path: r.Path, Winner: true})
	switch {
	case errors.Is(err, rpc.ErrNotFound): // deleted there
		d.text = ""
	case err != nil:
		return err
	case len(e.Document) > 0 && e.Document[0] == '"':
		d.text = string(e.Document)
	default:
		d.text = string(e.Value)
	}
	return nil
}

// head lists the sides, as crush conflicts does.
func (d *disputed) head() []string {
	var short shortener
	for _, c := range d.conflicts {
		for _, s := range c.Sides {
			short.add(s.Revision)
		}
	}
	var lines []string
	for _, c := range d.conflicts {
		lines = append(lines, fmt.Sprintf("%s  %s", place(c.Key, c.Path), c.Kind))
		for _, s := range c.Sides {
			lines = append(lines, "  "+sideLine(s, &short))
		}
	}
	return append(lines, "what you leave below settles this; these lines are no part of it")
}

// settle writes the value. Sides that the person has not been shown are not
// settled: it is ErrStale then.
func (d *disputed) settle(ctx context.Context, door *rpc.Client, r rpc.ResolveRequest, value []byte) (rpc.Written, error) {
	if len(d.conflicts) > 1 {
		return door.Put(ctx, rpc.PutRequest{KeyRef: r.KeyRef, Claim: r.Claim, Value: value, IfMatch: d.served.Token})
	}
	r.State, r.Value = d.conflicts[0].State.String(), &value
	return door.Resolve(ctx, r)
}
