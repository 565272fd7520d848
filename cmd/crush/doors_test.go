package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"crush/rpc"
)

// request asks a node's HTTP port. Of headers that stand twice the last holds;
// Host is the host.
func request(t *testing.T, n *node, method, path, body string, headers ...string) (status int, answer string) {
	t.Helper()
	host := strings.TrimPrefix(n.http, "http://")
	lines := []string{method + " " + path + " HTTP/1.1", "Connection: close", "Content-Length: " + strconv.Itoa(len(body))}
	given := strings.Join(headers, "\n")
	if !strings.Contains(given, "Host:") {
		lines = append(lines, "Host: "+host)
	}
	text := strings.Join(append(lines, headers...), "\r\n") + "\r\n\r\n" + body
	conn, err := net.DialTimeout("tcp", host, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	// A server that refuses the header does not read the rest.
	go io.WriteString(conn, text)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %.80s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %.80s: %v", method, path, err)
	}
	return resp.StatusCode, string(data)
}

// TestHostileRequests sends what nobody should to the HTTP port of the real
// daemon. Each gets its status, and afterwards nothing has changed.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	n := newNode(t, t.TempDir(), "--http", "127.0.0.1:0")
	n.start()
	n.must("put", "k", "v")
	n.must("put", "k", "w")
	const kv = "/api/v1/forks/default/kv/"
	long, value := strings.Repeat("k", 1025), strings.Repeat("v", 4<<20+1)
	for _, r := range []struct {
		method, path, body, header string
		status                     int
		code                       string
	}{
		{"PUT", kv + "k", value, "", 413, "too_large"},
		{"PUT", "/k", value, "", 413, "too_large"},
		{"PUT", kv + long, "v", "", 400, "invalid"},
		{"PUT", "/" + long, "v", "", 400, "invalid"},
		{"PUT", kv + "a%00b", "v", "", 400, "invalid"},
		{"PUT", "/a%00b", "v", "", 400, "invalid"},
		{"PUT", kv, "v", "", 400, "invalid"},
		{"PUT", "/", "v", "", 400, "invalid"},
		{"PUT", kv + "%ff", "v", "", 400, "invalid"},
		{"PUT", kv + "t", "\xff", "Crush-Kind: text", 422, "unparsable"},
		{"PUT", kv + "k", "v", "Crush-Message: a\xff", 400, "invalid"},
		{"PUT", kv + "a//b", "v", "", 400, "invalid"},
		{"PUT", kv + "a/../b", "v", "", 400, "invalid"},
		{"PUT", kv + "k", "v", "If-Match: \"nonsense\"", 400, "invalid"},
		{"PUT", kv + "k", "v", "If-Match:", 400, "invalid"},
		{"PUT", kv + "k", "v", "Crush-Base:", 400, "invalid"},
		{"PUT", kv + "k", "v", "If-None-Match: *", 412, "stale"},
		{"PUT", kv + "k?bogus=1", "v", "", 400, "invalid"},
		{"GET", kv + "k?rev=", "", "", 400, "invalid"},
		{"GET", kv + "k?rev=zzzzzz", "", "", 404, "not_found"},
		{"GET", kv + "nokey", "", "", 404, "not_found"},
		{"GET", "/api/v1/forks/nofork/kv/k", "", "", 404, "not_found"},
		{"GET", "/api/v1/nothing", "", "", 404, "not_found"},
		{"PATCH", kv + "k", "v", "", 405, "method"},
		{"GET", kv + "k", "", "Host: evil.example", 421, "bad_host"},
		{"PUT", "/k", "v", "Host: evil.example:7654", 421, "bad_host"},
		{"PUT", kv + "k", "v", "Origin: http://evil.example", 403, "denied"},
		{"DELETE", "/k", "", "Sec-Fetch-Site: cross-site", 403, "denied"},
		{"POST", "/api/v1/forks/default/batch", "{", "", 400, "invalid"},
		{"GET", kv + "k", "", "X-Long: " + strings.Repeat("h", 70<<10), 431, ""},
	} {
		status, body := request(t, n, r.method, r.path, r.body, r.header)
		if status != r.status || r.code != "" && !strings.HasPrefix(body, `{"error":{"code":"`+r.code+`","message":"`) {
			t.Errorf("%s %.60s (%.60s): %d %.200s; want %d %s", r.method, r.path, r.header, status, body, r.status, r.code)
		}
	}
	if out := n.must("log", "-o", "json"); strings.Count(out, `"revision":"bafyrei`) != 2 {
		t.Errorf("something was written: %s", out)
	}
	n.verify()
	n.stop()
}

