package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"crush/rpc"
)

// forkSizes are the sizes that the parts of forks work with.
type forkSizes struct {
	keys, block, deep, forks, heads, merges, times int
}

// The sizes that the parts compare with.
const (
	fewKeys, fewForks, fewMerges = 10, 10, 10
	fewDeep                      = 8
)

func (s *forkSizes) check() error {
	if s.keys <= fewKeys || s.forks <= fewForks || s.merges <= fewMerges || s.deep <= fewDeep || s.times < 1 {
		return fmt.Errorf("forks: want more than %d keys, forks and merges, a chain longer than %d, and times of at least 1", fewKeys, fewDeep)
	}
	if s.heads < 1 || s.heads%(10*siblingWriters) != 0 || s.block < 1 || s.block > maxBlock {
		return fmt.Errorf("forks: want a multiple of %d heads, and a block of 1 to %d keys", 10*siblingWriters, maxBlock)
	}
	return nil
}

// A forkPart is one comparison of forks.
type forkPart struct {
	name string
	run  func(ctx context.Context, r *run, s forkSizes) error
}

// forkParts are the parts of forks, in order.
var forkParts = []forkPart{
	{"create", forkCreation},
	{"deep", deepForks},
	{"many", manyForks},
	{"heads", manyHeads},
	{"merges", manyMerges},
}

// forks measures crush alone, as a library on a LevelDB: what must not grow with keys, forks, heads or merges.
func forks(ctx context.Context, args []string) error {
	var s forkSizes
	var only string
	r, err := begin("forks", args, func(flags *flag.FlagSet) {
		flags.IntVar(&s.keys, "keys", 100_000, "keys of the big store")
		flags.IntVar(&s.block, "block", 1000, "keys that are written as one change when a store is filled")
		flags.IntVar(&s.deep, "deep", 64, "length of the longest chain of forks of forks")
		flags.IntVar(&s.forks, "forks", 10_000, "forks of the store with many")
		flags.IntVar(&s.heads, "heads", 10_000, "heads of the key with many")
		flags.IntVar(&s.merges, "merges", 1000, "merges into the fork with many")
		flags.IntVar(&s.times, "times", 200, "operations in a round")
		flags.StringVar(&only, "only", "", "the `PARTS` to run, with commas between: create, deep, many, heads, merges (default: all)")
	})
	if err != nil {
		return err
	}
	defer r.end()
	if err := s.check(); err != nil {
		return err
	}
	var wanted []string
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	return runParts(ctx, r, s, wanted)
}

