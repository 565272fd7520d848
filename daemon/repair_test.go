package daemon

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"crush/dag"
	"crush/rpc"
)

// damage changes a byte of every long value of a store.
func damage(t *testing.T, data string) {
	t.Helper()
	db, err := dag.OpenLevelDB(filepath.Join(data, storeName), false)
	if err != nil {
		t.Fatal(err)
	}
	var b dag.Batch
	err = db.Iterate(dag.Range{Start: []byte("b"), End: []byte("c")}, func(k, v []byte) bool {
		if len(k) > 13 { // with the index of a revision
			bad := bytes.Clone(v)
			bad[len(bad)-9] ^= 1
			b.Put(k, bad)
		}
		return true
	})
	if err != nil || b.Len() != 4 {
		t.Fatalf("%d values to damage, %v", b.Len(), err)
	}
	if err := db.Write(&b, true); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// faultsOf verifies a node.
func (n *node) faultsOf(t *testing.T) (found []rpc.Fault) {
	t.Helper()
	for f, err := range n.client.Verify(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, f)
	}
	return found
}

// TestRepair: what is damaged on one node comes back from another, while both
// run.
func TestRepair(t *testing.T) {
	j := newJoining(t, "writer")
	if _, err := j.join(rpc.JoinRequest{Discard: true}); err != nil {
		t.Fatal(err)
	}
	long := func(c string) string { return strings.Repeat(c+"1234567", 1000) }
	for _, c := range []string{"a", "b", "c", "d"} {
		j.a.put("short", c)
		j.a.put("long"+c, long(c))
	}
	// It is on both disks, and then they are connected again.
	both := rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "last"}, Claim: rpc.Claim{Wait: rpc.Wait{Peers: 1}}}
	if _, err := j.a.client.Put(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	j.crash(func(data string) { damage(t, data) })
	if found := j.b.faultsOf(t); len(found) < 4 {
		t.Fatalf("of a damaged store: %v", found)
	}
	if _, err := j.b.client.Put(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	repaired := 0
	for f, err := range j.b.client.Repair(t.Context(), nil) {
		if err != nil || !f.Repaired || !strings.Contains(f.Detail, "repaired with the copy of a") {
			t.Errorf("%+v, %v", f, err)
		}
		repaired++
	}
	if found := j.b.faultsOf(t); repaired != 4 || len(found) > 0 {
		t.Errorf("%d repaired, left %v", repaired, found)
	}
	for _, c := range []string{"a", "b", "c", "d"} {
		if e, err := j.b.client.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "long" + c}}); err != nil || string(e.Value) != long(c) {
			t.Errorf("long%s reads %.10q, %v", c, e.Value, err)
		}
	}
	if err := j.a.stop(); err != nil {
		t.Fatal(err)
	}
	j.crash(func(data string) { damage(t, data) })
	for f, err := range j.b.client.Repair(t.Context(), nil) {
		if err != nil || f.Repaired || !strings.Contains(f.Detail, "not repaired: no peer that is connected has it") {
			t.Errorf("alone: %+v, %v", f, err)
		}
	}
}

// TestOccupied: what would give up the store, or fill it, does not run beside a
// repair.
func TestOccupied(t *testing.T) {
	n := startNode(t, Config{Data: filepath.Join(shortDir(t), "d")})
	n.joining.Store(true)
	_, joined := n.client.Join(t.Context(), rpc.JoinRequest{Address: "/ip4/127.0.0.1/tcp/1"})
	_, imported := n.client.Import(t.Context(), strings.NewReader("file"))
	var repaired error
	for _, repaired = range n.client.Repair(t.Context(), nil) {
	}
	for what, err := range map[string]error{"join": joined, "import": imported, "repair": repaired} {
		if rpc.CodeOf(err) != rpc.CodeBusy {
			t.Errorf("%s: %v", what, err)
		}
	}
}