// TestSlowClients: clients that stall in the header, in the body and in a feed
// do not keep others waiting, nor the daemon from stopping.
func TestSlowClients(t *testing.T) {
	if testing.Short() {
		t.Skip("the daemon waits 10 s for half a body when it stops")
	}
	t.Parallel()
	n := newNode(t, t.TempDir(), "--http", "127.0.0.1:0")
	n.start()
	for i := range 60 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.http, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		start := []string{
			"GET /k HTTP/1.1\r\nHo",
			"PUT /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf",
			"GET /api/v1/forks/default/watch HTTP/1.1\r\nHost: localhost\r\n\r\n",
		}[i%3]
		if _, err := io.WriteString(conn, start); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	for range 20 {
		if status, _ := request(t, n, "PUT", "/k", "v"); status != 200 {
			t.Fatalf("status %d beside slow clients", status)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("20 writes beside slow clients took %s", took)
	}
	n.stop() // which has to cut them off
	n.start()
	if out, errs, code := n.crush("get", "slow"); code != 5 {
		t.Errorf("half a body was stored: exit code %d, %q, %s", code, out, errs)
	}
	n.stop()
}

// TestSlowHeader waits for the daemon to cut off a client that never ends its
// header, which takes it 10 seconds.
func TestSlowHeader(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	t.Parallel()
	n := newNode(t, t.TempDir(), "--http", "127.0.0.1:0")
	n.start()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.http, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /k HTTP/1.1\r\nHost: localhost\r\nX-"); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a client that never ends its header: %v", err)
	}
	n.stop()
}

// TestPortsTaken: a port of another daemon is one line that names the flag.
func TestPortsTaken(t *testing.T) {
	t.Parallel()
	first := newNode(t, t.TempDir(), "--http", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0")
	first.start()
	listen, _, _ := strings.Cut(first.peer, "/p2p/")
	for _, args := range [][]string{
		{"--http", strings.TrimPrefix(first.http, "http://")},
		{"--listen", listen},
	} {
		second := newNode(t, t.TempDir(), args...)
		second.launch()
		code, log := second.exited()
		last := lastLine(log)
		if code != 1 || !strings.HasPrefix(last, "crush: ") || strings.Count(log, "crush: ") != 1 ||
			!strings.Contains(last, "address already in use") || !strings.Contains(last, args[0]) {
			t.Errorf("%s is taken: exit code %d\n%s", args[0], code, log)
		}
	}
	if out := first.must("put", "k", "v"); !strings.HasPrefix(out, "put k") {
		t.Errorf("the first daemon: %s", out)
	}
	first.stop()
}

// TestAmbiguous names a revision by six characters that two have: exit code 6,
// and the message lists both. It takes tens of thousands of revisions until two
// share so much.
func TestAmbiguous(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 60,000 revisions")
	}
	t.Parallel()
	n := newNode(t, t.TempDir())
	n.start()
	for batch := range 4 {
		var files []rpc.File
		for i := range 15_000 {
			files = append(files, rpc.File{Key: fmt.Sprintf("%d/%d", batch, i), Value: []byte{'v'}})
		}
		if _, err := n.client.Apply(t.Context(), rpc.ApplyRequest{Files: files}); err != nil {
			t.Fatal(err)
		}
	}
	const constant = len("bafyrei")
	first := map[string]string{}
	for e, err := range n.client.Log(t.Context(), rpc.LogRequest{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Key == "" {
			continue
		}
		id := e.Revision.String()
		part := id[constant:][:6]
		if other, ok := first[part]; ok {
			line := n.refused(6, "show", part)
			if !strings.Contains(line, id) || !strings.Contains(line, other) {
				t.Errorf("show %s says %q, want %s and %s", part, line, id, other)
			}
			n.must("show", id)
			n.stop()
			return
		}
		first[part] = id
	}
	t.Skip("no two of 60,000 revisions share six characters, which happens once in a thousand times")
}

// TestInterrupt: Ctrl-C ends a watch with 130 and says nothing.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	n := newNode(t, t.TempDir())
	n.start()
	n.must("put", "k", "v")
	cmd := exec.Command("crush", "watch", "--since", "start")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), raceOptions, "CRUSH_DATA=" + n.dir}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, `"v"`) {
		t.Fatalf("watch printed %q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitInterrupted || errs.Len() > 0 {
		t.Errorf("watch ended with %v and said %q", err, errs.String())
	}
	n.stop()
}
