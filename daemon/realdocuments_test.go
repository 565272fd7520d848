package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"crush/crdt"
	"crush/dag"
	"crush/gitstream"
	"crush/rpc"
)

// The environment that TestRealDocuments reads: the directory with the streams
// of real repositories, of which the large one is read if the second is set; how
// often each built-in text is tried, and ten times as many real ones; and the
// first seed, which a failure prints.
const (
	realDataEnv  = "CRUSH_GIT_DATA"
	realLargeEnv = "CRUSH_GIT_LARGE"
	realCountEnv = "CRUSH_REAL_COUNT"
	realSeedEnv  = "CRUSH_REAL_SEED"
)

// builtIn are texts as people write them, by a name that tells the kind.
var builtIn = map[string]string{
	"deployment.yaml": "# of the shop\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\n  labels: {app: shop, tier: front}\nspec:\n  replicas: 3 # by load\n\n  template:\n    spec:\n      containers:\n        - name: web\n          image: \"web:1.2\"\n          env:\n            - {name: A, value: \"1\"}\n            - {name: B, value: \"on\"}\n        # for the logs\n        - name: log\n          image: log\n          args: [--all, -v]\n",
	"values.yaml":     "global:\n  a: &a\n    cpu: 100m\n    memory: 1Gi\n  b: *a\nlist:\n- 1\n- 2.50\n-  x: y\n   z: |\n     two\n     lines\nempty: {}\nnone: null\n? odd key\n: \"quoted: text\"\n",
	"stream.yaml":     "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata:\n  key: value\n---\n# the second\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\ndata:\n  key: value\n  other: \"3\"\n",
	"package.json":    "{\n  \"name\": \"shop\",\n  \"version\": \"1.10.0\",\n  \"limits\": {\"cpu\": 0.10, \"big\": 12345678901234567890, \"e\": 1e3},\n  \"list\": [1, [2, {\"a\": null}], \"\\u00e9\"],\n  \"env\": [{\"name\": \"A\", \"value\": \"1\"}, {\"name\": \"B\", \"value\": \"\"}],\n  \"empty\": {}, \"none\": []\n}\n",
	"flat.json":       `{"a":1,"b":{"c":"d"},"~/":{"[x]":true,"":false}}`,
}

// TestRealDocuments edits texts as people have written them, at random places on
// two or three forks, and merges these in every order: nothing that was written
// vanishes, all orders come to the same, what is served reads back as what it is
// said to be, and writing that again writes nothing.
func TestRealDocuments(t *testing.T) {
	seed, count := uint64(1), 4
	for name, set := range map[string]func(uint64){realSeedEnv: func(n uint64) { seed = n }, realCountEnv: func(n uint64) { count = int(n) }} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			set(n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(builtIn)) {
		for i := range count {
			tryDocument(t, name, builtIn[name], seed+uint64(i))
		}
	}
	dir := os.Getenv(realDataEnv)
	if dir == "" {
		t.Skipf("%s does not name the directory with gitops-small.fe.zst and gitops-history.fe.zst: only built-in texts were tried", realDataEnv)
	}
	stream := "gitops-small.fe.zst"
	if os.Getenv(realLargeEnv) != "" {
		stream = "gitops-history.fe.zst"
	}
	texts := documentsOf(t, filepath.Join(dir, stream))
	r := rand.New(rand.NewPCG(seed, 9))
	r.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	for i, text := range texts[:min(len(texts), 10*count)] {
		tryDocument(t, text[0], text[1], seed+uint64(i))
	}
	t.Logf("%d texts of %d", min(len(texts), 10*count), len(texts))
}

// documentsOf are the different texts of json and yaml in a stream, with their
// paths.
func documentsOf(t *testing.T, file string) (out [][2]string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	spool, err := gitstream.NewSpool(t.TempDir(), dag.MaxValue)
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	h, err := gitstream.Read(z, spool)
	if err != nil {
		t.Fatal(err)
	}
	if err := spool.Flush(); err != nil {
		t.Fatal(err)
	}
	seen := map[gitstream.Blob]bool{}
	for _, c := range h.Commits {
		for _, w := range c.Writes {
			if w.Deleted || seen[w.Blob] || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(w.Path)) {
				continue
			}
			seen[w.Blob] = true
			text, err := spool.Load(nil, w.Blob)
			if err != nil {
				t.Fatal(err)
			}
			if len(text) < 16<<10 {
				out = append(out, [2]string{w.Path, string(text)})
			}
		}
	}
	return out
}

