package daemon

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// policies is those of a fork, the ones with the longest patterns first.
type policies struct {
	rules []rpc.Policy
	// torn are the patterns whose policies are in conflict: they count as none
	// for reads and writes, and stop merges of keys that they match. If all is
	// set no policy can be read.
	torn []string
	all  bool
	by   []dag.RevisionID // the heads of the key that says so
	// purges is how many there were when the key was read.
	purges int
}

// noPolicies is a fork without any.
var noPolicies = &policies{}

// parsePolicies reads the json of a policy key. The error is one line.
func parsePolicies(text []byte) (*policies, error) {
	var by map[string]json.RawMessage
	if err := json.Unmarshal(text, &by); err != nil || by == nil {
		return nil, fmt.Errorf("policies are an object of patterns: %v", cmp.Or(err, fmt.Errorf("got null")))
	}
	p := &policies{}
	for pattern, raw := range by {
		rule := rpc.Policy{}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&rule); err != nil {
			if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				err = fmt.Errorf("%s cannot be a %s", cmp.Or(wrong.Field, "it"), wrong.Value)
			}
			return nil, fmt.Errorf("the policy of %q: %s", pattern, strings.TrimPrefix(err.Error(), "json: "))
		}
		if rule.Pattern != "" {
			return nil, fmt.Errorf("the policy of %q: unknown field \"pattern\"", pattern)
		}
		rule.Pattern = pattern
		if err := checkPolicy(&rule); err != nil {
			return nil, err
		}
		p.rules = append(p.rules, rule)
	}
	slices.SortFunc(p.rules, rpc.ComparePolicies)
	return p, nil
}

func checkPolicy(p *rpc.Policy) error {
	if p.Pattern == "" || len(p.Pattern) > dag.MaxKey {
		return fmt.Errorf("a policy wants a pattern of 1 to %d bytes", dag.MaxKey)
	}
	if p.Kind != "" {
		if k, err := crdt.ParseKind(p.Kind); err != nil || !k.Known() {
			return fmt.Errorf("the policy of %q: kind %q: want bytes, text, json, yaml, counter or set", p.Pattern, p.Kind)
		}
	}
	switch p.Merge {
	case "", rpc.OnConflictFail, rpc.OnConflictKeep, rpc.OnConflictOurs, rpc.OnConflictTheirs, rpc.OnConflictLWW:
	default:
		return fmt.Errorf("the policy of %q: merge %q: want fail, keep, ours, theirs or lww", p.Pattern, string(p.Merge))
	}
	switch p.Served {
	case "", rpc.ServedWinner, rpc.ServedFail:
	default:
		return fmt.Errorf("the policy of %q: served %q: want winner or fail", p.Pattern, p.Served)
	}
	return nil
}

// of returns what holds for a key.
func (p *policies) of(key string) rpc.Policy { return rpc.PolicyOf(p.rules, key) }

// kind is that of a new key; zero if nothing says so.
func (p *policies) kind(key string) crdt.Kind {
	if key == rpc.PolicyKey {
		return crdt.JSON
	}
	name := p.of(key).Kind
	if name == "" {
		return 0 // and not the error that ParseKind would write about it
	}
	k, err := crdt.ParseKind(name)
	if err != nil {
		return 0
	}
	return k
}

// lists is how the lists of a key are keyed, the longest pattern first.
func (p *policies) lists(key string) crdt.Lists {
	of := p.of(key)
	return of.ListRules()
}

// sticky reports whether a key is left out of merges.
func (p *policies) sticky(key string) bool {
	s := p.of(key).Sticky
	return s != nil && *s
}

// skips are the keys among some that are sticky, by pattern where a pattern
// means no other of them: a filter that stays the same costs little.
func (p *policies) skips(keys []string) (out []string) {
	for i := range p.rules {
		r := &p.rules[i]
		if r.Sticky == nil || !*r.Sticky {
			continue
		}
		var matched []string
		clean := true
		for _, key := range keys {
			if dag.MatchKey(r.Pattern, key) {
				clean = clean && p.sticky(key)
				matched = append(matched, key)
			}
		}
		if clean {
			matched = []string{r.Pattern}
		}
		for _, key := range matched {
			if clean || p.sticky(key) {
				out = append(out, key)
			}
		}
	}
	return out
}

// tornOf returns the pattern of a policy in conflict that a key matches; "" if
// there is none.
func (p *policies) tornOf(key string) string {
	if p.all {
		return "**"
	}
	i := slices.IndexFunc(p.torn, func(pattern string) bool { return dag.MatchKey(pattern, key) })
	if i < 0 {
		return ""
	}
	return p.torn[i]
}

