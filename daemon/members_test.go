package daemon

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crush/dag"
	"crush/p2p"
	"crush/rpc"
)

func TestAddMember(t *testing.T) {
	n := startNode(t, Config{Data: filepath.Join(shortDir(t), "d"), Name: "db1"})
	other := rpc.Member{Node: keyOf([32]byte{9}).ID(), Name: "db2", Zone: "south", Role: "reader"}
	third := rpc.Member{Node: keyOf([32]byte{8}).ID(), Role: "writer"}
	add := func(m rpc.Member) (rpc.MemberChange, error) {
		return n.client.AddMember(t.Context(), m, rpc.Claim{Message: "why"})
	}
	for name, m := range map[string]rpc.Member{
		"role":    {Node: other.Node, Role: "king"},
		"removed": {Node: other.Node, Role: "removed"},
		"name":    {Node: other.Node, Name: "a b"},
		"zone":    {Node: other.Node, Zone: "\n"},
	} {
		if _, err := add(m); !errors.Is(err, rpc.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := add(other); err != nil || c.Block.IsZero() || c.Member != other {
		t.Fatalf("%+v, %v", c, err)
	}
	// What is not given stays, and what is so already is not written again.
	if c, err := add(rpc.Member{Node: other.Node}); err != nil || !c.Block.IsZero() || c.Member != other {
		t.Errorf("again: %+v, %v", c, err)
	}
	other.Zone = "west"
	if c, err := add(rpc.Member{Node: other.Node, Zone: "west"}); err != nil || c.Block.IsZero() || c.Member != other {
		t.Errorf("moved: %+v, %v", c, err)
	}
	if c, err := add(rpc.Member{Node: third.Node}); err != nil || c.Member != third {
		t.Errorf("a writer by default: %+v, %v", c, err)
	}
	for _, m := range []rpc.Member{{Node: third.Node, Name: "db2"}, {Node: third.Node, Name: "db1"}} {
		if _, err := add(m); !errors.Is(err, rpc.ErrStale) || !strings.Contains(err.Error(), "is called "+m.Name+" already") {
			t.Errorf("a name that is taken: %v", err)
		}
	}
	members, err := n.client.Members(t.Context())
	if err != nil || len(members) != 3 {
		t.Fatalf("members: %v, %v", members, err)
	}
	for _, m := range members {
		if m.Self != (m.Node == n.at.Node) || !m.Self && m != other && m != third {
			t.Errorf("member %+v", m)
		}
	}
}

func TestRemoveMember(t *testing.T) {
	n := startNode(t, Config{Data: filepath.Join(shortDir(t), "d"), Name: "db1"})
	remove := func(who string) (rpc.MemberChange, error) {
		return n.client.RemoveMember(t.Context(), who, rpc.Claim{})
	}
	var all []rpc.Member
	for i, name := range []string{"db2", "db3"} {
		m := rpc.Member{Node: keyOf([32]byte{byte(i + 1)}).ID(), Name: name, Zone: "south", Role: "writer"}
		if _, err := n.client.AddMember(t.Context(), m, rpc.Claim{}); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	for who, want := range map[string]error{
		"db1": rpc.ErrDenied, "db4": rpc.ErrNotFound, "DB2": rpc.ErrNotFound, keyOf([32]byte{7}).ID().String(): rpc.ErrNotFound,
	} {
		if _, err := remove(who); !errors.Is(err, want) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if c, err := remove("db2"); err != nil || c.Member != all[0] || c.Block.IsZero() {
		t.Errorf("by name: %+v, %v", c, err)
	}
	if _, err := remove("db2"); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if c, err := remove(all[1].Node.String()); err != nil || c.Member != all[1] {
		t.Errorf("by id: %+v, %v", c, err)
	}
	if m, err := n.client.Members(t.Context()); err != nil || len(m) != 1 {
		t.Errorf("left: %+v, %v", m, err)
	}
	// With another admin, even this node can go; then it changes nothing more.
	if _, err := n.client.AddMember(t.Context(), rpc.Member{Node: all[0].Node, Role: "admin", Name: "db2"}, rpc.Claim{}); err != nil {
		t.Fatal(err)
	}
	if _, err := remove("db1"); err != nil {
		t.Error(err)
	}
	if _, err := remove("db2"); !errors.Is(err, rpc.ErrDenied) {
		t.Errorf("by a node that is out: %v", err)
	}
	s, err := n.client.Status(t.Context())
	if err != nil || !slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, "is not a member") }) {
		t.Errorf("warnings: %q, %v", s.Warnings, err)
	}
}

// TestNamedTwice: two admins that are apart can give one name twice.
func TestNamedTwice(t *testing.T) {
	n := startNode(t, Config{Data: filepath.Join(shortDir(t), "d"), Name: "db1"})
	ids := []dag.NodeID{keyOf([32]byte{1}).ID(), keyOf([32]byte{2}).ID()}
	for _, id := range ids {
		_, err := n.replica.commit(t.Context(), rpc.Claim{}, func(tx *dag.Tx) error {
			return tx.Op(dag.NewOp(dag.MemberOp{Node: id, Role: dag.RoleWriter, Name: "db2"}))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := n.client.Status(t.Context())
	if err != nil || !slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.HasPrefix(w, "2 nodes are called db2 (12D3") }) {
		t.Errorf("warnings: %q, %v", s.Warnings, err)
	}
	if _, err := n.client.RemoveMember(t.Context(), "db2", rpc.Claim{}); !errors.Is(err, rpc.ErrAmbiguous) {
		t.Errorf("removed by the name: %v", err)
	}
	if _, err := n.client.AddMember(t.Context(), rpc.Member{Node: ids[1], Name: "db3"}, rpc.Claim{}); err != nil {
		t.Errorf("settled: %v", err)
	}
	if s, err := n.client.Status(t.Context()); err != nil || slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, "are called") }) {
		t.Errorf("warnings: %q, %v", s.Warnings, err)
	}
}

