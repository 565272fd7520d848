package rpc

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"sync"
)

// sender is the process at the other end of a connection. Who it is is found
// out when it is first asked for, and kept as long as the connection.
type sender struct {
	conn net.Conn

	find sync.Once
	// Set by find.
	uid uint32
	err error
}

type senderKey struct{}

// withSender is the ConnContext of our servers.
func withSender(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, senderKey{}, &sender{conn: c})
}

func senderOf(r *http.Request) *sender {
	s, _ := r.Context().Value(senderKey{}).(*sender)
	return s
}

// user returns the uid of the process that connected.
func (s *sender) user() (uint32, error) {
	if s == nil {
		return 0, fmt.Errorf("find the sender's user: the request came by no connection of this server")
	}
	s.find.Do(func() { s.uid, s.err = connUser(s.conn) })
	return s.uid, s.err
}

// userNames remembers the names of users, for as long as the server runs.
type userNames struct{ known sync.Map } // uint32 to Author

// author is HandlerConfig.Author: the sender's user name; "" if nobody can
// tell.
func (n *userNames) author(r *http.Request) Author {
	uid, err := senderOf(r).user()
	if err != nil {
		return ""
	}
	if name, ok := n.known.Load(uid); ok {
		return name.(Author)
	}
	id := strconv.FormatUint(uint64(uid), 10)
	name := Author("uid-" + id)
	if u, err := user.LookupId(id); err == nil {
		name = Author(u.Username)
	}
	n.known.Store(uid, name)
	return name
}

// onlyUsers is HandlerConfig.OwnerOnly: the daemon's own user, and root if so
// said. The hint stands in the refusal.
func onlyUsers(root bool, hint string) func(r *http.Request) error {
	own := uint32(os.Geteuid())
	return func(r *http.Request) error {
		uid, err := senderOf(r).user()
		if err != nil {
			return &Error{Code: CodeDenied, Message: "only the daemon's own user is served here, and the sender's user cannot be told" + hint, Cause: err}
		}
		if uid != own && (!root || uid != 0) {
			return &Error{Code: CodeDenied, Message: fmt.Sprintf("only the daemon's own user (uid %d) is served here, not uid %d%s", own, uid, hint)}
		}
		return nil
	}
}
