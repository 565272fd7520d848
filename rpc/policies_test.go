package rpc

import (
	"reflect"
	"strings"
	"testing"

	"crush/crdt"
)

func TestPolicies(t *testing.T) {
	run := serve(t, nil)
	f, c := run.fake, run.client
	all, err := c.Policies(t.Context(), "s")
	if err != nil || len(all) != 1 || all[0].Pattern != "of s" || all[0].Lists["/a/*"] != crdt.SetList {
		t.Errorf("policies: %+v, %v", all, err)
	}
	yes := true
	r := PolicyRequest{Fork: "s", Claim: Claim{Author: "me", Message: "why"}, Policy: Policy{Pattern: "env/**", Sticky: &yes, Merge: OnConflictOurs}}
	if _, err := c.ChangePolicy(t.Context(), r); err != nil || !reflect.DeepEqual(f.last, r) {
		t.Errorf("asked for %+v, %v", f.last, err)
	}
	h := NewHandler(HandlerConfig{Service: f.service()})
	for body, want := range map[string]string{
		`{"policy":{"pattern":"a","lists":{"b":"set"}}}`:  "parse",
		`{"policy":{"pattern":"a","lists":{"/b":"bag"}}}`: "want atomic, set, documents or map(FIELD)",
		`{"policy":{"pattern":"a","merges":"ours"}}`:      "unknown field",
	} {
		if w := call(h, "POST", "/api/v1/forks/default/policies", strings.NewReader(body)); w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %q", body, w.Code, w.Body, want)
		}
	}
}

func TestAddList(t *testing.T) {
	var p Policy
	for rule, bad := range map[string]bool{
		"/a=set": false, "/**/c=map(x=y)": true, "/spec/containers=map(name)": false, "/a": true, "a=set": true, "/a=": true,
	} {
		if err := p.AddList(rule); (err != nil) != bad {
			t.Errorf("%s: %v", rule, err)
		}
	}
	if len(p.Lists) != 2 || p.Lists["/spec/containers"] != crdt.MapList("name") {
		t.Errorf("got %v", p.Lists)
	}
}
