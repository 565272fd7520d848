package rpc

import (
	"context"
	"iter"
	"net/http"
)

// Merge implements [Merges]: the plan of a merge that stopped comes back with
// the error.
func (c *Client) Merge(ctx context.Context, r MergeRequest) (Merged, error) {
	req := request{method: http.MethodPost, path: "/api/v1/merge", header: make(http.Header, 4)}
	req.setClaim(r.Claim)
	if err := req.setJSON(r); err != nil {
		return Merged{}, err
	}
	resp, err := c.roundTrip(ctx, req)
	if err != nil {
		return Merged{}, err
	}
	defer resp.Body.Close()
	data, err := c.readAnswer(ctx, resp)
	if err != nil {
		return Merged{}, err
	}
	if resp.StatusCode != http.StatusOK {
		var stopped struct {
			Plan Merged `json:"plan"`
		}
		err = errorOf(resp, data)
		if decodeAnswer(data, &stopped) != nil { // not even JSON: the error says so
			return Merged{}, err
		}
		return stopped.Plan, err
	}
	var merged Merged
	err = decodeAnswer(data, &merged)
	return merged, err
}

// Conflicts implements [Merges]: "" is every fork, whatever the client's is.
func (c *Client) Conflicts(ctx context.Context, fork, prefix string) iter.Seq2[Conflict, error] {
	req := request{method: http.MethodGet, path: "/api/v1/conflicts"}
	req.setQuery("fork", fork)
	req.setQuery("prefix", prefix)
	return lines[Conflict](ctx, c, req)
}

// Resolve implements [Merges].
func (c *Client) Resolve(ctx context.Context, r ResolveRequest) (Written, error) {
	if r.Fork == "" && r.ID == "" {
		r.Fork = c.Fork
	}
	return post[Written](ctx, c, "/api/v1/resolve", r.Claim, r)
}

// Diff implements [Merges].
func (c *Client) Diff(ctx context.Context, r DiffRequest) iter.Seq2[Difference, error] {
	req := request{method: http.MethodGet, path: "/api/v1/diff"}
	req.setQuery("a", r.A)
	req.setQuery("b", r.B)
	req.setQuery("key", r.Key)
	return lines[Difference](ctx, c, req)
}

// Pick implements [Merges].
func (c *Client) Pick(ctx context.Context, r PickRequest) (Written, error) {
	return post[Written](ctx, c, "/api/v1/pick", r.Claim, r)
}
