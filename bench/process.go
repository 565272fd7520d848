package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a server that bench started.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

// start runs the program with args until the process is stopped or ctx ends.
func start(ctx context.Context, program string, args ...string) (*process, io.ReadCloser, error) {
	p := &process{cmd: exec.CommandContext(ctx, program, args...)}
	p.cmd.Stderr = &p.stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 10 * time.Second
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, nil, err
	}
	return p, out, nil
}

// startSelf is startReady for bench's own servers.
func startSelf(ctx context.Context, args ...string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	return startReady(ctx, self, args...)
}

// startReady runs the program and returns once that has printed a line, which says that it is ready or what it found.
func startReady(ctx context.Context, program string, args ...string) (*process, string, error) {
	p, out, err := start(ctx, program, args...)
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("start %s %s: %w", filepath.Base(program), args[0], err), p.stop())
	}
	return p, strings.TrimSpace(line), nil
}

// stop asks the process to end, and waits for it. The error holds what it wrote to stderr.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself; Wait tells
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGTERM {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(p.cmd.Path), err, p.stderr.Bytes())
	}
	return nil
}

// resident returns the memory of the process that is in RAM, in bytes.
func (p *process) resident() (float64, error) { return p.status("VmRSS:") }

// peak returns the most that resident has been since the last call with reset.
func (p *process) peak(reset bool) (float64, error) {
	if reset {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
			return 0, err
		}
	}
	return p.status("VmHWM:")
}

// status returns a field of the process's status file, in bytes.
func (p *process) status(field string) (float64, error) {
	name := fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("%s: no %s", name, field)
}

// errNoCrush says that the daemon cannot take part.
var errNoCrush = errors.New("no crush program")

// program returns the path of the crush program, which it builds unless the run was given one.
func (r *run) program(ctx context.Context) (string, error) {
	switch r.crush {
	case "none":
		return "", errNoCrush
	case "":
		return r.build(ctx, "crush", "..", "./cmd/crush")
	default:
		return filepath.Abs(r.crush)
	}
}

// build compiles a package of the module in dir and returns the program's path.
func (r *run) build(ctx context.Context, name, dir, pkg string) (string, error) {
	program := filepath.Join(r.tmp, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return program, nil
}

// startCrush starts a daemon on the data directory data and returns when it is ready. The socket is data/crush.sock;
// door is the address for HTTP over TCP, or "off". It takes other nodes, by the transports of its defaults, on ports of
// this machine that are free.
func startCrush(ctx context.Context, program, data, door string) (*process, error) {
	p, out, err := start(ctx, program, "daemon", "--data", data, "--http", door,
		"--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1")
	if err != nil {
		return nil, err
	}
	alive, ended := context.WithCancelCause(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, out) // until the process ends
		ended(errors.New("the daemon ended before it was ready"))
	}()
	if err := waitReady(alive, socketIn(data)); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func socketIn(data string) string { return filepath.Join(data, "crush.sock") }

// waitReady polls the daemon's readiness until it answers 200, for at most two minutes.
func waitReady(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("crush daemon: not ready after two minutes"))
	defer cancel()
	client := unixClient(socket, 1)
	defer client.CloseIdleConnections()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		status, _, err := send(ctx, client, http.MethodGet, "http://crush/-/readyz", nil)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
