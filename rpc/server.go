package rpc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"sync"
)

// ServerConfig says where a server listens.
type ServerConfig struct {
	// Handler is what is served on both doors. Its fields TCP, OwnerOnly,
	// Author and Stop are the server's to set.
	Handler HandlerConfig
	// Socket is the path of the Unix socket; "" for none.
	Socket string
	// SocketGroup, a name or a number, owns the socket, whose mode is then 0660
	// instead of 0600: its members are served too.
	SocketGroup string
	// HTTP is the address of the TCP port, as 127.0.0.1:7654; "" or "off" for
	// none. Only loopback addresses are taken.
	HTTP string
	// OpenHTTP serves every user of this machine on the TCP port.
	OpenHTTP bool
}

// Server serves the handler on the Unix socket and the TCP port.
type Server struct {
	config ServerConfig
	group  int // of the socket; -1 for none
	stop   chan struct{}
	users  userNames

	// Set by Listen.
	doors []door
}

// door is a listener with its server.
type door struct {
	listener net.Listener
	server   *http.Server
}

// NewServer checks the configuration.
func NewServer(c ServerConfig) (*Server, error) {
	if c.HTTP == "off" {
		c.HTTP = ""
	}
	if c.Socket == "" && c.HTTP == "" {
		return nil, errors.New("serve: neither a socket nor an HTTP address is set")
	}
	if c.Handler.Logger == nil {
		c.Handler.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: c, group: -1, stop: make(chan struct{})}
	if c.SocketGroup != "" {
		var err error
		if s.group, err = lookupGroup(c.SocketGroup); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func lookupGroup(name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil && id >= 0 {
		return id, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("socket group: %w", err)
	}
	return strconv.Atoi(g.Gid)
}

// Listen binds the doors. On error none is bound. Connections wait until Run.
func (s *Server) Listen() (err error) {
	if s.doors != nil {
		return nil
	}
	defer func() {
		if err != nil {
			s.closeDoors()
		}
	}()
	if s.config.Socket != "" {
		if err := s.listenUnix(); err != nil {
			return err
		}
	}
	if s.config.HTTP != "" {
		return s.listenTCP()
	}
	return nil
}

// Close lets go of what Listen bound, for a server that will not run.
func (s *Server) Close() { s.closeDoors() }

func (s *Server) closeDoors() {
	for _, d := range s.doors {
		d.listener.Close()
	}
	s.doors = nil
}

func (s *Server) listenUnix() error {
	l, err := ListenUnix(s.config.Socket, 0o600)
	if err != nil {
		return err
	}
	h := s.config.Handler
	h.TCP = false
	switch {
	case s.group >= 0: // the path's mode decides
		if err := s.openTo(s.group); err != nil {
			return errors.Join(err, l.Close())
		}
		h.OwnerOnly = nil
	case runtime.GOOS == "linux":
		h.OwnerOnly = onlyUsers(true, "")
	}
	s.add(l, h)
	return nil
}

// openTo gives the socket to a group.
func (s *Server) openTo(group int) error {
	const mode fs.FileMode = 0o660
	if err := os.Chown(s.config.Socket, -1, group); err != nil {
		return fmt.Errorf("give socket to group: %w", err)
	}
	if err := os.Chmod(s.config.Socket, mode); err != nil {
		return fmt.Errorf("give socket to group: %w", err)
	}
	return nil
}

func (s *Server) listenTCP() error {
	addr, err := net.ResolveTCPAddr("tcp", s.config.HTTP)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	if !addr.IP.IsLoopback() {
		return fmt.Errorf("listen for HTTP on %s: it is not a loopback address; others need TLS and tokens, which this build does not have", s.config.HTTP)
	}
	l, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w: choose another address with --http, or off", err)
	}
	h := s.config.Handler
	h.TCP = true
	if h.OwnerOnly = onlyUsers(false, ": use the socket, or start the daemon with --http-open"); s.config.OpenHTTP {
		h.OwnerOnly = nil
	}
	s.add(l, h)
	return nil
}

func (s *Server) add(l net.Listener, h HandlerConfig) {
	h.Stop = s.stop
	h.Author = s.users.author
	limits := h.Limits.withDefaults()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.doors = append(s.doors, door{l, &http.Server{
		Handler:           NewHandler(h),
		ConnContext:       withSender,
		ReadHeaderTimeout: limits.HeaderIn,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    limits.Header,
		ErrorLog:          slog.NewLogLogger(h.Logger.Handler(), slog.LevelDebug),
		Protocols:         &protocols,

		DisableGeneralOptionsHandler: true,
	}})
}

// HTTPAddr returns the address of the TCP port, "" before Listen or if there
// is none.
func (s *Server) HTTPAddr() string {
	for _, d := range s.doors {
		if a, ok := d.listener.Addr().(*net.TCPAddr); ok {
			return a.String()
		}
	}
	return ""
}

// Run serves until the context ends; it calls Listen if nobody did. Then
// streams end, requests under way are waited for up to Limits.Drain, and what
// is left is cut off. It returns when the last request has ended: nil after
// the context, else why a door broke. A server runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	requests, cutOff := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cutOff(nil)
	broken := make(chan error, len(s.doors))
	var underWay gate
	var doors sync.WaitGroup
	for _, d := range s.doors {
		d.server.BaseContext = func(net.Listener) context.Context { return requests }
		d.server.Handler = underWay.count(d.server.Handler)
		doors.Go(func() {
			if err := d.server.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
				broken <- fmt.Errorf("serve %s: %w", d.listener.Addr(), err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-broken:
	}
	close(s.stop)
	s.drain(requests)
	cutOff(errClosing)
	for _, d := range s.doors {
		// Shutdown has closed the listener; connections end without an answer.
		_ = d.server.Close()
	}
	doors.Wait()
	underWay.close()
	return err
}

// drain waits for the requests under way.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Handler.Limits.withDefaults().Drain)
	defer cancel()
	var wg sync.WaitGroup
	for _, d := range s.doors {
		wg.Go(func() {
			if err := d.server.Shutdown(ctx); err != nil {
				s.config.Handler.Logger.Warn("requests were cut off", "door", d.listener.Addr().String(), "error", err)
			}
		})
	}
	wg.Wait()
}

// gate counts the requests under way, which http.Server.Close does not wait
// for.
type gate struct{ held sync.RWMutex }

func (g *gate) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.held.TryRLock() {
			panic(http.ErrAbortHandler) // the server is closed
		}
		defer g.held.RUnlock()
		h.ServeHTTP(w, r)
	})
}

// close waits for them, and admits no more.
func (g *gate) close() { g.held.Lock() }
