package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// raw sends bytes and returns all that comes back until the server closes.
func raw(t *testing.T, network, addr, text string) string {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	// The server may answer and close before it has read all.
	io.WriteString(c, text)
	out, _ := io.ReadAll(c)
	return string(out)
}

func TestGuards(t *testing.T) {
	r := serve(t, func(c *ServerConfig) { c.Handler.Hosts = []string{"node.internal", "pinned:7654"} })
	const end = "Connection: close\r\n\r\n"
	for name, test := range map[string]struct{ text, want string }{
		"rebound DNS":       {"PUT /k HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n" + end, "421 Misdirected Request"},
		"rebound, port":     {"GET /k HTTP/1.1\r\nHost: evil.example:7654\r\n" + end, `"code":"bad_host"`},
		"like localhost":    {"GET /k HTTP/1.1\r\nHost: localhost.evil.example\r\n" + end, "421"},
		"no host":           {"GET /k HTTP/1.0\r\n" + end, "421"},
		"absolute form":     {"GET http://evil.example/k HTTP/1.1\r\nHost: localhost\r\n" + end, "421"},
		"localhost":         {"GET /k HTTP/1.1\r\nHost: LocalHost:1\r\n" + end, "200 OK"},
		"IPv4":              {"GET /k HTTP/1.1\r\nHost: 127.0.0.1\r\n" + end, "200 OK"},
		"IPv6":              {"GET /k HTTP/1.1\r\nHost: [::1]:7654\r\n" + end, "200 OK"},
		"IPv6 without port": {"GET /k HTTP/1.1\r\nHost: [::1]\r\n" + end, "200 OK"},
		"configured":        {"GET /k HTTP/1.1\r\nHost: node.internal:80\r\n" + end, "200 OK"},
		"configured port":   {"GET /k HTTP/1.1\r\nHost: pinned:7654\r\n" + end, "200 OK"},
		"another port":      {"GET /k HTTP/1.1\r\nHost: pinned:80\r\n" + end, "421"},
		"cross-site":        {"PUT /k HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n" + end, "403 Forbidden"},
		"other origin":      {"DELETE /k HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n" + end, `"code":"denied"`},
		"same origin":       {"DELETE /k HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n" + end, "200 OK"},
		"preflight":         {"OPTIONS /k HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n" + end, "405"},
		"huge header":       {"GET /k HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 70_000) + "\r\n" + end, "431"},
		"dots":              {"GET /a/../k HTTP/1.1\r\nHost: localhost\r\n" + end, "400 Bad Request"},
		"double slash":      {"GET //k HTTP/1.1\r\nHost: localhost\r\n" + end, "400 Bad Request"},
		"star":              {"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n" + end, "400"},
		"connect":           {"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n" + end, "400"},
		"smuggled length":   {"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + end, "400"},
		"negative length":   {"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n" + end, "400"},
		"too large":         {"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194305\r\n" + end, "413"},
		"absurdly large":    {"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9223372036854775807\r\n" + end, "413"},
	} {
		got := raw(t, "tcp", r.HTTPAddr(), test.text)
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: got %.200q, want %s", name, got, test.want)
		}
		if strings.Contains(got, "Access-Control") {
			t.Errorf("%s: CORS headers in %q", name, got)
		}
	}
	// The socket is guarded by its owner, not by names.
	if got := raw(t, "unix", r.config.Socket, "GET /k HTTP/1.1\r\nHost: anything\r\n"+end); !strings.Contains(got, "200 OK") {
		t.Errorf("got %q", got)
	}
}

func TestSlowClients(t *testing.T) {
	r := serve(t, func(c *ServerConfig) {
		c.Handler.Limits = Limits{HeaderIn: 50 * time.Millisecond, ChunkIn: 50 * time.Millisecond, Idle: 50 * time.Millisecond}
	})
	if got := raw(t, "tcp", r.HTTPAddr(), "GET /k HTTP/1.1\r\nHost: local"); strings.Contains(got, "200") {
		t.Errorf("half a header: got %q", got)
	}
	got := raw(t, "tcp", r.HTTPAddr(), "PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
	if !strings.Contains(got, "comes too slowly") {
		t.Errorf("half a body: got %q", got)
	}
	got = raw(t, "tcp", r.HTTPAddr(), "POST /no/such/route HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
	if !strings.Contains(got, "404") {
		t.Errorf("half a body that nobody reads: got %q", got)
	}
	got = raw(t, "tcp", r.HTTPAddr(), "POST /api/v1/forks/default/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"fil")
	if !strings.Contains(got, "comes too slowly") {
		t.Errorf("half a batch: got %q", got)
	}
	// An idle connection ends after its answer.
	if got = raw(t, "tcp", r.HTTPAddr(), "GET /k HTTP/1.1\r\nHost: localhost\r\n\r\n"); !strings.HasSuffix(got, "[]") {
		t.Errorf("got %q", got)
	}
	// The deadline of a body does not end a request that takes longer.
	r.fake.hook = func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(150 * time.Millisecond):
			return nil
		}
	}
	if _, err := r.client.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}, Value: []byte("v")}); err != nil {
		t.Errorf("a slow write: %v", err)
	}
}

