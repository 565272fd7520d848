package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"crush/rpc"
)

// patience is how long a test waits for a process before it gives up.
const patience = time.Minute

// node is a daemon as a process of its own, for the tests that a script
// cannot hold. It is killed at the end of the test.
type node struct {
	t      *testing.T
	dir    string
	args   []string
	client *rpc.Client
	http   string // URL, "" for none
	peer   string // the first address for other nodes, "" for none

	cmd *exec.Cmd // nil when it does not run
	out *bufio.Scanner

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

// Write keeps what the daemon logs.
func (n *node) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

func (n *node) logged() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// newNode does not start it. Without flags for them it has no ports.
func newNode(t *testing.T, dir string, args ...string) *node {
	t.Helper()
	for _, flag := range []string{"--http", "--listen"} {
		if !slices.Contains(args, flag) {
			args = append(args, flag, "off")
		}
	}
	n := &node{t: t, dir: dir, args: args, client: &rpc.Client{Socket: filepath.Join(dir, "crush.sock")}}
	t.Cleanup(n.kill)
	return n
}

// launch starts the process and does not wait until it is ready.
func (n *node) launch() {
	n.t.Helper()
	cmd := exec.Command("crush", append([]string{"daemon", "--data", n.dir}, n.args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), raceOptions, "HOME=" + n.t.TempDir()}
	cmd.Stderr = n
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmd, n.out, n.http, n.peer = cmd, bufio.NewScanner(out), "", ""
}

// start runs the daemon and waits until it is ready.
func (n *node) start() {
	n.t.Helper()
	n.launch()
	limit := n.limit()
	defer limit.Stop()
	for n.out.Scan() {
		word, value, _ := strings.Cut(n.out.Text(), " ")
		switch word {
		case "http":
			n.http = strings.TrimSpace(value)
		case "peer":
			if n.peer == "" {
				n.peer = strings.TrimSpace(value)
			}
		case "ready":
			return
		}
	}
	code, text := n.exited()
	n.t.Fatalf("the daemon ended with %d before it was ready:\n%s", code, text)
}

// limit kills a daemon that hangs, so that the test ends.
func (n *node) limit() *time.Timer {
	process := n.cmd.Process
	return time.AfterFunc(patience, func() { process.Kill() })
}

// exited waits for the daemon's end, and returns the exit code and what it
// has logged in all its lives.
func (n *node) exited() (code int, log string) {
	n.t.Helper()
	limit := n.limit()
	defer limit.Stop()
	for n.out.Scan() { // what it says after "ready"
	}
	err := n.cmd.Wait()
	n.cmd = nil
	n.client.Close()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), n.logged()
	} else if err != nil {
		n.t.Fatal(err)
	}
	return 0, n.logged()
}

// stop ends the daemon as a service manager does.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	if code, log := n.exited(); code != 0 {
		n.t.Fatalf("the daemon's exit code is %d:\n%s", code, log)
	}
}

func (n *node) signal(s os.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// kill ends the daemon with SIGKILL, if it runs.
func (n *node) kill() {
	if n.cmd != nil {
		n.cmd.Process.Kill()
		n.exited()
	}
}

// crush runs a verb on this node's data, and returns what it prints.
func (n *node) crush(args ...string) (stdout, stderr string, code int) {
	n.t.Helper()
	return n.crushReading(nil, args...)
}

func (n *node) crushReading(stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	n.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(n.t.Context(), "crush", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), raceOptions, "HOME=" + n.t.TempDir(), "CRUSH_DATA=" + n.dir}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), exit.ExitCode()
	} else if err != nil {
		n.t.Fatal(err)
	}
	return out.String(), errs.String(), 0
}

// must runs a verb that has to work.
func (n *node) must(args ...string) string {
	n.t.Helper()
	out, errs, code := n.crush(args...)
	if code != 0 {
		n.t.Fatalf("crush %q: exit code %d: %s", args, code, errs)
	}
	return out
}

// refused runs a verb that has to fail with one line and this exit code, and
// returns the line.
func (n *node) refused(want int, args ...string) string {
	n.t.Helper()
	out, errs, code := n.crush(args...)
	if code != want || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "crush: ") || out != "" {
		n.t.Fatalf("crush %.100q: exit code %d, want %d and one line; stdout %.200q, stderr:\n%s", args, code, want, out, errs)
	}
	return errs
}

// verify has everything that is stored checked.
func (n *node) verify() {
	n.t.Helper()
	if out := n.must("verify"); out != "clean\n" {
		n.t.Fatalf("verify says %q", out)
	}
}
