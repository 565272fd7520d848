package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crush/rpc"
)

// node is a daemon that runs in a test.
type node struct {
	*Daemon

	client *rpc.Client
	at     Reachable
	stop   func() error // ends it, once, and returns what Run did
}

// startNode runs a daemon until the test ends, without a network unless the
// configuration names one.
func startNode(t *testing.T, c Config) *node {
	t.Helper()
	ready := make(chan Reachable, 1)
	if c.Listen == nil {
		c.Listen = []string{}
	}
	c.Ready = func(r Reachable) { ready <- r }
	if c.HTTP == "" {
		c.HTTP = Off
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	n := &node{Daemon: d}
	ended := false
	n.stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Errorf("the daemon's end: %v", err)
		}
	})
	select {
	case n.at = <-ready:
	case err := <-done:
		ended = true
		cancel()
		t.Fatalf("the daemon ended: %v", err)
	}
	if n.at.Addresses == nil {
		t.Error("no addresses are null in JSON")
	}
	n.client = &rpc.Client{Socket: n.at.Socket}
	t.Cleanup(n.client.Close)
	return n
}

// shortDir is a directory whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "crush")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestLifeCycle(t *testing.T) {
	dir := filepath.Join(shortDir(t), "data")
	for _, value := range []string{"first", "second"} {
		n := startNode(t, Config{Data: dir, Name: "db1", Zone: "north", HTTP: "127.0.0.1:0", Version: "v1"})
		if _, err := n.client.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
		s, err := n.client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Node != n.at.Node || s.Name != "db1" || s.Zone != "north" || s.Data != dir || !s.Ready || s.Keys != 1 || s.Version != "v1" {
			t.Errorf("status: %+v", s)
		}
		e, err := (&rpc.Client{URL: n.at.HTTP}).Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}})
		if err != nil || string(e.Value) != value {
			t.Errorf("over HTTP: %q, %v; want %q", e.Value, err, value)
		}

		other, err := New(Config{Data: dir, HTTP: Off})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := errors.AsType[*LockedError](other.Run(t.Context())); !ok {
			t.Error("a second daemon ran on the directory")
		}

		if err := n.stop(); err != nil {
			t.Errorf("the daemon's end: %v", err)
		}
		if _, err := os.Lstat(n.at.Socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
		if err := n.client.Ready(t.Context()); !errors.Is(err, rpc.ErrNoDaemon) {
			t.Errorf("after the end: %v", err)
		}
	}
	// One chain: both runs ended cleanly.
	if s := startNode(t, Config{Data: dir}); s.replica.Graph().Stats().Chains != 1 {
		t.Errorf("%d chains after clean stops", s.replica.Graph().Stats().Chains)
	}
}

// TestRunFails wants one clear line, and everything released after it.
func TestRunFails(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for name, test := range map[string]struct {
		spoil func(dir string, c *Config)
		want  string
	}{
		"port taken": {func(_ string, c *Config) { c.HTTP = busy.Addr().String() }, "choose another address with --http"},
		"a file at the socket's path": {func(d string, c *Config) {
			c.Socket = filepath.Join(d, "file")
			put(t, c.Socket, "", 0o600)
		}, "not a socket"},
		"no such group":   {func(_ string, c *Config) { c.SocketGroup = "no-such-group-here" }, "no-such-group-here"},
		"a peer nonsense": {func(_ string, c *Config) { c.Peers = []string{"nonsense"} }, "nonsense"},
		"a damaged store": {func(d string, _ *Config) {
			put(t, d+"/data/"+markerName, markerText, 0o600)
			put(t, d+"/data/"+storeName+"/CURRENT", "junk\n", 0o600)
			var key [32]byte
			put(t, d+"/data/"+keyName, formatKey(keyOf(key)), 0o600)
		}, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			c := Config{Data: filepath.Join(dir, "data"), HTTP: Off, Listen: []string{}}
			test.spoil(dir, &c)
			d, err := New(c)
			if err == nil {
				err = d.Run(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v; want one line with %q", err, test.want)
			}
			if _, _, err := Identity(c.Data); err != nil && name != "a peer nonsense" {
				t.Errorf("the directory is still held: %v", err)
			}
		})
	}
}

func TestVerifyData(t *testing.T) {
	dir := filepath.Join(shortDir(t), "d")
	found := func() (n int, err error) {
		for _, e := range VerifyData(t.Context(), dir, nil) {
			if e != nil {
				return n, e
			}
			n++
		}
		return n, nil
	}
	if _, err := found(); err == nil {
		t.Error("no directory: no error")
	}
	if _, _, err := Identity(dir); err != nil {
		t.Fatal(err)
	}
	if n, err := found(); n > 0 || err != nil {
		t.Errorf("only an identity: %d faults, %v", n, err)
	}
	node := startNode(t, Config{Data: dir})
	for _, v := range []string{"1", "2", "3"} {
		if _, err := node.client.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
	for f, err := range node.client.Verify(t.Context(), nil) {
		t.Errorf("asked of the daemon: %v, %v", f, err)
	}
	if _, err := found(); err == nil {
		t.Error("a daemon runs, and its directory was opened beside it")
	}
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	if n, err := found(); n > 0 || err != nil {
		t.Errorf("whole: %d faults, %v", n, err)
	}
}
