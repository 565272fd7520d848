package rpc

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"crush/crdt"
	"crush/dag"
)

// PolicyKey is the key that holds the policies of its fork, as one json:
// {"PATTERN":{"kind":…,"lists":{"PATH":"SCHEMA"},"merge":…,"sticky":…,"served":…}}.
// It is read, forked, merged and rolled back like any other.
const PolicyKey = ".crush/policies"

// Policy says how the keys that match a pattern are written, merged and
// served. Of the policies that match a key, the one with the longest pattern
// that says something of a field decides that field.
type Policy struct {
	Pattern string `json:"pattern"` // * stops at a slash, ** does not
	// Kind is that of a new key whose writer names none; "" for bytes.
	Kind string `json:"kind,omitempty"`
	// Lists says by what the elements of lists in a json or yaml are told apart:
	// a path, in which * is any step and ** any number, to "set", "map(FIELD)",
	// "documents" or "atomic". Of the patterns that match a list the longest
	// decides.
	Lists map[crdt.PathPattern]crdt.ListSchema `json:"lists,omitempty"`
	// Merge is what a merge into this fork does with conflicts where its request
	// does not say; "" for what it does anyway.
	Merge Strategy `json:"merge,omitempty"`
	// Sticky keys are left out of merges into this fork.
	Sticky *bool `json:"sticky,omitempty"`
	// Served is what a read of a key in conflict does: "winner" serves the side
	// that ranks first, which is the default, "fail" is ErrConflict.
	Served string `json:"served,omitempty"`
	// Conflict says that the policy was changed in two places at once: nothing
	// else of it is told, and it counts as none.
	Conflict bool `json:"conflict,omitempty"`
}

// AddList adds a rule of Lists, spelled PATH=SCHEMA.
func (p *Policy) AddList(rule string) error {
	i := strings.LastIndexByte(rule, '=')
	if i < 0 {
		return errors.New("want PATH=SCHEMA, as /spec/containers=map(name)")
	}
	at, err := crdt.ParsePathPattern(rule[:i])
	if err != nil {
		return err
	}
	schema, err := crdt.ParseListSchema(rule[i+1:])
	if err != nil {
		return err
	}
	if p.Lists == nil {
		p.Lists = map[crdt.PathPattern]crdt.ListSchema{}
	}
	p.Lists[at] = schema
	return nil
}

// ComparePolicies is the order in which policies decide: the longest pattern
// first.
func ComparePolicies(a, b Policy) int {
	return cmp.Or(len(b.Pattern)-len(a.Pattern), cmp.Compare(a.Pattern, b.Pattern))
}

// PolicyOf returns what policies in the order of [ComparePolicies] say of a key;
// the pattern of the result is the key. Those in conflict say nothing.
func PolicyOf(sorted []Policy, key string) Policy {
	out := Policy{Pattern: key}
	for i := range sorted {
		r := &sorted[i]
		if r.Conflict || !dag.MatchKey(r.Pattern, key) {
			continue
		}
		out.Kind, out.Merge, out.Served = cmp.Or(out.Kind, r.Kind), cmp.Or(out.Merge, r.Merge), cmp.Or(out.Served, r.Served)
		if out.Sticky == nil {
			out.Sticky = r.Sticky
		}
		if out.Lists == nil {
			out.Lists = r.Lists
		}
	}
	return out
}

// ListRules returns Lists, the longest pattern first.
func (p *Policy) ListRules() (out crdt.Lists) {
	for at, schema := range p.Lists {
		out = append(out, crdt.ListRule{Path: at, Schema: schema})
	}
	slices.SortFunc(out, func(a, b crdt.ListRule) int {
		return cmp.Or(len(b.Path)-len(a.Path), cmp.Compare(a.Path, b.Path))
	})
	return out
}

// The values of Policy.Served.
const (
	ServedWinner = "winner"
	ServedFail   = "fail"
)

// PolicyRequest changes the policy of a pattern on a fork.
type PolicyRequest struct {
	Fork string `json:"-"`
	Claim
	// Policy is the whole policy of its pattern.
	Policy Policy `json:"policy"`
	// Remove takes it away; no more than the pattern is looked at.
	Remove bool `json:"remove,omitempty"`
}

// Policies keeps the policies of forks.
type Policies interface {
	// Policies lists those of a fork in byte order of their patterns.
	Policies(ctx context.Context, fork string) ([]Policy, error)
	ChangePolicy(ctx context.Context, r PolicyRequest) (Written, error)
}

var _ Policies = (*Client)(nil)

var policiesNoun = &noun{"policies", func(s *Service) any { return s.Policies }}

const policiesPath = forkPath + "/policies"

func policyRoutes() []route {
	return withNoun(policiesNoun, []route{
		{
			method: "GET", pattern: policiesPath, id: "policies", serve: (*exchange).getPolicies,
			summary: "The policies of a fork: how its keys are written, merged and served.", answers: jsonAnswer, schema: "Policies",
		},
		{
			method: "POST", pattern: policiesPath, id: "changePolicy", serve: (*exchange).postPolicy,
			summary: "Sets the policy of a pattern, all of it, or removes it.", headers: writeHeaders, body: "PolicyChange", answers: jsonAnswer, schema: "Written",
		},
	})
}

type policyList struct {
	Policies []Policy `json:"policies"`
}

func (x *exchange) getPolicies() error {
	all, err := x.Service.Policies.Policies(x.r.Context(), x.fork)
	if err != nil {
		return err
	}
	return x.writeAny(policyList{list(all)})
}

func (x *exchange) postPolicy() error {
	var r PolicyRequest
	if err := x.readJSON(&r); err != nil {
		return err
	}
	var err error
	if r.Claim, err = x.claim(); err != nil {
		return err
	}
	r.Fork = x.fork
	written, err := x.Service.Policies.ChangePolicy(x.r.Context(), r)
	if err != nil {
		return err
	}
	return x.writeWritten(&written)
}

// Policies implements [Policies].
func (c *Client) Policies(ctx context.Context, fork string) ([]Policy, error) {
	all, err := answer[policyList](ctx, c, request{method: http.MethodGet, path: c.forkPath(fork, "policies", "")})
	return all.Policies, err
}

// ChangePolicy implements [Policies].
func (c *Client) ChangePolicy(ctx context.Context, r PolicyRequest) (Written, error) {
	return post[Written](ctx, c, c.forkPath(r.Fork, "policies", ""), r.Claim, r)
}
