package rpc

import (
	"bytes"
	"context"
	"iter"
	"net/http"
)

func (x *exchange) getStatus() error {
	status, err := x.Service.Node.Status(x.r.Context())
	if err != nil {
		return err
	}
	return x.writeAny(status)
}

func (x *exchange) getPeers() error {
	status, err := x.Service.Node.Status(x.r.Context())
	if err != nil {
		return err
	}
	return x.writeAny(map[string]any{"peers": list(status.Peers), "zones": list(status.Zones)})
}

func (x *exchange) getMembers() error {
	members, err := x.Service.Node.Members(x.r.Context())
	if err != nil {
		return err
	}
	return x.writeAny(map[string]any{"members": list(members)})
}

func (x *exchange) postMember() error {
	var m Member
	if err := x.readJSON(&m); err != nil {
		return err
	}
	if m.Node.IsZero() {
		return invalid("node is missing: the id that crush id prints on the node to add")
	}
	claim, err := x.claim()
	if err != nil {
		return err
	}
	changed, err := x.Service.Node.AddMember(x.r.Context(), m, claim)
	if err != nil {
		return err
	}
	return x.writeAny(changed)
}

func (x *exchange) deleteMember() error {
	claim, err := x.claim()
	if err != nil {
		return err
	}
	changed, err := x.Service.Node.RemoveMember(x.r.Context(), x.id, claim)
	if err != nil {
		return err
	}
	return x.writeAny(changed)
}

func (x *exchange) postJoin() error {
	var r JoinRequest
	if err := x.readJSON(&r); err != nil {
		return err
	}
	if r.Address == "" {
		return invalid("address is missing: a multiaddress of a member of the cluster to join")
	}
	if r.ImportAs != "" {
		if r.Discard {
			return invalid("only one of discard and import_as can be chosen")
		}
		if err := checkName("fork", r.ImportAs); err != nil {
			return err
		}
	}
	var err error
	if r.Claim, err = x.claim(); err != nil {
		return err
	}
	joined, err := x.Service.Node.Join(x.r.Context(), r)
	if err != nil {
		return err
	}
	return x.writeAny(joined)
}

func (x *exchange) getVerify() error { return x.writeFaults(x.Service.Node.Verify) }

func (x *exchange) postRepair() error { return x.writeFaults(x.Service.Node.Repair) }

// progressLine stands between the faults if the client asks for progress.
type progressLine struct {
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// writeFaults writes a fault a line, as they are found, and how far it is, a
// hundred times at most.
func (x *exchange) writeFaults(find func(context.Context, Progress) iter.Seq2[Fault, error]) error {
	wanted, err := x.flag("progress")
	if err != nil {
		return err
	}
	return x.pump(contentLines, func(ctx context.Context, p *pump) error {
		var progress Progress
		if wanted {
			told := uint64(0)
			progress = func(done, total uint64) {
				if part := done * 100 / max(total, 1); part > told {
					told = part
					// What it fails of, the next line fails of too.
					_ = p.write(append(mustJSON(progressLine{done, total}), '\n'))
				}
			}
		}
		for fault, err := range find(ctx, progress) {
			if err != nil {
				return err
			}
			if err := p.write(append(mustJSON(fault), '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

func (x *exchange) getMetrics() error {
	if x.Service.Metrics == nil {
		return &Error{Code: CodeNotFound, Message: "this daemon serves no metrics"}
	}
	var b bytes.Buffer
	if err := x.Service.Metrics(&b); err != nil {
		return err
	}
	return x.writeBody(http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", b.Bytes())
}
