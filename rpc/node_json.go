package rpc

import (
	"encoding/json"
	"fmt"
	"time"
)

// MarshalJSON returns the form of `status`.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	p := plain(s)
	p.Addresses, p.Peers, p.Zones, p.Warnings = list(p.Addresses), list(p.Peers), list(p.Zones), list(p.Warnings)
	return json.Marshal(struct {
		plain
		Cluster clusterText `json:"cluster"`
		Started stamp       `json:"started"`
		Time    stamp       `json:"time"`
	}{p, clusterText{s.Cluster}, stamp{s.Started}, stamp{s.Time}})
}

// UnmarshalJSON reads the form of MarshalJSON.
func (s *Status) UnmarshalJSON(data []byte) error {
	type plain Status
	var w struct {
		plain
		Cluster clusterText `json:"cluster"`
		Started stamp       `json:"started"`
		Time    stamp       `json:"time"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	*s = Status(w.plain)
	s.Cluster, s.Started, s.Time = w.Cluster.is, w.Started.Time, w.Time.Time
	return nil
}

// MarshalJSON returns the form of an element of `peers`.
func (p PeerStatus) MarshalJSON() ([]byte, error) {
	type plain PeerStatus
	q := plain(p)
	q.Addresses = list(q.Addresses)
	return json.Marshal(struct {
		plain
		LastSeen stamp `json:"last_seen,omitzero"`
	}{q, stamp{p.LastSeen.UTC().Truncate(time.Millisecond)}})
}

// MarshalJSON returns the form of a lag in `peers`.
func (l Lag) MarshalJSON() ([]byte, error) {
	type plain Lag
	return json.Marshal(struct {
		plain
		Since stamp `json:"since"`
	}{plain(l), stamp{l.Since}})
}

// UnmarshalJSON reads the form of MarshalJSON.
func (l *Lag) UnmarshalJSON(data []byte) error {
	type plain Lag
	var w struct {
		plain
		Since stamp `json:"since"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read lag: %w", err)
	}
	*l = Lag(w.plain)
	l.Since = w.Since.Time
	return nil
}

// MarshalJSON returns the form of the answer to a change of the member list.
func (c MemberChange) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Member
		Block blockText `json:"block"`
	}{c.Member, blockText{c.Block}})
}

// UnmarshalJSON reads the form of MarshalJSON.
func (c *MemberChange) UnmarshalJSON(data []byte) error {
	var w struct {
		Member
		Block blockText `json:"block"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read change of a member: %w", err)
	}
	*c = MemberChange{Member: w.Member, Block: w.Block.is}
	return nil
}

// MarshalJSON returns the form of the answer to an apply.
func (a Applied) MarshalJSON() ([]byte, error) {
	type plain Applied
	p := plain(a)
	p.Created, p.Changed, p.Deleted = list(p.Created), list(p.Changed), list(p.Deleted)
	return json.Marshal(struct {
		plain
		Block blockText `json:"block"`
	}{p, blockText{a.Block}})
}

// UnmarshalJSON reads the form of MarshalJSON.
func (a *Applied) UnmarshalJSON(data []byte) error {
	type plain Applied
	var w struct {
		plain
		Block blockText `json:"block"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read answer to an apply: %w", err)
	}
	*a = Applied(w.plain)
	a.Block = w.Block.is
	return nil
}

// MarshalJSON returns the form of the answer to a join.
func (j Joined) MarshalJSON() ([]byte, error) {
	type plain Joined
	return json.Marshal(struct {
		plain
		Cluster clusterText `json:"cluster"`
		Via     nodeText    `json:"via"`
	}{plain(j), clusterText{j.Cluster}, nodeText{j.Via}})
}

// UnmarshalJSON reads the form of MarshalJSON.
func (j *Joined) UnmarshalJSON(data []byte) error {
	type plain Joined
	var w struct {
		plain
		Cluster clusterText `json:"cluster"`
		Via     nodeText    `json:"via"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read answer to a join: %w", err)
	}
	*j = Joined(w.plain)
	j.Cluster, j.Via = w.Cluster.is, w.Via.is
	return nil
}
