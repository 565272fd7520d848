package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"crush/crdt"
)

// The bodies of requests whose path or headers say the rest, and lists.
type (
	renameBody struct {
		Name string `json:"name"`
	}
	tagBody struct {
		Name string `json:"name"`
		At   string `json:"at,omitempty"`
	}
	aliasBody struct {
		Name   string `json:"name"`
		Fork   string `json:"fork"`
		Expect string `json:"expect,omitempty"`
	}
	resetBody struct {
		Prefix *string `json:"prefix"` // "" is every key, so it must be said
		To     string  `json:"to"`
		Plan   bool    `json:"plan,omitempty"`
	}
	undoBody struct {
		Block string `json:"block,omitempty"`
		Plan  bool   `json:"plan,omitempty"`
	}
	forkList struct {
		Forks []ForkInfo `json:"forks"`
	}
	tagList struct {
		Tags []PointerInfo `json:"tags"`
	}
	aliasList struct {
		Aliases []PointerInfo `json:"aliases"`
	}
)

// MarshalJSON returns the form of an element of `fork ls`.
func (f ForkInfo) MarshalJSON() ([]byte, error) {
	type plain ForkInfo
	p := plain(f)
	p.Labels, p.From = list(p.Labels), list(p.From)
	return json.Marshal(struct {
		ID forkText `json:"id"`
		plain
	}{forkText{f.ID}, p})
}

// UnmarshalJSON reads the form of MarshalJSON.
func (f *ForkInfo) UnmarshalJSON(data []byte) error {
	type plain ForkInfo
	var w struct {
		ID forkText `json:"id"`
		plain
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read fork: %w", err)
	}
	*f = ForkInfo(w.plain)
	f.ID = w.ID.is
	return nil
}

// MarshalJSON returns the form of what contributes to a fork.
func (s ForkSource) MarshalJSON() ([]byte, error) {
	type plain ForkSource
	return json.Marshal(struct {
		Fork forkText `json:"fork"`
		plain
	}{forkText{s.Fork}, plain(s)})
}

// UnmarshalJSON reads the form of MarshalJSON.
func (s *ForkSource) UnmarshalJSON(data []byte) error {
	type plain ForkSource
	var w struct {
		Fork forkText `json:"fork"`
		plain
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read source of a fork: %w", err)
	}
	*s = ForkSource(w.plain)
	s.Fork = w.Fork.is
	return nil
}

// MarshalJSON returns the form of `merge -o json`.
func (m Merged) MarshalJSON() ([]byte, error) {
	type plain Merged
	p := plain(m)
	p.Clean, p.Skipped, p.Conflicts = list(p.Clean), list(p.Skipped), list(p.Conflicts)
	p.Settled, p.Overrides = list(p.Settled), list(p.Overrides)
	return json.Marshal(p)
}

// MarshalJSON returns one line of `diff`: each side is a or a_base64, b or
// b_base64, or left out if the key is not there.
func (d Difference) MarshalJSON() ([]byte, error) { return d.appendJSON(nil), nil }

func (d *Difference) appendJSON(b []byte) []byte {
	b = appendStringMember(append(b, '{'), "key", d.Key)
	b = appendStringMember(b, "change", d.Change)
	b = appendBytesMember(b, "a", "a_base64", d.A)
	b = appendBytesMember(b, "b", "b_base64", d.B)
	b = appendIDMember(b, "a_kind", d.KindA)
	b = appendIDMember(b, "b_kind", d.KindB)
	if d.Fields != nil {
		b = append(appendName(b, "fields"), '[')
		for i := range d.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = d.Fields[i].appendJSON(b)
		}
		b = append(b, ']')
	}
	if d.Layout {
		b = appendBoolMember(b, "layout", true)
	}
	if d.WithheldA {
		b = appendBoolMember(b, "a_withheld", true)
	}
	if d.WithheldB {
		b = appendBoolMember(b, "b_withheld", true)
	}
	b = appendPurgedMember(b, "a_purged", d.PurgedA)
	return append(appendPurgedMember(b, "b_purged", d.PurgedB), '}')
}

