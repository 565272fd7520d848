package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// oldCluster is a lab with forks, a conflict, a deleted key and long claims.
func oldCluster(t *testing.T) *lab {
	t.Helper()
	old, other := pair(t)
	old.put("", "both", "first")
	meet(old, other)
	old.put("", "both", "here")
	other.put("", "both", "there")
	meet(old, other)
	old.put("", "gone", "x")
	old.del("", "gone")
	for i := range 30 {
		old.put("", fmt.Sprintf("many/%02d", i), strings.Repeat("v", 100+i))
	}
	for _, q := range []rpc.PutRequest{
		{KeyRef: rpc.KeyRef{Key: "text"}, Kind: crdt.Text, Value: []byte("häuser\n"), Claim: rpc.Claim{Author: "ann", Message: "why"}},
		{KeyRef: rpc.KeyRef{Key: "long"}, Value: []byte{}, Claim: rpc.Claim{Author: rpc.Author(strings.Repeat("é", 900)), Message: strings.Repeat("m", 60_000)}},
	} {
		if _, err := old.Put(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	for kind, value := range map[crdt.Kind]string{crdt.JSON: `{"a":1,"b":1}`, crdt.YAML: "a: 1 # one\n", crdt.Counter: "41", crdt.Set: `["x","y"]`} {
		old.says("ann", "", "of/"+kind.String(), kind, value)
	}
	meet(old, other)
	of := func(kind crdt.Kind) rpc.KeyRef { return rpc.KeyRef{Key: "of/" + kind.String()} }
	for i, l := range []*lab{old, other} { // what is read was then written by nobody
		if _, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: of(crdt.JSON), Path: []crdt.Path{"/a", "/b"}[i], Value: []byte("2")}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Increment(t.Context(), rpc.IncrementRequest{KeyRef: of(crdt.Counter), By: 1}); err != nil {
			t.Fatal(err)
		}
	}
	meet(old, other)
	old.setPolicy("", rpc.Policy{Pattern: "of/*", Merge: rpc.OnConflictOurs})
	old.fork("staging", "")
	old.put("staging", "only", "staging's")
	old.put("staging", "many/00", "changed")
	old.del("staging", "many/01")
	old.fork("removed", "")
	if _, err := old.RemoveFork(t.Context(), rpc.ForkChange{Fork: "removed"}); err != nil {
		t.Fatal(err)
	}
	return old
}

// values are what a fork serves.
func (l *lab) values(fork string) map[string]string {
	l.t.Helper()
	out := map[string]string{}
	for e, err := range l.List(l.t.Context(), rpc.ListRequest{Fork: fork, Values: true}) {
		if err != nil {
			l.t.Fatal(err)
		}
		out[e.Key] = e.Kind.String() + " " + string(e.Value)
	}
	return out
}

// TestImportForks imports in one block, and in parts: it looks the same, and
// other nodes see all of it or nothing, however the blocks come.
func TestImportForks(t *testing.T) {
	for name, part := range map[string]int{"one block": defaultPartSize, "parts": 4000} {
		t.Run(name, func(t *testing.T) {
			old := oldCluster(t)
			into, other := pair(t)
			into.partSize = part
			into.put("", "k", "the cluster's own")
			forks, err := old.toImport(t.Context(), "laptop")
			if err != nil || len(forks) != 2 || forks[0].to != "laptop" || forks[1].to != "laptop/staging" || forks[0].conflicts != 1 {
				t.Fatalf("to import: %+v, %v", forks, err)
			}
			before := into.Graph().Stats().Blocks
			block, err := into.importForks(t.Context(), old.Replica, forks, rpc.Claim{Author: "bob", Message: "imported"})
			if err != nil || block.IsZero() {
				t.Fatal(err)
			}
			if n := into.Graph().Stats().Blocks - before; (n == 1) != (part == defaultPartSize) {
				t.Errorf("imported in %d blocks", n)
			}
			whole := false
			for !whole {
				before := other.Graph().Digest()
				other.pullSome(into, 1)
				_, staged := other.Graph().ForkNamed("laptop/staging")
				if _, there := other.Graph().ForkNamed("laptop"); there != staged {
					t.Error("one fork is there without the other")
				} else if whole = there; there && len(other.values("laptop")) != forks[0].keys {
					t.Errorf("the fork is there with %d of %d keys", len(other.values("laptop")), forks[0].keys)
				}
				if other.Graph().Digest() == before {
					t.Fatal("the forks did not come")
				}
			}
			for from, to := range map[string]string{"": "laptop", "staging": "laptop/staging"} {
				if want := old.values(from); !maps.Equal(other.values(to), want) || len(want) < 30 {
					t.Errorf("%s: got %v, want %v", to, other.values(to), want)
				}
			}
			if own := other.values(""); len(own) != 1 {
				t.Errorf("the default fork has %v", own)
			}
			other.wantImported()
			again, err := into.importedBefore(t.Context(), "laptop", "imported")
			if err != nil || again != block {
				t.Errorf("looked up: %s, %v; want %s", again, err, block)
			}
			if _, err := into.importedBefore(t.Context(), "laptop", "other"); !errors.Is(err, rpc.ErrStale) {
				t.Errorf("of another import: %v", err)
			}
			if _, err := into.importForks(t.Context(), old.Replica, forks, rpc.Claim{}); !errors.Is(err, rpc.ErrStale) {
				t.Errorf("imported twice: %v", err)
			}
		})
	}
}

// wantImported checks who is said to have written what was imported.
func (l *lab) wantImported() {
	l.t.Helper()
	e, err := l.Get(l.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: "laptop", Key: "text"}})
	if err != nil || e.Author != "ann" || !strings.HasPrefix(e.Message, "why (imported; written by ") || !strings.Contains(e.Message, " at 2023-11-14T22:13:") {
		l.t.Errorf("got %q %q, %v", e.Author, e.Message, err)
	}
	e, err = l.Get(l.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: "laptop", Key: "long"}})
	if err != nil || !strings.HasSuffix(string(e.Author), "éé…") || len(e.Author) > claimRoom || !strings.Contains(e.Message, "mm… (imported; ") {
		l.t.Errorf("got %q %q, %v", e.Author, e.Message, err)
	}
}

