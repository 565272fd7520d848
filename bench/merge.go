package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"crush/rpc"
)

// A brancher is a store of settings of which branches are made.
type brancher interface {
	// branch makes a branch of the main line, changes n settings there, and then n others on the main line. The values
	// differ from those of every other version.
	branch(ctx context.Context, name string, n, version int) error
}

// A doing is something that is timed on a branch, and what the tables call it.
type doing struct {
	name string
	on   brancher
	do   func(ctx context.Context, branch string) error
}

// A comparison is doings that come to the same, of which some are baselines.
type comparison struct {
	name      string
	doings    []doing
	baselines []string
}

// merging is what merge works with.
type merging struct {
	keys, block, changed, few int
	branches                  int // made so far
}

// merge compares a merge of few changes among many keys, its plan and the difference of its sides: Git, crush as a
// library, the crush command with its daemon.
func merge(ctx context.Context, args []string) error {
	var m merging
	var git string
	r, err := begin("merge", args, func(flags *flag.FlagSet) {
		flags.IntVar(&m.keys, "keys", 100_000, "keys of the store, files of the Git repository")
		flags.IntVar(&m.block, "block", 1000, "keys that are written as one change when crush is filled")
		flags.IntVar(&m.changed, "changed", 1000, "keys changed on the fork, and as many others on default")
		flags.IntVar(&m.few, "few", 10, "the same for the second size, which shows what is proportional to the changes")
		flags.StringVar(&git, "git", "git", "the git program to compare with, or none")
	})
	if err != nil {
		return err
	}
	defer r.end()
	if m.few < 1 || m.few >= m.changed || 2*m.changed > m.keys || m.block < 1 || max(m.block, m.changed) > maxBlock {
		return fmt.Errorf("merge: want 1 <= few < changed, twice as many keys, and at most %d keys in one change", maxBlock)
	}
	comparisons, closeAll, err := m.open(ctx, r, git)
	for i := 0; i < len(comparisons) && err == nil; i++ {
		err = m.compare(ctx, r, &comparisons[i])
	}
	return errors.Join(err, closeAll())
}

// open makes the stores and says what is compared on them. The function, which is not nil, closes them.
func (m *merging) open(ctx context.Context, r *run, git string) (c []comparison, closeAll func() error, err error) {
	var closers []func() error
	closeAll = func() (err error) {
		for _, c := range closers {
			err = errors.Join(err, c())
		}
		return err
	}
	c = []comparison{{name: "plan of a merge, nothing written"}, {name: "difference of both sides"}, {name: "merge"}}
	add := func(of [3][]doing, baseline bool) {
		for i := range c {
			c[i].doings = append(c[i].doings, of[i]...)
			for _, d := range of[i] {
				if baseline {
					c[i].baselines = append(c[i].baselines, d.name)
				}
			}
		}
	}
	if git != "none" {
		repo, err := newRepository(ctx, git, filepath.Join(r.tmp, "git"), m.keys)
		if err != nil {
			return nil, closeAll, err
		}
		add(repo.doings(), true)
	}
	l, err := openSettings(ctx, filepath.Join(r.tmp, "replica"), m.keys, m.block)
	if err != nil {
		return nil, closeAll, err
	}
	closers = append(closers, l.Close)
	add(replicaDoings(l, m.keys), false)
	program, err := r.program(ctx)
	if errors.Is(err, errNoCrush) {
		fmt.Fprintln(os.Stderr, "the crush command is left out:", err)
		return c, closeAll, nil
	}
	if err != nil {
		return nil, closeAll, err
	}
	node, err := startNode(ctx, program, filepath.Join(r.tmp, "data"), m.keys, m.block)
	if err != nil {
		return nil, closeAll, err
	}
	closers = append(closers, node.close)
	add(node.doings(), false)
	return c, closeAll, nil
}

// compare runs a comparison with both sizes and prints a table of each, and one of what grows from one to the other.
func (m *merging) compare(ctx context.Context, r *run, c *comparison) error {
	var contestants []contestant
	for _, n := range []int{m.few, m.changed} {
		for _, d := range c.doings {
			contestants = append(contestants, m.contest(&d, n))
		}
	}
	t, err := r.race(ctx, contestants)
	if err != nil {
		return err
	}
	for _, n := range []int{m.few, m.changed} {
		fmt.Printf("%s: %d keys, %d changed on each side\n", c.name, m.keys, n)
		t.only(allSized(c.names(), n)...).print("ms", allSized(c.baselines, n)...)
	}
	fmt.Printf("%s: from %d to %d changed keys, proportional growth is %.3g\n", c.name, m.few, m.changed, float64(m.changed)/float64(m.few))
	for _, name := range c.names() {
		few, many := sized(name, m.few), sized(name, m.changed)
		fmt.Printf("%26s  × %.1f\n", name, t.ratio(many, few))
	}
	return nil
}