// TestNameStays: a daemon is called as its configuration says, unless another
// has the name.
func TestNameStays(t *testing.T) {
	dir := filepath.Join(shortDir(t), "d")
	n := startNode(t, Config{Data: dir, Name: "db1"})
	if _, err := n.client.AddMember(t.Context(), rpc.Member{Node: keyOf([32]byte{1}).ID(), Name: "db2"}, rpc.Claim{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, want string }{{"db3", "db3"}, {"db2", "db3"}} {
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		n = startNode(t, Config{Data: dir, Name: test.name})
		s, err := n.client.Status(t.Context())
		warned := slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, `configured with name "db2"`) })
		if err != nil || s.Name != test.want || warned == (test.name == test.want) {
			t.Errorf("%s: called %s, warnings %q, %v", test.name, s.Name, s.Warnings, err)
		}
	}
}

func TestPeers(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id := func(i byte) dag.NodeID { return dag.NodeID{i} }
	members := []dag.Member{
		{Node: id(1), Name: "self", Zone: "north"},
		{Node: id(2), Name: "n2", Zone: "north"},
		{Node: id(3), Name: "s3", Zone: "south"},
		{Node: id(4), Name: "s4", Zone: "south"},
		{Node: id(5), Name: "new", Zone: "west"},
		{Node: id(6)},
	}
	states := []p2p.PeerState{
		{Node: id(2), Connected: true, InSync: true, LastSeen: now, ClockSkew: -2 * time.Minute, Lag: p2p.Lag{Known: true}},
		{Node: id(3), InSync: true, LastSeen: now, Lag: p2p.Lag{Known: true, Blocks: 7, Since: now.Add(-90 * time.Second)}},
		{Node: id(4), Connected: true, Addresses: []string{"/ip4/192.0.2.4"}, Lag: p2p.Lag{Known: true, Blocks: 2, Since: now.Add(-2500 * time.Millisecond)}},
		{Node: id(6), Connected: true, InSync: true, Lag: p2p.Lag{Known: true, Blocks: 1, Since: now.Add(time.Second)}},
		{Node: id(99), Connected: true},
	}
	peers := peersOf(members, id(1), states, now)
	want := map[dag.NodeID]*rpc.Lag{
		id(2): {}, id(3): {Blocks: 7, Seconds: 90, Since: now.Add(-90 * time.Second)},
		id(4): {Blocks: 2, Seconds: 2, Since: now.Add(-2500 * time.Millisecond)}, id(5): nil, id(6): {Blocks: 1, Since: now.Add(time.Second)},
	}
	if len(peers) != len(want) {
		t.Errorf("%d peers", len(peers))
	}
	for _, p := range peers {
		l, ok := want[p.Node]
		if !ok || (p.Lag == nil) != (l == nil) || l != nil && *p.Lag != *l || p.Addresses == nil || p.InSync && !p.Connected {
			t.Errorf("%+v, lag %+v; want %+v", p, p.Lag, l)
		}
	}
	zones := zonesOf("north", peers)
	var got strings.Builder
	for _, z := range zones {
		got.WriteString(z.Zone)
		if z.Lag != nil {
			got.WriteString(" " + plural(z.Lag.Blocks, "block"))
		}
		got.WriteString("; ")
	}
	if got.String() != "north 0 blocks; south 2 blocks; west; " {
		t.Errorf("zones: %s", got.String())
	}
	if z := zones[0]; !z.Self || z.Nodes != 2 || z.Connected != 2 || z.InSync != 2 {
		t.Errorf("%+v", z)
	}
	if z := zones[1]; z.Self || z.Nodes != 2 || z.Connected != 1 || z.InSync != 0 {
		t.Errorf("%+v", z)
	}
	if len(zonesOf("", nil)) != 0 {
		t.Error("a node without a zone is in one")
	}
	if w := peerWarnings(peers); len(w) != 1 || !strings.Contains(w[0], "the clock of n2 differs") {
		t.Errorf("warnings: %q", w)
	}
	if w := peerWarnings(peersOf(members, id(1), nil, now)); len(w) != 1 || !strings.Contains(w[0], "none of the 5 other nodes is connected") {
		t.Errorf("warnings when cut off: %q", w)
	}
}
