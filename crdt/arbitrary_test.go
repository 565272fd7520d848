package crdt_test

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"crush/crdt"
	"crush/crdt/oracle"
)

// The documents of random histories are small, so that writers meet: members
// a, b and l; values of few kinds. The lists at l are keyed or not.
var (
	fewLeaves = rapid.SampledFrom([]string{`1`, `2`, `1.0`, `"x"`, `null`, `{}`, `[]`, `[1,2]`})
	fewPaths  = rapid.SampledFrom([]crdt.Path{
		"/", "/a", "/a/a", "/a/b", "/a/a/a", "/b", "/b/a", "/l", "/l/[1]", "/l/[2]", "/l/[1]/v", "/l/[2]/v", "/l/a", `/["x"]`, "/[x]",
	})
	fewLists    = rapid.SampledFrom([]crdt.Lists{nil, {{Path: "/l", Schema: crdt.MapList("k")}}})
	fewElements = rapid.SampledFrom([]string{"x", "y", ""})
)

// drawText draws the text of a document.
func drawSmallText(t *rapid.T, depth int) string {
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "leaf") == 0 {
		return fewLeaves.Draw(t, "value")
	}
	var members []string
	for _, name := range []string{"a", "b"} {
		if rapid.Bool().Draw(t, name) {
			members = append(members, fmt.Sprintf("%q:%s", name, drawSmallText(t, depth-1)))
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "list") == 0 {
		var items []string
		for i := range 2 {
			if rapid.Bool().Draw(t, "item") {
				items = append(items, fmt.Sprintf(`{"k":%d,"v":%s}`, i+1, fewLeaves.Draw(t, "v")))
			}
		}
		members = append(members, `"l":[`+strings.Join(items, ",")+`]`)
	}
	return "{" + strings.Join(members, ",") + "}"
}

