// Nats is bench's server and client of NATS JetStream's key-value store, a program of its own as that of etcd is.
//
//	nats serve [-sync] DIR  one server with JetStream in DIR, until SIGTERM; prints a line when it is ready. With
//	                        -sync every put is synced before it is answered; without, every two minutes, its default
//	nats drive FLAGS DIR    a load on the server of DIR, by the flags of package load; prints how many a second
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"crush/bench/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(load.Main(ctx, "nats", serve, connect))
}

// addressFile, in the directory of a server, holds its URL: NATS has no Unix sockets.
const addressFile = "address"

func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	sync := flags.Bool("sync", false, "sync every put before it is answered")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir := flags.Arg(0)
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(dir, "data"), SyncAlways: *sync,
	})
	if err != nil {
		return err
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("not ready after 30 s")
	}
	if err := os.WriteFile(filepath.Join(dir, addressFile), []byte(s.ClientURL()), 0o600); err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return nil
}

// bucket is the one bucket, with a history of 64, the most that NATS keeps.
var bucket = jetstream.KeyValueConfig{Bucket: "bench", History: jetstream.KeyValueMaxHistory}

type store struct {
	conn *nats.Conn
	kv   jetstream.KeyValue
}

func connect(ctx context.Context, dir string) (load.Putter, error) {
	address, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(string(address))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	kv, err := js.CreateOrUpdateKeyValue(ctx, bucket)
	return store{conn, kv}, err
}

// Put stores under the key with dots for slashes, which is what subjects have.
func (s store) Put(ctx context.Context, key string, value []byte) error {
	_, err := s.kv.Put(ctx, strings.ReplaceAll(key, "/", "."), value)
	return err
}

func (s store) Get(ctx context.Context, key string) ([]byte, error) {
	got, err := s.kv.Get(ctx, strings.ReplaceAll(key, "/", "."))
	if err != nil {
		return nil, err
	}
	return got.Value(), nil
}

func (s store) Close() error {
	s.conn.Close()
	return nil
}
