package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"crush/bench/load"
	"crush/daemon"
	"crush/rpc"
)

// A member is a running crush daemon, its client, and its data directory, whose name must not change.
type member struct {
	*process
	client *rpc.Client
	data   string
}

// startMember starts a daemon on the data directory, which may be missing.
func startMember(ctx context.Context, program, data string) (*member, error) {
	p, err := startCrush(ctx, program, data, "off")
	if err != nil {
		return nil, err
	}
	return &member{p, &rpc.Client{Socket: socketIn(data)}, data}, nil
}

// startPair starts two daemons in dir that are members of one cluster and connected.
func startPair(ctx context.Context, program, dir string) (a, b *member, err error) {
	if a, err = startMember(ctx, program, filepath.Join(dir, "a")); err != nil {
		return nil, nil, err
	}
	if b, err = startMember(ctx, program, filepath.Join(dir, "b")); err != nil {
		return nil, nil, errors.Join(err, a.end())
	}
	if err = a.admit(ctx, b); err == nil {
		_, err = b.join(ctx, a)
	}
	if err != nil {
		return nil, nil, errors.Join(err, a.end(), b.end())
	}
	return a, b, nil
}

// end stops the daemon; a nil member has ended.
func (m *member) end() error {
	if m == nil {
		return nil
	}
	m.client.Close()
	return m.stop()
}

// kill ends the daemon as a power cut would, but for what the system holds.
func (m *member) kill() error {
	m.client.Close()
	err := m.cmd.Process.Kill()
	_ = m.cmd.Wait() // it says that the process was killed
	return err
}

// admit adds another node to the members of m's cluster.
func (m *member) admit(ctx context.Context, other *member) error {
	s, err := other.client.Status(ctx)
	if err != nil {
		return err
	}
	_, err = m.client.AddMember(ctx, rpc.Member{Node: s.Node, Name: filepath.Base(other.data), Role: "writer"}, rpc.Claim{})
	return err
}

// join makes m, which other has admitted, a member of other's cluster.
func (m *member) join(ctx context.Context, other *member) (rpc.Joined, error) {
	address, err := other.address(ctx)
	if err != nil {
		return rpc.Joined{}, err
	}
	return m.client.Join(ctx, rpc.JoinRequest{Address: address})
}

// address returns where other nodes reach m over TCP. The daemon answers requests some moments before it listens.
func (m *member) address(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("the node listens on no TCP address"))
	defer cancel()
	for {
		s, err := m.client.Status(ctx)
		if err != nil {
			return "", err
		}
		for _, a := range s.Addresses {
			if strings.Contains(a, "/tcp/") {
				return a, nil
			}
		}
		load.Pause(ctx, 5*time.Millisecond)
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
	}
}

// cpu returns the processor time that the process has used.
func (p *process) cpu() (time.Duration, error) {
	name := fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	// The fields behind the program's name, which may hold anything; the 12th and 13th are hundredths of a second.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: no times", name)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// revisions returns how many revisions the node has.
func (m *member) revisions(ctx context.Context) (int64, error) {
	s, err := m.client.Status(ctx)
	return int64(s.Revisions), err
}

// await returns when the key can be read on m.
func (m *member) await(ctx context.Context, key string) error {
	for e, err := range m.client.Watch(ctx, rpc.WatchRequest{Prefix: key, State: true}) {
		if err != nil || e.Key == key {
			return err
		}
	}
	return context.Cause(ctx)
}

// onlyPeer lets a daemon that will be started on the data directory dial the address and know no other.
func onlyPeer(data, address string) error {
	if err := os.Remove(filepath.Join(data, "peers")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(filepath.Join(data, daemon.ConfigName), []byte("peer "+address+"\n"), 0o600)
}
