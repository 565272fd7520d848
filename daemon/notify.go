package daemon

import (
	"fmt"
	"net"
	"strings"
)

// notify tells the service manager how the service is, by the protocol of
// sd_notify(3). socket is $NOTIFY_SOCKET; with "" nothing is told.
func notify(socket string, lines ...string) (err error) {
	if socket == "" {
		return nil
	}
	if rest, abstract := strings.CutPrefix(socket, "@"); abstract {
		socket = "\x00" + rest
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}
