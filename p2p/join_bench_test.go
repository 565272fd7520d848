package p2p

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"crush/dag"
)

var revisionsFlag = flag.Int("revisions", 100_000, "revisions that a benchmark's node joins")

// levelGraph is a graph on LevelDB.
func levelGraph(b *testing.B, key dag.NodeKey) *dag.Graph {
	b.Helper()
	s, err := dag.OpenLevelDB(b.TempDir(), false)
	if err != nil {
		b.Fatal(err)
	}
	g, err := dag.Open(b.Context(), dag.Config{Store: s, Key: key, Now: time.Now, Fingerprint: "here"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { g.Close() })
	return g
}

// levelHistory is a cluster with n revisions, some in each block, of n/10 keys in
// random order: values of 200 bytes that do not compress, or short lines.
func levelHistory(b *testing.B, n, each int, text bool) *dag.Graph {
	b.Helper()
	g := levelGraph(b, keyOf(1))
	if _, err := g.Found(b.Context(), dag.Member{Name: "first"}); err != nil {
		b.Fatal(err)
	}
	source := rand.NewChaCha8([32]byte{1})
	r := rand.New(source)
	for i := 0; i < n; i += each {
		_, err := g.Commit(b.Context(), dag.Note{}, func(tx *dag.Tx) error {
			for range each {
				d := dag.Draft{Fork: dag.DefaultFork(), Key: fmt.Sprintf("svc/%06d/replicas", r.IntN(max(1, n/10))), Kind: 1}
				if d.Payload = make([]byte, 200); text {
					d.Payload = fmt.Appendf(nil, "replicas: %d\nimage: registry.example.org/app:%d\nport: 8080\n", r.IntN(50), i)
				} else if _, err := source.Read(d.Payload); err != nil {
					return err
				}
				e, err := tx.Entry(d.Fork, d.Key)
				if err != nil {
					return err
				}
				for _, h := range e.Heads {
					d.Parents = append(d.Parents, h.ID)
				}
				if err := tx.Put(d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return g
}

// BenchmarkJoin is an empty node that takes the history of another: both on
// LevelDB, each block durable, sessions over a pipe in memory. Figures are for
// each revision: bytes on the wire (less the value, if that does not compress),
// processor time of both sides together, and of each alone.
func BenchmarkJoin(b *testing.B) {
	for _, c := range []struct {
		each int
		text bool
	}{{1, false}, {4, false}, {16, false}, {64, false}, {1, true}, {16, true}} {
		n := *revisionsFlag
		if c.each == 1 {
			n /= 4
		}
		b.Run(fmt.Sprintf("each=%d/text=%v", c.each, c.text), func(b *testing.B) {
			from := levelHistory(b, n, c.each, c.text)
			var sent int64
			var wall, work, taking time.Duration
			var stream []byte
			for b.Loop() {
				stream = joinSend(b, from)
				begun := usedTime()
				joinTake(b, from, stream)
				taking += usedTime() - begun
				began := time.Now()
				begun = usedTime()
				sent += joinBoth(b, from)
				work, wall = work+usedTime()-begun, wall+time.Since(began)
			}
			all := float64(n * b.N)
			value := 200.0
			if c.text {
				value = 0
			}
			b.ReportMetric(float64(sent)/all-value, "B/rev")
			b.ReportMetric(float64(work.Nanoseconds())/all/1000, "µs-cpu/rev")
			b.ReportMetric(float64(taking.Nanoseconds())/all/1000, "µs-cpu-take/rev")
			b.ReportMetric(all/wall.Seconds(), "rev/s")
			b.ReportMetric(residentPeak(b), "MB-peak")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// joinSend returns all that an answerer sends to an empty node.
func joinSend(b *testing.B, from *dag.Graph) []byte {
	b.Helper()
	var buf bytes.Buffer
	w := newFrameWriter(&buf)
	defer w.close()
	s := NewSession(from, from, Answer, 1)
	defer s.Close()
	s.Receive(b.Context(), Hello{Version: 2, Follows: true})
	s.Receive(b.Context(), Frontier{})
	for m, ok := s.Next(b.Context()); ok; m, ok = s.Next(b.Context()) {
		if err := w.write(m); err != nil {
			b.Fatal(err)
		}
	}
	return buf.Bytes()
}

// joinTake gives an empty node what an answerer has sent.
func joinTake(b *testing.B, from *dag.Graph, stream []byte) {
	b.Helper()
	to := levelGraph(b, keyOf(2))
	defer to.Close()
	s := NewSession(to, to, Open, 1)
	defer s.Close()
	r := newFrameReader(bytes.NewReader(stream))
	defer r.close()
	s.Next(b.Context())
	for !s.Ended() {
		m, err := r.read()
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		s.Receive(b.Context(), m)
	}
	if to.Digest() != from.Digest() {
		b.Fatalf("not equal: %v", s.Err())
	}
}

// joinBoth runs both sides at once and returns the bytes sent to the one that
// joins.
func joinBoth(b *testing.B, from *dag.Graph) int64 {
	b.Helper()
	to := levelGraph(b, keyOf(2))
	defer to.Close()
	there, back := newPipe(), newPipe()
	var sides sync.WaitGroup
	drive := func(s *Session, out, in *pipe) {
		defer s.Close()
		if err := driveSession(b.Context(), s, out, in); err != nil {
			b.Error(err)
		}
	}
	sides.Go(func() { drive(NewSession(from, from, Answer, 1), back, there) })
	sides.Go(func() { drive(NewSession(to, to, Open, 1), there, back) })
	sides.Wait()
	if to.Digest() != from.Digest() {
		b.Error("not equal")
	}
	return back.bytes
}

// driveSession is what a transfer does, without a network.
func driveSession(ctx context.Context, s *Session, out io.Writer, in io.Reader) error {
	w, r := newFrameWriter(out), newFrameReader(in)
	defer w.close()
	defer r.close()
	for {
		for m, ok := s.Next(ctx); ok; m, ok = s.Next(ctx) {
			if err := w.write(m); err != nil {
				return err
			}
		}
		if s.Ended() {
			return s.Err()
		}
		m, err := r.read()
		if err != nil {
			return err
		}
		s.Receive(ctx, m)
	}
}

// pipe is a pipe that holds some writes.
type pipe struct {
	writes chan []byte
	rest   []byte
	bytes  int64
}

func newPipe() *pipe { return &pipe{writes: make(chan []byte, 4)} }

func (p *pipe) Write(b []byte) (int, error) {
	p.writes <- bytes.Clone(b)
	p.bytes += int64(len(b))
	return len(b), nil
}

func (p *pipe) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		p.rest = <-p.writes
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// usedTime is the processor time that this process has used.
func usedTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// residentPeak is the most memory, in MB, that this process has had; 0 where
// the system does not tell.
func residentPeak(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(kb), " kB"))
			if err != nil {
				b.Fatal(err)
			}
			return float64(n) / 1000
		}
	}
	return 0
}
