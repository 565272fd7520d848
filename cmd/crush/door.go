package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	"crush/daemon"
	"crush/rpc"
)

// attempt is a place where a daemon was looked for, and what was found.
type attempt struct {
	place string
	cause error
}

// unreachableError says where a daemon was looked for.
type unreachableError struct{ tried []attempt }

func (e *unreachableError) Error() string {
	if e.denied() {
		return fmt.Sprintf("not allowed to talk to the daemon: %s", e.list())
	}
	return fmt.Sprintf("no daemon runs here: start one with crush daemon, or name one with --socket, --data or --addr (tried %s)",
		e.list())
}

func (e *unreachableError) list() string {
	var parts []string
	for _, a := range e.tried {
		parts = append(parts, a.place+": "+cause(a.cause))
	}
	return strings.Join(parts, "; ")
}

// denied reports whether a socket is there that this user may not open.
func (e *unreachableError) denied() bool {
	return slices.ContainsFunc(e.tried, func(a attempt) bool { return errors.Is(a.cause, fs.ErrPermission) })
}

func (e *unreachableError) code() rpc.Code {
	if e.denied() {
		return rpc.CodeDenied
	}
	return rpc.CodeNoDaemon
}

func (e *unreachableError) exit() int {
	if e.denied() {
		return exitDenied
	}
	return exitNoDaemon
}

// cause says in few words why a socket does not answer.
func cause(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens on it"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(err, syscall.EINVAL):
		return "the path is too long for a socket"
	}
	return err.Error()
}

// door finds the daemon: --addr, else --socket, else the socket of --data,
// else those of the default places.
func (p *program) door() (*rpc.Client, error) {
	if p.flags.addr != "" {
		token, _ := p.environment("CRUSH_TOKEN")
		return &rpc.Client{URL: p.flags.addr, Token: token}, nil
	}
	places := []string{p.flags.socket}
	if p.origins["socket"] == "default" && !explicit(p.origins["data"]) && p.flags.socket != daemon.SystemSocket {
		places = append(places, daemon.SystemSocket)
	}
	var tried []attempt
	for _, place := range places {
		err := answers(place)
		if err == nil {
			return &rpc.Client{Socket: place}, nil
		}
		tried = append(tried, attempt{place, err})
	}
	return nil, &unreachableError{tried: tried}
}

// explicit reports whether a setting was named by flag, environment or file.
func explicit(origin string) bool {
	kind, _, _ := strings.Cut(origin, " ")
	return kind == "flag" || kind == "environment" || kind == "file"
}

// answers reports whether somebody listens on a Unix socket.
func answers(socket string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// claim is what the writing verbs say of their writes. The daemon takes the
// author from the socket's peer when none is claimed.
func (p *program) claim(message string) rpc.Claim {
	return rpc.Claim{Author: rpc.Author(p.flags.author), Message: message, Wait: p.wait}
}

func (p *program) keyRef(key string) rpc.KeyRef {
	return rpc.KeyRef{Fork: p.flags.fork, Key: key}
}

// treePrefix checks the argument of the verbs that work on all keys below a
// prefix.
func treePrefix(prefix string) (string, error) {
	if prefix == "" {
		return "", usagef("the prefix is empty: want PREFIX/")
	}
	if !strings.HasSuffix(prefix, "/") {
		return "", usagef("%q does not end in /: did you mean %s/?", prefix, prefix)
	}
	return prefix, nil
}
