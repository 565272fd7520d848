package daemon

import (
	"bytes"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"crush/dag"
	"crush/rpc"
)

func TestMetrics(t *testing.T) {
	n := startNode(t, Config{Data: shortDir(t), Version: "v1"})
	figure := func(name string) float64 {
		t.Helper()
		var text bytes.Buffer
		if err := n.service().Metrics(&text); err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(&text)
		if err != nil {
			t.Fatal(err)
		}
		f := families["crush_"+name]
		if f == nil || len(f.Metric) != 1 {
			t.Fatalf("crush_%s is %v", name, f)
		}
		return f.Metric[0].GetGauge().GetValue()
	}
	before := figure("revisions")
	for _, key := range []string{"a", "b"} {
		if _, err := n.client.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: []byte("1")}); err != nil {
			t.Fatal(err)
		}
	}
	if got := figure("revisions") - before; got != 2 {
		t.Errorf("2 puts count as %v revisions", got)
	}
	for name, want := range map[string]float64{
		"keys": 2, "forks": 1, "read_only": 0, "member": 1, "build_info": 1, "fenced_blocks": 0, "chains": 1,
	} {
		if got := figure(name); got != want {
			t.Errorf("crush_%s is %v, want %v", name, got, want)
		}
	}
	other := dag.NewNodeKey(dag.SumOf([]byte("other"))).ID()
	if _, err := n.client.AddMember(t.Context(), rpc.Member{Node: other, Name: "db2", Zone: "south"}, rpc.Claim{}); err != nil {
		t.Fatal(err)
	}
	if got := figure("peer_connected"); got != 0 {
		t.Errorf("a member that never was here is connected: %v", got)
	}
}

// TestPeerMetrics: how far a peer is behind is told once it is known.
func TestPeerMetrics(t *testing.T) {
	lag := func(p rpc.PeerStatus) map[*prometheus.Desc]float64 {
		got := map[*prometheus.Desc]float64{}
		(&collector{}).collectPeer(func(d *prometheus.Desc, v float64, _ ...string) { got[d] = v }, &p)
		return got
	}
	if got := lag(rpc.PeerStatus{}); len(got) != 3 {
		t.Errorf("of a peer that never was met: %v", got)
	}
	got := lag(rpc.PeerStatus{Lag: &rpc.Lag{Blocks: 7, Seconds: 9}})
	if got[nodeMetrics.peerBlocks] != 7 || got[nodeMetrics.peerSeconds] != 9 {
		t.Errorf("7 blocks and 9 seconds behind: %v", got)
	}
}
