package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"time"

	"crush/bench/load"
)

// joins says what the old node has, and collects what is not a contestant's figure.
type joins struct {
	revisions, keys int64
	program         string
	memory, busy    *table
}

// joining measures how fast a node without history gets that of another one, what both need for it, and what an
// interruption costs.
func joining(ctx context.Context, args []string) error {
	j := joins{memory: newTable(), busy: newTable()}
	r, err := begin("join", args, func(flags *flag.FlagSet) {
		flags.Int64Var(&j.revisions, "revisions", 200_000, "revisions of 200 bytes that the old node has")
		flags.Int64Var(&j.keys, "keys", 100_000, "keys that they are spread over")
	})
	if err != nil {
		return err
	}
	defer r.end()
	if j.program, err = r.program(ctx); err != nil {
		return err
	}
	old, whole, killed := filepath.Join(r.tmp, "old"), filepath.Join(r.tmp, "whole"), filepath.Join(r.tmp, "killed")
	if err := j.meet(ctx, old, whole, killed); err != nil {
		return err
	}
	spread := filling{n: j.revisions, key: func(i int64) string { return keyOf(i % j.keys) }, value: fresh}
	if err := fill(ctx, j.program, old, spread); err != nil {
		return err
	}
	t, err := r.race(ctx, []contestant{{"join", func(ctx context.Context, dir string) (float64, error) {
		return j.once(ctx, old, filepath.Join(dir, "new"))
	}}})
	if err != nil {
		return err
	}
	fmt.Printf("a new node joins one with %d revisions of 200 B of %d keys\n", j.revisions, min(j.keys, j.revisions))
	if err := r.show("revisions/s that a new node gets", fmt.Sprint(j.revisions), t, "revisions/s"); err != nil {
		return err
	}
	j.memory.print("MB at the peak")
	j.busy.print("µs of CPU a revision")
	return j.interrupted(ctx, old, whole, killed)
}

// meet makes the data directory of a cluster's first member, and those of others that then are away.
func (j *joins) meet(ctx context.Context, first string, others ...string) error {
	a, err := startMember(ctx, j.program, first)
	if err != nil {
		return err
	}
	for _, data := range others {
		b, cause := startMember(ctx, j.program, data)
		if cause == nil {
			cause = a.admit(ctx, b)
		}
		if cause == nil {
			_, cause = b.join(ctx, a)
		}
		err = errors.Join(err, cause, b.end())
	}
	return errors.Join(err, a.end())
}

// once joins a fresh node through a daemon on old and returns revisions a second.
func (j *joins) once(ctx context.Context, old, fresh string) (rate float64, err error) {
	a, err := startMember(ctx, j.program, old)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.end()) }()
	b, err := startMember(ctx, j.program, fresh)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.end()) }()
	if err := a.admit(ctx, b); err != nil {
		return 0, err
	}
	load.Pause(ctx, time.Second) // what a start does apart from serving is done
	both := map[string]*member{"old node": a, "new node": b}
	before := map[string]time.Duration{}
	for name, n := range both {
		_, err1 := n.peak(true)
		used, err2 := n.cpu()
		if err := errors.Join(err1, err2); err != nil {
			return 0, err
		}
		before[name] = used
	}
	from := time.Now()
	done := j.tell(ctx, b)
	_, err = b.join(ctx, a)
	took := time.Since(from)
	done()
	if err != nil {
		return 0, err
	}
	if n, err := b.revisions(ctx); err != nil || n < j.revisions {
		return 0, errors.Join(err, fmt.Errorf("the new node has %d of %d revisions", n, j.revisions))
	}
	for _, name := range []string{"old node", "new node"} {
		most, err1 := both[name].peak(false)
		used, err2 := both[name].cpu()
		if err := errors.Join(err1, err2); err != nil {
			return 0, err
		}
		j.memory.add(name, most/1e6)
		j.busy.add(name, float64((used-before[name]).Microseconds())/float64(j.revisions))
	}
	return float64(j.revisions) / took.Seconds(), nil
}

// tell prints how many revisions a node has until the result is called.
func (j *joins) tell(ctx context.Context, m *member) (done func()) {
	return reporting(ctx, func(ctx context.Context) string {
		has, err := m.revisions(ctx)
		if err != nil {
			return "" // it has just begun or ended, or what waits for it fails too
		}
		return fmt.Sprintf("%s: %d of %d revisions", filepath.Base(m.data), has, j.revisions)
	})
}

// interrupted lets members that have been away since before the first revision get all over a line that counts, one
// at a stretch and one with a kill -9 halfway, and prints what came over the line.
func (j *joins) interrupted(ctx context.Context, old, whole, killed string) error {
	a, err := startMember(ctx, j.program, old)
	if err != nil {
		return err
	}
	var passed [2]float64
	for i, data := range []string{whole, killed} {
		n, cause := j.passed(ctx, a, data, data == killed)
		err = errors.Join(err, cause)
		passed[i] = float64(n)
	}
	if err := errors.Join(err, a.end()); err != nil {
		return err
	}
	fmt.Printf("bytes on the line: %.1f a revision at a stretch; with a kill -9 of the new node halfway %.0f KB more, of %.1f MB\n",
		passed[0]/float64(j.revisions), (passed[1]-passed[0])/1e3, passed[0]/1e6)
	return nil
}

// passed lets a daemon on the data directory get all revisions from a. It returns the bytes on the line.
func (j *joins) passed(ctx context.Context, a *member, data string, kill bool) (n int64, err error) {
	address, err := a.address(ctx)
	if err != nil {
		return 0, err
	}
	p, through, err := startProxy(address, 0)
	if err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, p.stop())
		n = p.passed.Load()
	}()
	if kill {
		if err := j.half(ctx, data, through); err != nil {
			return 0, err
		}
	}
	return 0, j.rest(ctx, data, through)
}

// half lets a daemon get half of the revisions through the address, and kills it.
func (j *joins) half(ctx context.Context, data, through string) error {
	n, err := j.until(ctx, data, through, j.revisions/2)
	if n == nil {
		return err
	}
	return errors.Join(err, n.kill())
}

// rest lets a daemon get all revisions through the address, and stops it.
func (j *joins) rest(ctx context.Context, data, through string) error {
	n, err := j.until(ctx, data, through, j.revisions)
	return errors.Join(err, n.end())
}

// until starts a daemon that knows no address but one and returns it when it has so many revisions.
func (j *joins) until(ctx context.Context, data, through string, revisions int64) (*member, error) {
	if err := onlyPeer(data, through); err != nil {
		return nil, err
	}
	n, err := startMember(ctx, j.program, data)
	if err != nil {
		return nil, err
	}
	defer j.tell(ctx, n)()
	for {
		has, err := n.revisions(ctx)
		if err != nil || has >= revisions {
			return n, err
		}
		load.Pause(ctx, 20*time.Millisecond)
	}
}
