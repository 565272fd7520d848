package dag_test

import (
	"testing"

	"crush/dag"
)

// TestRemovedAdminCannotStay: what an admin does about members while he is
// being removed elsewhere has no effect on who may connect, except removals;
// two that remove each other are both out. It is the same on every node.
func TestRemovedAdminCannotStay(t *testing.T) {
	a := foundNode(t, "a")
	bID, cID := keyOf("b").ID(), keyOf("c").ID()
	b := a.enlist(t, "b", dag.RoleAdmin)
	b.clock.Add(1 << 40) // his clock is years ahead
	a.setRole(t, bID, "b", dag.RoleRemoved)
	b.setRole(t, cID, "c", dag.RoleWriter)
	b.setRole(t, bID, "b", dag.RoleAdmin)
	b.setRole(t, keyOf("a").ID(), "a", dag.RoleRemoved)
	a.pull(t, b)
	b.pull(t, a)
	for _, n := range []*node{a, b} {
		for name, id := range map[string]dag.NodeID{"a": keyOf("a").ID(), "b": bID, "c": cID} {
			if n.IsMember(id) {
				t.Errorf("%s is still a member", name)
			}
		}
	}
	a.check(t)
}
