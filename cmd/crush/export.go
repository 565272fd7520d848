package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) exportCommand() *cobra.Command {
	var dir, served string
	cmd := &cobra.Command{
		Use:   "export FILE.car | export --dir DIR [PREFIX/]",
		Short: "Write the history into a file, or keys into files",
		Long: `Write the whole history, all forks and revisions, into FILE.car, or to standard
output: -. It is a CAR file, which import and the tools of IPLD read. The daemon is
asked; with none running the data directory is read under its lock. Writes may go
on meanwhile.

With --dir write every key, or every key below PREFIX/, into a file below DIR: the
inverse of apply. The path of the file is the key without PREFIX/. Files that have
the value already are left alone, as are files of other names.

Nothing is written outside DIR. A key that cannot be a path, or that is a file
where another key needs a directory, or whose value was purged, is named on stderr;
the others are still written, and the exit code is 1.

If keys are in conflict and a policy serves nothing then (policy set --served fail),
nothing is written: they are named, and the exit code is 3. --served winner writes
of each the side that ranks first.`,
		Example: `  crush export backup.car
  crush export - | gzip > backup.car.gz
  crush export --dir backup
  crush export --dir config app/`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("dir") {
				if len(args) == 0 || args[0] != "-" && !strings.HasSuffix(args[0], ".car") {
					return usagef("export wants FILE.car, or - for standard output, or --dir DIR")
				}
				ctx, cancel := p.streaming(cmd.Context())
				defer cancel()
				return p.exportCAR(ctx, args[0])
			}
			prefix := ""
			if len(args) == 1 {
				var err error
				if prefix, err = treePrefix(args[0]); err != nil {
					return err
				}
			}
			if dir == "" {
				return usagef("--dir is empty: name the directory to write into")
			}
			winner, err := wantsWinner(served)
			if err != nil {
				return err
			}
			return p.export(cmd, dir, rpc.ListRequest{Fork: p.flags.fork, Prefix: prefix, Values: true, Winner: winner})
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the `DIR` to write into; it is made if it is not there")
	addServed(cmd, &served)
	return cmd
}

// exported is the answer of export.
type exported struct {
	Written   int          `json:"written"`
	Unchanged int          `json:"unchanged"`
	Refused   []refusedKey `json:"refused"`
}

type refusedKey struct {
	Key string `json:"key"`
	Why string `json:"why"`
}

func (p *program) export(cmd *cobra.Command, dir string, r rpc.ListRequest) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	if err := refuseWithheld(ctx, door, &r); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	g := p.startProgress("files written")
	defer g.end()
	w := treeWriter{root: root}
	out := exported{Refused: []refusedKey{}}
	for e, err := range door.List(ctx, r) {
		if err != nil {
			return err
		}
		if e.Withheld { // since a moment
			return withheldError([]string{e.Key}, fmt.Sprintf("%d files were written before it", out.Written))
		}
		if e.Purged != nil {
			out.Refused = append(out.Refused, refusedKey{e.Key, e.Purged.String()})
			p.warn("%s is not exported: %s", e.Key, e.Purged)
			continue
		}
		p.warnRead(e)
		changed, err := w.write(strings.TrimPrefix(e.Key, r.Prefix), e.Value)
		if refused, ok := errors.AsType[*refusedError](err); ok {
			out.Refused = append(out.Refused, refusedKey{e.Key, refused.why})
			p.warn("%s is not exported: %s", e.Key, refused.why)
			continue
		}
		if err != nil {
			return &localError{verb: "write " + path.Join(dir, strings.TrimPrefix(e.Key, r.Prefix)), cause: err}
		}
		if !changed {
			out.Unchanged++
		} else {
			out.Written++
		}
		g.add(1)
	}
	err = p.print(out, func() { p.printf("%d written, %d unchanged\n", out.Written, out.Unchanged) })
	if err == nil && len(out.Refused) > 0 {
		return errors.New(count(len(out.Refused), "key") + " could not be exported")
	}
	return err
}

