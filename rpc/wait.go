package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"crush/dag"
)

// Wait says on which other nodes a write must be on disk before it is
// answered. The zero value waits for none.
type Wait struct {
	// Peers is the number of other nodes.
	Peers int
	// Zones wants one node in each zone of the cluster instead.
	Zones bool
}

// waitZones is the text of a wait for zones.
const waitZones = "zones"

// ParseWait reads "zones" or a number of nodes.
func ParseWait(text string) (Wait, error) {
	if text == waitZones {
		return Wait{Zones: true}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || text[0] == '+' {
		return Wait{}, invalid("what to wait for must be a number of other nodes or zones, not " + quote(text))
	}
	return Wait{Peers: n}, nil
}

// String is the inverse of ParseWait.
func (w Wait) String() string {
	if w.Zones {
		return waitZones
	}
	return strconv.Itoa(w.Peers)
}

// IsZero reports whether there is nothing to wait for.
func (w Wait) IsZero() bool { return w == Wait{} }

// Waits knows which other nodes have what on their disks.
type Waits interface {
	// CanWait returns ErrInvalid for a wait that can have no end: for more
	// nodes than there are members, or for zones where there are none.
	CanWait(ctx context.Context, w Wait) error
	// AwaitHeld returns nil when the other nodes have said that a block, and
	// all before it, is on their disk; the zero block stands for all that is on
	// this node now. If ctx ends first the error is ErrTimeout and names the
	// nodes that have said so.
	AwaitHeld(ctx context.Context, block dag.BlockID, w Wait) error
}

// defaultWait bounds a request that waits and names no time.
const defaultWait = time.Minute

// waitingRoutes lets every route that writes take the parameter wait.
func waitingRoutes(all []route) []route {
	for i := range all {
		if r := &all[i]; r.writes() {
			r.query = append(r.query[:len(r.query):len(r.query)], "wait")
		}
	}
	return all
}

// readWait reads what a write is to wait for, and refuses it before anything is
// written if it cannot be had.
func (x *exchange) readWait() error {
	text, given := x.query["wait"]
	if !given {
		return nil
	}
	var err error
	if x.wait, err = ParseWait(text[0]); err != nil || x.wait.IsZero() {
		return err
	}
	if x.Service.Waits == nil {
		return invalid("this daemon knows of no other nodes to wait for")
	}
	return x.Service.Waits.CanWait(x.r.Context(), x.wait)
}

// written is an answer to a write: the block that it wrote, zero if it is not
// known or none was, and whether it was only planned.
type written interface {
	block() (id dag.BlockID, planned bool)
}

func (w *Written) block() (dag.BlockID, bool)   { return w.Block, false }
func (r RolledBack) block() (dag.BlockID, bool) { return r.Block, r.Plan }
func (r Reset) block() (dag.BlockID, bool)      { return r.Block, r.Plan }
func (a Applied) block() (dag.BlockID, bool)    { return a.Block, a.Plan }
func (c MemberChange) block() (dag.BlockID, bool) {
	return c.Block, false
}

func (m Merged) block() (dag.BlockID, bool) {
	if m.Block == nil {
		return dag.BlockID{}, !m.Applied && !m.Unchanged
	}
	return *m.Block, false
}

// awaitHeld waits as the request asked, before v, which is in JSON, is
// answered. A write that is here and not there keeps its answer in the error.
func (x *exchange) awaitHeld(v any, answer []byte) error {
	if x.wait.IsZero() {
		return nil
	}
	var id dag.BlockID
	if w, ok := v.(written); ok {
		var planned bool
		if id, planned = w.block(); planned {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), x.waitFor)
	defer cancel()
	err := x.Service.Waits.AwaitHeld(ctx, id, x.wait)
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return &Error{Code: CodeOf(err), Message: err.Error(), Cause: err, Written: answer}
}

// appendFailure appends the error object of err: with what was written all the
// same, if it says so.
func appendFailure(b []byte, code Code, err error) []byte {
	b = appendError(b, code, err.Error())
	if e, ok := errors.AsType[*Error](err); ok && e.Written != nil {
		b = append(appendName(b[:len(b)-1], "written"), e.Written...)
		b = append(b, '}')
	}
	return b
}

// writtenDespite reads the answer that an error keeps into v.
func writtenDespite(err error, v any) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Written == nil {
		return err
	}
	if bad := json.Unmarshal(e.Written, v); bad != nil {
		return fmt.Errorf("%w (its answer does not parse: %w)", err, bad)
	}
	return err
}
