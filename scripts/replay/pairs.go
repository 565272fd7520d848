package main

import (
	"context"

	"crush/gitstream"
)

// pair is two changes of a file, one right after the other.
type pair struct {
	commit        *gitstream.Commit // the later
	path          string
	before, a, ab gitstream.Blob
}

// collectPairs finds the pairs on the longest line of first parents, the oldest
// first.
func collectPairs(h *gitstream.History) (pairs []pair) {
	depth := make([]int, len(h.Commits))
	var deepest *gitstream.Commit
	for _, c := range h.Commits {
		if len(c.Parents) > 0 {
			depth[c.Index] = depth[c.Parents[0].Index] + 1
		}
		if deepest == nil || depth[c.Index] > depth[deepest.Index] {
			deepest = c
		}
	}
	line := make([]*gitstream.Commit, 0, len(h.Commits))
	for c := deepest; c != nil; {
		line = append(line, c)
		if len(c.Parents) == 0 {
			break
		}
		c = c.Parents[0]
	}
	last := map[string][]gitstream.Blob{} // the last two versions of each file
	for i := len(line) - 1; i >= 0; i-- {
		for _, w := range line[i].Writes {
			versions := last[w.Path]
			switch {
			case w.Deleted:
				delete(last, w.Path)
				continue
			case len(versions) == 2:
				pairs = append(pairs, pair{line[i], w.Path, versions[0], versions[1], w.Blob})
				versions = versions[1:]
			}
			last[w.Path] = append(versions, w.Blob)
		}
	}
	return pairs
}

// spread returns n of the pairs, evenly spread over them.
func spread(pairs []pair, n int) []pair {
	if n >= len(pairs) {
		return pairs
	}
	out := make([]pair, n)
	for i := range out {
		out[i] = pairs[i*len(pairs)/n]
	}
	return out
}

// atOnce makes a merge of a pair: as if the later change had been made without
// knowledge of the earlier one, and what people had after both were what they
// committed. ok is false if the later change builds on the earlier one: if Git
// cannot tell what it is by itself, or does not get the same by merging the two.
func (p *pair) atOnce(ctx context.Context, spool *gitstream.Spool, dir string) (f file, ok bool, err error) {
	f = file{path: p.path, commit: p.commit}
	for _, v := range []struct {
		to   *[]byte
		blob gitstream.Blob
	}{{&f.base, p.before}, {&f.ours, p.a}, {&f.committed, p.ab}} {
		if *v.to, err = spool.Load([]byte{}, v.blob); err != nil {
			return f, false, err
		}
	}
	later, err := gitMerge(ctx, dir, &file{path: p.path, base: f.ours, ours: f.base, theirs: f.committed})
	if later.conflict || err != nil {
		return f, false, err
	}
	f.theirs = later.value
	both, err := gitMerge(ctx, dir, &f)
	return f, f.compare(&both) == equal, err
}