// joining is a cluster of one daemon, and another daemon with data of its own
// that is added there.
type joining struct {
	t       *testing.T
	a, b    *node
	config  Config // of b
	address string // of a
}

func newJoining(t *testing.T, role string) *joining {
	t.Helper()
	lo := []string{"/ip4/127.0.0.1/tcp/0"}
	j := &joining{t: t, config: Config{Data: filepath.Join(shortDir(t), "b"), Name: "b", Listen: lo}}
	j.a = startNode(t, Config{Data: filepath.Join(shortDir(t), "a"), Name: "a", Listen: lo})
	j.b = startNode(t, j.config)
	j.address = j.a.at.Addresses[0]
	j.a.put("k", "the cluster's")
	j.b.put("k", "b's")
	j.b.put("own", "b's own")
	j.member(role)
	return j
}

func (j *joining) member(role string) {
	j.t.Helper()
	if _, err := j.a.client.AddMember(j.t.Context(), rpc.Member{Node: j.b.at.Node, Name: "b", Role: role}, rpc.Claim{}); err != nil {
		j.t.Fatal(err)
	}
}

func (n *node) put(key, value string) rpc.Written {
	w, err := n.client.Put(context.Background(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: []byte(value)})
	if err != nil {
		panic(err) // the daemon of a test does not run
	}
	return w
}

func (j *joining) join(r rpc.JoinRequest) (rpc.Joined, error) {
	j.t.Helper()
	r.Address = j.address
	return j.b.client.Join(j.t.Context(), r)
}

// crash takes b down and up again, after a change to its files.
func (j *joining) crash(change func(data string)) {
	j.t.Helper()
	if err := j.b.stop(); err != nil {
		j.t.Fatal(err)
	}
	change(j.config.Data)
	j.b = startNode(j.t, j.config)
}

