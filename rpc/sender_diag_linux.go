package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
)

// The kernel's sock_diag(7), which looks one socket up in microseconds where
// its tables in /proc take milliseconds.
const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	diagRequestSize  = syscall.NLMSG_HDRLEN + 56 // nlmsghdr, inet_diag_req_v2
	diagAnswerSize   = syscall.NLMSG_HDRLEN + 72 // nlmsghdr, inet_diag_msg
	diagWait         = 1                         // seconds; the kernel answers at once
)

// errNoSocket says that the socket is not there, or has no owner any more.
var errNoSocket = errors.New("no such socket")

// diagUser asks sock_diag for the owner of the socket whose own address is
// from and whose other end is to.
func diagUser(from, to netip.AddrPort) (uint32, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: diagWait}); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	kernel := &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}
	if err := syscall.Sendto(fd, diagRequest(from, to), 0, kernel); err != nil {
		return 0, os.NewSyscallError("sendto", err)
	}
	var answer [4096]byte
	n, _, err := syscall.Recvfrom(fd, answer[:], 0)
	if err != nil {
		return 0, os.NewSyscallError("recvfrom", err)
	}
	return readDiag(answer[:n], from, to)
}

func diagRequest(from, to netip.AddrPort) []byte {
	b := make([]byte, diagRequestSize)
	native := binary.NativeEndian
	native.PutUint32(b[0:], diagRequestSize)
	native.PutUint16(b[4:], sockDiagByFamily)
	native.PutUint16(b[6:], syscall.NLM_F_REQUEST)
	r := b[syscall.NLMSG_HDRLEN:]
	source, target := from.Addr().Unmap(), to.Addr().Unmap()
	r[0] = syscall.AF_INET6
	if source.Is4() {
		r[0] = syscall.AF_INET // also finds IPv6 sockets that speak IPv4
	}
	r[1] = syscall.IPPROTO_TCP
	native.PutUint32(r[4:], ^uint32(0)) // in any state
	binary.BigEndian.PutUint16(r[8:], from.Port())
	binary.BigEndian.PutUint16(r[10:], to.Port())
	copy(r[12:], source.AsSlice())
	copy(r[28:], target.AsSlice())
	native.PutUint64(r[48:], ^uint64(0)) // no cookie
	return b
}

// readDiag takes only the very socket: where it is not there, the kernel looks
// for one that listens. Without an inode nobody owns it, and it reads as
// root's.
func readDiag(b []byte, from, to netip.AddrPort) (uint32, error) {
	native := binary.NativeEndian
	if len(b) < syscall.NLMSG_HDRLEN+4 {
		return 0, fmt.Errorf("sock_diag: an answer of %d bytes", len(b))
	}
	if native.Uint16(b[4:]) == syscall.NLMSG_ERROR {
		errno := syscall.Errno(-int32(native.Uint32(b[syscall.NLMSG_HDRLEN:])))
		if errno == syscall.ENOENT {
			return 0, errNoSocket
		}
		return 0, os.NewSyscallError("sock_diag", errno)
	}
	if native.Uint16(b[4:]) != sockDiagByFamily || len(b) < diagAnswerSize {
		return 0, fmt.Errorf("sock_diag: an answer of type %d and %d bytes", native.Uint16(b[4:]), len(b))
	}
	m := b[syscall.NLMSG_HDRLEN:]
	sourcePort, targetPort := binary.BigEndian.Uint16(m[4:]), binary.BigEndian.Uint16(m[6:])
	uid, inode := native.Uint32(m[64:]), native.Uint32(m[68:])
	if sourcePort != from.Port() || targetPort != to.Port() || inode == 0 {
		return 0, errNoSocket
	}
	return uid, nil
}
