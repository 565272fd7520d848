package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type mergeFlags struct {
	into, apply, onConflict, message string
	plan                             bool
	resolve, skip, reject            []string
}

func (p *program) mergeCommand() *cobra.Command {
	var f mergeFlags
	cmd := &cobra.Command{
		Use:   "merge SRC --into DST",
		Short: "Bring the writes of one fork to another",
		Long: `Bring to DST what SRC has written and DST does not have, in one atomic change.
Both forks are named: -F and CRUSH_FORK are not consulted. Merging again brings
only what is new; merging what is there already writes nothing.

A key that both sides changed without having seen each other's value is a
conflict. What happens then, --on-conflict says:

  fail    nothing is written, the plan is printed, exit 3 (the default, unless a
          policy of DST says otherwise for the key)
  keep    merge all the same; the conflicts stay open, and crush conflicts lists
          them; DST goes on serving the value that was written there
  ours    DST's value wins in each conflict
  theirs  SRC's value wins in each conflict
  lww     the last write wins, by the clocks of the writers

--resolve settles one key: by a SIDE, which is a letter of the plan, a fork, a
node or a revision, or by the bytes of a FILE (- for standard input). KEY:PATH is
one place of a json or yaml, as app/config:/spec/replicas; there JSON, as 4 or
"text" or {"a": 1}, is the value itself, and anything else a SIDE. --skip
leaves out a key, or those that match a pattern; the next merge offers them
again. --reject keeps DST's value of a key for good.

--plan only prints what would happen: exit 0, or 3 if there are conflicts. The
plan has an id; --apply ID does exactly that, or, when a key of it would come
out otherwise by now, prints the new plan, writes nothing and exits 4. Give it
the options that the plan was made with.`,
		Example: `  crush merge staging --into default --plan
  crush merge staging --into default -m "release 12"
  crush merge staging --into default --resolve app/replicas=staging --skip 'env/**'
  crush merge staging --into default --resolve app/motd=@motd.txt
  crush merge staging --into default --resolve app/config:/spec/replicas=4
  crush merge default --into staging --on-conflict keep`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.merge(cmd, args[0], &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.into, "into", "", "the `FORK` that gets the writes")
	fl.BoolVar(&f.plan, "plan", false, "only say what would happen")
	fl.StringVar(&f.apply, "apply", "", "do what the plan `ID` says, or nothing (exit 4)")
	fl.StringVar(&f.onConflict, "on-conflict", "", "`WHAT` to do with conflicts: fail, keep, ours, theirs or lww (default: by policy, else fail)")
	fl.StringArrayVar(&f.resolve, "resolve", nil, "settle a key, or one place: `KEY[:PATH]=SIDE`, or KEY[:PATH]=@FILE, or KEY:PATH=JSON; may be repeated")
	fl.StringArrayVar(&f.skip, "skip", nil, "leave out this `KEY` or pattern, for now; may be repeated")
	fl.StringArrayVar(&f.reject, "reject", nil, "keep DST's value of this `KEY`; may be repeated")
	exclusive(cmd, []string{"plan", "apply"})
	addMessage(cmd, &f.message)
	return cmd
}

func (p *program) merge(cmd *cobra.Command, source string, f *mergeFlags) error {
	r, err := p.mergeRequest(cmd.Name(), source, f)
	if err != nil {
		return err
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	g := p.startProgress("merging")
	m, err := door.Merge(ctx, r)
	g.end()
	stopped := errors.Is(err, rpc.ErrConflict) || errors.Is(err, rpc.ErrStale)
	if err != nil && (!stopped || m.Plan == "") {
		return err
	}
	if err := p.page(); err != nil {
		return err
	}
	if err := p.print(m, func() { p.printMerged(m, r) }); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return p.afterMerge(m, r)
}

// afterMerge says what a person should know of a merge, and fails if it was
// stopped.
func (p *program) afterMerge(m rpc.Merged, r rpc.MergeRequest) error {
	for _, s := range m.Unmatched {
		if strings.Contains(s, "*") {
			p.note("--skip %s matches no key of this merge", s)
		} else {
			p.note("--skip %s: this merge does not change that key", s)
		}
	}
	switch n := disputedKeys(m.Conflicts); {
	case n > 0 && m.Applied:
		p.warn("%s in conflict: %s lists them", count(n, "key"), command(append(onFork(m.Into), "conflicts")...))
	case m.Stops:
		return conflictError(n)
	}
	return nil
}

// disputedKeys counts the keys of conflicts: a json or yaml can have several.
func disputedKeys(list []rpc.Conflict) int {
	keys := map[string]bool{}
	for _, c := range list {
		keys[c.Key] = true
	}
	return len(keys)
}

func (p *program) mergeRequest(verb, source string, f *mergeFlags) (rpc.MergeRequest, error) {
	r := rpc.MergeRequest{
		Source: source, Into: f.into, OnConflict: rpc.Strategy(f.onConflict), Skip: f.skip, Reject: f.reject,
		Plan: f.plan, Apply: f.apply, Claim: p.claim(f.message),
	}
	if f.into == "" {
		return r, usagef("%s wants --into DST: both forks are named, -F and CRUSH_FORK are not consulted", verb)
	}
	switch r.OnConflict {
	case "", rpc.OnConflictFail, rpc.OnConflictKeep, rpc.OnConflictOurs, rpc.OnConflictTheirs, rpc.OnConflictLWW:
	default:
		return r, usagef("--on-conflict %s: want fail, keep, ours, theirs or lww", f.onConflict)
	}
	for _, s := range f.resolve {
		resolution, err := p.resolution(s)
		if err != nil {
			return r, err
		}
		r.Resolve = append(r.Resolve, resolution)
	}
	return r, nil
}

// resolution reads KEY=@FILE, cut at the first =@, or KEY=SIDE, cut at the last
// =: keys may have them, sides have none. If a path follows the key, it ends at
// its first =, and what is JSON behind it is a value.
func (p *program) resolution(s string) (rpc.Resolution, error) {
	key, path, choice, err := cutPath(s)
	if err != nil {
		return rpc.Resolution{}, err
	}
	if path != "" {
		r := rpc.Resolution{Key: key, Side: choice}
		if err := setPath(&r.Path, path); err != nil {
			return r, err
		}
		file, ok := strings.CutPrefix(choice, "@")
		switch {
		case ok:
			value, err := p.readFile(file)
			r.Side, r.Value = "", &value
			return r, err
		case choice == "":
			return r, usagef("--resolve %s: want KEY:PATH=SIDE, KEY:PATH=JSON or KEY:PATH=@FILE", s)
		case json.Valid([]byte(choice)):
			r.Side, r.Value = "", new([]byte(choice))
		}
		return r, nil
	}
	if key, file, ok := strings.Cut(s, "=@"); ok && key != "" {
		value, err := p.readFile(file)
		return rpc.Resolution{Key: key, Value: &value}, err
	}
	i := strings.LastIndexByte(s, '=')
	if i <= 0 || i == len(s)-1 {
		return rpc.Resolution{}, usagef("--resolve %s: want KEY=SIDE or KEY=@FILE", s)
	}
	return rpc.Resolution{Key: s[:i], Side: s[i+1:]}, nil
}

// cutPath cuts KEY:PATH=CHOICE; the path is "" if there is none. It begins at
// the first :/ from which on a path is spelled right; keys with one in them are
// settled by resolve.
func cutPath(s string) (key, path, choice string, err error) {
	for i := 1; i < len(s); i++ {
		if !strings.HasPrefix(s[i:], ":/") {
			continue
		}
		at, rest, ok := strings.Cut(s[i+1:], "=")
		var r rpc.Resolution
		bad := setPath(&r.Path, at)
		switch {
		case !ok || strings.HasPrefix(at, "//"): // as in a URL: no path
			continue
		case bad == nil:
			return s[:i], at, rest, nil
		case err == nil:
			err = usagef("--resolve %s: %v", s, bad)
		}
	}
	return "", "", "", err
}

// readFile reads a value from a file, or from standard input if it is "-".
func (p *program) readFile(file string) ([]byte, error) {
	if file == "-" {
		return readValue(p.stdin, "standard input")
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return readValue(in, file)
}

func (p *program) pickCommand() *cobra.Command {
	var into, message string
	cmd := &cobra.Command{
		Use:   "pick REV --into FORK",
		Short: "Write the value of one revision on another fork",
		Long: `Write the value of one revision on a fork: one key, and nothing of what came
before it. It is an ordinary write there. -F and CRUSH_FORK are not consulted.

REV is an id of log, or a part of one of 6 characters or more.`,
		Example: `  crush pick 3k2hq7wm --into default -m "only the port"`,
		Args:    wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if into == "" {
				return usagef("pick wants --into FORK: -F and CRUSH_FORK are not consulted")
			}
			return p.pick(cmd, rpc.PickRequest{Revision: rpc.Ref(args[0]), Into: into, Claim: p.claim(message)})
		},
	}
	cmd.Flags().StringVar(&into, "into", "", "the `FORK` that gets the value")
	addMessage(cmd, &message)
	return cmd
}

func (p *program) pick(cmd *cobra.Command, r rpc.PickRequest) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	w, err := door.Pick(ctx, r)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("what %s wrote", r.Revision)
	p.warnWritten(what, w)
	return p.print(w, func() {
		if w.Unchanged {
			p.printf("%s has that value already: nothing to write\n", escape(r.Into))
			return
		}
		p.printf("picked %s into %s, revision %s\n", escape(string(r.Revision)), escape(r.Into), new(shortener).short(w.Revision))
	})
}
