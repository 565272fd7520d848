package main

import (
	"fmt"
	"slices"
	"strings"

	"crush/rpc"
)

// changedParts says which parts of a value a revision changed; "" if it has none.
func changedParts(e *rpc.LogEntry) string {
	const most = 3
	said := make([]string, 0, most)
	for _, part := range e.Wrote[:min(len(e.Wrote), most)] {
		if ofFields(e) {
			part = endOf(part)
		}
		said = append(said, shorten(part, ""))
	}
	switch more := e.WroteCount - len(said); {
	case more > 0 && ofFields(e):
		return count(e.WroteCount, "field")
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(said, " "), more)
	}
	return strings.Join(said, " ")
}

// endOf is the end of a long path, from the beginning of a step if it can be: there
// stands what the field is.
func endOf(path string) string {
	const most = 40
	runes := []rune(path)
	if len(runes) <= most {
		return path
	}
	end := string(runes[len(runes)-most:])
	if i := strings.IndexByte(end, '/'); i > 0 {
		end = end[i:]
	}
	return "…" + end
}

// ofFields reports whether what a revision changed are fields, which are paths:
// what is said of a counter or a set begins with a sign.
func ofFields(e *rpc.LogEntry) bool { return strings.HasPrefix(e.Wrote[0], "/") }

// summary says what a change did: its operations, and the keys that it wrote.
func summary(change []rpc.LogEntry) string {
	var parts []string
	var wrote []rpc.LogEntry
	merges := false
	for _, e := range slices.Backward(change) { // as they acted
		if e.Operation == nil {
			wrote = append(wrote, e)
			continue
		}
		parts = append(parts, sentence(e.Operation))
		merges = merges || e.Operation.Kind == rpc.OperationMerge
	}
	if len(wrote) > 0 {
		keys := keysIn(wrote)
		switch same := sameMark(wrote); {
		case same == rpc.MarkReverted:
			keys = "reverted " + keys
		case same == rpc.MarkResolved, merges:
			keys = "settled " + keys
		}
		parts = append(parts, keys)
	}
	return strings.Join(parts, "; ")
}

// sameMark is the mark that all revisions have; "" if they differ.
func sameMark(wrote []rpc.LogEntry) string {
	for _, e := range wrote {
		if e.Mark != wrote[0].Mark {
			return ""
		}
	}
	return wrote[0].Mark
}

// keysIn names the keys of a change of many.
func keysIn(wrote []rpc.LogEntry) string {
	const most = 3
	var names []string
	for _, e := range wrote {
		names = append(names, e.Key)
	}
	slices.Sort(names)
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// sentence says what an operation did.
func sentence(o *rpc.Operation) string {
	switch o.Kind {
	case rpc.OperationFork:
		return forkSentence(o)
	case rpc.OperationMerge:
		if o.Source == "" {
			return "finished a change of several blocks" + counts(o.Keys)
		}
		return "merged " + o.Source + " into " + o.Fork + counts(o.Keys) + limits(o.Filter)
	case rpc.OperationDelete:
		return "removed the fork " + o.Fork
	case rpc.OperationRestore:
		return "restored the fork " + o.Fork
	case rpc.OperationRename:
		return "renamed a fork to " + nowCalled(o)
	case rpc.OperationTag:
		if o.Gone {
			return "removed the tag " + o.Name
		}
		return "tagged " + o.Name
	case rpc.OperationAlias:
		if o.Gone {
			return "removed the alias " + o.Name
		}
		return "pointed the alias " + o.Name + " at " + o.Fork
	case rpc.OperationMember:
		return memberSentence(o)
	case rpc.OperationPurge:
		return purgeSentence(o)
	}
	return o.Kind // of a newer daemon
}

func forkSentence(o *rpc.Operation) string {
	switch {
	case o.Name == "":
		return "began a change of several blocks"
	case o.Source == "":
		return "made the fork " + nowCalled(o)
	}
	said := "forked " + nowCalled(o) + " from " + o.Source
	if len(o.Cut) > 0 {
		said += " as it was earlier"
	}
	return said + limits(o.Filter)
}

// nowCalled is the name that a fork got, and what it is called by now.
func nowCalled(o *rpc.Operation) string {
	if o.Name == o.Fork || o.Name == "" {
		return o.Fork
	}
	return o.Name + " (now " + o.Fork + ")"
}

func counts(n *rpc.KeyCount) string {
	switch {
	case n == nil:
		return ""
	case n.AtMost > 0:
		return ": at most " + count(n.AtMost, "key")
	}
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{n.Created, "created"}, {n.Changed, "changed"}, {n.Deleted, "deleted"}, {n.Same, "same"}, {n.Conflict, "in conflict"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if parts == nil {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// limits says which keys an operation was for.
func limits(f *rpc.Filter) string {
	if f == nil {
		return ""
	}
	out := ""
	if only := slices.Concat(f.Keys, f.Scopes); len(only) > 0 {
		out = ", only " + strings.Join(only, " ")
	}
	if not := slices.Concat(f.SkipKeys, f.Skips); len(not) > 0 {
		out += ", without " + strings.Join(not, " ")
	}
	return out
}

func purgeSentence(o *rpc.Operation) string {
	what := slices.Clone(o.PurgedKeys)
	for _, id := range o.PurgedRevisions {
		what = append(what, "revision "+id.Short())
	}
	return "purged " + strings.Join(what, ", ")
}

func memberSentence(o *rpc.Operation) string {
	name := o.Name
	if name == "" {
		name = o.Node.Short()
	}
	if o.Gone {
		return "removed the member " + name
	}
	said := "member " + name + " is " + o.Role
	if o.Zone != "" {
		said += " in zone " + o.Zone
	}
	return said
}
