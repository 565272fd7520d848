// Package car_test reads what crush exports with the libraries of others.
package car_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	cbornode "github.com/ipfs/go-ipld-cbor"
	car "github.com/ipld/go-car/v2"
	"github.com/multiformats/go-multihash"

	"crush/crdt"
	"crush/daemon"
	"crush/dag"
	"crush/rpc"
)

// history is a replica with forks, a merge, deletes, and values short and long.
func history(t *testing.T) *daemon.Replica {
	t.Helper()
	r, err := daemon.OpenReplica(t.Context(), daemon.ReplicaConfig{Dir: t.TempDir(), Key: dag.NewNodeKey([32]byte{1}), Name: "car"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	put := func(ctx context.Context, fork, key, value string) {
		_, err := r.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: key}, Value: []byte(value), Kind: crdt.Text})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 30 {
		put(t.Context(), "", fmt.Sprint("app/", i%7), strings.Repeat(fmt.Sprint(i), 1+i*i*10))
	}
	if _, err := r.CreateFork(t.Context(), rpc.ForkRequest{Name: "staging"}); err != nil {
		t.Fatal(err)
	}
	put(t.Context(), "staging", "app/1", "of staging")
	if _, err := r.Delete(t.Context(), rpc.DeleteRequest{KeyRef: rpc.KeyRef{Key: "app/2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Merge(t.Context(), rpc.MergeRequest{Source: "staging", Into: dag.DefaultForkName}); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCARByOthers reads an export with the libraries of IPLD, which know nothing of crush: every hash is right, and
// from the roots every link leads to a section of the file.
func TestCARByOthers(t *testing.T) {
	var file bytes.Buffer
	about, err := history(t).Graph().WriteCAR(t.Context(), &file, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := car.NewBlockReader(&file) // checks hashes
	if err != nil {
		t.Fatal(err)
	}
	all := map[cid.Cid][]byte{}
	for {
		b, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all[b.Cid()] = b.RawData()
	}
	if len(in.Roots) == 0 {
		t.Error("no roots")
	}
	reached := map[cid.Cid]bool{}
	raw := follow(t, all, in.Roots, reached)
	// Beside these stand one section that says what the file holds, and a signature of each block.
	if want := len(all) - 1 - int(about.Blocks); len(reached) != want || raw == 0 {
		t.Errorf("%d of %d sections reached from the roots, want %d; %d values", len(reached), len(all), want, raw)
	}
	if cluster := dag.BlockID(about.Cluster).CID(); !reached[cluster] {
		t.Errorf("the genesis %s is not reached", cluster)
	}
}

// follow walks all links and counts the values among what it reaches.
func follow(t *testing.T, all map[cid.Cid][]byte, from []cid.Cid, reached map[cid.Cid]bool) (raw int) {
	t.Helper()
	for len(from) > 0 {
		c := from[0]
		from = from[1:]
		if reached[c] {
			continue
		}
		reached[c] = true
		data, ok := all[c]
		if !ok {
			t.Errorf("%s is not in the file", c)
			continue
		}
		if c.Type() == cid.Raw {
			raw++
			continue
		}
		node, err := cbornode.Decode(data, multihash.SHA2_256, -1)
		if err != nil {
			t.Errorf("%s is no DAG-CBOR: %v", c, err)
			continue
		}
		if node.Cid() != c {
			t.Errorf("%s is encoded by others as %s", c, node.Cid())
		}
		for _, l := range node.Links() {
			from = append(from, l.Cid)
		}
	}
	return raw
}