func TestBrokenBodyIsNotStored(t *testing.T) {
	r := serve(t, nil)
	c, err := net.Dial("tcp", r.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
	c.(*net.TCPConn).CloseWrite()
	if out, _ := io.ReadAll(c); !strings.Contains(string(out), "breaks off") {
		t.Errorf("got %q", out)
	}
	c.Close()
	if e, err := r.client.Get(t.Context(), GetRequest{KeyRef: KeyRef{Key: "k"}}); err != nil || !e.Deleted {
		t.Errorf("got %+v, %v", e, err)
	}
}

// TestSlowReader does not take its answer, and is cut off.
func TestSlowReader(t *testing.T) {
	r := serve(t, func(c *ServerConfig) { c.Handler.Limits = Limits{ChunkIn: 50 * time.Millisecond} })
	const size = 4 << 20
	r.fake.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}, Value: make([]byte, size)})
	c, err := net.Dial("unix", r.config.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /api/v1/forks/default/kv/k HTTP/1.1\r\nHost: x\r\n\r\n")
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); err != nil { // waits for the request
		t.Error(err)
	}
	if rest, _ := io.ReadAll(c); len(rest) >= size {
		t.Errorf("got all %d bytes", len(rest))
	}
}

func TestDrain(t *testing.T) {
	r := serve(t, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	r.fake.hook = func(context.Context) error {
		close(entered)
		<-leave
		return nil
	}
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { _, failed = r.client.Put(context.Background(), PutRequest{KeyRef: KeyRef{Key: "k"}}) })
	<-entered
	wg.Go(func() { r.end() })
	<-r.stop
	close(leave)
	wg.Wait()
	if failed != nil {
		t.Errorf("a request under way: %v", failed)
	}
	if _, err := r.client.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}}); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := os.Lstat(r.config.Socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestDrainHasAnEnd(t *testing.T) {
	r := serve(t, func(c *ServerConfig) { c.Handler.Limits = Limits{Drain: 20 * time.Millisecond} })
	entered := make(chan struct{})
	r.fake.hook = func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { _, failed = r.client.Put(context.Background(), PutRequest{KeyRef: KeyRef{Key: "k"}}) })
	<-entered
	if err := r.end(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if failed == nil || !strings.Contains(r.log.String(), "cut off") {
		t.Errorf("got %v, log %s", failed, r.log)
	}
}

func TestServerConfig(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]ServerConfig{
		"nothing":       {HTTP: "off"},
		"no such group": {Socket: filepath.Join(dir, "s"), SocketGroup: "no-such-group-here"},
	} {
		if _, err := NewServer(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, c := range map[string]ServerConfig{
		"every address": {HTTP: ":0"},
		"other address": {HTTP: "192.0.2.1:7654"},
		"no address":    {HTTP: "nonsense"},
	} {
		c.Socket = filepath.Join(dir, "s")
		s, err := NewServer(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Lstat(c.Socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the socket was left: %v", name, err)
		}
	}
	r := serve(t, nil)
	s, _ := NewServer(ServerConfig{HTTP: r.HTTPAddr()})
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--http") {
		t.Errorf("a port in use: %v", err)
	}
}

func TestSocketGroup(t *testing.T) {
	r := serve(t, func(c *ServerConfig) { c.SocketGroup = fmt.Sprint(os.Getgid()) })
	info, err := os.Lstat(r.config.Socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if err := r.client.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	_, err := ListenUnix(filepath.Join(dir, strings.Repeat("x", 108)), 0o600)
	if err == nil || !strings.Contains(err.Error(), "--socket") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a long path: %v", err)
	}
	l, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	if _, err := ListenUnix(path, 0o600); err == nil || err.Error() != "a daemon is already running on "+path {
		t.Errorf("a live socket: %v", err)
	}
	// Killed: the path stays, and nobody accepts.
	l.(*unixListener).UnixListener.Close()
	if l, err = ListenUnix(path, 0o660); err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("got %v, %v", info, err)
	}
	// Somebody took the path: closing leaves theirs alone.
	os.Remove(path)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := ListenUnix(path, 0o600); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in the way: %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Errorf("the file is %q", data)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenUnix(filepath.Join(dir, "d"), 0o600); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a directory in the way: %v", err)
	}
	if _, err := ListenUnix(filepath.Join(dir, "none", "s"), 0o600); err == nil {
		t.Error("no error without a directory")
	}
}

