package rpc

import (
	"context"
	"iter"
	"net/http"
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
func (c *Client) AddMember(ctx context.Context, m Member, claim Claim) (MemberChange, error) {
	return post[MemberChange](ctx, c, "/api/v1/members", claim, m)
}

// RemoveMember implements [Node].
func (c *Client) RemoveMember(ctx context.Context, who string, claim Claim) (MemberChange, error) {
	if err := checkNamed("member", who); err != nil {
		return MemberChange{}, err
	}
	req := request{method: http.MethodDelete, path: "/api/v1/members/" + escape(who), header: make(http.Header, 4)}
	req.setClaim(claim)
	return answer[MemberChange](ctx, c, req)
}

// Join implements [Node].
func (c *Client) Join(ctx context.Context, r JoinRequest) (Joined, error) {
	return post[Joined](ctx, c, "/api/v1/join", r.Claim, r)
}

// Verify implements [Node].
func (c *Client) Verify(ctx context.Context) iter.Seq2[Fault, error] {
	return lines[Fault](ctx, c, request{method: http.MethodGet, path: "/api/v1/verify"})
}
