package rpc

import (
	"strings"

	"crush/crdt"
	"crush/dag"
)

// KindRule gives keys a kind: those that match a pattern, in which * stops at a
// slash and ** does not.
type KindRule struct {
	Pattern string
	Kind    crdt.Kind
}

// ParseKindRule reads PATTERN=KIND.
func ParseKindRule(text string) (r KindRule, err error) {
	i := strings.LastIndexByte(text, '=')
	if i <= 0 {
		return r, invalid(quote(text) + ": want PATTERN=KIND, as **.md=text")
	}
	r.Pattern = text[:i]
	r.Kind, _ = crdt.ParseKind(text[i+1:])
	switch r.Kind {
	case crdt.Bytes, crdt.Text, crdt.JSON, crdt.YAML:
	default:
		return r, invalid(quote(text) + ": the kind must be bytes, text, json or yaml")
	}
	return r, nil
}

// KindOf returns the kind that the first matching rule gives a key; zero if
// none does.
func KindOf(rules []KindRule, key string) crdt.Kind {
	for _, r := range rules {
		if dag.MatchKey(r.Pattern, key) {
			return r.Kind
		}
	}
	return 0
}