// imported joins once more, and checks that it ends with the fork in the
// cluster, and all that b had aside.
func (j *joining) imported(fork string) rpc.Joined {
	j.t.Helper()
	joined, err := j.join(rpc.JoinRequest{ImportAs: fork})
	if err != nil || joined.Import == nil {
		j.t.Fatalf("%+v, %v", joined, err)
	}
	if f := joined.Import.Forks; len(f) != 1 || f[0] != (rpc.ImportedFork{From: "default", Fork: fork, Keys: 2}) {
		j.t.Errorf("imported %+v", f)
	}
	for _, n := range []*node{j.b, j.a} {
		for _, want := range [][3]string{{fork, "k", "b's"}, {fork, "own", "b's own"}, {"default", "k", "the cluster's"}} {
			e, err := n.client.Get(j.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: want[0], Key: want[1]}, After: joined.Import.Block.String()})
			if err != nil || string(e.Value) != want[2] {
				j.t.Errorf("%s %s: %q, %v", want[0], want[1], e.Value, err)
			}
		}
	}
	if e, err := j.a.client.Get(j.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "own"}}); err != nil || !e.Deleted {
		j.t.Errorf("default has b's key: %+v, %v", e, err)
	}
	if _, err := os.Stat(filepath.Join(j.config.Data, importName)); !errors.Is(err, fs.ErrNotExist) {
		j.t.Errorf("the import still waits: %v", err)
	}
	if w := j.waits(); w != "" {
		j.t.Errorf("status still warns: %s", w)
	}
	old := startNode(j.t, Config{Data: joined.Import.Aside})
	if i, err := old.client.Info(j.t.Context(), rpc.KeyRef{Key: "k"}); err != nil || i.RevisionCount != 0 {
		j.t.Errorf("aside: %+v, %v", i, err)
	}
	if err := old.stop(); err != nil {
		j.t.Error(err)
	}
	return joined
}

// waits is the status's warning that an import waits.
func (j *joining) waits() string {
	j.t.Helper()
	s, err := j.b.client.Status(j.t.Context())
	if err != nil {
		j.t.Fatal(err)
	}
	i := slices.IndexFunc(s.Warnings, func(w string) bool { return strings.Contains(w, "before it joined") })
	if i < 0 {
		return ""
	}
	return s.Warnings[i]
}

func (j *joining) asides() (names []string) {
	names, _ = filepath.Glob(filepath.Join(j.config.Data, asidePrefix+"*"))
	return names
}

func TestJoinImports(t *testing.T) {
	j := newJoining(t, "writer")
	if _, err := j.join(rpc.JoinRequest{}); !errors.Is(err, rpc.ErrDenied) || !strings.Contains(err.Error(), "--import-as") {
		t.Errorf("without a word about its data: %v", err)
	}
	j.imported("b")
	joined, err := j.join(rpc.JoinRequest{ImportAs: "b"})
	if err != nil || joined.Import != nil || len(j.asides()) != 1 {
		t.Errorf("again: %+v, %v", joined, err)
	}
}

// TestJoinIsInterrupted stops a join with an import after each of its steps.
func TestJoinIsInterrupted(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, j *joining){
		"in the middle of the copy": func(t *testing.T, j *joining) {
			j.crash(func(data string) {
				put(t, filepath.Join(data, asidePrefix+"then"+partSuffix, "junk"), "x", 0o600)
			})
			j.imported("b")
		},
		"before the old data goes": func(t *testing.T, j *joining) {
			g := j.b.replica.Graph()
			p := &pendingImport{From: g.Cluster(), Tips: g.Now().Tips(), Fork: "b", Aside: asidePrefix + "then"}
			j.crash(func(data string) {
				put(t, filepath.Join(data, p.Aside, "junk"), "x", 0o600)
				if err := (&directory{path: data}).writeImport(p); err != nil {
					t.Fatal(err)
				}
			})
			if w := j.waits(); w != "" {
				t.Errorf("status warns: %s", w)
			}
			j.b.put("own", "older")
			j.b.put("own", "b's own")
			j.imported("b")
		},
		"before the history comes": func(t *testing.T, j *joining) {
			j.step("first")
			j.crash(func(string) {})
			if w := j.waits(); !strings.Contains(w, "as the fork first") {
				t.Errorf("status: %q", w)
			}
			j.imported("b")
		},
		"after the import": func(t *testing.T, j *joining) {
			p := j.step("b")
			kept, err := os.ReadFile(j.b.dir.importFile())
			if err != nil {
				t.Fatal(err)
			}
			first := j.imported("b")
			j.crash(func(data string) { put(t, filepath.Join(data, importName), string(kept), 0o600) })
			if again := j.imported("b"); again.Import.Block != first.Import.Block || again.Import.Aside != j.b.dir.aside(p) {
				t.Errorf("%+v, first %+v", again.Import, first.Import)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJoining(t, "writer")
			test(t, j)
			if n := len(j.asides()); n != 1 {
				t.Errorf("%d directories aside", n)
			}
		})
	}
}