// UnmarshalJSON reads the form of MarshalJSON.
func (d *Difference) UnmarshalJSON(data []byte) error {
	var w struct {
		Key     string  `json:"key"`
		Change  string  `json:"change"`
		A       *string `json:"a"`
		ABase64 []byte  `json:"a_base64"`
		B       *string `json:"b"`
		BBase64 []byte  `json:"b_base64"`

		KindA  kindText      `json:"a_kind"`
		KindB  kindText      `json:"b_kind"`
		Fields []FieldChange `json:"fields"`
		Layout bool          `json:"layout"`

		WithheldA bool `json:"a_withheld"`
		WithheldB bool `json:"b_withheld"`

		PurgedA *PurgeInfo `json:"a_purged"`
		PurgedB *PurgeInfo `json:"b_purged"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read difference: %w", err)
	}
	*d = Difference{
		Key: w.Key, Change: w.Change,
		A: valueWire{w.A, w.ABase64}.bytes(), B: valueWire{w.B, w.BBase64}.bytes(), KindA: w.KindA.is, KindB: w.KindB.is,
		Fields: w.Fields, Layout: w.Layout,
		WithheldA: w.WithheldA, WithheldB: w.WithheldB,
		PurgedA: w.PurgedA, PurgedB: w.PurgedB,
	}
	return nil
}

// MarshalJSON returns the form of the answer to a rollback of many keys.
func (r Reset) MarshalJSON() ([]byte, error) {
	changed, err := json.Marshal(list(r.Changed))
	if err != nil {
		return nil, err
	}
	b := r.appendMembers([]byte{'{'})
	b = append(appendName(b, "changed"), changed...)
	if r.Plan {
		b = appendBoolMember(b, "plan", true)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads the form of MarshalJSON.
func (r *Reset) UnmarshalJSON(data []byte) error {
	var w struct {
		writtenWire
		Changed []MergedKey `json:"changed"`
		Plan    bool        `json:"plan"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read answer to a reset: %w", err)
	}
	*r = Reset{Written: w.written(), Changed: w.Changed, Plan: w.Plan}
	return nil
}

// MarshalJSON returns the form of an element of `tag ls` and `alias ls`.
func (p PointerInfo) MarshalJSON() ([]byte, error) {
	type plain PointerInfo
	return json.Marshal(struct {
		plain
		Time stamp `json:"time,omitzero"`
	}{plain(p), stamp{p.Time.UTC().Truncate(time.Millisecond)}})
}

// choiceWire is how a value that may be chosen stands in a request: value, or
// value_base64.
type choiceWire struct {
	Value  *string `json:"value,omitempty"`
	Base64 *[]byte `json:"value_base64,omitempty"`
}

func choiceOf(v *[]byte) (w choiceWire) {
	switch {
	case v == nil:
	case utf8.Valid(*v):
		w.Value = new(string(*v))
	default:
		w.Base64 = v
	}
	return w
}

func (w choiceWire) choice() (*[]byte, error) {
	switch {
	case w.Value == nil:
		return w.Base64, nil
	case w.Base64 != nil:
		return nil, errors.New("it has both a value and a value_base64")
	}
	return new([]byte(*w.Value)), nil
}

// resolutionWire is a Resolution in JSON.
type resolutionWire struct {
	Key  string    `json:"key"`
	Path crdt.Path `json:"path,omitempty"`
	Side string    `json:"side,omitempty"`
	choiceWire
}

// MarshalJSON returns an element of the resolutions of a merge's request.
func (r Resolution) MarshalJSON() ([]byte, error) {
	return json.Marshal(resolutionWire{r.Key, r.Path, r.Side, choiceOf(r.Value)})
}

// UnmarshalJSON reads the form of MarshalJSON, and nothing else.
func (r *Resolution) UnmarshalJSON(data []byte) error {
	var w resolutionWire
	err := decodeExactly(data, &w)
	if err == nil {
		*r = Resolution{Key: w.Key, Path: w.Path, Side: w.Side}
		r.Value, err = w.choice()
	}
	if err != nil {
		return fmt.Errorf("read resolution: %w", err)
	}
	return nil
}

// resolveWire is a ResolveRequest in JSON.
type resolveWire struct {
	Fork   string    `json:"fork,omitempty"`
	Key    string    `json:"key,omitempty"`
	ID     string    `json:"id,omitempty"`
	Path   crdt.Path `json:"path,omitempty"`
	State  string    `json:"state,omitempty"`
	Take   string    `json:"take,omitempty"`
	Delete bool      `json:"delete,omitempty"`
	choiceWire
}

// MarshalJSON returns the body of a request to resolve a conflict.
func (r ResolveRequest) MarshalJSON() ([]byte, error) {
	return json.Marshal(resolveWire{r.Fork, r.Key, r.ID, r.Path, r.State, r.Take, r.Delete, choiceOf(r.Value)})
}

// UnmarshalJSON reads the form of MarshalJSON, and nothing else.
func (r *ResolveRequest) UnmarshalJSON(data []byte) error {
	var w resolveWire
	err := decodeExactly(data, &w)
	if err == nil {
		*r = ResolveRequest{KeyRef: KeyRef{w.Fork, w.Key}, ID: w.ID, Path: w.Path, State: w.State, Take: w.Take, Delete: w.Delete}
		r.Value, err = w.choice()
	}
	if err != nil {
		return fmt.Errorf("read request to resolve: %w", err)
	}
	return nil
}

// decodeExactly refuses unknown members, also where a type reads itself.
func decodeExactly(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
