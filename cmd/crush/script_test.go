package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"crush/rpc"
)

// raceOptions keep a program that was built with the race detector from
// sleeping for a second when it ends.
const raceOptions = "GORACE=" + raceFlags

const raceFlags = "atexit_sleep_ms=0 halt_on_error=1"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"crush": func() { os.Exit(Main()) },
	})
}

// TestScripts runs the program as people do. Beside the usual commands the
// scripts have:
//
//	daemon start DIR [FLAG...]   run a daemon on DIR and wait until it is ready
//	daemon use DIR               what the next commands mean: CRUSH_DATA, NODE, PEER, HTTP
//	daemon stop|kill|restart     SIGTERM and exit 0; SIGKILL; stop if it runs, and start again
//	daemon restart-after-kill    SIGKILL, and start again
//	exits CODE CMD...            run a command, which must exit with CODE
//	capture NAME PATH            put a value of the JSON on stdout into the environment: .heads.0
//	fifo FILE                    make a named pipe
//	siblings N KEY               write a key N times, each without having seen the others
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Files:               scripts(t),
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv("CRUSH_DATA", filepath.Join(e.WorkDir, "data"))
			// The race detector else sleeps a second at the end of each command.
			e.Setenv("GORACE", raceFlags)
			d := &daemons{at: map[string]*daemonProcess{}}
			e.Values[daemonKey{}] = d
			e.Defer(d.killAll)
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon":   scriptDaemon,
			"exits":    scriptExits,
			"capture":  scriptCapture,
			"fifo":     scriptFifo,
			"siblings": scriptSiblings,
		},
	})
}

// onlyForRaces says that this is the short run under the race detector, which
// looks for races and nothing else: a process takes three times as long to start,
// and the full run has every test.
func onlyForRaces() bool { return raceDetector && testing.Short() }

// skipSequence leaves out of that run a test that gives one daemon one command
// after the other. What such commands do inside the daemon, the tests of package
// daemon do with the race detector.
func skipSequence(t *testing.T) {
	t.Helper()
	if onlyForRaces() {
		t.Skip("one command after the other on one daemon")
	}
}

// beside matches what makes two things of a script run at once: a second daemon,
// or a command in the background.
var beside = regexp.MustCompile(`(?m)^daemon start (?s:.*)^daemon start |^(! )?exec .*&[a-z]*&?$`)

// scripts are the files of the scripts of this run.
func scripts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	if !onlyForRaces() {
		return files
	}
	return slices.DeleteFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return !beside.Match(text)
	})
}

type daemonKey struct{}

// daemons are those that a script runs, by directory.
type daemons struct {
	at   map[string]*daemonProcess
	used *daemonProcess // by the next commands; nil before the first start
}

func (d *daemons) killAll() {
	for _, p := range d.at {
		p.kill()
	}
}

// daemonProcess is a daemon that a script runs, or ran.
type daemonProcess struct {
	dir  string
	args []string
	said map[string]string // what it printed when it was ready
	cmd  *exec.Cmd         // nil when it does not run
	out  *bufio.Scanner
	log  *os.File
}

func scriptDaemon(ts *testscript.TestScript, neg bool, args []string) {
	d := ts.Value(daemonKey{}).(*daemons)
	if neg || len(args) == 0 {
		ts.Fatalf("usage: daemon start DIR [FLAG...] | use DIR | stop | kill | restart | restart-after-kill")
	}
	switch {
	case args[0] == "start" && len(args) > 1:
		d.used = &daemonProcess{dir: ts.MkAbs(args[1]), args: args[2:]}
		if old := d.at[d.used.dir]; old != nil && old.cmd != nil {
			ts.Fatalf("a daemon runs on %s already", args[1])
		}
		d.at[d.used.dir] = d.used
		d.used.start(ts)
		return
	case args[0] == "use" && len(args) == 2:
		d.used = d.at[ts.MkAbs(args[1])]
	}
	if d.used == nil {
		ts.Fatalf("no daemon was started there")
	}
	switch args[0] {
	case "use":
		d.used.use(ts)
	case "stop":
		d.used.stop(ts)
	case "kill":
		d.used.kill()
	case "restart":
		if d.used.cmd != nil {
			d.used.stop(ts)
		}
		d.used.start(ts)
	case "restart-after-kill":
		d.used.kill()
		d.used.start(ts)
	default:
		ts.Fatalf("daemon %s: unknown", args[0])
	}
}