func (c *comparison) names() (out []string) {
	for _, d := range c.doings {
		out = append(out, d.name)
	}
	return out
}

// sized is the name of a contestant with n changes.
func sized(name string, n int) string { return fmt.Sprintf("%s, %d", name, n) }

func allSized(names []string, n int) (out []string) {
	for _, name := range names {
		out = append(out, sized(name, n))
	}
	return out
}

// contest makes a contestant of a doing; its figure is milliseconds. Every round has a branch of its own with n changes,
// of the main line as it is then.
func (m *merging) contest(d *doing, n int) contestant {
	return contestant{sized(d.name, n), func(ctx context.Context, _ string) (float64, error) {
		m.branches++
		branch := fmt.Sprintf("branch-%04d", m.branches)
		if err := d.on.branch(ctx, branch, n, m.branches); err != nil {
			return 0, err
		}
		from := time.Now()
		err := d.do(ctx, branch)
		return float64(time.Since(from).Nanoseconds()) / 1e6, err
	}}
}

// changedSettings returns n settings spread over all, others for every version and side: the branch is side 0, the main
// line side 1.
func changedSettings(keys, n, version, side int) []int {
	out, apart := make([]int, n), keys/n
	for i := range out {
		out[i] = i*apart + (2*version+side)%apart
	}
	return out
}

// crushBranches makes branches through crush's API.
type crushBranches struct {
	forker
	keys int
}

func (b crushBranches) branch(ctx context.Context, name string, n, version int) error {
	if _, err := b.CreateFork(ctx, rpc.ForkRequest{Name: name}); err != nil {
		return err
	}
	for side, fork := range []string{name, ""} {
		var files []rpc.File
		for _, i := range changedSettings(b.keys, n, version, side) {
			files = append(files, rpc.File{Key: settingKey(i), Value: setting(i, version)})
		}
		if _, err := b.Apply(ctx, rpc.ApplyRequest{Fork: fork, Files: files}); err != nil {
			return err
		}
	}
	return nil
}

// replicaDoings are what crush does as a library.
func replicaDoings(l *local, keys int) [3][]doing {
	on := crushBranches{l, keys}
	merge := func(ctx context.Context, q rpc.MergeRequest) error {
		q.Into = "default"
		out, err := l.Merge(ctx, q)
		if err == nil && len(out.Clean) == 0 {
			err = fmt.Errorf("the merge of %s has no keys", q.Source)
		}
		return err
	}
	return [3][]doing{
		{{"replica's plan", on, func(ctx context.Context, branch string) error {
			return merge(ctx, rpc.MergeRequest{Source: branch, Plan: true})
		}}},
		{{"replica's diff", on, func(ctx context.Context, branch string) error {
			for _, err := range l.Diff(ctx, rpc.DiffRequest{A: "default", B: branch}) {
				if err != nil {
					return err
				}
			}
			return nil
		}}},
		{{"replica's merge", on, func(ctx context.Context, branch string) error {
			return merge(ctx, rpc.MergeRequest{Source: branch})
		}}},
	}
}

// A node is a daemon that the crush command asks.
type node struct {
	crushBranches
	program, socket string
	server          *process
	client          *rpc.Client
}

// startNode starts a daemon on an empty data directory, and fills it.
func startNode(ctx context.Context, program, data string, keys, block int) (*node, error) {
	server, err := startCrush(ctx, program, data, "off")
	if err != nil {
		return nil, err
	}
	client := &rpc.Client{Socket: socketIn(data)}
	n := &node{crushBranches{client, keys}, program, socketIn(data), server, client}
	if err := putSettings(ctx, client, keys, block); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *node) close() error {
	n.client.Close()
	return n.server.stop()
}

// doings are what the crush command does, from its start to its end.
func (n *node) doings() [3][]doing {
	crush := func(args ...string) func(ctx context.Context, branch string) error {
		return func(ctx context.Context, branch string) error {
			return runProgram(ctx, n.program, nil, append([]string{"--socket", n.socket}, insert(args, branch)...)...)
		}
	}
	return [3][]doing{
		{{"crush merge --plan", n, crush("merge", "", "--into", "default", "--plan")}},
		{{"crush diff", n, crush("diff", "default", "")}},
		{{"crush merge", n, crush("merge", "", "--into", "default")}},
	}
}

// insert returns the arguments with the branch for each that is empty.
func insert(args []string, branch string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		if out[i] = arg; arg == "" {
			out[i] = branch
		}
	}
	return out
}
