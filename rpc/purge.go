package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"crush/dag"
)

// Purges takes values away on every node, for a secret that was written.
// Revisions, their ids and the history stay.
type Purges interface {
	// Purge returns when this node has the values no more, also those that others
	// purged. A key or revision that
	// is not there is ErrNotFound; one word that names both is ErrAmbiguous.
	Purge(ctx context.Context, r PurgeRequest) (Purged, error)
}

// PurgeRequest names one revision, or a key: then all values that it had on any
// fork go. The message of the claim says why, and is required.
type PurgeRequest struct {
	Claim
	// Revision is an id or the distinctive part of one, of any key on any fork.
	Revision Ref    `json:"revision,omitempty"`
	Key      string `json:"key,omitempty"`
	// Name is a key, or a revision if no key has it.
	Name string `json:"name,omitempty"`
}

// Purged is the answer of a purge. Block is zero if others had purged all of it
// before.
type Purged struct {
	Key      string         `json:"key"`
	Revision dag.RevisionID `json:"revision,omitzero"` // if not the whole key was meant
	Values   int            `json:"values"`            // how many went
	Block    dag.BlockID    `json:"block"`
}

// PurgeInfo says who purged a value. Of a value that came from another node
// without its bytes, before the purge has come, only Why is set.
type PurgeInfo struct {
	Block  dag.BlockID `json:"block"`
	Node   string      `json:"node"`
	Author Author      `json:"author"`
	Time   time.Time   `json:"time"`
	Why    string      `json:"why"`
}

// String says who purged the value, when and why.
func (i *PurgeInfo) String() string {
	if i.Block.IsZero() {
		return i.Why
	}
	by := i.Node
	if i.Author != "" {
		by = string(i.Author) + " on " + by
	}
	return fmt.Sprintf("purged by %s at %s: %s", by, i.Time.UTC().Format(time.RFC3339), i.Why)
}

// MarshalJSON returns the form of the member purged.
func (i PurgeInfo) MarshalJSON() ([]byte, error) {
	type plain PurgeInfo
	return json.Marshal(struct {
		plain
		Time stamp `json:"time"`
	}{plain(i), stamp{i.Time}})
}

// appendPurgedMember adds a member that says who purged a value, if somebody did.
func appendPurgedMember(b []byte, name string, i *PurgeInfo) []byte {
	if i == nil {
		return b
	}
	return append(appendName(b, name), mustJSON(i)...)
}

func purgeRoutes() []route {
	return withNoun(purgesNoun, []route{{
		method: "POST", pattern: "/api/v1/purge", id: "purge", serve: (*exchange).postPurge,
		summary: "Takes the value of a revision, or all that a key had on any fork, away on every node; Crush-Message says why and is required. Reading one is 410.",
		headers: writeHeaders, body: "Purge", answers: jsonAnswer, schema: "Purged",
	}})
}

func (x *exchange) postPurge() error {
	var r PurgeRequest
	if err := x.readFull(&r, maxJSON, "revision", "key", "name"); err != nil {
		return err
	}
	named := 0
	for _, name := range []string{string(r.Revision), r.Key, r.Name} {
		if name != "" {
			named++
		}
	}
	if named != 1 {
		return invalid("one of revision, key and name must be given")
	}
	return answerChange(x, &r.Claim, func() (Purged, error) { return x.Service.Purges.Purge(x.r.Context(), r) })
}

// Purge implements [Purges].
func (c *Client) Purge(ctx context.Context, r PurgeRequest) (Purged, error) {
	return post[Purged](ctx, c, "/api/v1/purge", r.Claim, r)
}
