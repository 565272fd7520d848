package rpc

import (
	"context"
	"encoding/json"
	"errors"
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
func (c *Client) Verify(ctx context.Context, progress Progress) iter.Seq2[Fault, error] {
	return c.faults(ctx, request{method: http.MethodGet, path: "/api/v1/verify"}, progress)
}

// Repair implements [Node].
func (c *Client) Repair(ctx context.Context, progress Progress) iter.Seq2[Fault, error] {
	return c.faults(ctx, request{method: http.MethodPost, path: "/api/v1/repair"}, progress)
}

// faults yields the faults of an answer, and tells progress of the lines
// between them.
func (c *Client) faults(ctx context.Context, r request, progress Progress) iter.Seq2[Fault, error] {
	r.setFlag("progress", progress != nil)
	return func(yield func(Fault, error) bool) {
		for line, err := range lines[json.RawMessage](ctx, c, r) {
			var f Fault
			var p progressLine
			if err == nil {
				err = errors.Join(decodeAnswer(line, &f), decodeAnswer(line, &p))
			}
			if err == nil && p.Total > 0 {
				progress(p.Done, p.Total)
				continue
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}
