package rpc

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
)

const seriesPath = "/api/v1/series"

// OpenSeries implements [Series].
func (c *Client) OpenSeries(ctx context.Context, prefix string) iter.Seq2[SeriesEntry, error] {
	body, err := json.Marshal(struct {
		Prefix string `json:"prefix"`
	}{prefix})
	if err != nil {
		return func(yield func(SeriesEntry, error) bool) { yield(SeriesEntry{}, err) }
	}
	return lines[SeriesEntry](ctx, c, request{method: http.MethodPost, path: seriesPath, body: body})
}

// WriteSeries implements [Series]. The values are not kept.
func (c *Client) WriteSeries(ctx context.Context, id string, sent int, changes []SeriesChange, claim Claim) ([]SeriesReceipt, error) {
	var body []byte
	for i := range changes {
		body = append(changes[i].appendJSON(body), '\n')
	}
	return c.WriteSeriesBody(ctx, id, sent, body, claim)
}

// WriteSeriesBody is WriteSeries of changes that were encoded by
// AppendSeriesChange while others were written.
func (c *Client) WriteSeriesBody(ctx context.Context, id string, sent int, body []byte, claim Claim) ([]SeriesReceipt, error) {
	req := request{
		method: http.MethodPost, path: seriesPath + "/" + escape(id), header: http.Header{"Content-Type": {contentLines}}, body: body,
	}
	req.setClaim(claim)
	req.setQuery("sent", strconv.Itoa(sent))
	done, err := answer[seriesReceipts](ctx, c, req)
	return done.Receipts, err
}

// AppendSeriesChange appends a change as WriteSeriesBody wants it.
func AppendSeriesChange(b []byte, c *SeriesChange) []byte { return append(c.appendJSON(b), '\n') }
