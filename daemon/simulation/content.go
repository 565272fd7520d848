package simulation

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/big"
	"strconv"
	"strings"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
	"crush/rpc"
)

// leaves are what a value holds, as the oracle tells it.
type leaves map[crdt.Path]string

// schemas are how the lists of a world's documents are keyed, where its policies
// say that they are.
var schemas = crdt.Lists{{Path: "/l", Schema: crdt.MapList("n")}, {Path: "/t", Schema: crdt.SetList}}

// keyed are the schemas of the lists that stand as elements in a document: by
// them its text has the same leaves, whatever the policies say by now.
func (l leaves) keyed() (out crdt.Lists) {
	for _, rule := range schemas {
		list := crdt.Path(rule.Path)
		for p := range l {
			if p.Below(list) && strings.HasPrefix(string(p[len(list):]), "/[") {
				out = append(out, rule)
				break
			}
		}
	}
	return out
}

// textOf is the bytes of a value of a history of documents: of a yaml, in which
// | stands for the end of a line and _ for a space.
func textOf(value string) []byte {
	if !strings.Contains(value, "|") {
		return []byte(value)
	}
	return []byte(strings.NewReplacer("|", "\n", "_", " ").Replace(value))
}

// changeOf is a payload as the oracle takes it; nil if it is the value itself.
func changeOf(kind crdt.Kind, payload []byte) *oracle.Change {
	c := &oracle.Change{Writes: map[crdt.Path]string{}, Whole: leavesOf(nil, kind, crdt.TextOf(kind, payload), crdt.Root)}
	switch kind {
	case crdt.JSON, crdt.YAML:
		p, err := crdt.DecodeDocument(payload)
		if err != nil {
			return nil
		}
		c.Whole = leavesOf(p.Lists, kind, p.Text, crdt.Root)
		for _, at := range p.Paths {
			c.Writes[at] = oracle.DEL
			if leaf, ok := c.Whole[at]; ok {
				c.Writes[at] = leaf
			}
		}
		return c
	case crdt.Counter:
		p, err := crdt.DecodeCounter(payload)
		if err != nil {
			return nil
		}
		if c.Add = big.NewInt(p.N); p.Set {
			c.Add, c.Writes = nil, c.Whole
		}
		return c
	case crdt.Set:
		p, err := crdt.DecodeSet(payload)
		if err != nil {
			return nil
		}
		if p.Set {
			c.Writes[crdt.Root] = oracle.DEL
		}
		for _, e := range p.Added {
			c.Writes[crdt.Root.Element(e)] = element
		}
		for _, e := range p.Removed {
			c.Writes[crdt.Root.Element(e)] = oracle.DEL
		}
		return c
	}
	return nil
}

// element is the content of an element of a set.
const element = "in"

// leavesOf is what a value of a kind holds that stands at a path, its lists read
// by some schemas; nil if it is no value of the kind.
func leavesOf(lists crdt.Lists, kind crdt.Kind, value []byte, at crdt.Path) leaves {
	out := leaves{}
	switch kind {
	case crdt.JSON, crdt.YAML:
		var d *crdt.Document
		var err error
		if at == crdt.Root {
			d, err = crdt.ParseDocument(kind, value, lists)
		} else {
			d, err = crdt.ParseFragment(kind, value, at, lists)
		}
		if err != nil {
			return nil
		}
		for p, leaf := range d.Leaves() {
			if p == crdt.Root {
				p = at
			} else if at != crdt.Root {
				p = at + p
			}
			out[p] = hex.EncodeToString(leaf.Sum[:])
		}
	case crdt.Counter:
		if _, err := strconv.ParseInt(string(value), 10, 64); err != nil {
			return nil
		}
		out[at] = string(value)
	case crdt.Set:
		var elements []string
		if json.Unmarshal(value, &elements) != nil {
			return nil
		}
		for _, e := range elements {
			out[crdt.Root.Element(e)] = element
		}
	default:
		sum := dag.SumOf(value)
		out[at] = string(sum[:])
	}
	return out
}

// What can be written into without replacing it.
var (
	emptyObject = leavesOf(nil, crdt.JSON, []byte("{}"), crdt.Root)[crdt.Root]
	emptyList   = leavesOf(nil, crdt.JSON, []byte("[]"), crdt.Root)[crdt.Root]
	null        = leavesOf(nil, crdt.JSON, []byte("null"), crdt.Root)[crdt.Root]
)

