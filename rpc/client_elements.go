package rpc

import (
	"context"
	"iter"
	"net/http"
	"strconv"
)

var (
	_ Elements = (*Client)(nil)
	_ Blames   = (*Client)(nil)
)

// Increment implements [Elements].
func (c *Client) Increment(ctx context.Context, r IncrementRequest) (Counted, error) {
	if err := checkKey(r.Key); err != nil {
		return Counted{}, err
	}
	req := request{method: http.MethodPost, path: c.forkPath(r.Fork, "incr", r.Key), header: make(http.Header, 4)}
	req.setClaim(r.Claim)
	if err := req.setConditions(r.Base, r.IfMatch, false); err != nil {
		return Counted{}, err
	}
	req.setQuery("by", strconv.FormatInt(r.By, 10))
	return answer[Counted](ctx, c, req)
}

// ChangeSet implements [Elements].
func (c *Client) ChangeSet(ctx context.Context, r ElementsRequest) (Written, error) {
	if err := checkKey(r.Key); err != nil {
		return Written{}, err
	}
	if err := checkElements(r.Add, r.Remove); err != nil {
		return Written{}, err
	}
	req := request{method: http.MethodPost, path: c.forkPath(r.Fork, "set", r.Key), header: make(http.Header, 4)}
	req.setClaim(r.Claim)
	if err := req.setConditions(r.Base, r.IfMatch, false); err != nil {
		return Written{}, err
	}
	if err := req.setJSON(elementsBody{r.Add, r.Remove}); err != nil {
		return Written{}, err
	}
	return answer[Written](ctx, c, req)
}

// Elements implements [Elements].
func (c *Client) Elements(ctx context.Context, k KeyRef) ([]string, error) {
	if err := checkKey(k.Key); err != nil {
		return nil, err
	}
	var all []string
	for e, err := range lines[string](ctx, c, request{method: http.MethodGet, path: c.forkPath(k.Fork, "set", k.Key)}) {
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// Blame implements [Blames].
func (c *Client) Blame(ctx context.Context, k KeyRef) iter.Seq2[BlameLine, error] {
	if err := checkKey(k.Key); err != nil {
		return func(yield func(BlameLine, error) bool) { yield(BlameLine{}, err) }
	}
	return lines[BlameLine](ctx, c, request{method: http.MethodGet, path: c.forkPath(k.Fork, "blame", k.Key)})
}
