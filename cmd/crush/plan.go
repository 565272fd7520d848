package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"crush/rpc"
)

// printMerged prints what a merge did or would do: what happens by itself
// first, what wants a decision last, and then what to type.
func (p *program) printMerged(m rpc.Merged, r rpc.MergeRequest) {
	what := "plan to merge"
	if m.Applied {
		what = "merged"
	}
	p.printf("%s %s into %s", what, escape(m.Source), escape(m.Into))
	if m.Block != nil {
		p.printf(", block %s", new(shortener).short(*m.Block))
	}
	p.printf("\n")
	p.printKeys("clean", m.Clean)
	p.printNames("skipped, and offered again by the next merge", m.Skipped)
	p.printKeys("settled", m.Settled)
	p.printNames("values of "+escape(m.Into)+" that this replaces, also on "+escape(m.Source)+" when it is merged back", m.Overrides)
	if len(m.Conflicts) > 0 {
		p.printf("\n%s:\n", count(len(m.Conflicts), "conflict"))
		p.printConflicts(m.Conflicts, "  ", nil)
	}
	switch {
	case m.Unchanged && len(m.Skipped) > 0:
		p.printf("\nnothing else to merge, nothing was written\n")
	case m.Unchanged:
		p.printf("nothing to merge: %s has everything of %s\n", escape(m.Into), escape(m.Source))
	case !m.Applied:
		p.printNext(m, r)
	}
}

// marks are how the changes of keys are shown.
var marks = map[string]string{"created": "+", "changed": "~", "deleted": "-", "same": "="}

// printKeys prints keys with the mark of their change, below a heading that
// counts them.
func (p *program) printKeys(heading string, keys []rpc.MergedKey) {
	if len(keys) == 0 {
		return
	}
	p.printf("\n%s: %s\n", heading, tally(keys))
	for _, k := range keys {
		p.printf("  %s %s\n", mark(k.Change), escape(k.Key))
	}
}

func mark(change string) string {
	if m := marks[change]; m != "" {
		return m
	}
	return "?"
}

// tally counts keys by what happens to them: 1 created, 2 changed.
func tally(keys []rpc.MergedKey) string {
	n := map[string]int{}
	order := []string{"created", "changed", "deleted", "same"}
	for _, k := range keys {
		if n[k.Change]++; !slices.Contains(order, k.Change) {
			order = append(order, k.Change)
		}
	}
	var parts []string
	for _, change := range order {
		if n[change] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[change], escape(change)))
		}
	}
	return strings.Join(parts, ", ")
}

func (p *program) printNames(heading string, names []string) {
	if len(names) == 0 {
		return
	}
	p.printf("\n%s:\n", heading)
	for _, name := range names {
		p.printf("  %s\n", escape(name))
	}
}

// printNext says what to type after a plan, or after a merge that stopped.
func (p *program) printNext(m rpc.Merged, r rpc.MergeRequest) {
	p.printf("\nnothing was written; plan %s\n", escape(m.Plan))
	base := []string{"merge", m.Source, "--into", m.Into}
	if len(m.Conflicts) == 0 || r.OnConflict == rpc.OnConflictKeep {
		words := append(slices.Clone(base), options(r)...)
		p.printf("to do exactly this: %s\n", command(append(words, "--apply", m.Plan)...))
		return
	}
	words := append(slices.Clone(base), options(r)...)
	settle := command(words...) + " --resolve KEY=SIDE …"
	if c := m.Conflicts[0]; len(m.Conflicts) == 1 {
		settle = command(append(slices.Clone(words), "--resolve", resolvedAt(c.Key, c.Path)+"="+c.Sides[0].Letter)...) + others(c)
	}
	p.printf("to settle them here:       %s\n", settle)
	p.printf("to leave some out for now: %s --skip KEY …\n", command(words...))
	p.printf("to merge and settle later: %s\n", command(append(words, "--on-conflict", "keep")...))
}

// resolvedAt names a conflict as --resolve does.
func resolvedAt(key, path string) string {
	if path == "" || path == "/" {
		return key
	}
	return key + ":" + path
}

// choiceOf is what a resolution chose, as --resolve takes it.
func choiceOf(s rpc.Resolution) string {
	const most = 60
	switch {
	case s.Value == nil:
		return s.Side
	case s.Path != "" && len(*s.Value) <= most && json.Valid(*s.Value):
		return string(*s.Value)
	}
	return "@FILE"
}

// options are the flags of a merge that belong to its plan.
func options(r rpc.MergeRequest) (words []string) {
	if r.OnConflict != "" && r.OnConflict != rpc.OnConflictFail {
		words = append(words, "--on-conflict", string(r.OnConflict))
	}
	for _, s := range r.Resolve {
		words = append(words, "--resolve", resolvedAt(s.Key, string(s.Path))+"="+choiceOf(s))
	}
	for _, key := range r.Skip {
		words = append(words, "--skip", key)
	}
	for _, key := range r.Reject {
		words = append(words, "--reject", key)
	}
	return words
}

// others names the sides of a conflict after its first.
func others(c rpc.Conflict) string {
	var letters []string
	for _, s := range c.Sides[1:] {
		letters = append(letters, s.Letter)
	}
	return "  (or " + escape(strings.Join(letters, ", ")) + ")"
}