// drawPayload draws what anyone could send: well-formed payloads whose change
// need not be how their text came to be, and now and then something else.
func drawPayload(t *rapid.T, kind crdt.Kind) []byte {
	var payload []byte
	var err error
	switch kind {
	case crdt.JSON, crdt.YAML:
		payload, err = drawDocumentPayload(t, kind).Encode()
	case crdt.Counter:
		p := crdt.CounterPayload{Total: big.NewInt(rapid.Int64Range(-2, 3).Draw(t, "total")), N: rapid.Int64Range(-2, 3).Draw(t, "n")}
		if p.Set = rapid.Bool().Draw(t, "set"); p.Set {
			p.N = p.Total.Int64()
		}
		payload, err = p.Encode()
	case crdt.Set:
		payload, err = drawSetPayload(t).Encode()
	default:
		return []byte(someValues.Draw(t, "value"))
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	if rapid.IntRange(0, 20).Draw(t, "cut") == 0 {
		return payload[:len(payload)/2]
	}
	return payload
}

// garble takes a byte off the text of a payload.
func garble(payload []byte) []byte {
	n := binary.BigEndian.Uint32(payload[len(payload)-4:])
	return binary.BigEndian.AppendUint32(slices.Clone(payload[1:len(payload)-4]), n-1)
}

func drawDocumentPayload(t *rapid.T, kind crdt.Kind) crdt.DocumentPayload {
	text := []byte(drawSmallText(t, 3))
	d, err := crdt.ParseDocument(kind, text, fewLists.Draw(t, "lists"))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	p := crdt.DocumentPayload{Text: text, Lists: d.Lists()}
	p.Paths = append(p.Paths, rapid.SliceOfNDistinct(fewPaths, 0, 4, rapid.ID[crdt.Path]).Draw(t, "paths")...)
	slices.SortFunc(p.Paths, crdt.Path.Compare)
	if rapid.IntRange(0, 20).Draw(t, "garbled") == 0 {
		p.Text = []byte("{")
	}
	return p
}

func drawSetPayload(t *rapid.T) crdt.SetPayload {
	sorted := func(label string) []string {
		s := rapid.SliceOfDistinct(fewElements, rapid.ID[string]).Draw(t, label)
		slices.Sort(s)
		return slices.Clip(s[:len(s):len(s)])
	}
	p := crdt.SetPayload{Elements: sorted("elements"), Set: rapid.Bool().Draw(t, "set")}
	for _, e := range p.Elements {
		if p.Set || rapid.Bool().Draw(t, "added") {
			p.Added = append(p.Added, e)
		}
	}
	for _, e := range sorted("removed") {
		if !p.Set && !slices.Contains(p.Elements, e) {
			p.Removed = append(p.Removed, e)
		}
	}
	return p
}

// drawAnything lets n write whatever can be decoded, or not, having seen any
// set of revisions.
func drawAnything(t *rapid.T, n *node, f crdt.ForkID, kinds []crdt.Kind) {
	r := oracle.Revision{
		Fork:    f,
		Parents: n.heads(f),
		Kind:    rapid.SampledFrom(kinds).Draw(t, "kind"),
		Time:    someTimes.Draw(t, "time"),
		Deleted: rapid.IntRange(0, 5).Draw(t, "delete") == 0,
		Open:    rapid.IntRange(0, 2).Draw(t, "open") == 0,
	}
	if !r.Deleted {
		r.Value = drawPayload(t, r.Kind)
	}
	if r.Change = changeOf(r.Kind, r.Value); r.Change != nil && r.Kind == crdt.Set && rapid.IntRange(0, 9).Draw(t, "garbled") == 0 {
		r.Value, r.Change.Garbled = garble(r.Value), true
	}
	if rapid.IntRange(0, 2).Draw(t, "partial context") == 0 {
		r.Parents = nil
		for _, id := range ids(n.oracle.At(n.knows).Visible(f, key)) {
			if rapid.IntRange(0, 2).Draw(t, "read") == 0 {
				r.Parents = append(r.Parents, id)
			}
		}
	}
	r.Open = r.Open && !r.Deleted && r.Kind >= crdt.JSON && r.Kind <= crdt.Set
	n.write(r)
}

// TestArbitraryPayloads lets writers declare whatever they like: a view is
// total, and what the oracle says, whoever wrote what.
func TestArbitraryPayloads(t *testing.T) {
	for name, kinds := range map[string][]crdt.Kind{
		"documents": {crdt.JSON, crdt.JSON, crdt.YAML},
		"counters":  {crdt.Counter},
		"sets":      {crdt.Set},
		"mixed":     {crdt.JSON, crdt.JSON, crdt.JSON, crdt.Counter, crdt.Counter, crdt.Set, crdt.Bytes, 77},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				randomForks(t, rapid.IntRange(1, 12).Draw(t, "steps"), func(n *node, f crdt.ForkID) { drawAnything(t, n, f, kinds) })
			})
		})
	}
}

// randomForks lets nodes write, fork and merge at random, and reads every fork
// as each of them sees it, and as one that has everything.
func randomForks(t *rapid.T, steps int, write func(n *node, f crdt.ForkID)) *world {
	w := newWorld(t)
	nodes := []*node{w.node("1"), w.node("2"), w.node("3")}
	forks := []crdt.ForkID{root}
	for i := range steps {
		n := rapid.SampledFrom(nodes).Draw(t, "node")
		f := rapid.SampledFrom(forks).Draw(t, "fork")
		switch rapid.IntRange(0, 9).Draw(t, "step") {
		default:
			write(n, f)
			if rapid.Bool().Draw(t, "look") {
				in := n.oracle.At(n.knows).Input(f, key)
				in.Memory = n.memory // who reads seldom remembers less
				in.View()
			}
		case 0:
			made := fork(fmt.Sprint(i))
			n.create(made, f)
			forks = append(forks, made)
		case 1:
			n.merge(rapid.SampledFrom(forks).Draw(t, "source"), f)
		case 2, 3:
			n.learn(rapid.SampledFrom(nodes).Draw(t, "from"))
		}
	}
	all := w.node("all")
	meet(all)
	for _, n := range append(nodes, all) {
		for _, f := range forks {
			n.view(f)
		}
	}
	w.forks = forks
	return w
}
