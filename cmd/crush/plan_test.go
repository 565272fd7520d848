package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"crush/rpc"
)

// printed returns what a function prints.
func printed(t *testing.T, print func(p *program)) string {
	t.Helper()
	p, stdout, _ := testProgram(t, nil)
	print(p)
	if err := p.out.Flush(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(stdout)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func twoSides(key string) rpc.Conflict {
	return rpc.Conflict{Key: key, Fork: "default", Kind: "value", Path: "/", Sides: []rpc.Side{
		{Letter: "a", Value: []byte("1\n2"), Fork: "default", Node: "n1", Served: true, Time: time.Now()},
		{Letter: "b", Deleted: true, Fork: "staging", Node: "n2", Author: "bob", Time: time.Now().Add(-3 * time.Hour)},
	}, Base: &rpc.Base{Value: []byte("0"), Node: "n1", Author: "eve\x1b", Time: time.Now().Add(-72 * time.Hour)}}
}

func TestPlanText(t *testing.T) {
	m := rpc.Merged{
		Plan: "p1", Source: "a b", Into: "default",
		Clean:     []rpc.MergedKey{{Key: "k\n", Change: "created"}, {Key: "l", Change: "turned"}},
		Skipped:   []string{"s"},
		Conflicts: []rpc.Conflict{twoSides("c\x1b"), {Key: "d", Kind: "delete/edit", Sides: twoSides("d").Sides}},
		Settled:   []rpc.MergedKey{{Key: "e", Change: "same"}},
		Overrides: []string{"f"},
	}
	text := printed(t, func(p *program) {
		p.printMerged(m, rpc.MergeRequest{Skip: []string{"s*"}, Reject: []string{"e"}})
	})
	for _, want := range []string{
		"plan to merge a b into default\n",
		"\nclean: 1 created, 1 turned\n  + k\\n\n  ? l\n",
		"\nskipped, and offered again by the next merge:\n  s\n",
		"\nsettled: 1 same\n  = e\n",
		"\n2 conflicts:\n  c\\x1b  value\n    was  -  \"0\"  by n1 (eve\\x1b), 3 days ago\n    a  -",
		"\n  d  delete/edit\n    was  nothing that every side has seen\n    a  -",
		`a  -  "1\n2"  on default  by n1, 0 s ago  (served)`,
		"b  -  deleted  on staging  by n2 (bob), 3 h ago\n",
		"\nnothing was written; plan p1\n",
		"crush merge 'a b' --into default --skip 's*' --reject e --resolve KEY=SIDE …\n",
		"crush merge 'a b' --into default --skip 's*' --reject e --on-conflict keep\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the plan", want)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("a control character is printed")
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestResolveCommand(t *testing.T) {
	c := twoSides("-k")
	c.Fork = "staging"
	if got, want := resolveCommand(c, "abc"), "crush -F staging resolve "+c.ID.String()+" --state abc --take a  (or b)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := resolveCommand(twoSides("a b"), "abc"), "crush resolve 'a b' --state abc --take a  (or b)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestResolution(t *testing.T) {
	p, _, _ := testProgram(t, nil)
	file := t.TempDir() + "/x=y"
	if err := os.WriteFile(file, []byte("value"), 0o600); err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]struct{ key, side, value string }{
		"k=a":           {"k", "a", ""},
		"a=b=staging":   {"a=b", "staging", ""},
		"k=@" + file:    {"k", "", "value"},
		"a=b=@" + file:  {"a=b", "", "value"},
		"k@home=prod~1": {"k@home", "prod~1", ""},
	} {
		r, err := p.resolution(in)
		value := ""
		if r.Value != nil {
			value = string(*r.Value)
		}
		if err != nil || r.Key != want.key || r.Side != want.side || value != want.value {
			t.Errorf("%s: %+v (%q), %v", in, r, value, err)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "in the future", -time.Second: "0 s ago", 59 * time.Second: "59 s ago", 3 * time.Minute: "3 min ago",
		47 * time.Hour: "47 h ago", 72 * time.Hour: "3 days ago",
	} {
		if got := age(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
