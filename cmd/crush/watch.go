package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crush/rpc"
)

// idleEvery is how often the feed says how far it is when nothing happens, so
// that the cursor file moves on past changes of other keys.
const idleEvery = 10 * time.Second

// typeIdle is the type of those events.
const typeIdle = "idle"

type watchFlags struct {
	since, cursorFile string
	state             bool
	command           []string
}

func (p *program) watchCommand() *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch [PREFIX] [-- CMD...]",
		Short: "Print changes as they come, or run a command for each",
		Long: `Print the changes of the keys that start with PREFIX, one a line, until
interrupted. With -o json each is an object on a line of its own.

CMD runs once for each change, one after the other: it gets the change as JSON
on standard input, and CRUSH_TYPE, CRUSH_KEY, CRUSH_FORK, CRUSH_REVISION,
CRUSH_BLOCK and CRUSH_CURSOR in its environment, and a crush that it calls talks
to the same daemon. If CMD fails, watch ends with exit code 1.

--cursor-file keeps the place: it is written after a change was printed, or
after CMD succeeded, and the next watch goes on from there. A change may so come
twice, never not at all. Cursors never expire and work on every node.`,
		Example: `  crush watch app/
  crush watch app/ --since 2h -o json
  crush watch app/ --state --cursor-file /var/lib/app/cursor -- systemctl reload app`,
		Args: func(cmd *cobra.Command, args []string) error {
			own := args
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				own, f.command = args[:n], args[n:]
				if len(f.command) == 0 {
					return usagef("watch: a command is missing after --")
				}
			}
			return wantArgs(0, 1)(cmd, own)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := ""
			if len(args) > len(f.command) {
				prefix = args[0]
			}
			return p.watch(cmd, prefix, &f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.since, "since", "now", "begin at `now`, start, a TIME, or a cursor of an earlier watch")
	fl.BoolVar(&f.state, "state", false, "begin with the present keys")
	fl.StringVar(&f.cursorFile, "cursor-file", "", "go on from the cursor in `FILE`, and keep it there")
	return cmd
}

func (p *program) watch(cmd *cobra.Command, prefix string, f *watchFlags) error {
	r := rpc.WatchRequest{Fork: p.flags.fork, Prefix: prefix, Since: f.since, State: f.state}
	if r.Since != "now" {
		r.Since = timeOrRef(f.since)
	}
	if f.cursorFile != "" {
		r.Idle = idleEvery
		cursor, err := readCursor(f.cursorFile)
		if err != nil {
			return err
		}
		if cursor != "" {
			r.Since, r.State = cursor, false
		}
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	for e, err := range door.Watch(ctx, r) {
		if err == nil {
			err = p.handle(ctx, e, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// handle prints an event or runs the command for it, and then moves the cursor
// file.
func (p *program) handle(ctx context.Context, e rpc.Event, f *watchFlags) error {
	if e.Type != typeIdle {
		err := p.deliver(ctx, e, f.command)
		if err != nil {
			return err
		}
	}
	if f.cursorFile == "" || e.Cursor == "" {
		return nil
	}
	return writeCursor(f.cursorFile, e.Cursor)
}

func (p *program) deliver(ctx context.Context, e rpc.Event, command []string) error {
	if len(command) > 0 {
		return p.runFor(ctx, e, command)
	}
	if err := p.print(e, func() { p.printEvent(e) }); err != nil {
		return err
	}
	if err := p.out.Flush(); err != nil {
		return &localError{verb: "write output", cause: err}
	}
	return nil
}

func (p *program) printEvent(e rpc.Event) {
	what := ""
	if e.Type == "put" {
		what = "  " + valueText(e.Kind, e.Value, false, e.Purged)
	}
	p.printf("%s  %-8s  %s  %s%s\n", when(e.Time), escape(e.Type), escape(e.Key), escape(writer(e.Node, e.Author)), what)
}

// runFor runs the command for one event.
func (p *program) runFor(ctx context.Context, e rpc.Event, command []string) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = bytes.NewReader(append(line, '\n'))
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.Env = append(os.Environ(),
		"CRUSH_TYPE="+e.Type, "CRUSH_KEY="+e.Key, "CRUSH_FORK="+e.Fork, "CRUSH_CURSOR="+string(e.Cursor),
		"CRUSH_REVISION="+e.Revision.String(), "CRUSH_BLOCK="+e.Block.String(),
		"CRUSH_DATA="+p.flags.data, "CRUSH_SOCKET="+p.flags.socket, "CRUSH_ADDR="+p.flags.addr,
	)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s for %s %s: %w (the cursor has not moved)", command[0], e.Type, e.Key, err)
	}
	return nil
}

func readCursor(file string) (string, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", &localError{verb: "read cursor", cause: err}
	}
	cursor := strings.TrimSpace(string(data))
	if cursor == "" { // not the same as none: changes would be left out
		return "", fmt.Errorf("read cursor: %s is empty: remove it to begin where --since says", file)
	}
	return cursor, nil
}

// writeCursor replaces the cursor file, so that a crash leaves the old or the
// new cursor.
func writeCursor(file string, cursor rpc.Cursor) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".crush-cursor-")
	if err != nil {
		return &localError{verb: "write " + file, cause: err}
	}
	_, err = f.WriteString(string(cursor) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return &localError{verb: "write " + file, cause: errors.Join(err, ignoreMissing(os.Remove(f.Name())))}
	}
	return nil
}