// TestSocketModeHasNoWindow looks at the path in the moment in which it is
// bound, before any chmod.
func TestSocketModeHasNoWindow(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "s")
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(err, c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }))
	}}
	l, err := config.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("this system does not give the path the socket's mode: %v, %v", info.Mode(), err)
	}
}

func TestOnlyUsers(t *testing.T) {
	own := uint32(os.Geteuid())
	request := func(uid uint32, err error) *http.Request {
		s := &sender{uid: uid, err: err}
		s.find.Do(func() {})
		r, _ := http.NewRequest("GET", "/", nil)
		return r.WithContext(context.WithValue(t.Context(), senderKey{}, s))
	}
	strict, withRoot := onlyUsers(false, ": hint"), onlyUsers(true, "")
	if err := strict(request(own, nil)); err != nil {
		t.Error(err)
	}
	if err := withRoot(request(0, nil)); err != nil {
		t.Error(err)
	}
	for _, err := range []error{
		strict(request(own+1, nil)), withRoot(request(own+1, nil)), strict(request(own, errors.New("gone"))),
		strict(&http.Request{}),
	} {
		if !errors.Is(err, ErrDenied) {
			t.Errorf("got %v", err)
		}
	}
	w := call(NewHandler(HandlerConfig{Service: newFake().service(), OwnerOnly: func(*http.Request) error { return errors.New("no") }}), "GET", "/k", nil)
	want(t, w, 403, `{"error":{"code":"denied","message":"no"}}`)
}

// TestOtherUser lets another user knock at the TCP port and the socket.
func TestOtherUser(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("needs root, to become somebody else, and bash")
	}
	knock := func(r *running) string {
		host, port, _ := net.SplitHostPort(r.HTTPAddr())
		script := fmt.Sprintf(`exec 3<>/dev/tcp/%s/%s; printf 'GET /k HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3; cat <&3`, host, port)
		cmd := exec.Command(bash, "-c", script)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := knock(serve(t, nil)); !strings.Contains(got, "403") || !strings.Contains(got, "not uid 65534") {
		t.Errorf("got %q", got)
	}
	if got := knock(serve(t, func(c *ServerConfig) { c.OpenHTTP = true })); !strings.Contains(got, "200 OK") {
		t.Errorf("open: got %q", got)
	}
}

