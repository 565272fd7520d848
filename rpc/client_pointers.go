package rpc

import (
	"context"
	"iter"
	"net/http"
)

const (
	tagsPath    = "/api/v1/tags"
	aliasesPath = "/api/v1/aliases"
)

// Tags implements [Pointers].
func (c *Client) Tags(ctx context.Context) ([]PointerInfo, error) {
	all, err := answer[tagList](ctx, c, request{method: http.MethodGet, path: tagsPath})
	return all.Tags, err
}

// Aliases implements [Pointers].
func (c *Client) Aliases(ctx context.Context) ([]PointerInfo, error) {
	all, err := answer[aliasList](ctx, c, request{method: http.MethodGet, path: aliasesPath})
	return all.Aliases, err
}

// Tag implements [Pointers].
func (c *Client) Tag(ctx context.Context, r PointRequest) (PointerInfo, error) {
	if r.Fork != "" || r.Expect != "" {
		return PointerInfo{}, invalid("a tag names a cut, not a fork")
	}
	if r.Remove {
		return c.removePointer(ctx, tagsPath, r)
	}
	return post[PointerInfo](ctx, c, tagsPath, r.Claim, tagBody{Name: r.Name, At: r.At})
}

// Alias implements [Pointers].
func (c *Client) Alias(ctx context.Context, r PointRequest) (PointerInfo, error) {
	if r.At != "" {
		return PointerInfo{}, invalid("an alias names a fork, not a cut")
	}
	if r.Remove {
		return c.removePointer(ctx, aliasesPath, r)
	}
	return post[PointerInfo](ctx, c, aliasesPath, r.Claim, aliasBody{Name: r.Name, Fork: r.Fork, Expect: r.Expect})
}

// AliasLog implements [Pointers].
func (c *Client) AliasLog(ctx context.Context, name, after string) iter.Seq2[LogEntry, error] {
	if err := checkNamed("alias", name); err != nil {
		return func(yield func(LogEntry, error) bool) { yield(LogEntry{}, err) }
	}
	req := request{method: http.MethodGet, path: aliasesPath + "/" + escape(name) + "/log"}
	req.setQuery("after", after)
	return lines[LogEntry](ctx, c, req)
}

func (c *Client) removePointer(ctx context.Context, path string, r PointRequest) (PointerInfo, error) {
	if err := checkNamed("name", r.Name); err != nil {
		return PointerInfo{}, err
	}
	req := request{method: http.MethodDelete, path: path + "/" + escape(r.Name), header: make(http.Header, 4)}
	req.setClaim(r.Claim)
	req.setQuery("expect", r.Expect)
	return answer[PointerInfo](ctx, c, req)
}

// Reset implements [Resets].
func (c *Client) Reset(ctx context.Context, r ResetRequest) (Reset, error) {
	return post[Reset](ctx, c, c.forkPath(r.Fork, "reset", ""), r.Claim, resetBody{Prefix: &r.Prefix, To: r.To, Plan: r.Plan})
}

// Undo implements [Resets].
func (c *Client) Undo(ctx context.Context, r UndoRequest) (Reset, error) {
	return post[Reset](ctx, c, c.forkPath(r.Fork, "undo", ""), r.Claim, undoBody{Block: r.Block, Plan: r.Plan})
}
