package simulation

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Step is one thing that somebody does on a node: data, with a text form of
// one line. Steps name what earlier steps made by the numbers of those: #4 is
// the fork that step 4 made, b4 the block that it wrote, r4 its revision, t4
// what it read, p4 its plan, @4 the time at which it happened. A step that
// names what is not there does nothing, so any part of a program is one.
type Step struct {
	// ID is the number of the step. The time, salts and nonces of a step follow
	// from it, so that steps come out the same when others are taken away.
	ID   int
	Node int
	Do   string // the name of a deed

	Fork  string // a name, or #N
	From  string // the source of a fork or merge
	Name  string // of a fork to come
	Key   string // a key, or a prefix that ends in "/"
	Path  string // in a document
	Value string // see expand
	Kind  string
	Rev   string // rN, or head~N
	At    string // bN, @N or a tag
	Base  string // tN
	Match string // tN
	Plan  string // pN
	How   string // how to do it
	Only  string // keys and patterns, separated by commas
	Skip  string // the same
	Drop  string // keys that a merge rejects
	Take  string // what settles a conflict: a letter, a fork or a node; or KEY:SIDE or KEY:=VALUE of a merge
	Parts int    // how many blocks, at most; 0 for all
	Salt  int    // how blocks are put in order
}

// String is the step in one line: its number, its node, the deed and what it
// is done to.
func (s Step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d n%d %s", s.ID, s.Node, s.Do)
	for name, v := range s.arguments() {
		if !v.IsZero() {
			fmt.Fprintf(&b, " %s=%v", name, v)
		}
	}
	return b.String()
}

// arguments yields the optional fields, in their order, to be read or set.
func (s *Step) arguments() func(yield func(name string, v reflect.Value) bool) {
	v := reflect.ValueOf(s).Elem()
	return func(yield func(string, reflect.Value) bool) {
		for i := 3; i < v.NumField(); i++ {
			if !yield(strings.ToLower(v.Type().Field(i).Name), v.Field(i)) {
				return
			}
		}
	}
}

// ParseSteps is the inverse of String, a line for each step. Empty lines and
// those that start with # are left out.
func ParseSteps(text string) (steps []Step, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("parse step %q: %w", line, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func parseStep(line string) (s Step, err error) {
	words := strings.Fields(line)
	if len(words) < 3 {
		return s, fmt.Errorf("want a number, a node and a deed")
	}
	if s.ID, err = strconv.Atoi(words[0]); err != nil {
		return s, err
	}
	if s.Node, err = strconv.Atoi(strings.TrimPrefix(words[1], "n")); err != nil {
		return s, err
	}
	if s.Do = words[2]; deeds[s.Do].do == nil {
		return s, fmt.Errorf("no deed is called %q", s.Do)
	}
	for _, word := range words[3:] {
		if err := s.set(word); err != nil {
			return s, err
		}
	}
	return s, nil
}

// set reads one name=value.
func (s *Step) set(word string) error {
	name, value, _ := strings.Cut(word, "=")
	for n, v := range s.arguments() {
		switch {
		case n != name:
			continue
		case v.Kind() == reflect.Int:
			i, err := strconv.Atoi(value)
			v.SetInt(int64(i))
			return err
		}
		v.SetString(value)
		return nil
	}
	return fmt.Errorf("a step has no %q", name)
}

// has reports whether arguments are given.
func (s *Step) has(names string) bool {
	for name, v := range s.arguments() {
		if v.IsZero() && slices.Contains(strings.Fields(names), name) {
			return false
		}
	}
	return true
}

// simpler are versions of the step that say less.
func (s Step) simpler() (out []Step) {
	for name := range s.arguments() {
		less := s
		for n, v := range less.arguments() {
			if n == name && !v.IsZero() {
				v.SetZero()
				out = append(out, less)
			}
		}
	}
	return out
}

// list splits an argument at its commas.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// number reads the N of an argument that starts with one of some marks.
func number(text, marks string) (n int, ok bool) {
	if text == "" || !strings.Contains(marks, text[:1]) {
		return 0, false
	}
	n, err := strconv.Atoi(text[1:])
	return n, err == nil
}

// expand gives the bytes of a value: _ is empty, *c a long run of c, anything
// else itself.
func expand(text string) []byte {
	switch {
	case text == "_":
		return []byte{}
	case strings.HasPrefix(text, "*"):
		return []byte(strings.Repeat(text[1:], longValue))
	}
	return []byte(text)
}

// longValue is more than what a store keeps beside a head.
const longValue = 1100