// realLists are the schemas that the texts are read by, of every other seed.
var realLists = map[crdt.PathPattern]crdt.ListSchema{
	"/**/containers": crdt.MapList("name"), "/**/env": crdt.MapList("name"), "/**/args": crdt.SetList, "/list": crdt.SetList,
}

// trial is one text that is tried.
type trial struct {
	*lab
	*rand.Rand
	name  string
	kind  crdt.Kind
	lists crdt.Lists
	seed  uint64
	wrote int
}

func (x *trial) failf(format string, args ...any) {
	x.t.Helper()
	x.t.Fatalf("%s, %s=%d: %s", x.name, realSeedEnv, x.seed, fmt.Sprintf(format, args...))
}

func tryDocument(t *testing.T, name, text string, seed uint64) {
	t.Helper()
	x := &trial{lab: newLab(t, "a"), Rand: rand.New(rand.NewPCG(seed, 10)), name: name, kind: crdt.YAML, seed: seed}
	if filepath.Ext(name) == ".json" {
		x.kind = crdt.JSON
	}
	p := rpc.Policy{Pattern: "k", Kind: x.kind.String()}
	if seed%2 == 0 {
		p.Lists = realLists
		x.lists = p.ListRules()
	}
	if _, err := x.ChangePolicy(t.Context(), rpc.PolicyRequest{Policy: p}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte(text)}); rpc.CodeOf(err) == rpc.CodeUnparsed {
		return // a template, or no document at all
	} else if err != nil {
		x.failf("put: %v", err)
	}
	forks := []string{"f0", "f1", "f2"}[:2+x.IntN(2)]
	x.fork("base", "")
	for _, fork := range forks {
		x.fork(fork, "base")
		for range 1 + x.IntN(3) {
			x.edit(fork)
		}
		x.sound(fork)
	}
	var first rpc.Entry
	for i, order := range orders(forks) {
		dst := fmt.Sprint("m", i)
		x.fork(dst, "base")
		for _, fork := range order {
			x.merge(fork, dst, rpc.OnConflictKeep)
		}
		e := x.sound(dst)
		x.nothingLost(forks, e)
		if i == 0 {
			first = e
		} else if a, b := told(&first), told(&e); a != b {
			x.failf("in the order %v it comes to\n%s\nand in another to\n%s", order, b, a)
		}
	}
}

// orders are all orders of some names.
func orders(names []string) (out [][]string) {
	if len(names) == 1 {
		return [][]string{names}
	}
	for i, name := range names {
		for _, rest := range orders(slices.Delete(slices.Clone(names), i, i+1)) {
			out = append(out, append([]string{name}, rest...))
		}
	}
	return out
}

// told is what a reader sees of a key, but for what is of its fork.
func told(e *rpc.Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", e.Value)
	for _, c := range e.Conflicts {
		fmt.Fprintf(&b, "\n%s at %s:", c.Kind, c.Path)
		for _, s := range c.Sides {
			fmt.Fprintf(&b, " %v %s;", s.Served, s.Value)
		}
	}
	return b.String()
}

// edit changes the document on a fork somewhere: puts, adds or removes a part, or
// writes it all again with a comment.
func (x *trial) edit(fork string) {
	x.t.Helper()
	e := x.get(fork)
	d, err := crdt.ParseDocument(x.kind, e.Value, x.lists)
	if err != nil {
		x.failf("%s serves no document: %v\n%s", fork, err, e.Value)
	}
	paths := slices.Collect(maps.Keys(maps.Collect(d.Leaves())))
	slices.SortFunc(paths, crdt.Path.Compare)
	at := paths[x.IntN(len(paths))]
	x.wrote++
	value := fmt.Sprintf(`"written-%s-%d"`, fork, x.wrote)
	ref := rpc.KeyRef{Fork: fork, Key: "k"}
	switch n := x.IntN(6); {
	case n == 0 && at != crdt.Root:
		_, err = x.Delete(x.t.Context(), rpc.DeleteRequest{KeyRef: ref, Path: at})
	case n == 1 && at.Parent() != crdt.Root:
		_, err = x.Put(x.t.Context(), rpc.PutRequest{KeyRef: ref, Value: []byte(value), Path: at.Parent()})
	case n == 2 && !at.IsElement():
		_, err = x.Put(x.t.Context(), rpc.PutRequest{KeyRef: ref, Value: []byte(value), Path: at.Parent().Member("new")})
	case n == 3 && x.kind == crdt.YAML:
		_, err = x.Put(x.t.Context(), rpc.PutRequest{KeyRef: ref, Value: append([]byte("# "+value+"\n"), e.Value...)})
	default:
		_, err = x.Put(x.t.Context(), rpc.PutRequest{KeyRef: ref, Value: []byte(value), Path: at})
	}
	if code := rpc.CodeOf(err); err != nil && code != rpc.CodeInvalid && code != rpc.CodeNotFound {
		x.failf("edit of %s on %s: %v", at, fork, err)
	}
}

