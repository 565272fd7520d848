package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"crush/dag"
	"crush/rpc"
)

// waits implements rpc.Waits over the member list and what the other nodes say.
type waits struct {
	graph *dag.Graph
	// held is p2p.Host's AwaitHeld.
	held func(ctx context.Context, block dag.BlockID, enough func(held []dag.NodeID) bool) ([]dag.NodeID, error)
}

var _ rpc.Waits = waits{}

// CanWait implements rpc.Waits.
func (w waits) CanWait(_ context.Context, want rpc.Wait) error {
	members := w.graph.Members()
	if want.Zones {
		if !slices.ContainsFunc(members, func(m dag.Member) bool { return m.Zone != "" }) {
			return invalid("no node of the cluster has a zone: a write cannot wait for zones (member add ID --zone ZONE gives one)")
		}
		return nil
	}
	if others := len(w.others()); want.Peers > others {
		return invalid("a write cannot wait for %s: the cluster has %d", plural(want.Peers, "other node"), others)
	}
	return nil
}

// others are the members but this node.
func (w waits) others() []dag.Member {
	return slices.DeleteFunc(w.graph.Members(), func(m dag.Member) bool { return m.Node == w.graph.Node() })
}

// missing returns what of a wait is not satisfied by the nodes that hold a
// block: nodes if it is for a number of them, else zones; nothing if it is.
func (w waits) missing(want rpc.Wait, held []dag.NodeID) (nodes []dag.Member, zones []string) {
	self, _ := w.graph.Member(w.graph.Node())
	have := map[string]bool{"": true, self.Zone: true}
	for _, m := range w.others() {
		if slices.Contains(held, m.Node) {
			have[m.Zone] = true
		} else {
			nodes = append(nodes, m)
		}
	}
	if !want.Zones {
		if len(w.others())-len(nodes) >= want.Peers {
			return nil, nil
		}
		return nodes, nil
	}
	for _, m := range nodes {
		if !have[m.Zone] && !slices.Contains(zones, m.Zone) {
			zones = append(zones, m.Zone)
		}
	}
	return nil, zones
}

// AwaitHeld implements rpc.Waits.
func (w waits) AwaitHeld(ctx context.Context, block dag.BlockID, want rpc.Wait) error {
	blocks := []dag.BlockID{block}
	if block.IsZero() {
		blocks = w.graph.Now().Tips()
	}
	for _, b := range blocks {
		held, err := w.held(ctx, b, func(held []dag.NodeID) bool {
			nodes, zones := w.missing(want, held)
			return len(nodes)+len(zones) == 0
		})
		if errors.Is(err, context.DeadlineExceeded) {
			return &rpc.Error{Code: rpc.CodeTimeout, Message: w.outOfTime(want, held), Cause: err}
		}
		if err != nil {
			return fmt.Errorf("stored on this node, but waiting for the others failed: %w", err)
		}
	}
	return nil
}

// outOfTime says in one line who has not said in time that a write is there.
func (w waits) outOfTime(want rpc.Wait, held []dag.NodeID) string {
	nodes, zones := w.missing(want, held)
	if want.Zones {
		slices.Sort(zones)
		return fmt.Sprintf("stored on this node, but in time no node of %s has said that it is on its disk", strings.Join(zones, ", "))
	}
	var names []string
	for _, m := range nodes {
		names = append(names, called(m))
	}
	return fmt.Sprintf("stored on this node, but only %d of %s said in time that it is on their disk (not %s)",
		len(w.others())-len(nodes), plural(want.Peers, "other node"), strings.Join(names, ", "))
}

// called is what people call a member: its name, else the end of its id.
func called(m dag.Member) string {
	if m.Name == "" {
		return m.Node.Short()
	}
	return m.Name
}

// awaitBlocks returns when this node has the blocks that a reader named, each
// by a CID or the distinctive part of one, with commas between; the id of a
// revision stands for the block that it is in. When ctx ends the error says
// what is missing.
func (r *Replica) awaitBlocks(ctx context.Context, after string) error {
	if after == "" {
		return nil
	}
	names := strings.Split(after, ",")
	for _, name := range names {
		if !namesBlock(name) {
			return invalid("%.80q is no block to wait for: give the CID of one, or %d or more characters of it", name, minShort)
		}
	}
	for _, name := range names {
		if err := r.awaitBlock(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// awaitWithin is awaitBlocks for no longer than a limit; zero is none.
func (r *Replica) awaitWithin(ctx context.Context, limit time.Duration, after string) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return r.awaitBlocks(ctx, after)
}

func (r *Replica) awaitBlock(ctx context.Context, text string) error {
	for {
		changed := r.graph.Changed()
		here, err := r.shows(text)
		if here || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err := context.Cause(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				return &rpc.Error{Code: rpc.CodeNotHere, Message: fmt.Sprintf("block %s is not on this node yet", text), Cause: err}
			}
			return err
		}
	}
}

// shows reports whether reads show a block, or the one of a revision: ids can be
// found a moment before that.
func (r *Replica) shows(text string) (bool, error) {
	m, err := r.find(text)
	if err != nil || len(m.Blocks)+len(m.Revisions) == 0 {
		return false, err
	}
	for _, id := range m.Revisions {
		c, err := r.graph.Revision(id)
		if err != nil {
			return false, outward(err)
		}
		m.Blocks = append(m.Blocks, c.Block)
	}
	for _, id := range m.Blocks {
		a, err := r.graph.Block(id)
		if err != nil {
			return false, outward(err)
		}
		if a.LSN > r.graph.Stats().Blocks {
			return false, nil
		}
	}
	return true, nil
}

// namesBlock reports whether text can be a block's CID or a part of one.
func namesBlock(text string) bool {
	if _, err := dag.ParseBlockID(text); err == nil {
		return true
	}
	return len(text) >= minShort && len(text) <= longestPart &&
		strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// longestPart is the length of the part of a CID that tells it from others.
const longestPart = 52
