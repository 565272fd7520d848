package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"crush/crdt"
	"crush/daemon"
	"crush/rpc"
)

// outcome is what a merge makes of a file.
type outcome struct {
	conflict bool
	where    []string // the paths of crush's conflicts
	value    []byte   // of no conflict; nil if the file is not there
}

// kind is that of all versions of a file.
func (f *file) kind() crdt.Kind {
	declared := crdt.Text
	switch filepath.Ext(f.path) {
	case ".yaml", ".yml":
		declared = crdt.YAML
	case ".json":
		declared = crdt.JSON
	}
	for _, v := range [][]byte{f.base, f.ours, f.theirs} {
		if v == nil {
			continue
		}
		if !utf8.Valid(v) {
			return crdt.Bytes
		}
		if declared != crdt.Text {
			if _, err := crdt.ParseDocument(declared, v, nil); err != nil {
				declared = crdt.Text
			}
		}
	}
	return declared
}

// node is where crush merges.
type node struct {
	*daemon.Scratch

	merges int
}

// merge does a merge of the files on forks of their own.
func (n *node) merge(ctx context.Context, files []file) ([]outcome, error) {
	n.merges++
	base, ours, theirs := fmt.Sprintf("base-%d", n.merges), fmt.Sprintf("ours-%d", n.merges), fmt.Sprintf("theirs-%d", n.merges)
	for _, side := range []struct {
		fork, from string
		version    func(f *file) []byte
	}{
		{base, "", func(f *file) []byte { return f.base }},
		{ours, base, func(f *file) []byte { return f.ours }},
		{theirs, base, func(f *file) []byte { return f.theirs }},
	} {
		if _, err := n.CreateFork(ctx, rpc.ForkRequest{Name: side.fork, From: side.from}); err != nil {
			return nil, err
		}
		for i := range files {
			if err := n.write(ctx, side.fork, &files[i], side.version(&files[i])); err != nil {
				return nil, fmt.Errorf("%s: %w", files[i].path, err)
			}
		}
	}
	merged, err := n.Merge(ctx, rpc.MergeRequest{Source: theirs, Into: ours, OnConflict: rpc.OnConflictKeep})
	if err != nil {
		return nil, fmt.Errorf("merge %s into %s: %w", theirs, ours, err)
	}
	where := map[string][]string{}
	for _, c := range merged.Conflicts {
		where[c.Key] = append(where[c.Key], c.Path)
	}
	out := make([]outcome, len(files))
	for i, f := range files {
		if out[i].where, out[i].conflict = where[f.path]; out[i].conflict {
			continue
		}
		e, err := n.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: ours, Key: f.path}})
		if errors.Is(err, rpc.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
		out[i].value = append([]byte{}, e.Value...)
	}
	return out, nil
}

// write makes a version of a file of what is on a fork.
func (n *node) write(ctx context.Context, fork string, f *file, version []byte) error {
	key := rpc.KeyRef{Fork: fork, Key: f.path}
	if version == nil {
		_, err := n.Delete(ctx, rpc.DeleteRequest{KeyRef: key})
		return err
	}
	_, err := n.Put(ctx, rpc.PutRequest{KeyRef: key, Value: version, Kind: f.kind()})
	return err
}

// mergeLines is what the proposal for a text in conflict says.
func mergeLines(f *file) outcome {
	if f.ours == nil || f.theirs == nil || f.kind() == crdt.Bytes {
		return outcome{conflict: true}
	}
	text, conflict := crdt.MergeLines(f.base, f.ours, f.theirs)
	return outcome{conflict: conflict != nil, value: append([]byte{}, text...)}
}

// gitMerge is what Git makes of a file: git merge-file of the three versions, of
// which that of the ancestor is empty if it was not there. A file that one side
// has changed and the other removed is a conflict to Git.
func gitMerge(ctx context.Context, dir string, f *file) (outcome, error) {
	if f.ours == nil || f.theirs == nil {
		return outcome{conflict: true}, nil
	}
	args := []string{"merge-file", "-p"}
	for _, v := range []struct {
		name string
		text []byte
	}{{"ours", f.ours}, {"base", f.base}, {"theirs", f.theirs}} {
		path := filepath.Join(dir, v.name)
		if err := os.WriteFile(path, v.text, 0o600); err != nil {
			return outcome{}, err
		}
		args = append(args, path)
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		// Below 128 it is how many conflicts there are; a file that is no text
		// cannot be merged at all.
		if n := exit.ExitCode(); n > 0 && n < 128 || strings.Contains(stderr.String(), "Cannot merge binary files") {
			return outcome{conflict: true}, nil
		}
		return outcome{}, fmt.Errorf("git merge-file of %s: %w: %s", f.path, err, stderr.String())
	}
	return outcome{value: append([]byte{}, text...)}, err
}
