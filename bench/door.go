package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// The commands of the servers that crush's daemon is compared with.
const (
	serveEmpty = "serve-empty"
	serveLevel = "serve-level"
)

// runEmpty serves HTTP on the network and address of args with a handler that reads the body and answers 200.
// No server over net/http can be faster. It prints its address when it is ready.
func runEmpty(ctx context.Context, args []string) error {
	return serve(ctx, args[0], args[1], func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that went away is no matter here
	})
}

// runLevel serves PUT and GET of keys from the goleveldb of library, in the directory that is the third of args. No
// durable store on goleveldb and net/http can be faster.
func runLevel(ctx context.Context, args []string) error {
	p, err := openLevel(ctx, args[2], 1024)
	if err != nil {
		return err
	}
	l := p.(*level)
	err = serve(ctx, args[0], args[1], func(w http.ResponseWriter, r *http.Request) {
		var value []byte
		var err error
		if r.Method == http.MethodGet {
			value, err = l.Get(r.Context(), r.URL.Path)
		} else if body, readErr := io.ReadAll(r.Body); readErr != nil {
			err = readErr
		} else {
			err = l.Put(r.Context(), r.URL.Path, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(value) // a client that went away is no matter here
	})
	return errors.Join(err, l.Close())
}

// serve serves HTTP until the context ends. It prints its address when it is ready.
func serve(ctx context.Context, network, address string, handler http.HandlerFunc) error {
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := http.Server{Handler: handler}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// unixClient returns a client whose every request goes to the socket, over at most conns connections.
func unixClient(socket string, conns int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		MaxConnsPerHost:     conns,
		MaxIdleConnsPerHost: conns,
		DisableCompression:  true,
	}}
}

// tcpClient returns a client with one connection that stays open.
func tcpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}}
}

// send makes one request and returns the answer's status and body.
func send(ctx context.Context, c *http.Client, method, url string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// answer is send that takes any status but 200 for an error.
func answer(ctx context.Context, c *http.Client, method, url string, body []byte) ([]byte, error) {
	status, answer, err := send(ctx, c, method, url, body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s %s: status %d: %s", method, url, status, answer)
	}
	return answer, err
}

// call is send that takes any status but 200 for an error.
func call(ctx context.Context, c *http.Client, method, url string, body []byte) error {
	_, err := answer(ctx, c, method, url, body)
	return err
}

// door is the client of a server that speaks crush's native API over a Unix socket.
type door struct{ client *http.Client }

// urlOf is where the server has a key.
func urlOf(key string) string { return "http://crush/api/v1/forks/default/kv/" + key }

func (d *door) Put(ctx context.Context, key string, value []byte) error {
	return call(ctx, d.client, http.MethodPut, urlOf(key), value)
}

func (d *door) Get(ctx context.Context, key string) ([]byte, error) {
	return answer(ctx, d.client, http.MethodGet, urlOf(key), nil)
}

func (d *door) Close() error {
	d.client.CloseIdleConnections()
	return nil
}
