// Dscrdt is bench's node of go-ds-crdt, the nearest relative of crush: a datastore that is replicated by a Merkle DAG
// over libp2p. It is a program of its own so that every node is a process of its own, as crush's are.
//
//	dscrdt DIR    a node in DIR, until SIGTERM; prints its address when it is ready
//
// It takes requests at the socket dscrdt.sock of the directory:
//
//	PUT /kv/KEY         stores the body, durably
//	GET /kv/KEY         the value, as soon as there is one
//	POST /batch         stores objects of JSON with key and value (in base64) as one block, durably
//	POST /connect       connects to the node whose address is the body
//	GET /applied        the number of blocks that are applied
//	GET /caughtup?n=N   waits until N blocks are applied; the seconds since the node first heard of a head
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/ipfs/go-datastore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dscrdt DIR")
		os.Exit(2)
	}
	if err := serve(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "dscrdt:", err)
		os.Exit(1)
	}
}

// serve runs a node in dir until the context ends.
func serve(ctx context.Context, dir string) error {
	n, err := openNode(ctx, dir)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", dir+"/dscrdt.sock")
	if err != nil {
		return errors.Join(err, n.close())
	}
	requests, cancel := context.WithCancel(context.Background())
	server := http.Server{Handler: n.routes(), BaseContext: func(net.Listener) context.Context { return requests }}
	stop := context.AfterFunc(ctx, func() {
		cancel() // those that wait would wait for ever
		server.Close()
	})
	defer stop()
	fmt.Println(n.address())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, n.close())
	}
	return n.close()
}

// routes answers what the package comment lists. A request that fails is answered with 500 and the reason.
func (n *node) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"PUT /kv/{key...}": n.put,
		"GET /kv/{key...}": n.get,
		"POST /batch":      n.batch,
		"POST /connect":    n.connect,
		"GET /applied":     n.count,
		"GET /caughtup":    n.caughtUp,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, r); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	return mux
}

func keyOf(r *http.Request) datastore.Key { return datastore.NewKey(r.PathValue("key")) }

func (n *node) put(_ http.ResponseWriter, r *http.Request) error {
	value, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return n.crdt.Put(r.Context(), keyOf(r), value)
}

func (n *node) batch(_ http.ResponseWriter, r *http.Request) error {
	b, err := n.crdt.Batch(r.Context())
	if err != nil {
		return err
	}
	for in := json.NewDecoder(r.Body); ; {
		var file struct {
			Key   string
			Value []byte
		}
		switch err := in.Decode(&file); err {
		case nil:
		case io.EOF:
			return b.Commit(r.Context())
		default:
			return err
		}
		if err := b.Put(r.Context(), datastore.NewKey(file.Key), file.Value); err != nil {
			return err
		}
	}
}

func (n *node) get(w http.ResponseWriter, r *http.Request) error {
	for {
		changed := n.store.changed()
		value, err := n.crdt.Get(r.Context(), keyOf(r))
		if err == nil {
			_, err = w.Write(value)
			return err
		}
		if !errors.Is(err, datastore.ErrNotFound) {
			return err
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
}

func (n *node) connect(_ http.ResponseWriter, r *http.Request) error {
	address, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return n.dial(r.Context(), string(address))
}

func (n *node) count(w http.ResponseWriter, _ *http.Request) error {
	_, err := fmt.Fprint(w, n.store.blocks())
	return err
}

func (n *node) caughtUp(w http.ResponseWriter, r *http.Request) error {
	want, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err != nil {
		return err
	}
	for {
		changed := n.store.changed()
		if n.store.blocks() >= want {
			_, err := fmt.Fprint(w, time.Since(n.news.heard()).Seconds())
			return err
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
}
