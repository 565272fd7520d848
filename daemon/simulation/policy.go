package simulation

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
	"crush/rpc"
)

// policy is what the policies of a fork say of a key.
type policy struct {
	kind   crdt.Kind
	lists  crdt.Lists
	sticky bool
	merge  rpc.Strategy
	fails  bool // while it is in conflict it is not served
	torn   bool // in conflict themselves
}

// said is what a policy of a world can say of kinds and merges.
var said = []struct {
	at   crdt.Path // in the policy
	sum  string    // of the leaf there
	take func(p *policy)
}{
	{"/kind", sumOf(`"json"`), func(p *policy) { p.kind = cmp.Or(p.kind, crdt.JSON) }},
	{"/kind", sumOf(`"yaml"`), func(p *policy) { p.kind = cmp.Or(p.kind, crdt.YAML) }},
	{"/kind", sumOf(`"counter"`), func(p *policy) { p.kind = cmp.Or(p.kind, crdt.Counter) }},
	{"/kind", sumOf(`"set"`), func(p *policy) { p.kind = cmp.Or(p.kind, crdt.Set) }},
	{"/kind", sumOf(`"text"`), func(p *policy) { p.kind = cmp.Or(p.kind, crdt.Text) }},
	{"/merge", sumOf(`"keep"`), func(p *policy) { p.merge = cmp.Or(p.merge, rpc.OnConflictKeep) }},
	{"/merge", sumOf(`"ours"`), func(p *policy) { p.merge = cmp.Or(p.merge, rpc.OnConflictOurs) }},
	{"/merge", sumOf(`"theirs"`), func(p *policy) { p.merge = cmp.Or(p.merge, rpc.OnConflictTheirs) }},
	{"/merge", sumOf(`"lww"`), func(p *policy) { p.merge = cmp.Or(p.merge, rpc.OnConflictLWW) }},
}

// policyPatterns are those of a world's policies, the longest first.
var policyPatterns = []string{"app/**", "app/a", "app/b", "env/z", "**", "k"}

// policy finds, in what the oracle reads, what the policies of a fork say of a
// key: for each field the longest pattern that matches and says something of it.
func (m *Mirror) policy(cut oracle.Cut, fork dag.ForkID, key string) policy {
	s := m.see(cut, place{fork, rpc.PolicyKey})
	by, ok := m.policies[s]
	if !ok {
		by = map[string]policy{}
		m.policies[s] = by
	}
	p, ok := by[key]
	if !ok {
		p = s.policy(key)
		by[key] = p
	}
	return p
}

// policy is what a policy key says of another key.
func (s *sight) policy(key string) (p policy) {
	torn := func(pattern crdt.Path) bool {
		return slices.ContainsFunc(s.paths(), func(at crdt.Path) bool { return at.Within(pattern) || at == crdt.Root })
	}
	if len(s.leaves()) == 0 && !s.conflicted() {
		return p
	}
	listed, stuck, served := false, false, false
	for _, pattern := range policyPatterns {
		at := crdt.Root.Member(pattern)
		if !matches(pattern, key) {
			p.torn = p.torn || slices.Contains(s.paths(), crdt.Root)
			continue
		}
		if torn(at) {
			p.torn = true
			continue
		}
		rule := s.leaves().at(at)
		for _, field := range said {
			if rule[at+field.at] == field.sum {
				field.take(&p)
			}
		}
		if lists := rule.at(at + "/lists"); len(lists) > 0 && !listed {
			listed = true
			for _, rule := range schemas {
				if lists[at.Member("lists").Member(string(rule.Path))] == sumOf(`"`+string(rule.Schema)+`"`) {
					p.lists = append(p.lists, rule)
				}
			}
		}
		if sum, ok := rule[at+"/sticky"]; ok && !stuck {
			stuck, p.sticky = true, sum == sumTrue
		}
		if sum, ok := rule[at+"/served"]; ok && !served {
			served, p.fails = true, sum == sumFail
		}
	}
	return p
}

var sumTrue, sumFail = sumOf("true"), sumOf(`"fail"`)

// sumOf is the content of the leaf of a json.
func sumOf(json string) string { return leavesOf(nil, crdt.JSON, []byte(json), crdt.Root)[crdt.Root] }

// kindFor is the kind of a write to a key by who has read what a sight shows.
func (p *policy) kindFor(key string, read *sight, want crdt.Kind) crdt.Kind {
	if key == rpc.PolicyKey {
		return crdt.JSON
	}
	var has crdt.Kind
	if read.exists() {
		has = read.view.Kind
	}
	return cmp.Or(want, has, p.kind, crdt.Bytes)
}

// documentKind is that of a document that an edit makes where nothing is.
func (p *policy) documentKind() crdt.Kind {
	if isDocument(p.kind) {
		return p.kind
	}
	return crdt.JSON
}

// isPolicies reports whether a value can be the policies of a fork.
func isPolicies(text []byte) bool {
	var all map[string]struct {
		Kind, Merge, Served string
		Sticky              bool
		Lists               map[string]string
	}
	return json.Unmarshal(text, &all) == nil && all != nil
}

// setPolicy changes the policy of a pattern, or takes it away if How is remove.
func setPolicy(ctx context.Context, t *turn) error {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	q := rpc.PolicyRequest{Fork: text, Remove: t.s.How == "remove"}
	value := t.s.Value
	if q.Remove {
		value = ""
	} else if json.Unmarshal([]byte(value), &q.Policy) != nil {
		return errNothing
	}
	q.Policy.Pattern = t.s.Key
	at := place{fork, rpc.PolicyKey}
	path := crdt.Root.Member(t.s.Key)
	if q.Remove && len(t.see(at).leaves().at(path)) == 0 && !t.see(at).conflicted() {
		return errNothing
	}
	return t.edit(at, path, value, refusal, func() error {
		_, err := t.n.ChangePolicy(ctx, q)
		return err
	})
}

// policyValues are what policies are changed to.
var policyValues = []string{
	`{}`, `{"lists":{"/l":"map(n)","/t":"set"}}`, `{"lists":{"/l":"map(n)"}}`, `{"lists":{"/t":"set"},"sticky":true}`,
	`{"sticky":true}`, `{"sticky":false}`, `{"merge":"keep"}`, `{"merge":"theirs"}`, `{"merge":"lww","served":"fail"}`, `{"served":"fail"}`,
	`{"kind":"yaml"}`, `{"kind":"json","merge":"ours"}`, `{"kind":"text"}`,
}

func (c *chooser) setPolicy(s *Step) bool {
	s.Fork, s.Key = c.forkArg(), pickOne(c, append(slices.Clone(policyPatterns), "**", "**"))
	if s.Value = pickOne(c, policyValues); c.rarely(4) {
		s.Value, s.How = "", "remove"
	}
	fork, _, _, err := c.turn(s).fork(s.Fork, false)
	if err != nil {
		return false
	}
	p := c.w.mirror.see(c.n.has, place{fork, rpc.PolicyKey}).leaves().at(crdt.Root.Member(s.Key))
	was := leaves{}
	if s.Value != "" {
		was = leavesOf(nil, crdt.JSON, []byte(s.Value), crdt.Root.Member(s.Key))
	}
	return !maps.Equal(p, was)
}