// refuseWithheld refuses a list of which keys are in conflict and a policy serves
// nothing then.
func refuseWithheld(ctx context.Context, door *rpc.Client, r *rpc.ListRequest) error {
	if r.Winner {
		return nil
	}
	policies, err := door.Policies(ctx, r.Fork)
	if errors.Is(err, rpc.ErrConflict) || err == nil && !slices.ContainsFunc(policies, func(p rpc.Policy) bool { return p.Served == rpc.ServedFail }) {
		return nil // policies in conflict count as none
	}
	if err != nil {
		return err
	}
	slices.SortFunc(policies, rpc.ComparePolicies)
	var keys []string
	for c, err := range door.Conflicts(ctx, r.Fork, r.Prefix) {
		if err != nil {
			return err
		}
		if policy := rpc.PolicyOf(policies, c.Key); policy.Served == rpc.ServedFail {
			keys = append(keys, c.Key)
		}
	}
	if keys = slices.Compact(keys); len(keys) > 0 {
		return withheldError(keys, "nothing was written")
	}
	return nil
}

// withheldError names keys that a policy withholds.
func withheldError(keys []string, done string) error {
	const most = 10
	named := strings.Join(keys[:min(len(keys), most)], ", ")
	if more := len(keys) - most; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return &rpc.Error{Code: rpc.CodeConflict, Message: fmt.Sprintf(
		"%s in conflict, and the policy serves nothing then: %s; %s (crush conflicts lists the sides)", count(len(keys), "key"), named, done)}
}

// refusedError says why a key has no file.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

// treeWriter writes keys as files. Keys come in byte order.
type treeWriter struct {
	root *os.Root
	// files are the paths written in this run that later keys could need as
	// directories; each starts with the one before it.
	files []string
}

// pathOf returns the path of a key, refused if it has none.
func pathOf(key string) (string, error) {
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return "", &refusedError{"it has an empty path segment"}
		case segment == "." || segment == "..":
			return "", &refusedError{"it has the path segment " + segment}
		case strings.EqualFold(segment, gitDir):
			return "", &refusedError{"it would write into " + gitDir}
		case len(segment) > 255:
			return "", &refusedError{"a path segment is longer than 255 bytes"}
		case strings.ContainsRune(segment, 0):
			return "", &refusedError{"it has a NUL byte"}
		}
	}
	return key, nil
}

// write writes one file, whole or not at all, and reports whether it was
// another before.
func (w *treeWriter) write(key string, value []byte) (changed bool, err error) {
	name, err := pathOf(key)
	if err != nil {
		return false, err
	}
	if err := w.makeRoom(name); err != nil {
		return false, err
	}
	info, err := w.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, err
	case info.IsDir():
		return false, &refusedError{"there is a directory of this name"}
	case info.Mode().IsRegular() && info.Size() == int64(len(value)):
		if old, err := w.root.ReadFile(name); err == nil && bytes.Equal(old, value) {
			w.note(name)
			return false, nil
		}
	}
	temporary := path.Join(path.Dir(name), ".crush-"+rand.Text())
	if err := w.root.WriteFile(temporary, value, 0o666); err != nil {
		return false, errors.Join(err, ignoreMissing(w.root.Remove(temporary)))
	}
	if err := w.root.Rename(temporary, name); err != nil {
		return false, errors.Join(err, w.root.Remove(temporary))
	}
	w.note(name)
	return true, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// note remembers a file that was written, and forgets those below whose path no
// key comes any more: '0' follows on '/'.
func (w *treeWriter) note(name string) {
	for n := len(w.files); n > 0 && name >= w.files[n-1]+"0"; n-- {
		w.files = w.files[:n-1]
	}
	w.files = append(w.files, name)
}

// makeRoom makes the directories of a path. Links on the way are followed
// only inside the root.
func (w *treeWriter) makeRoom(name string) error {
	var above []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		above = append(above, dir)
	}
	for _, dir := range slices.Backward(above) {
		if slices.Contains(w.files, dir) {
			return &refusedError{fmt.Sprintf("the key %s is a file there", dir)}
		}
		info, err := w.root.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := w.root.Mkdir(dir, 0o777); err != nil {
				return err
			}
		case err != nil:
			if link, e := w.root.Lstat(dir); e == nil && link.Mode()&fs.ModeSymlink != 0 {
				return &refusedError{dir + " is a link that leaves the directory"}
			}
			return err
		case !info.IsDir():
			return &refusedError{fmt.Sprintf("there is a file %s", dir)}
		}
	}
	return nil
}
