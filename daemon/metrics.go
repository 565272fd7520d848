package daemon

import (
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"crush/rpc"
)

// newMetrics returns the registry of what a node tells Prometheus: its own
// figures, and those of the process and of Go's runtime.
func newMetrics(d *Daemon) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		&collector{d},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// writeMetrics writes the node's figures in the text format of Prometheus.
func (d *Daemon) writeMetrics(w io.Writer) error {
	families, err := d.metrics.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}

// collector reads a daemon's figures anew for each scrape: nothing is counted
// twice, in the history and here.
type collector struct{ d *Daemon }

// nodeMetrics are the figures of the node itself.
var nodeMetrics = struct {
	build, start, readOnly, member         *prometheus.Desc
	blocks, revisions, keys, chains, forks *prometheus.Desc
	void, fenced                           *prometheus.Desc
	peerUp, peerInSync, peerSkew           *prometheus.Desc
	peerBlocks, peerSeconds                *prometheus.Desc
}{
	build:      describe("build_info", "The version that runs; always 1.", "version"),
	start:      describe("start_time_seconds", "When the daemon was ready to serve, in unix time."),
	readOnly:   describe("read_only", "1 when the store has failed and takes no writes until a restart."),
	member:     describe("member", "1 when this node is in its cluster's member list."),
	blocks:     describe("blocks", "Blocks that are applied here."),
	revisions:  describe("revisions", "Revisions that are applied here."),
	keys:       describe("keys", "Keys of all forks, deleted ones included."),
	chains:     describe("chains", "Chains, one for each incarnation of each node."),
	forks:      describe("forks", "Forks that are not deleted."),
	void:       describe("void", "Operations and revisions that are kept but have no effect."),
	fenced:     describe("fenced_blocks", "Blocks signed by this node that came from others: it was restored or cloned."),
	peerUp:     describe("peer_connected", "1 when the member is connected.", "node", "name", "zone"),
	peerInSync: describe("peer_in_sync", "1 when the member is connected and has what this node has.", "node", "name", "zone"),
	peerSkew:   describe("peer_clock_skew_seconds", "The member's clock less this node's, when they last met.", "node", "name", "zone"),

	peerBlocks:  describe("peer_lag_blocks", "Blocks of this node that the member had not said to have; not there before they first met.", "node", "name", "zone"),
	peerSeconds: describe("peer_lag_seconds", "How long the oldest of those blocks has been here.", "node", "name", "zone"),
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("crush_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, out) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	m, g := &nodeMetrics, c.d.replica.Graph()
	stats := g.Stats()
	gauge(m.build, 1, c.d.config.Version)
	gauge(m.start, float64(c.d.started.UnixNano())/float64(time.Second))
	gauge(m.readOnly, flag(stats.Failed != nil))
	gauge(m.member, flag(g.IsMember(g.Node())))
	gauge(m.blocks, float64(stats.Blocks))
	gauge(m.revisions, float64(stats.Revisions))
	gauge(m.keys, float64(stats.Keys))
	gauge(m.chains, float64(stats.Chains))
	gauge(m.void, float64(stats.Void))
	gauge(m.fenced, float64(stats.Fenced))
	forks := 0
	for _, f := range g.Forks() {
		if !f.Deleted {
			forks++
		}
	}
	gauge(m.forks, float64(forks))
	for _, p := range c.d.peers() {
		c.collectPeer(gauge, &p)
	}
}

func (c *collector) collectPeer(gauge func(*prometheus.Desc, float64, ...string), p *rpc.PeerStatus) {
	m, labels := &nodeMetrics, []string{p.Node.String(), p.Name, p.Zone}
	gauge(m.peerUp, flag(p.Connected), labels...)
	gauge(m.peerInSync, flag(p.InSync), labels...)
	gauge(m.peerSkew, p.ClockSkew.Seconds(), labels...)
	if p.Lag != nil {
		gauge(m.peerBlocks, float64(p.Lag.Blocks), labels...)
		gauge(m.peerSeconds, float64(p.Lag.Seconds), labels...)
	}
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
