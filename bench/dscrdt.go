package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"crush/rpc"
)

// A relative is a running node of go-ds-crdt; see peers/dscrdt for what it answers.
type relative struct {
	*process
	client  *http.Client
	address string
}

// startRelative starts a node in dir, which may be missing, for the given number of clients.
func startRelative(ctx context.Context, program, dir string, clients int) (*relative, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p, address, err := startReady(ctx, program, dir)
	if err != nil {
		return nil, err
	}
	return &relative{p, unixClient(filepath.Join(dir, "dscrdt.sock"), clients), address}, nil
}

// startRelatives starts two nodes in dir that are connected and hear each other.
func startRelatives(ctx context.Context, program, dir string, clients int) (a, b *relative, err error) {
	if a, err = startRelative(ctx, program, filepath.Join(dir, "a"), clients); err != nil {
		return nil, nil, err
	}
	if b, err = startRelative(ctx, program, filepath.Join(dir, "b"), clients); err != nil {
		return nil, nil, errors.Join(err, a.end())
	}
	if err = b.connect(ctx, a.address); err == nil {
		err = a.Put(ctx, "first", []byte("value"))
	}
	if err == nil {
		err = b.await(ctx, "first")
	}
	if err != nil {
		return nil, nil, errors.Join(err, a.end(), b.end())
	}
	return a, b, nil
}

// end stops the node; a nil node has ended.
func (r *relative) end() error {
	if r == nil {
		return nil
	}
	r.client.CloseIdleConnections()
	return r.stop()
}

func (r *relative) Put(ctx context.Context, key string, value []byte) error {
	return call(ctx, r.client, http.MethodPut, "http://dscrdt/kv/"+key, value)
}

// batch stores all files as one block.
func (r *relative) batch(ctx context.Context, files []rpc.File) error {
	var body bytes.Buffer
	out := json.NewEncoder(&body)
	for _, f := range files {
		if err := out.Encode(map[string]any{"key": f.Key, "value": f.Value}); err != nil {
			return err
		}
	}
	return call(ctx, r.client, http.MethodPost, "http://dscrdt/batch", body.Bytes())
}

// await returns when the key can be read.
func (r *relative) await(ctx context.Context, key string) error {
	return call(ctx, r.client, http.MethodGet, "http://dscrdt/kv/"+key, nil)
}

func (r *relative) connect(ctx context.Context, address string) error {
	return call(ctx, r.client, http.MethodPost, "http://dscrdt/connect", []byte(address))
}

// applied returns how many blocks, one for each put, are applied.
func (r *relative) applied(ctx context.Context) (n int64, err error) {
	return n, r.number(ctx, "applied", &n)
}

// caughtUp waits until n blocks are applied, and returns how long that took since the first head was announced.
func (r *relative) caughtUp(ctx context.Context, n int64) (time.Duration, error) {
	var seconds float64
	err := r.number(ctx, fmt.Sprint("caughtup?n=", n), &seconds)
	return time.Duration(seconds * float64(time.Second)), err
}

// number asks for a number.
func (r *relative) number(ctx context.Context, path string, to any) error {
	status, answer, err := send(ctx, r.client, http.MethodGet, "http://dscrdt/"+path, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", path, status, strings.TrimSpace(string(answer)))
	}
	_, err = fmt.Sscan(string(answer), to)
	return err
}
