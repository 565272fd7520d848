package rpc

import (
	"context"
	"iter"
	"net/http"
)

// Get implements [Values].
func (c *Client) Get(ctx context.Context, r GetRequest) (Entry, error) {
	if err := checkKey(r.Key); err != nil {
		return Entry{}, err
	}
	req := request{method: http.MethodGet, path: c.forkPath(r.Fork, "entry", r.Key)}
	req.setQuery("rev", string(r.Rev))
	req.setQuery("at", r.At)
	req.setQuery("after", r.After)
	req.setQuery("path", string(r.Path))
	req.setServed(r.Winner)
	req.setFlag("meta", r.Meta)
	req.setFlag("bare", r.Bare)
	return answer[Entry](ctx, c, req)
}

// Put implements [Values]. The value is not kept.
func (c *Client) Put(ctx context.Context, r PutRequest) (Written, error) {
	if err := checkKey(r.Key); err != nil {
		return Written{}, err
	}
	req := request{
		method: http.MethodPut, path: c.forkPath(r.Fork, "kv", r.Key),
		header: make(http.Header, 8), body: r.Value,
	}
	req.setClaim(r.Claim)
	if err := req.setConditions(r.Base, r.IfMatch, r.IfAbsent); err != nil {
		return Written{}, err
	}
	if r.Kind != 0 {
		req.header[headerKind] = []string{r.Kind.String()}
	}
	if r.Otherwise != 0 {
		req.setQuery("otherwise", r.Otherwise.String())
	}
	req.setQuery("path", string(r.Path))
	req.setFlag("create_fork", r.CreateFork)
	return answer[Written](ctx, c, req)
}

func (r *request) setConditions(base, match Token, absent bool) error {
	n := 0
	if base != "" {
		r.header[headerBase] = []string{string(base)}
		n++
	}
	if match != "" {
		r.header["If-Match"] = []string{`"` + string(match) + `"`}
		n++
	}
	if absent {
		r.header["If-None-Match"] = []string{"*"}
		n++
	}
	if n > 1 {
		return invalid("at most one of --base, --if-match and --if-absent can be asked for")
	}
	return nil
}

// Delete implements [Values].
func (c *Client) Delete(ctx context.Context, r DeleteRequest) (Written, error) {
	req := request{method: http.MethodDelete, header: make(http.Header, 4)}
	if r.Recursive && r.Path != "" {
		return Written{}, invalid("a path is of one key, not of all below a prefix")
	}
	req.setQuery("path", string(r.Path))
	if r.Recursive {
		req.path = c.forkPath(r.Fork, "kv", "")
		req.setQuery("prefix", r.Key)
	} else if err := checkKey(r.Key); err != nil {
		return Written{}, err
	} else {
		req.path = c.forkPath(r.Fork, "kv", r.Key)
	}
	req.setClaim(r.Claim)
	if err := req.setConditions(r.Base, r.IfMatch, false); err != nil {
		return Written{}, err
	}
	return answer[Written](ctx, c, req)
}

// setServed asks for what a policy withholds.
func (r *request) setServed(winner bool) {
	if winner {
		r.setQuery("served", ServedWinner)
	}
}

// List implements [Values].
func (c *Client) List(ctx context.Context, r ListRequest) iter.Seq2[Entry, error] {
	req := request{method: http.MethodGet, path: c.forkPath(r.Fork, "kv", "")}
	req.setQuery("prefix", r.Prefix)
	req.setQuery("after", r.After)
	req.setQuery("at", r.At)
	if req.setQuery("after_block", r.AfterBlock); r.AfterBlock != "" {
		req.header = make(http.Header, 2)
		if r.Within > 0 {
			ctx = WithLimit(ctx, r.Within)
		}
		req.setTimeout(ctx)
	}
	req.setFlag("meta", !r.Values)
	req.setServed(r.Winner)
	return lines[Entry](ctx, c, req)
}
