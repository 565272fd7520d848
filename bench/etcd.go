package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// serveEtcd is the command of the etcd server.
const serveEtcd = "serve-etcd"

// runEtcd runs a one-member etcd in the directory args[0], with its defaults: every put is in a synced log before
// it is answered. Clients find it at the socket dir/client.sock. It prints a line when it is ready.
func runEtcd(ctx context.Context, args []string) error {
	dir := args[0]
	config := embed.NewConfig()
	config.Dir = dir + "/data"
	config.LogLevel = "error"
	clients, peers := url.URL{Scheme: "unix", Path: dir + "/client.sock"}, url.URL{Scheme: "unix", Path: dir + "/peer.sock"}
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
		return errors.New("etcd: not ready after 30 s")
	}
	fmt.Println("ready")
	select {
	case err := <-etcd.Err():
		return err
	case <-ctx.Done():
		return nil
	}
}

// etcdStore is a putter over etcd's own client.
type etcdStore struct {
	client *clientv3.Client
	server *process
}

func openEtcd(ctx context.Context, dir string, _ int) (putter, error) {
	p, _, err := startSelf(ctx, serveEtcd, dir)
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + dir + "/client.sock"},
		Logger:    zap.NewNop(),
		Context:   ctx,
	})
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return &etcdStore{client: client, server: p}, nil
}

func (s *etcdStore) Put(ctx context.Context, key string, value []byte) error {
	_, err := s.client.Put(ctx, key, string(value))
	return err
}

func (s *etcdStore) Close() error { return errors.Join(s.client.Close(), s.server.stop()) }