func (x *trial) get(fork string) rpc.Entry {
	x.t.Helper()
	e, err := x.Get(x.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: "k"}})
	if err != nil {
		x.failf("get on %s: %v", fork, err)
	}
	return e
}

// sound checks what a fork serves: it reads back as the document that it is said
// to be, is the same when it is read again, and written again, by a put or an
// apply, it is nothing new.
func (x *trial) sound(fork string) rpc.Entry {
	x.t.Helper()
	e, again := x.get(fork), x.get(fork)
	if !bytes.Equal(e.Value, again.Value) {
		x.failf("%s is served as\n%s\nand then as\n%s", fork, e.Value, again.Value)
	}
	if e.Deleted {
		return e
	}
	text, err := crdt.ParseFragment(e.Kind, e.Value, crdt.Root, nil) // its lists in their order
	if err != nil {
		x.failf("%s serves what is no %s: %v\n%s", fork, e.Kind, err, e.Value)
	}
	if whole, err := crdt.ParseDocument(crdt.JSON, e.Document, nil); err != nil || !json.Valid(e.Document) || !sameJSON(whole, text) {
		x.failf("%s serves the text\n%s\nand the document\n%s\n%v", fork, e.Value, e.Document, err)
	}
	if e.Conflict {
		return e
	}
	q := rpc.ApplyRequest{Fork: fork, Files: []rpc.File{{Key: "k", Value: e.Value}}}
	if done, err := x.Apply(x.t.Context(), q); err != nil || done.Unchanged != 1 || !done.Block.IsZero() {
		x.failf("applying on %s what it serves: %+v %v\n%s", fork, done, err, e.Value)
	}
	put := rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: "k"}, Value: e.Value}
	if done, err := x.Put(x.t.Context(), put); err != nil || !done.Unchanged {
		x.failf("putting on %s what it serves: %+v %v\n%s", fork, done, err, e.Value)
	}
	return e
}

// sameJSON compares documents by their canonical json: a stream of yaml is a list
// in json.
func sameJSON(a, b *crdt.Document) bool {
	one, err := crdt.ParseDocument(crdt.JSON, b.JSON(), nil)
	return err == nil && one.Sum() == a.Sum()
}

// nothingLost checks that each value that a fork serves which somebody wrote
// there is served after the merge too, or is carried by a conflict: it is in a
// side, or in a conflict inside of a side.
func (x *trial) nothingLost(forks []string, e rpc.Entry) {
	x.t.Helper()
	all := told(&e) + x.carried(e.Fork)
	for _, fork := range forks {
		document := string(x.get(fork).Document)
		for i := range x.wrote + 1 {
			value := fmt.Sprintf("written-%s-%d", fork, i)
			if strings.Contains(document, strconv.Quote(value)) && !strings.Contains(all, value) {
				x.failf("%s has vanished:\n%s\nbut %s serves\n%s", value, all, fork, document)
			}
		}
	}
}

// carried are the texts of all revisions that the sides of conflicts are made of.
func (x *trial) carried(fork string) (texts string) {
	x.t.Helper()
	f, ok := x.graph.ForkNamed(fork)
	if !ok {
		x.failf("no fork %s", fork)
	}
	s, err := x.lookAt(f.ID, "k")
	if err != nil {
		x.failf("look at %s: %v", fork, err)
	}
	for _, c := range s.Conflicts {
		for _, side := range c.Sides {
			for _, id := range side.Revisions {
				c, err := x.graph.Revision(dag.RevisionID(id))
				if err != nil {
					x.failf("revision %s: %v", id, err)
				}
				old, err := x.contentOf(&c)
				if err != nil {
					x.failf("revision %s: %v", id, err)
				}
				texts += string(old.value)
			}
		}
	}
	return texts
}
