package main

import (
	"context"
	"errors"
	"strings"

	"crush/rpc"
)

// nameForks reports whether each word is FORK or FORK@AT of a fork that there
// is.
func nameForks(ctx context.Context, door *rpc.Client, words []string) (bool, error) {
	for _, word := range words {
		name, _, _ := strings.Cut(word, "@")
		if name == "" {
			return false, nil
		}
		switch _, err := door.ShowFork(ctx, name); {
		case errors.Is(err, rpc.ErrNotFound), errors.Is(err, rpc.ErrInvalid):
			return false, nil
		case err != nil:
			return false, err
		}
	}
	return true, nil
}

// forkAt turns the TIME of FORK@TIME into RFC 3339. Names have no @.
func forkAt(word string) string {
	name, at, ok := strings.Cut(word, "@")
	if !ok {
		return word
	}
	return name + "@" + timeOrRef(at)
}

// diffForks compares what two forks serve: A, B, and perhaps a key or prefix.
func (p *program) diffForks(ctx context.Context, door *rpc.Client, args []string, f *diffFlags) (differs bool, err error) {
	r := rpc.DiffRequest{A: forkAt(args[0]), B: forkAt(args[1])}
	if len(args) == 3 {
		if r.Key = args[2]; r.Key == "" {
			return false, usagef("the key is empty: leave it out to compare all keys")
		}
	}
	if err := p.page(); err != nil {
		return false, err
	}
	n := 0
	err = printList(p, counted(door.Diff(ctx, r), &n), func(d rpc.Difference) {
		p.printDifference(d, args[0], args[1], f.text)
	})
	return n > 0, err
}

// printDifference prints how one key differs between two forks; text says to
// compare documents by lines.
func (p *program) printDifference(d rpc.Difference, a, b string, text bool) {
	if d.WithheldA || d.WithheldB {
		for _, side := range []struct {
			fork     string
			withheld bool
		}{{a, d.WithheldA}, {b, d.WithheldB}} {
			if side.withheld {
				p.printf("%s: %s; in %s it is in conflict, and its policy serves nothing then\n", escape(d.Key), escape(d.Change), escape(side.fork))
			}
		}
		return
	}
	if d.PurgedA != nil || d.PurgedB != nil {
		for _, side := range []struct {
			fork   string
			purged *rpc.PurgeInfo
		}{{a, d.PurgedA}, {b, d.PurgedB}} {
			if side.purged != nil {
				p.printf("%s: %s; in %s %s\n", escape(d.Key), escape(d.Change), escape(side.fork), escape(side.purged.String()))
			}
		}
		return
	}
	if d.Layout && !text {
		p.printf("%s: the same document, its text differs\n", escape(d.Key))
	}
	if len(d.Fields) > 0 && !text {
		p.printDiff(fieldDiff(forkSide(a, d.Key, d.A), forkSide(b, d.Key, d.B), d.Fields))
		return
	}
	if !isText(d.A) || !isText(d.B) {
		p.printf("%s: values that are not text differ: %s in %s, %s in %s\n", escape(d.Key),
			sizeOrAbsent(d.A), escape(a), sizeOrAbsent(d.B), escape(b))
		return
	}
	if len(d.A)+len(d.B) == 0 { // there and empty, against not there
		p.printf("%s: %s, with an empty value\n", escape(d.Key), escape(d.Change))
		return
	}
	p.printDiff(unified(forkSide(a, d.Key, d.A), forkSide(b, d.Key, d.B), string(d.A), string(d.B)))
}

func sizeOrAbsent(value []byte) string {
	if value == nil {
		return "nothing"
	}
	return size(int64(len(value)))
}

func forkSide(fork, key string, value []byte) string {
	if value == nil {
		return "/dev/null"
	}
	return escape(fork) + " " + escape(key)
}
