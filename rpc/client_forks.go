package rpc

import (
	"context"
	"net/http"
)

const forksPath = "/api/v1/forks"

// Forks implements [Forks].
func (c *Client) Forks(ctx context.Context) ([]ForkInfo, error) {
	all, err := answer[forkList](ctx, c, request{method: http.MethodGet, path: forksPath})
	return all.Forks, err
}

// ShowFork returns the fork that a name, an id or an alias means; "" is the
// client's fork.
func (c *Client) ShowFork(ctx context.Context, fork string) (ForkInfo, error) {
	return answer[ForkInfo](ctx, c, request{method: http.MethodGet, path: c.forkPath(fork, "", "")})
}

// CreateFork implements [Forks]. A request that names no From is of the default
// fork, whatever the client's is.
func (c *Client) CreateFork(ctx context.Context, r ForkRequest) (ForkInfo, error) {
	return post[ForkInfo](ctx, c, forksPath, r.Claim, r)
}

// RenameFork implements [Forks].
func (c *Client) RenameFork(ctx context.Context, r ForkChange) (ForkInfo, error) {
	if err := checkNamed("fork", r.Fork); err != nil {
		return ForkInfo{}, err
	}
	return post[ForkInfo](ctx, c, c.forkPath(r.Fork, "rename", ""), r.Claim, renameBody{r.Name})
}

// RemoveFork implements [Forks].
func (c *Client) RemoveFork(ctx context.Context, r ForkChange) (ForkInfo, error) {
	if err := checkNamed("fork", r.Fork); err != nil {
		return ForkInfo{}, err
	}
	req := request{method: http.MethodDelete, path: c.forkPath(r.Fork, "", ""), header: make(http.Header, 4)}
	req.setClaim(r.Claim)
	req.setFlag("force", r.Force)
	return answer[ForkInfo](ctx, c, req)
}

// RestoreFork implements [Forks].
func (c *Client) RestoreFork(ctx context.Context, r ForkChange) (ForkInfo, error) {
	if err := checkNamed("fork", r.Fork); err != nil {
		return ForkInfo{}, err
	}
	return post[ForkInfo](ctx, c, c.forkPath(r.Fork, "restore", ""), r.Claim, nil)
}

// checkNamed refuses to let the client's fork stand for what must be named.
func checkNamed(what, name string) error {
	if name == "" {
		return invalid(what + " is missing")
	}
	return nil
}

// post sends a claimed change with a body in JSON; nil for none.
func post[T any](ctx context.Context, c *Client, path string, claim Claim, body any) (v T, err error) {
	req := request{method: http.MethodPost, path: path, header: make(http.Header, 4)}
	req.setClaim(claim)
	if body != nil {
		if err := req.setJSON(body); err != nil {
			return v, err
		}
	}
	return answer[T](ctx, c, req)
}
