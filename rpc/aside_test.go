package rpc

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// batchValue is the value of the i-th file of a long batch.
func batchValue(i int) []byte {
	return bytes.Repeat([]byte{'a' + byte(i%26), byte('0' + i/26)}, 512<<10)
}

// held is a Changes that looks at what of a batch is in memory.
type held struct {
	*fake
	t      *testing.T
	dir    string
	called bool
}

func (h *held) Apply(_ context.Context, r ApplyRequest) (Applied, error) {
	h.called = true
	inMemory := 0
	for i := range r.Files {
		f := &r.Files[i]
		inMemory += len(f.Value)
		value, err := f.Load()
		if err != nil || !bytes.Equal(value, batchValue(i)) || f.Size() != len(value) {
			h.t.Errorf("%s loads as %d bytes of %d, %v", f.Key, len(value), f.Size(), err)
		}
	}
	if inMemory > heldValues {
		h.t.Errorf("%d bytes of values are in memory", inMemory)
	}
	if left, err := os.ReadDir(h.dir); err != nil || len(left) > 0 {
		h.t.Errorf("the values wait in %v, %v", left, err)
	}
	return Applied{Unchanged: len(r.Files)}, nil
}

// TestLongBatch: of the values of a long batch a part is in memory.
func TestLongBatch(t *testing.T) {
	if testing.Short() {
		t.Skip("one request, of 40 MB")
	}
	h := &held{t: t, dir: t.TempDir()}
	s := serve(t, func(c *ServerConfig) {
		c.Handler.Service.Changes, c.Handler.Aside = h, h.dir
	})
	h.fake = s.fake
	var files []File
	for i := range 40 {
		files = append(files, File{Key: string(rune('A' + i)), Value: batchValue(i)})
	}
	a, err := s.client.Apply(t.Context(), ApplyRequest{Files: files})
	if err != nil || a.Unchanged != len(files) || !h.called {
		t.Errorf("%+v, %v", a, err)
	}
	if left, err := os.ReadDir(h.dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestAsideFails: a disk that takes nothing is an error of the request.
func TestAsideFails(t *testing.T) {
	a := &asides{dir: "/none", held: heldValues}
	if err := a.add(&File{Key: "k", Value: []byte("v")}); err == nil || !strings.Contains(err.Error(), "put values of a batch aside") {
		t.Errorf("%v", err)
	}
	if err := a.close(); err != nil {
		t.Error(err)
	}
}