// step goes as far as giving up b's data for a's, to be imported.
func (j *joining) step(fork string) *pendingImport {
	j.t.Helper()
	step := &joiner{dir: j.b.dir, replica: j.b.replica, host: j.b.host}
	p, err := step.adopt(j.t.Context(), j.a.replica.Graph().Cluster(), &rpc.JoinRequest{ImportAs: fork}, nil)
	if err != nil {
		j.t.Fatal(err)
	}
	return p
}

// TestJoinCannotImport: what stops an import leaves it waiting, and says how it
// goes on.
func TestJoinCannotImport(t *testing.T) {
	j := newJoining(t, "reader")
	if _, err := j.a.client.CreateFork(t.Context(), rpc.ForkRequest{Name: "b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.join(rpc.JoinRequest{ImportAs: strings.Repeat("b", 129)}); !errors.Is(err, rpc.ErrInvalid) {
		t.Errorf("a bad name: %v", err)
	}
	fails := func(fork string, want error) {
		t.Helper()
		_, err := j.join(rpc.JoinRequest{ImportAs: fork})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "it waits in "+j.config.Data) {
			t.Errorf("%s: %v", fork, err)
		}
		if w := j.waits(); !strings.Contains(w, "to be imported as the fork "+fork) {
			t.Errorf("%s: status says %q", fork, w)
		}
	}
	fails("c", rpc.ErrDenied) // a reader writes nothing
	j.member("writer")
	fails("b", rpc.ErrStale) // the cluster has one
	j.imported("c")
}

// TestJoinGivesUpImport: --discard also gives up an import that waits, and
// leaves the copy alone.
func TestJoinGivesUpImport(t *testing.T) {
	j := newJoining(t, "reader")
	if _, err := j.join(rpc.JoinRequest{ImportAs: "b"}); !errors.Is(err, rpc.ErrDenied) {
		t.Fatal(err)
	}
	other := startNode(t, Config{Data: filepath.Join(shortDir(t), "c"), Name: "c", Listen: j.config.Listen})
	if _, err := other.client.AddMember(t.Context(), rpc.Member{Node: j.b.at.Node, Name: "b"}, rpc.Claim{}); err != nil {
		t.Fatal(err)
	}
	address := j.address
	j.address = other.at.Addresses[0]
	if _, err := j.join(rpc.JoinRequest{ImportAs: "b"}); !errors.Is(err, rpc.ErrDenied) || !strings.Contains(err.Error(), "finish that join first") {
		t.Errorf("into a third cluster meanwhile: %v", err)
	}
	j.address = address
	if joined, err := j.join(rpc.JoinRequest{Discard: true}); err != nil || joined.Import != nil || len(j.asides()) != 1 {
		t.Errorf("%+v, %v; aside %q", joined, err, j.asides())
	}
	if w := j.waits(); w != "" {
		t.Errorf("status still warns: %s", w)
	}
	put(t, j.b.dir.importFile(), `{"from":"","aside":"../elsewhere"}`, 0o600)
	if _, err := j.join(rpc.JoinRequest{}); !errors.Is(err, rpc.ErrDamaged) || !strings.Contains(j.waits(), "is damaged") {
		t.Errorf("a damaged file: %v; %s", err, j.waits())
	}
}

// TestImportOfNothing: a node whose keys are all deleted brings an empty fork.
func TestImportOfNothing(t *testing.T) {
	old := newLab(t, "old")
	old.put("", "k", "v")
	old.del("", "k")
	forks, err := old.toImport(t.Context(), "f")
	if err != nil || len(forks) != 1 || forks[0].keys != 0 {
		t.Fatalf("%+v, %v", forks, err)
	}
	into := newLab(t, "into")
	if _, err := into.importForks(t.Context(), old.Replica, forks, rpc.Claim{}); err != nil {
		t.Fatal(err)
	}
	if f, ok := into.Graph().ForkNamed("f"); !ok || f.Deleted || f.ID == dag.DefaultFork() {
		t.Errorf("%+v, %v", f, ok)
	}
}
