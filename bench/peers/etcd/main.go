// Etcd is bench's server and client of etcd. It is a program of its own because etcd and libp2p's pubsub, which crush
// is built on, both register a protobuf file of the name rpc.proto: a program that links both panics at its start.
//
//	etcd serve DIR          a one-member etcd in DIR, until SIGTERM; prints a line when it is ready
//	etcd drive FLAGS DIR    a load on the server of DIR, by the flags of package load; prints how many a second
//	etcd fill KEYS N DIR    N revisions of each of some configs; prints the bytes of the database, defragmented
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"crush/bench/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(load.Main(ctx, "etcd", serve, connect))
}

// serve runs etcd with its defaults: every put is in a synced log before it is answered. Clients find it at the
// socket client.sock of the directory.
func serve(ctx context.Context, args []string) error {
	dir := args[0]
	config := embed.NewConfig()
	config.Dir = dir + "/data"
	config.LogLevel = "error"
	clients, peers := url.URL{Scheme: "unix", Path: socketIn(dir)}, url.URL{Scheme: "unix", Path: dir + "/peer.sock"}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{clients}, []url.URL{clients}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peers}, []url.URL{peers}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer etcd.Close()
	select {
	case <-etcd.Server.ReadyNotify():
	case err := <-etcd.Err():
		return err
	case <-time.After(30 * time.Second):
		return errors.New("not ready after 30 s")
	}
	fmt.Println("ready")
	select {
	case err := <-etcd.Err():
		return err
	case <-ctx.Done():
		return nil
	}
}

func socketIn(dir string) string { return dir + "/client.sock" }

// store is etcd's own client. Its reads are linearizable, the default: they ask the leader, which is this member.
type store struct{ *clientv3.Client }

func connect(ctx context.Context, dir string) (load.Putter, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + socketIn(dir)},
		Logger:    zap.NewNop(),
		Context:   ctx,
	})
	return store{client}, err
}

func (s store) Put(ctx context.Context, key string, value []byte) error {
	_, err := s.Client.Put(ctx, key, string(value))
	return err
}

func (s store) Get(ctx context.Context, key string) ([]byte, error) {
	got, err := s.Client.Get(ctx, key)
	if err != nil || len(got.Kvs) == 0 {
		return nil, err
	}
	return got.Kvs[0].Value, nil
}

// Size implements load.Sizer.
func (s store) Size(ctx context.Context) (int64, error) {
	endpoint := s.Endpoints()[0]
	if _, err := s.Defragment(ctx, endpoint); err != nil {
		return 0, err
	}
	status, err := s.Status(ctx, endpoint)
	if err != nil {
		return 0, err
	}
	return status.DbSize, nil
}
