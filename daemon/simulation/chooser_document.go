package simulation

import (
	"strconv"
	"strings"

	"crush/crdt"
	"crush/rpc"
)

// documentPaths are the places that edits are of.
var documentPaths = []string{"/a", "/b", "/o", "/o/a", "/o/b", "/l/[x]/v", "/l/[y]"}

// documents are whole values, parts those of a place.
var (
	documents = []string{
		`{"a":1,"b":1,"o":{"a":1,"b":1}}`, `{"a":1,"b":2}`, `{"b":2,"a":1.0}`, "{|\"b\":2,||\"a\":1|}", "{|\"b\":3,||\"a\":1.0|}", `{"a":2,"o":{"b":2}}`, `{"o":"s"}`, `{}`, `[1,2]`, `1.0`,
		`{"a":1,"l":[{"n":"x","v":1},{"n":"y","v":1}]}`, `{"a":1,"l":[{"n":"y","v":1},{"n":"x","v":2}],"t":["p","q"]}`, `{"l":[{"n":"x","v":1}],"t":["q"]}`,
	}
	yamls = []string{
		"a:_1|b:_1|o:|__a:_1_#_one|__b:_1|", "#_mine|a:_1|b:_2|", "a:_2|o:_{b:_2}|", "o:_s|", "l:|-_n:_x|__v:_1|-_n:_y|__v:_1|a:_1|",
		"a:_1|l:|__-_{n:_y,_v:_1}|__#_last|__-_{n:_x,_v:_2}|t:_[p,_q]|", "t:|-_q|l:|-_v:_1|__n:_x|",
		"kind:_C|apiVersion:_v1|metadata:_{name:_m}|a:_1|---|kind:_D|apiVersion:_v1|metadata:_{name:_m}|a:_1|", "a:_1|---|b:_1|",
	}
	parts = []string{"1", "2", `"s"`, "null", "{}", `{"a":1}`, `{"a":2,"b":1}`, "[1,2]", "1.0"}
)

func (c *chooser) whole(s *Step) bool {
	c.spot(s)
	c.context(s)
	if s.Key == rpc.PolicyKey && !c.rarely(4) {
		return false
	}
	if s.Kind = kindOf(s.Key).String(); c.rarely(20) {
		s.Kind = pickOne(c, []string{"json", "yaml", "counter", "set", "text", "bytes"})
	} else if c.rarely(2) && s.Base == "" {
		s.Kind = ""
	}
	s.Value = c.valueOf(s)
	return true
}

// valueOf is a value of the kind that a write of a key wants, or of the one that
// it will have.
func (c *chooser) valueOf(s *Step) string {
	kind, _ := crdt.ParseKind(s.Kind)
	if fork, _, _, err := c.turn(s).fork(s.Fork, false); err == nil {
		p := c.w.mirror.policy(c.n.has, fork, s.Key)
		kind = p.kindFor(s.Key, c.w.mirror.see(c.n.has, place{fork, s.Key}), kind)
	}
	if c.rarely(30) {
		kind = crdt.JSON // which may be none of its kind
	}
	switch {
	case s.Key == rpc.PolicyKey:
		return `{"**":` + pickOne(c, policyValues) + `,"k":` + pickOne(c, policyValues) + `}`
	case kind == crdt.Counter:
		return strconv.Itoa(c.IntN(4))
	case kind == crdt.Set:
		return pickOne(c, []string{`[]`, `["x"]`, `["x","y"]`, `["y","z"]`})
	case kind == crdt.YAML && !c.rarely(4):
		return pickOne(c, yamls)
	case kind == crdt.Text:
		return pickOne(c, texts)
	}
	return pickOne(c, documents)
}

// texts are made of lines, so that their changes can be joined.
var texts = []string{"a|b|c|d|e|", "a|B|c|d|e|", "a|b|c|D|e|", "a|B|c|D|e|", "a|b|c|d|e|f|", "x|", "1"}

// only picks a place of a key.
func (c *chooser) only(s *Step, keys ...string) bool {
	s.Fork, s.Key = c.forkArg(), pickOne(c, keys)
	return true
}

func (c *chooser) edit(s *Step) bool {
	c.only(s, "k", "k", "app/a", "app/a", "app/b")
	s.Path = pickOne(c, documentPaths)
	if !c.rarely(4) {
		s.Value = pickOne(c, parts)
	}
	fork, _, _, err := c.turn(s).fork(s.Fork, false)
	if err != nil {
		return false
	}
	// An element is written below a list that is there, and not by its name.
	was := c.w.mirror.see(c.n.has, place{fork, s.Key}).leaves()
	if strings.Contains(s.Path, "[") {
		up := crdt.Path(s.Path)
		for strings.Contains(string(up), "[") {
			up = up.Parent()
		}
		if s.Path == "/l/[y]" {
			s.Value = ""
		}
		return len(was.at(up+"/[x]")) > 0
	}
	if !was.leadsTo(crdt.Path(s.Path)) && !c.rarely(8) {
		return false
	}
	return len(was) > 0 && s.Value != "" || len(was.at(crdt.Path(s.Path))) > 0
}

func (c *chooser) incr(s *Step) bool {
	s.Value = strconv.Itoa(c.IntN(7) - 2)
	return c.only(s, "app/b", "app/b", "app/b", "app/b", "k")
}

func (c *chooser) element(s *Step) bool {
	s.Value = pickOne(c, []string{"x", "y", "z"})
	if c.rarely(3) {
		s.How = "remove"
	}
	return c.only(s, "env/z", "env/z", "env/z", "env/z", "k")
}

func (c *chooser) settle(s *Step) bool {
	open := c.conflicts()
	if len(open) == 0 {
		return false
	}
	at := pickOne(c, open)
	conflict := pickOne(c, c.w.mirror.see(c.n.has, at).view.Conflicts)
	s.Fork, s.Key, s.Path = c.argOf(at.fork), at.key, string(conflict.Path)
	switch {
	case c.rarely(5) && conflict.Path == crdt.Root:
		s.Value = c.valueOf(s)
	case c.rarely(5):
		s.Value = pickOne(c, parts)
		return conflict.Path != crdt.Root && s.Key != rpc.PolicyKey
	case !c.rarely(6):
		s.Take = pickOne(c, conflict.Sides).Letter
	}
	return true
}

func (c *chooser) job(s *Step) bool {
	c.spot(s)
	if s.Value = c.valueOf(s); c.rarely(3) {
		s.Name = "cd"
	}
	return true
}

// takes adds to a list what settles all conflicts of a key: a side of each, or a
// value.
func (c *chooser) takes(k *foreseen, before string) string {
	out := list(before)
	for _, conflict := range k.now.view.Conflicts {
		path := string(conflict.Path)
		if strings.Contains(path, ",") {
			return before
		}
		take := pickOne(c, conflict.Sides).Letter
		if conflict.Path != crdt.Root && k.at.key != rpc.PolicyKey && !strings.Contains(path, "[") && c.rarely(4) {
			take = "=" + pickOne(c, []string{"1", "2", `"s"`, "{}"})
		} else if conflict.Path == crdt.Root {
			path = ""
		}
		out = append(out, k.at.key+"@"+path+":"+take)
	}
	return strings.Join(out, ",")
}
