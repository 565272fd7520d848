package rpc

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// connUser returns the uid at the other end of a Unix or loopback connection.
func connUser(c net.Conn) (uint32, error) {
	switch c := c.(type) {
	case *net.UnixConn:
		return unixUser(c)
	case *net.TCPConn:
		return tcpUser(addrPort(c.RemoteAddr()), addrPort(c.LocalAddr()))
	}
	return 0, fmt.Errorf("find the sender's user: %T has none", c)
}

func unixUser(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("read peer credentials: %w", err)
	}
	var cred *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("read peer credentials: %w", err)
	}
	return cred.Uid, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	return netip.AddrPort{}
}

// tableReads is how often the kernel's table is read: a row can be missed
// while others come and go.
const tableReads = 3

// tcpUser looks up who owns the socket whose own address is from and whose
// other end is to.
func tcpUser(from, to netip.AddrPort) (uint32, error) {
	if uid, err := diagUser(from, to); err == nil {
		return uid, nil
	}
	return tableUser(from, to) // a kernel or a sandbox without sock_diag
}

// tableUser is tcpUser by the tables in /proc. An IPv6 socket that speaks IPv4
// stands in the other one.
func tableUser(from, to netip.AddrPort) (uint32, error) {
	for range tableReads {
		for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
			f, err := os.Open(name)
			if errors.Is(err, os.ErrNotExist) {
				continue // a kernel without IPv6
			}
			if err != nil {
				return 0, fmt.Errorf("read the table of connections: %w", err)
			}
			uid, found, err := findSocket(f, from, to)
			f.Close()
			if err != nil {
				return 0, fmt.Errorf("read the table of connections: %w", err)
			}
			if found {
				return uid, nil
			}
		}
	}
	return 0, fmt.Errorf("find the sender's user: %v is not a connection of this machine", from)
}

// findSocket reads a table of /proc/net/tcp's form. A row without an inode has
// no owner any more and would read as root's.
func findSocket(table io.Reader, from, to netip.AddrPort) (uid uint32, found bool, err error) {
	const (
		local, remote, owner, inode = 1, 2, 7, 9
		columns                     = 10
	)
	from4, to4 := tableAddress(from, false), tableAddress(to, false)
	from6, to6 := tableAddress(from, true), tableAddress(to, true)
	rows := bufio.NewScanner(table)
	for rows.Scan() {
		f := strings.Fields(rows.Text())
		if len(f) < columns || f[inode] == "0" {
			continue
		}
		if (f[local] != from4 || f[remote] != to4) && (f[local] != from6 || f[remote] != to6) {
			continue
		}
		n, err := strconv.ParseUint(f[owner], 10, 32)
		if err != nil {
			return 0, false, fmt.Errorf("uid of a row: %w", err)
		}
		return uint32(n), true, nil
	}
	return 0, false, rows.Err()
}

// tableAddress spells an address as the kernel's tables do: words of 4 bytes
// in the machine's order, in hexadecimal, and the port.
func tableAddress(a netip.AddrPort, wide bool) string {
	addr := a.Addr().Unmap()
	b := addr.AsSlice()
	if wide {
		w := addr.As16()
		b = w[:]
	}
	var out strings.Builder
	for ; len(b) >= 4; b = b[4:] {
		fmt.Fprintf(&out, "%08X", binary.NativeEndian.Uint32(b))
	}
	fmt.Fprintf(&out, ":%04X", a.Port())
	return out.String()
}
