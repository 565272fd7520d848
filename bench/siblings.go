package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"crush/daemon"
	"crush/dag"
	"crush/dag/dagtest"
	"crush/rpc"
)

// siblingWriters is the number of nodes that write the heads of a key, each while it is offline, so that each writes a
// chain of its own.
const siblingWriters = 100

// siblingKey is the key with many heads.
const siblingKey = "contended"

// manyHeads compares a key with many heads and one with a tenth of them. All of it grows with the heads; ten times the
// heads should cost ten times as much.
func manyHeads(ctx context.Context, r *run, s forkSizes) error {
	var kept []place
	for _, heads := range []int{s.heads / 10, s.heads} {
		p := place{name: fmt.Sprint(heads, " heads")}
		if err := writeHeads(ctx, filepath.Join(r.tmp, p.name), heads/siblingWriters); err != nil {
			return err
		}
		kept = append(kept, p)
	}
	for _, write := range []struct {
		name string
		base func(l *local) (rpc.Token, error)
	}{
		{"put over all heads", func(*local) (rpc.Token, error) { return "", nil }},
		{"put of one more head", emptyToken},
	} {
		var contestants []contestant
		for _, p := range kept {
			contestants = append(contestants, contestant{p.name, func(ctx context.Context, dir string) (float64, error) {
				return putOnCopy(ctx, filepath.Join(r.tmp, p.name), filepath.Join(dir, "copy"), write.base)
			}})
		}
		t, err := r.race(ctx, contestants)
		if err != nil {
			return err
		}
		fmt.Println(write.name + "; linear growth is 10")
		t.print("µs", kept[0].name)
	}
	for i := range kept {
		p := &kept[i]
		var err error
		if p.local, err = openLocal(ctx, filepath.Join(r.tmp, p.name)); err != nil {
			return err
		}
		defer p.Close()
		p.keys = 1
	}
	return r.raceReads(ctx, []reading{
		{"get; linear growth is 10", max(s.times/10, 1), func(ctx context.Context, p place, _ int) error { return p.get(ctx, siblingKey) }},
		{"get with the conflict's sides; linear growth is 10", 1, func(ctx context.Context, p place, _ int) error {
			_, err := p.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: siblingKey}})
			return err
		}},
	}, kept...)
}

// writeHeads makes a store in dir in which every writer has written a number of heads of the key.
func writeHeads(ctx context.Context, dir string, each int) error {
	from := time.Now()
	l, err := openLocal(ctx, dir)
	if err != nil {
		return err
	}
	history, err := missing(ctx, l.Graph(), nil)
	for range siblingWriters {
		var heads []dag.Bundle
		if err == nil {
			heads, err = writeApart(ctx, history, each)
		}
		if err == nil {
			_, err = l.Graph().Apply(ctx, heads)
		}
	}
	progress(from, "wrote %d heads", each*siblingWriters)
	return errors.Join(err, l.Close())
}

// missing returns the blocks that a peer with a frontier lacks.
func missing(ctx context.Context, g *dag.Graph, their []dag.Tip) (blocks []dag.Bundle, err error) {
	for b, err := range g.Missing(ctx, their) {
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, b.Bundle)
	}
	return blocks, nil
}

// writeApart writes heads of the key on a node that has some blocks, and returns the blocks that it wrote. The node is a
// clone of the bench's own, in memory: a member of its cluster, with a chain of its own.
func writeApart(ctx context.Context, history []dag.Bundle, n int) ([]dag.Bundle, error) {
	r, err := daemon.OpenReplica(ctx, daemon.ReplicaConfig{Store: dagtest.NewMem(), Key: localKey(), Unfounded: true})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if _, err := r.Graph().Apply(ctx, history); err != nil {
		return nil, err
	}
	known := r.Graph().Frontier()
	base, err := emptyToken(&local{Replica: r})
	if err != nil {
		return nil, err
	}
	for i := range n {
		if _, err := r.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: siblingKey}, Value: setting(i, i), Base: base}); err != nil {
			return nil, err
		}
	}
	return missing(ctx, r.Graph(), known)
}

// emptyToken is the token of the key as somebody reads it who has no head of it.
func emptyToken(l *local) (rpc.Token, error) {
	e, err := l.Get(context.Background(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: siblingKey}, At: "1970-01-01T00:00:00Z", Bare: true})
	return e.Token, err
}

// putOnCopy copies a store, reads the key there, and returns how long one put on it takes, in microseconds.
func putOnCopy(ctx context.Context, from, dir string, base func(*local) (rpc.Token, error)) (took float64, err error) {
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return 0, err
	}
	l, err := openLocal(ctx, dir)
	if err != nil {
		return 0, err
	}
	token, err := base(l)
	if err == nil {
		err = place{local: l}.get(ctx, siblingKey)
	}
	if err == nil {
		took, err = microseconds(1, func() error {
			_, err := l.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: siblingKey}, Value: setting(0, -1), Base: token})
			return err
		})
	}
	return took, errors.Join(err, l.Close())
}
