package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type resolveFlags struct {
	take, value, file, state, path, message string
	del, edit                               bool
}

func (p *program) resolveCommand() *cobra.Command {
	var f resolveFlags
	cmd := &cobra.Command{
		Use:   "resolve KEY|ID --take SIDE | --value V | --file F | --edit | --del",
		Short: "Settle a conflict",
		Long: `Settle the conflict of a key, or the one with this ID, by a write that has seen
all of its sides. crush conflicts lists them.

A json or yaml can be in conflict at several places: --path settles the conflict
at one of them, and V is then in the notation of the key's kind. Without it all
are settled.

--edit opens an editor (VISUAL, EDITOR or vi) with the value that is served, below
a comment that lists the sides and is no part of it. If you change nothing, the
conflict stays open.

SIDE is a letter of that list, a fork, a node or a revision. The letters are
those of the conflict's state: with --state, or its first 6 characters or more,
nothing is written if it has moved since, because another side came or somebody
settled it (exit 4).`,
		Example: `  crush resolve app/replicas --take a
  crush resolve app/replicas --state 6cnkd2xy --take staging
  crush resolve app/replicas --value 4 -m "between the two"
  crush resolve app/config --path /spec/replicas --take b
  crush resolve app/config --edit
  crush resolve app/motd --file motd.txt
  crush resolve app/old --del`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.resolveConflict(cmd, args[0], &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.take, "take", "", "the `SIDE` that holds from now on")
	fl.StringVar(&f.value, "value", "", "this `VALUE` instead of a side")
	fl.StringVarP(&f.file, "file", "f", "", "the value in `FILE`, or standard input: -")
	fl.BoolVar(&f.edit, "edit", false, "the value that you make in an editor of the one that is served")
	fl.BoolVar(&f.del, "del", false, "delete the key, or what stands at --path")
	fl.StringVar(&f.path, "path", "", "the conflict at this `PATH` of a json or yaml, as /spec/replicas")
	fl.StringVar(&f.state, "state", "", "only if the conflict's `STATE` is still this (else exit 4)")
	exclusive(cmd, []string{"take", "value", "file", "edit", "del"})
	addMessage(cmd, &f.message)
	return cmd
}

func (p *program) resolveConflict(cmd *cobra.Command, name string, f *resolveFlags) error {
	r := rpc.ResolveRequest{KeyRef: p.keyRef(name), Claim: p.claim(f.message), State: f.state, Take: f.take, Delete: f.del}
	err := setPath(&r.Path, f.path)
	if err == nil {
		err = p.resolveValue(cmd, f, &r)
	}
	if err != nil {
		return err
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	if err := findConflict(ctx, door, &r); err != nil {
		return err
	}
	if f.edit {
		return p.resolveInEditor(cmd, door, r)
	}
	w, err := door.Resolve(ctx, r)
	if err != nil {
		return hintQuotes(err, []byte(f.value), false)
	}
	return p.printSettled(name, f.path, w)
}

func (p *program) printSettled(name, path string, w rpc.Written) error {
	if w.Conflict {
		p.warn("%s is in conflict still (see crush conflicts)", name)
	}
	return p.print(w, func() {
		p.printf("settled %s, revision %s\n", place(name, path), new(shortener).short(w.Revision))
	})
}

// resolveValue fills in what the conflict is settled by.
func (p *program) resolveValue(cmd *cobra.Command, f *resolveFlags, r *rpc.ResolveRequest) error {
	switch {
	case cmd.Flags().Changed("value"):
		r.Value = new([]byte(f.value))
	case cmd.Flags().Changed("file"):
		value, err := p.readFile(f.file)
		r.Value = &value
		return err
	case f.take == "" && !f.del && !f.edit:
		return usagef("resolve wants --take SIDE, --value V, --file F, --edit or --del")
	}
	return nil
}

// idPattern is what may be the id of a conflict, or its start.
var idPattern = regexp.MustCompile(`^[a-z2-7]{6,32}$`)

// wholeID is how many digits the id of a conflict has, and its state.
const wholeID = 32

// findConflict turns what a person typed into what the daemon takes: an id
// into a key, and the start of a state into the whole one.
func findConflict(ctx context.Context, door *rpc.Client, r *rpc.ResolveRequest) error {
	typed := r.Key
	short := r.State != "" && len(r.State) < wholeID
	if !short && !idPattern.MatchString(r.Key) {
		return nil
	}
	var open []rpc.Conflict
	e, err := door.Get(ctx, rpc.GetRequest{KeyRef: r.KeyRef, Meta: true})
	if err != nil && !errors.Is(err, rpc.ErrNotFound) {
		return err
	}
	open = e.Conflicts
	if len(e.Heads) == 0 && idPattern.MatchString(r.Key) {
		s, err := door.Show(ctx, r.Key)
		switch {
		case err == nil && s.Conflict != nil:
			open = []rpc.Conflict{*s.Conflict}
			r.KeyRef, r.ID = rpc.KeyRef{}, s.Conflict.ID.String()
		case len(r.Key) == wholeID: // the daemon says what became of it
			r.KeyRef, r.ID = rpc.KeyRef{}, r.Key
		}
	}
	if !short {
		return nil
	}
	for _, c := range open {
		if state := c.State.String(); strings.HasPrefix(state, r.State) {
			r.State = state
			return nil
		}
	}
	return &rpc.Error{Code: rpc.CodeStale, Message: fmt.Sprintf(
		"%s has no conflict in state %s: it has moved, or somebody has settled it (see crush conflicts)", typed, r.State)}
}