// leadsTo reports whether no value stands above a path.
func (l leaves) leadsTo(path crdt.Path) bool {
	for p, content := range l {
		if p != path && oracle.Within(path, p) && content != emptyObject && content != emptyList && content != null {
			return false
		}
	}
	return true
}

// isElement reports whether what stands at a path can be there: if that is an
// element of a keyed list, it has the name that the path says.
func (l leaves) isElement(at crdt.Path) bool {
	_, name, ok := strings.Cut(strings.TrimSuffix(string(at), "]"), "[")
	if !ok || !strings.HasSuffix(string(at), "]") {
		return true
	}
	field := at + "/n"
	return l[field] == leavesOf(nil, crdt.JSON, strconv.AppendQuote(nil, name), field)[field]
}

// with is what is there once part stands at a path in place of what did. What
// became empty by that is {}.
func (l leaves) with(at crdt.Path, part leaves) leaves {
	out := leaves{}
	if len(part) == 0 && len(l.at(at)) == 0 {
		return maps.Clone(l)
	}
	for p, content := range l {
		if !oracle.Within(p, at) && !oracle.Within(at, p) {
			out[p] = content
		}
	}
	maps.Copy(out, part)
	if at != crdt.Root && len(part) == 0 && len(l.at(at)) > 0 {
		up := at.Parent()
		if len(out.at(up)) == 0 {
			out[up] = emptyObject
			if last, _ := at.Last(); strings.HasPrefix(string(at[len(up):]), "/[") && last != "" {
				out[up] = emptyList
			}
		}
	}
	return out
}

// mixed reports whether members and elements stand at one place: no text has
// that.
func (l leaves) mixed() bool {
	elements := map[crdt.Path]bool{}
	for p := range l {
		for ; p != crdt.Root; p = p.Parent() {
			is, met := elements[p.Parent()]
			if met && is != p.IsElement() {
				return true
			}
			elements[p.Parent()] = p.IsElement()
		}
	}
	return false
}

// at is what stands at a path and below it.
func (l leaves) at(top crdt.Path) leaves {
	out := leaves{}
	for p, content := range l {
		if oracle.Within(p, top) {
			out[p] = content
		}
	}
	return out
}

// text is the value of a revision of a block, as its author saw it; nil for a
// deletion.
func (b *block) text(i int) []byte {
	if b.payloads[i] == nil {
		return nil
	}
	return crdt.TextOf(crdt.Kind(b.revisions[i].Kind), b.payloads[i])
}

// text is the whole value of the revision that is served; nil if that is a
// deletion.
func (s *sight) text() []byte {
	r := s.served()
	if r.Deleted {
		return nil
	}
	return crdt.TextOf(r.Kind, r.Value)
}

// holds reports whether a value is what is to be served: the author's bytes if
// those are it.
func (s *sight) holds(kind crdt.Kind, value []byte) bool {
	switch {
	case s.view.Absent():
		return value == nil
	case s.known() && !bytes.Equal(value, s.text()):
		return false // the texts of several heads can be woven into one
	}
	return value != nil && maps.Equal(leavesOf(s.leaves().keyed(), kind, value, crdt.Root), s.reading.Leaves)
}

// leaves are what is served.
func (s *sight) leaves() leaves { return s.reading.Leaves }

// open is an open conflict, and what its sides hold.
type open struct {
	*crdt.Conflict
	sides []map[crdt.Path]string
}

func (s *sight) conflict(i int) open { return open{&s.view.Conflicts[i], s.reading.Sides[i]} }

// register reports whether a side is the whole value of one revision.
func (c *open) register(i int) bool { return c.Sides[i].Value != crdt.Sum{} }

// isOf reports whether a side is said to be of the kind that it is.
func (c *open) isOf(i int, got *rpc.Side) bool {
	return !c.register(i) || got.Kind == c.Sides[i].Kind
}

// holds reports whether a side is what it is said to be.
func (c *open) holds(i int, got *rpc.Side) bool {
	switch {
	case c.Sides[i].Deleted:
		return got.Deleted
	case c.register(i):
		return dag.SumOf(got.Value) == dag.Sum(c.Sides[i].Value)
	}
	return maps.Equal(leavesOf(leaves(c.sides[i]).keyed(), got.Kind, got.Value, c.Path), c.sides[i])
}
