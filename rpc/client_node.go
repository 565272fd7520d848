package rpc

import (
	"context"
	"iter"
	"net/http"

	"crush/dag"
)

// Status implements [Node].
func (c *Client) Status(ctx context.Context) (Status, error) {
	return answer[Status](ctx, c, request{method: http.MethodGet, path: "/api/v1/status"})
}

// Members implements [Node].
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	type list struct {
		Members []Member `json:"members"`
	}
	all, err := answer[list](ctx, c, request{method: http.MethodGet, path: "/api/v1/members"})
	return all.Members, err
}

// AddMember implements [Node].
func (c *Client) AddMember(ctx context.Context, m Member, claim Claim) (dag.BlockID, error) {
	req := request{method: http.MethodPost, path: "/api/v1/members", header: make(http.Header, 4)}
	req.setClaim(claim)
	if err := req.setJSON(m); err != nil {
		return dag.BlockID{}, err
	}
	added, err := answer[memberAdded](ctx, c, req)
	return added.Block, err
}

// Join implements [Node].
func (c *Client) Join(ctx context.Context, r JoinRequest) (Joined, error) {
	req := request{method: http.MethodPost, path: "/api/v1/join", header: make(http.Header, 2)}
	if err := req.setJSON(r); err != nil {
		return Joined{}, err
	}
	return answer[Joined](ctx, c, req)
}

// Verify implements [Node].
func (c *Client) Verify(ctx context.Context) iter.Seq2[Fault, error] {
	return lines[Fault](ctx, c, request{method: http.MethodGet, path: "/api/v1/verify"})
}
