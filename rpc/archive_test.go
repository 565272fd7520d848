package rpc

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// fakeArchives holds one file, and fails after so many bytes of it.
type fakeArchives struct {
	file  []byte
	after int
	fail  error
	got   []byte
}

func (f *fakeArchives) Export(_ context.Context, w io.Writer) (Exported, error) {
	if f.fail != nil {
		_, err := w.Write(f.file[:f.after])
		return Exported{}, errors.Join(err, f.fail)
	}
	_, err := w.Write(f.file)
	return Exported{}, err
}

func (f *fakeArchives) Import(_ context.Context, r io.Reader) (out Imported, err error) {
	if f.got, err = io.ReadAll(r); err != nil {
		return out, err
	}
	return Imported{Blocks: 2, Known: 1, Member: true}, f.fail
}

func serveArchives(t *testing.T) (*running, *fakeArchives) {
	t.Helper()
	text, err := os.ReadFile("../dag/testdata/golden/car.hex")
	if err != nil {
		t.Fatal(err)
	}
	file, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeArchives{file: file}
	return serve(t, func(c *ServerConfig) { c.Handler.Service.Archives = f }), f
}

func TestExport(t *testing.T) {
	s, f := serveArchives(t)
	var got bytes.Buffer
	e, err := s.client.Export(t.Context(), &got)
	if err != nil || !bytes.Equal(got.Bytes(), f.file) || e.Blocks != 2 || e.Revisions != 1 || e.Keys != 1 || e.Time.UnixMilli() != 1767225600123 {
		t.Errorf("%+v, %d bytes, %v", e, got.Len(), err)
	}

	// An error before anything is out is answered; after that nothing passes for
	// a whole file.
	f.fail = &Error{Code: CodeNotFound, Message: "nothing to export"}
	if _, err := s.client.Export(t.Context(), io.Discard); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	f.file = append(f.file, make([]byte, 2*chunk)...)
	f.after = len(f.file)
	if _, err := s.client.Export(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "broke") {
		t.Errorf("of a part: %v", err)
	}
}

func TestImport(t *testing.T) {
	s, f := serveArchives(t)
	long := bytes.Repeat([]byte("0123456789abcdef"), chunk)
	in, err := s.client.Import(t.Context(), bytes.NewReader(long))
	if err != nil || in != (Imported{Blocks: 2, Known: 1, Member: true}) || !bytes.Equal(f.got, long) {
		t.Errorf("%+v, %d bytes came, %v", in, len(f.got), err)
	}
	f.fail = &Error{Code: CodeUnparsed, Message: "at byte 7: damaged"}
	if _, err := s.client.Import(t.Context(), bytes.NewReader(long)); CodeOf(err) != CodeUnparsed || err.Error() != "at byte 7: damaged" {
		t.Errorf("%v", err)
	}
}
