package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy is a TCP line to a node that takes a while: what goes in comes out half a round trip later, in both
// directions, however much it is. It counts the bytes of both.
type proxy struct {
	listener net.Listener
	target   string // host and port
	delay    time.Duration
	passed   atomic.Int64

	mu    sync.Mutex
	first time.Time // when the first connection came
	conns map[net.Conn]bool

	running sync.WaitGroup
}

// startProxy starts a proxy in front of the node at a multiaddr, and returns it with its own multiaddr.
func startProxy(address string, roundTrip time.Duration) (*proxy, string, error) {
	part := strings.Split(address, "/") // "", ip4, HOST, tcp, PORT, p2p, ID
	if len(part) != 7 || part[1] != "ip4" || part[3] != "tcp" {
		return nil, "", fmt.Errorf("proxy: %s is not an address of IPv4 and TCP", address)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	p := &proxy{
		listener: listener, target: net.JoinHostPort(part[2], part[4]), delay: roundTrip / 2,
		conns: make(map[net.Conn]bool),
	}
	p.running.Go(p.accept)
	port := listener.Addr().(*net.TCPAddr).Port
	return p, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/%s/%s", port, part[5], part[6]), nil
}

// stop closes the proxy and every connection through it.
func (p *proxy) stop() error {
	err := p.listener.Close()
	p.cut()
	p.running.Wait()
	return err
}

// cut closes every connection through the proxy.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// opened returns when the first connection came; zero if none did.
func (p *proxy) opened() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}

// hold keeps a connection for cut; the result lets go of it.
func (p *proxy) hold(c net.Conn) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first.IsZero() {
		p.first = time.Now()
	}
	p.conns[c] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
		c.Close()
	}
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // closed by stop
		}
		p.running.Go(func() { p.serve(c) })
	}
}

// serve connects c with the target until one of them ends.
func (p *proxy) serve(c net.Conn) {
	defer p.hold(c)()
	t, err := net.Dial("tcp", p.target)
	if err != nil {
		return // the dialler sees its connection close
	}
	defer p.hold(t)()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{t, c}, {c, t}} {
		both.Go(func() {
			p.passed.Add(carry(way[0], way[1], p.delay))
			c.Close()
			t.Close()
		})
	}
	both.Wait()
}

// A parcel is a part of a stream on its way.
type parcel struct {
	due  time.Time
	data []byte
}

// onTheWay bounds the parcels of one direction: some 200 MB of a fast stream, far more than any delay needs.
const onTheWay = 4096

// carry writes to dst what it reads from src, each part as much later as delay says, until src ends or dst fails. It
// returns how many bytes it has read. Parts do not wait for one another: the delay takes nothing from the throughput.
func carry(dst io.Writer, src io.Reader, delay time.Duration) (n int64) {
	line, failed := make(chan parcel, onTheWay), make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		defer close(failed)
		deliver(dst, line)
	})
	defer writer.Wait()
	defer close(line)
	buf := make([]byte, 64<<10)
	for {
		got, err := src.Read(buf)
		if err != nil {
			return n // a connection gives an error only when it has given all bytes
		}
		n += int64(got)
		select {
		case line <- parcel{time.Now().Add(delay), bytes.Clone(buf[:got])}:
		case <-failed:
			return n
		}
	}
}

// deliver writes parcels when they are due, until there are no more or dst fails.
func deliver(dst io.Writer, line <-chan parcel) {
	for p := range line {
		time.Sleep(time.Until(p.due))
		if _, err := dst.Write(p.data); err != nil {
			return
		}
	}
}