// policyMemo remembers the policies of the forks that were asked for last: a
// write asks, and they change seldom.
type policyMemo struct {
	mu sync.Mutex
	by map[dag.ForkID]*policies
}

// policyMemoMax is how many forks are remembered.
const policyMemoMax = 256

func (m *policyMemo) get(fork dag.ForkID, heads []dag.RevisionID, purges int) *policies {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.by[fork]; p != nil && p.purges == purges && slices.Equal(p.by, heads) {
		return p
	}
	return nil
}

func (m *policyMemo) put(fork dag.ForkID, p *policies) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil || len(m.by) >= policyMemoMax {
		m.by = map[dag.ForkID]*policies{}
	}
	m.by[fork] = p
}

// policiesBy returns the policies of a fork.
func (r *Replica) policiesBy(from reader, fork dag.ForkID) (*policies, error) {
	e, err := from.entry(fork, rpc.PolicyKey)
	if err != nil {
		return nil, err
	}
	return r.policiesOf(from, e)
}

// policiesOf returns the policies that the entry of a policy key holds.
func (r *Replica) policiesOf(from reader, e *dag.Entry) (*policies, error) {
	if len(e.Heads) == 0 {
		return noPolicies, nil
	}
	heads, purges := headIDs(e), r.graph.Purges()
	if p := r.memo.get(e.Fork, heads, purges); p != nil {
		return p, nil
	}
	s, err := r.lookBy(from, e)
	if err != nil {
		return nil, err
	}
	p, err := readPolicies(s)
	if err != nil {
		return nil, err
	}
	p.by, p.purges = heads, purges
	r.memo.put(e.Fork, p)
	return p, nil
}

// readPolicies reads what a policy key says. What cannot be read, because an
// older version or another program wrote it or because it was purged, counts as
// a conflict of all: somebody puts policies again.
func readPolicies(s *sight) (*policies, error) {
	if s.gone() {
		return &policies{}, nil
	}
	c, err := s.content()
	if isGone(err) {
		return &policies{all: true}, nil
	}
	if err != nil {
		return nil, err
	}
	p, parseErr := parsePolicies(c.value)
	if parseErr != nil || c.kind != crdt.JSON {
		return &policies{all: true}, nil
	}
	for i := range s.Conflicts {
		at := s.Conflicts[i].Path
		for at.Parent() != crdt.Root && at != crdt.Root {
			at = at.Parent()
		}
		if at == crdt.Root {
			return &policies{all: true}, nil
		}
		name, _ := at.Last()
		p.torn = append(p.torn, name)
		p.rules = slices.DeleteFunc(p.rules, func(r rpc.Policy) bool { return r.Pattern == name })
	}
	return p, nil
}

// Policies implements rpc.Policies.
func (r *Replica) Policies(_ context.Context, fork string) ([]rpc.Policy, error) {
	f, err := r.fork(fork)
	if err != nil {
		return nil, err
	}
	p, err := r.policiesBy(graphReader{r.graph}, f.ID)
	switch {
	case err != nil:
		return nil, outward(err)
	case p.all:
		return nil, failure(rpc.CodeConflict, "the policies of %q cannot be read: %s is in conflict as a whole, was purged, or is no json of policies", f.Name, rpc.PolicyKey)
	}
	out := slices.Clone(p.rules)
	for _, pattern := range p.torn {
		out = append(out, rpc.Policy{Pattern: pattern, Conflict: true})
	}
	slices.SortFunc(out, func(a, b rpc.Policy) int { return cmp.Compare(a.Pattern, b.Pattern) })
	return slices.CompactFunc(out, func(a, b rpc.Policy) bool { return a.Pattern == b.Pattern }), nil
}

// ChangePolicy implements rpc.Policies: policies of other patterns are not
// touched.
func (r *Replica) ChangePolicy(ctx context.Context, q rpc.PolicyRequest) (rpc.Written, error) {
	if err := checkPolicy(&q.Policy); err != nil {
		return rpc.Written{}, failure(rpc.CodeInvalid, "%s", err)
	}
	key, at := rpc.KeyRef{Fork: q.Fork, Key: rpc.PolicyKey}, crdt.Path(crdt.Root).Member(q.Policy.Pattern)
	if q.Remove {
		return r.Delete(ctx, rpc.DeleteRequest{KeyRef: key, Claim: q.Claim, Path: at})
	}
	q.Policy.Pattern, q.Policy.Conflict = "", false
	text, err := json.Marshal(struct {
		rpc.Policy
		Pattern string `json:"pattern,omitempty"`
	}{Policy: q.Policy})
	if err != nil {
		return rpc.Written{}, err
	}
	return r.Put(ctx, rpc.PutRequest{KeyRef: key, Claim: q.Claim, Value: text, Path: at})
}
