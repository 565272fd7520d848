package rpc

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"time"

	"crush/dag"
)

// contentCAR is the content type of a history in a file.
const contentCAR = "application/vnd.ipld.car"

var _ Archives = (*Client)(nil)

func archiveRoutes() []route {
	return withNoun(archivesNoun, []route{
		{
			method: "GET", pattern: "/api/v1/export", id: "export", serve: (*exchange).getExport,
			summary: "The whole history as a CAR file, version 1. An answer that breaks off is not whole.",
			answers: []string{contentCAR},
		},
		{
			method: "POST", pattern: "/api/v1/import", id: "import", serve: (*exchange).postImport,
			summary: "Adds what the node lacks of the history in a CAR file. All of the file is checked first: 422 if it is damaged, 403 if it is of another cluster, both with nothing added.",
			body:    contentCAR, answers: jsonAnswer, schema: "Imported",
		},
	})
}

func (x *exchange) getExport() error {
	return x.stream(contentCAR, func(w *bufio.Writer) error {
		_, err := x.Service.Archives.Export(x.r.Context(), w)
		return err
	})
}

func (x *exchange) postImport() error {
	body := newBodyReader(x)
	imported, err := x.Service.Archives.Import(x.r.Context(), untilEnd{body})
	if err != nil {
		return err
	}
	return x.writeAny(imported)
}

// untilEnd lifts the deadline of a body when its end is read: what is done with
// it then may take longer.
type untilEnd struct{ body *bodyReader }

func (u untilEnd) Read(p []byte) (int, error) {
	n, err := u.body.Read(p)
	if err == io.EOF {
		u.body.done()
	}
	return n, err
}

// Export implements [Archives].
func (c *Client) Export(ctx context.Context, w io.Writer) (Exported, error) {
	resp, err := c.send(ctx, request{method: http.MethodGet, path: "/api/v1/export", endless: true})
	if err != nil {
		return Exported{}, err
	}
	defer resp.Body.Close()
	all := io.TeeReader(failing{ctx, c, resp.Body}, w)
	file, err := dag.OpenCAR(all)
	if err == nil {
		_, err = io.Copy(io.Discard, all)
	}
	if err != nil {
		return Exported{}, err
	}
	return ExportedOf(file.About()), nil
}

// failing reads an answer; its errors are those of the client.
type failing struct {
	ctx  context.Context
	c    *Client
	body io.Reader
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.body.Read(p)
	if err != nil && err != io.EOF {
		err = f.c.failure(f.ctx, err)
	}
	return n, err
}

// ExportedOf is what a CAR says of itself.
func ExportedOf(a dag.Archive) Exported {
	return Exported{a.Cluster, a.Node, time.UnixMilli(a.Time).UTC(), a.Blocks, a.Revisions, a.Keys}
}

// Import implements [Archives].
func (c *Client) Import(ctx context.Context, r io.Reader) (Imported, error) {
	return answer[Imported](ctx, c, request{
		method: http.MethodPost, path: "/api/v1/import", header: http.Header{"Content-Type": {contentCAR}},
		stream: func() io.Reader { return r }, endless: true,
	})
}