// runParts runs the parts of these names, or all if there are none, in their own order.
func runParts(ctx context.Context, r *run, s forkSizes, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(forkParts, func(p forkPart) bool { return p.name == name }) {
			return fmt.Errorf("forks: there is no part %q", name)
		}
	}
	for _, part := range forkParts {
		if len(names) > 0 && !slices.Contains(names, part.name) {
			continue
		}
		if err := part.run(ctx, r, s); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// forkCreation compares making a fork of few keys and of many: its time, the bytes of its block, and the bytes that the
// store writes.
func forkCreation(ctx context.Context, r *run, s forkSizes) error {
	var contestants []contestant
	blocks, stored := newTable(), newTable()
	few := fmt.Sprint("of ", fewKeys, " keys")
	for _, keys := range []int{fewKeys, s.keys} {
		name := fmt.Sprint("of ", keys, " keys")
		l, err := openSettings(ctx, filepath.Join(r.tmp, name), keys, s.block)
		if err != nil {
			return err
		}
		defer l.Close()
		times, made := max(s.times/10, 1), 0
		contestants = append(contestants, contestant{name, func(ctx context.Context, _ string) (float64, error) {
			block, store := l.blocks.Load(), l.stored.Load()
			took, err := microseconds(times, func() error {
				made++
				return l.fork(ctx, fmt.Sprintf("fork-%05d", made), "")
			})
			blocks.add(name, float64(l.blocks.Load()-block)/float64(times))
			stored.add(name, float64(l.stored.Load()-store)/float64(times))
			return took, err
		}})
	}
	t, err := r.race(ctx, contestants)
	if err != nil {
		return err
	}
	fmt.Println("fork create, durable")
	t.print("µs", few)
	fmt.Println("fork create, the block that other nodes get")
	blocks.print("bytes", few)
	fmt.Println("fork create, written to the store")
	stored.print("bytes", few)
	return nil
}

// hot is the setting that every fork of a comparison writes.
const hot = 0

// deepForks compares reads of a fork of a fork, and so on, with reads of the root.
func deepForks(ctx context.Context, r *run, s forkSizes) error {
	l, err := openSettings(ctx, filepath.Join(r.tmp, "deep"), s.keys, s.block)
	if err != nil {
		return err
	}
	defer l.Close()
	places := []place{{"root", l, "", s.keys}}
	for level := 1; level <= s.deep; level++ {
		name, parent := fmt.Sprint("level-", level), ""
		if level > 1 {
			parent = fmt.Sprint("level-", level-1)
		}
		if err := makeLevel(ctx, l, name, parent, level, s.keys); err != nil {
			return err
		}
		if level == fewDeep || level == s.deep {
			places = append(places, place{fmt.Sprint(level, " deep"), l, name, s.keys})
		}
	}
	all := append(readings(s.times), reading{"get of a key that every level wrote", s.times, getHot})
	return r.raceReads(ctx, all, places...)
}

// makeLevel makes a fork with writes of its own: the hot setting, eight others, and a new key.
func makeLevel(ctx context.Context, l *local, name, parent string, level, keys int) error {
	if err := l.fork(ctx, name, parent); err != nil {
		return err
	}
	files := []rpc.File{{Key: "own/" + name, Value: setting(level, level)}}
	written := []int{hot}
	for n := range 8 {
		written = append(written, (level*8+n)*101%keys)
	}
	slices.Sort(written)
	for _, i := range slices.Compact(written) {
		files = append(files, rpc.File{Key: settingKey(i), Value: setting(i, level)})
	}
	_, err := l.Apply(ctx, rpc.ApplyRequest{Fork: name, Files: files})
	return err
}

// keysOfMany is how many settings the stores with many forks and with many merges have.
const keysOfMany = 10_000

// manyForks compares a store with ten forks and one with many, of which each has written the hot setting: the start,
// reads on the last of the forks and on one that has not written it, and the next forks.
func manyForks(ctx context.Context, r *run, s forkSizes) error {
	var starts []contestant
	var places, fresh []place
	for _, forks := range []int{fewForks, s.forks} {
		name := fmt.Sprint(forks, " forks")
		dir := filepath.Join(r.tmp, name)
		if err := makeForks(ctx, dir, forks, s.block); err != nil {
			return err
		}
		starts = append(starts, contestant{name, func(ctx context.Context, _ string) (float64, error) { return timeOpen(ctx, dir) }})
		places = append(places, place{name, nil, branch(forks), keysOfMany})
	}
	t, err := r.race(ctx, starts)
	if err != nil {
		return err
	}
	fmt.Println("open after a clean stop")
	t.print("µs", places[0].name)
	for i := range places {
		p := &places[i]
		if p.local, err = openLocal(ctx, filepath.Join(r.tmp, p.name)); err != nil {
			return err
		}
		defer p.Close()
		if err := p.local.fork(ctx, "fresh", ""); err != nil {
			return err
		}
		fresh = append(fresh, place{p.name, p.local, "fresh", p.keys})
	}
	made := 0
	create := reading{"fork create", max(s.times/10, 1), func(ctx context.Context, p place, _ int) error {
		made++
		return p.local.fork(ctx, fmt.Sprint("new-", made), "")
	}}
	list := reading{"fork ls", 1, func(ctx context.Context, p place, _ int) error {
		_, err := p.Forks(ctx)
		return err
	}}
	return errors.Join(
		r.raceReads(ctx, append(readings(s.times), list, create), places...),
		r.raceReads(ctx, []reading{{"get of a key that every other fork wrote", s.times, getHot}}, fresh...),
	)
}

func getHot(ctx context.Context, p place, _ int) error { return p.get(ctx, settingKey(hot)) }

// timeOpen opens a store and returns how long that took in microseconds.
func timeOpen(ctx context.Context, dir string) (float64, error) {
	from := time.Now()
	l, err := openLocal(ctx, dir)
	if err != nil {
		return 0, err
	}
	took := time.Since(from)
	return float64(took.Nanoseconds()) / 1000, l.Close()
}

// branch is the name of fork i.
func branch(i int) string { return fmt.Sprintf("branch-%05d", i) }

// makeForks makes a store in dir with the forks 1 to n of default, and writes the hot setting on each.
func makeForks(ctx context.Context, dir string, n, block int) error {
	l, err := openSettings(ctx, dir, keysOfMany, block)
	if err != nil {
		return err
	}
	const page = 1000
	for first := 1; first <= n; first += page {
		from := time.Now()
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(fillers)
		last := min(n, first+page-1)
		for i := first; i <= last; i++ {
			group.Go(func() error {
				if err := l.fork(ctx, branch(i), ""); err != nil {
					return err
				}
				return l.put(ctx, branch(i), settingKey(hot), setting(hot, i))
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		progress(from, "made forks %d to %d", first, last)
	}
	return l.Close()
}

// manyMerges compares reads of default after ten merges into it and after many.
func manyMerges(ctx context.Context, r *run, s forkSizes) error {
	const staging = "staging"
	var places []place
	for _, merges := range []int{fewMerges, s.merges} {
		p := place{fmt.Sprint(merges, " merges"), nil, "", keysOfMany}
		var err error
		if p.local, err = openSettings(ctx, filepath.Join(r.tmp, p.name), keysOfMany, s.block); err != nil {
			return err
		}
		defer func() { p.Close() }()
		from := time.Now()
		err = p.local.fork(ctx, staging, "")
		for i := 0; i < merges && err == nil; i++ {
			err = errors.Join(p.put(ctx, staging, settingKey(i%100), setting(i%100, i+1)), p.merge(ctx, staging))
		}
		if err != nil {
			return err
		}
		progress(from, "made %d merges", merges)
		places = append(places, p)
	}
	all := append(readings(s.times), reading{"get of a key that was merged", s.times, func(ctx context.Context, p place, i int) error {
		return p.get(ctx, settingKey(i%fewMerges))
	}})
	if err := r.raceReads(ctx, all, places...); err != nil {
		return err
	}
	version := 1 << 20
	return r.raceReads(ctx, []reading{{"put on staging and merge", max(s.times/20, 1), func(ctx context.Context, p place, i int) error {
		version++
		return errors.Join(p.put(ctx, staging, settingKey(i), setting(i, version)), p.merge(ctx, staging))
	}}}, places...)
}

// merge merges a fork into default.
func (l *local) merge(ctx context.Context, source string) error {
	_, err := l.Merge(ctx, rpc.MergeRequest{Source: source, Into: "default"})
	return err
}
