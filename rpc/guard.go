package rpc

import (
	"errors"
	"net"
	"net/http"
	"strings"
)

// guard refuses who may not come in: a wrong Host (421), another site's page
// (403), another user (403).
func (h *handler) guard(r *http.Request) error {
	if h.TCP {
		if !h.allowedHost(r.Host) {
			return &Error{Code: CodeBadHost, Message: "the host " + quote(r.Host) + " is not served here: use localhost or 127.0.0.1"}
		}
		if err := h.origin.Check(r); err != nil {
			return &Error{Code: CodeDenied, Message: "requests from other sites' pages are refused", Cause: err}
		}
	}
	if h.OwnerOnly == nil {
		return nil
	}
	err := h.OwnerOnly(r)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Code: CodeDenied, Message: err.Error(), Cause: err}
}

// allowedHost decides on the Host header: a DNS name that an attacker points
// at 127.0.0.1 passes every other check of a browser.
func (h *handler) allowedHost(host string) bool {
	if h.hosts[host] {
		return true
	}
	host = strings.ToLower(host)
	if h.hosts[host] {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return false
	}
	if strings.IndexByte(name, ':') >= 0 {
		name = "[" + name + "]"
	}
	return h.hosts[name]
}

// quote shows text from outside in a message.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return string(appendString(nil, s))
}
