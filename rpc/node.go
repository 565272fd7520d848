package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"crush/dag"
)

func (x *exchange) getStatus() error {
	status, err := x.Service.Node.Status(x.r.Context())
	if err != nil {
		return err
	}
	return x.writeAny(status)
}

func (x *exchange) getPeers() error {
	status, err := x.Service.Node.Status(x.r.Context())
	if err != nil {
		return err
	}
	return x.writeAny(map[string]any{"peers": list(status.Peers)})
}

func (x *exchange) getMembers() error {
	members, err := x.Service.Node.Members(x.r.Context())
	if err != nil {
		return err
	}
	return x.writeAny(map[string]any{"members": list(members)})
}

// memberAdded is the answer to postMember.
type memberAdded struct {
	Block dag.BlockID `json:"block"`
}

func (x *exchange) postMember() error {
	var m Member
	if err := x.readJSON(&m); err != nil {
		return err
	}
	if m.Node.IsZero() {
		return invalid("node is missing: the id that crush id prints on the node to add")
	}
	claim, err := x.claim()
	if err != nil {
		return err
	}
	block, err := x.Service.Node.AddMember(x.r.Context(), m, claim)
	if err != nil {
		return err
	}
	return x.writeAny(memberAdded{block})
}

func (x *exchange) postJoin() error {
	var r JoinRequest
	if err := x.readJSON(&r); err != nil {
		return err
	}
	if r.Address == "" {
		return invalid("address is missing: a multiaddress of a member of the cluster to join")
	}
	joined, err := x.Service.Node.Join(x.r.Context(), r)
	if err != nil {
		return err
	}
	return x.writeAny(joined)
}

// getVerify writes a fault a line, as they are found.
func (x *exchange) getVerify() error {
	return x.pump(contentLines, func(ctx context.Context, p *pump) error {
		for fault, err := range x.Service.Node.Verify(ctx) {
			if err != nil {
				return err
			}
			line, err := json.Marshal(fault)
			if err != nil {
				return err
			}
			if err := p.write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

func (x *exchange) getMetrics() error {
	if x.Service.Metrics == nil {
		return &Error{Code: CodeNotFound, Message: "this daemon serves no metrics"}
	}
	var b bytes.Buffer
	if err := x.Service.Metrics(&b); err != nil {
		return err
	}
	return x.writeBody(http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", b.Bytes())
}
