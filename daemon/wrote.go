package daemon

import (
	"fmt"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// tellChange completes a line of a log with what only the payload tells: how long
// the value is without the change that comes with it, and what that change was.
// A line whose payload nobody has, or cannot read, stays as it is.
func tellChange(e *rpc.LogEntry, payload []byte) {
	e.Size = int64(len(crdt.TextOf(e.Kind, payload)))
	switch e.Kind {
	case crdt.JSON, crdt.YAML:
		if p, err := crdt.DecodeDocument(payload); err == nil {
			tell(e, "", p.Paths)
			e.Layout = len(p.Paths) == 0
		}
	case crdt.Counter:
		p, err := crdt.DecodeCounter(payload)
		switch {
		case err != nil:
		case p.Set:
			e.Wrote, e.WroteCount = []string{"=" + p.Total.String()}, 1
		default:
			e.Wrote, e.WroteCount = []string{fmt.Sprintf("%+d", p.N)}, 1
		}
	case crdt.Set:
		if p, err := crdt.DecodeSet(payload); err == nil {
			sign := "+"
			if p.Set {
				sign = "="
			}
			tell(e, sign, p.Added)
			tell(e, "-", p.Removed)
		}
	}
}

// tell adds what was written, as many of them as a line may have.
func tell[T ~string](e *rpc.LogEntry, sign string, parts []T) {
	e.WroteCount += len(parts)
	for _, part := range parts[:min(len(parts), rpc.MaxWrote-len(e.Wrote))] {
		e.Wrote = append(e.Wrote, sign+string(part))
	}
}

// tellsMore reports whether the payload of a revision says what it changed.
func tellsMore(r *dag.Revision) bool {
	k := crdt.Kind(r.Kind)
	return !r.Deleted && (isDocument(k) || k == crdt.Counter || k == crdt.Set)
}
