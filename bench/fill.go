package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"crush/dag"
)

// fillers is the number of goroutines that fill a store, and so of revisions in most of its blocks.
const fillers = 64

// A filling is n revisions, of which revision i is of key(i).
type filling struct {
	n     int64
	key   func(i int64) string
	value func(i int64) []byte // nil: revision
}

// revision returns the value of revision i of some key: 200 bytes of which few differ from one to the next.
func revision(i int64) []byte {
	return fmt.Appendf(nil, "replicas: %-20d %s", i, bytes.Repeat([]byte("x"), 169))
}

// fill writes the fillings into the data directory, which may be missing, while no daemon runs on it: through the
// replica that the daemon has, each put synced, some three times faster than through a socket.
func fill(ctx context.Context, program, data string, fillings ...filling) error {
	server, err := startCrush(ctx, program, data, "off") // it makes the directory and the node's key
	if err != nil {
		return err
	}
	if err := server.stop(); err != nil {
		return err
	}
	// The daemon has noted what it left, and would take what comes now for damage.
	if err := os.Remove(filepath.Join(data, "stopped")); err != nil {
		return err
	}
	key, err := nodeKey(data)
	if err != nil {
		return err
	}
	r, err := openStore(ctx, filepath.Join(data, "store"), key)
	if err != nil {
		return err
	}
	for _, f := range fillings {
		err = errors.Join(err, f.put(ctx, r))
	}
	return errors.Join(err, r.Close())
}

// put writes the filling.
func (f filling) put(ctx context.Context, r replica) error {
	if f.value == nil {
		f.value = revision
	}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range fillers {
		group.Go(func() error {
			for i := next.Add(1); i <= f.n; i = next.Add(1) {
				if err := r.Put(ctx, f.key(i), f.value(i)); err != nil {
					return err
				}
				if i%100_000 == 0 {
					fmt.Fprintf(os.Stderr, "wrote %d of %d revisions\n", i, f.n)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// nodeKey reads the key of a data directory: the second line of its file is the seed.
func nodeKey(data string) (dag.NodeKey, error) {
	name := filepath.Join(data, "node.key")
	text, err := os.ReadFile(name)
	if err != nil {
		return dag.NodeKey{}, err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 2 {
		return dag.NodeKey{}, fmt.Errorf("%s: no seed", name)
	}
	seed, err := hex.DecodeString(lines[1])
	if err != nil || len(seed) != 32 {
		return dag.NodeKey{}, fmt.Errorf("%s: no seed", name)
	}
	return dag.NewNodeKey([32]byte(seed)), nil
}