func TestFindSocket(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1DE6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0 0 10 0
   1: 0100007F:1DE6 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 101 1 0 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1DE6 01 00000000:00000000 00:00000000 00000000  1000        0 102 1 0 20 4 30 10 -1
   3: 0100007F:C351 0100007F:1DE6 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   4: 0000000000000000FFFF00000100007F:C352 0000000000000000FFFF00000100007F:1DE6 01 00000000:00000000 00:00000000 00000000  1001        0 103 1 0
   5: 00000000000000000000000001000000:C353 00000000000000000000000001000000:1DE6 01 00000000:00000000 00:00000000 00000000  1002        0 104 1 0
`
	v4, v6 := netip.MustParseAddrPort("127.0.0.1:7654"), netip.MustParseAddrPort("[::1]:7654")
	at := func(to netip.AddrPort, port uint16) netip.AddrPort { return netip.AddrPortFrom(to.Addr(), port) }
	for _, test := range []struct {
		from, to netip.AddrPort
		uid      uint32
		found    bool
	}{
		{at(v4, 50000), v4, 1000, true},
		{at(v4, 50001), v4, 0, false}, // no owner any more: would read as root's
		{at(v4, 50002), v4, 1001, true},
		{at(v6, 50003), v6, 1002, true},
		{at(v4, 50004), v4, 0, false},
	} {
		uid, found, err := findSocket(strings.NewReader(table), test.from, test.to)
		if uid != test.uid || found != test.found || err != nil {
			t.Errorf("%v: got %d, %v, %v", test.from, uid, found, err)
		}
	}
}

func TestHead(t *testing.T) {
	r := serve(t, nil)
	r.fake.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}, Value: []byte("12345")})
	got := raw(t, "tcp", r.HTTPAddr(), "HEAD /api/v1/forks/default/kv/k HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	for _, want := range []string{"200 OK", "Content-Length: 5\r\n", "\r\nETag: \"", "\r\nCrush-Token: ", "\r\nCrush-Revision: bafy", "\r\nCrush-Conflict: false"} {
		if !strings.Contains(got, want) || !strings.HasSuffix(got, "\r\n\r\n") {
			t.Errorf("got %q, want %q and no body", got, want)
		}
	}
}

// TestHungUpIsNotLogged: a client that goes away is nobody's failure.
func TestHungUpIsNotLogged(t *testing.T) {
	r := serve(t, nil)
	r.fake.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}, Value: bytes.Repeat([]byte("v"), 4<<20)})
	c, err := net.Dial("unix", r.config.Socket)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET /k HTTP/1.1\r\nHost: x\r\n\r\n")
	io.ReadFull(c, make([]byte, 10))
	c.Close()
	r.end()
	if got := r.log.String(); got != "" {
		t.Errorf("log: %s", got)
	}
}

// TestTCPUser holds the two ways of asking against each other.
func TestTCPUser(t *testing.T) {
	for _, network := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", network)
		if err != nil {
			t.Logf("no IPv6 here: %v", err)
			continue
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		from, to := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
		uid, err := tableUser(from, to)
		if err != nil || uid != uint32(os.Geteuid()) {
			t.Errorf("%s by table: %d, %v", network, uid, err)
		}
		uid, err = diagUser(from, to)
		if err != nil && !errors.Is(err, errNoSocket) {
			t.Logf("no sock_diag here: %v", err)
			continue
		}
		if err != nil || uid != uint32(os.Geteuid()) {
			t.Errorf("%s by sock_diag: %d, %v", network, uid, err)
		}
		// The kernel finds a listener where there is no connection.
		if uid, err = diagUser(to, netip.AddrPortFrom(from.Addr(), 1)); !errors.Is(err, errNoSocket) {
			t.Errorf("a listener was taken for a sender: %d, %v", uid, err)
		}
		// Closed: an orphan of the kernel's, which would read as root's.
		c.Close()
		if uid, err = diagUser(from, to); !errors.Is(err, errNoSocket) {
			t.Errorf("an orphan was taken for a sender: %d, %v", uid, err)
		}
		if uid, err = tcpUser(from, to); err == nil {
			t.Errorf("an orphan was taken for a sender: %d", uid)
		}
	}
}

func BenchmarkTCPUser(b *testing.B) {
	r := serve(b, nil)
	c, err := net.Dial("tcp", r.HTTPAddr())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for name, ask := range map[string]func(from, to netip.AddrPort) (uint32, error){"table": tableUser, "diag": diagUser} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := ask(addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