// command is the daemon's: no port unless a script asks for one, because
// scripts run beside each other.
func (d *daemonProcess) command(ts *testscript.TestScript) *exec.Cmd {
	args := []string{"daemon", "--data", d.dir}
	for _, flag := range []string{"--http", "--listen"} {
		if !slices.Contains(d.args, flag) {
			args = append(args, flag, "off")
		}
	}
	cmd := exec.Command("crush", append(args, d.args...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "CRUSH_NAME", "NOTIFY_SOCKET", "GORACE"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

// use points the script's environment at this daemon.
func (d *daemonProcess) use(ts *testscript.TestScript) {
	ts.Setenv("CRUSH_DATA", d.dir)
	for name, word := range map[string]string{"HTTP": "http", "NODE": "node", "PEER": "peer"} {
		ts.Setenv(name, d.said[word])
	}
}

// start runs the daemon and waits for its line "ready".
func (d *daemonProcess) start(ts *testscript.TestScript) {
	var err error
	d.log, err = os.OpenFile(ts.MkAbs("daemon.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	cmd := d.command(ts)
	cmd.Stderr = d.log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	d.cmd, d.out, d.said = cmd, bufio.NewScanner(out), map[string]string{}
	// A daemon that hangs is killed, so that the script ends.
	limit := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer limit.Stop()
	for d.out.Scan() {
		word, value, _ := strings.Cut(d.out.Text(), " ")
		if word == "ready" {
			d.use(ts)
			return
		}
		if d.said[word] == "" {
			d.said[word] = strings.TrimSpace(value)
		}
	}
	d.kill()
	ts.Fatalf("the daemon did not get ready:\n%s", ts.ReadFile("daemon.log"))
}

// stop ends the daemon as a service manager does.
func (d *daemonProcess) stop(ts *testscript.TestScript) {
	if d.cmd == nil {
		ts.Fatalf("no daemon runs")
	}
	cmd := d.cmd
	limit := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer limit.Stop()
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	if err := d.wait(); err != nil {
		ts.Fatalf("the daemon's end: %v\n%s", err, ts.ReadFile("daemon.log"))
	}
}

func (d *daemonProcess) wait() error {
	for d.out.Scan() { // what it says after "ready"
	}
	err := d.cmd.Wait()
	d.cmd = nil
	return errors.Join(err, d.log.Close())
}

// kill ends the daemon as a power loss does, if one runs.
func (d *daemonProcess) kill() {
	if d.cmd != nil {
		d.cmd.Process.Kill()
		d.wait()
	}
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptCapture reads the first JSON value on stdout.
func scriptCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATH")
	}
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	dec.UseNumber()
	var v any
	ts.Check(dec.Decode(&v))
	for step := range strings.SplitSeq(strings.TrimPrefix(args[1], "."), ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			ts.Check(err)
			if i >= len(at) {
				ts.Fatalf("%s: there are %d elements", args[1], len(at))
			}
			v = at[i]
		}
	}
	switch v.(type) {
	case nil, map[string]any, []any:
		ts.Fatalf("%s is %v", args[1], v)
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

func scriptFifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fifo FILE")
	}
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
}

// scriptSiblings writes through the client: as many programs would take too
// long to start.
func scriptSiblings(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: siblings N KEY")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	c := &rpc.Client{Socket: filepath.Join(ts.Getenv("CRUSH_DATA"), "crush.sock")}
	defer c.Close()
	key := rpc.KeyRef{Key: args[1]}
	absent, err := c.Get(context.Background(), rpc.GetRequest{KeyRef: key})
	ts.Check(err)
	for i := range n {
		_, err := c.Put(context.Background(), rpc.PutRequest{KeyRef: key, Value: fmt.Append(nil, i), Base: absent.Token})
		ts.Check(err)
	}
}
