package daemon

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"crush/dag"
	"crush/rpc"
)

// A token is, in URL-safe base64: a version byte; 32 bytes of the fork; the
// first 8 bytes of the key's SHA-256; a form byte; then, in form 0, the heads,
// 32 bytes each; in form 1, for more heads than fit, the SHA-256 of all of
// them. Form 1 can be matched, and be a base only while the heads are these.
const (
	tokenVersion  = 1
	tokenHeader   = 1 + 32 + 8 + 1
	tokenMaxHeads = 90 // so that a token stays under 4 KiB
	tokenHeads    = 0
	tokenSummed   = 1
)

// seenHeads is what a token says: the heads of one key on one fork.
type seenHeads struct {
	fork   dag.ForkID
	key    [8]byte
	heads  []dag.RevisionID // sorted
	sum    [32]byte         // of the heads, in form 1
	summed bool
}

func keySum(key string) (s [8]byte) {
	sum := sha256.Sum256([]byte(key))
	copy(s[:], sum[:])
	return s
}

func sumHeads(heads []dag.RevisionID) [32]byte {
	h := sha256.New()
	for _, id := range heads {
		h.Write(id[:])
	}
	return [32]byte(h.Sum(nil))
}

func compareIDs(a, b dag.RevisionID) int { return bytes.Compare(a[:], b[:]) }

// tokenOf makes the token of an entry.
func tokenOf(e *dag.Entry) rpc.Token { return makeToken(e.Fork, e.Key, headIDs(e)) }

func makeToken(fork dag.ForkID, key string, heads []dag.RevisionID) rpc.Token {
	b := make([]byte, 0, tokenHeader+32*min(len(heads), tokenMaxHeads))
	b = append(b, tokenVersion)
	b = append(b, fork[:]...)
	sum := keySum(key)
	b = append(b, sum[:]...)
	if !slices.IsSortedFunc(heads, compareIDs) {
		heads = slices.SortedFunc(slices.Values(heads), compareIDs)
	}
	if len(heads) > tokenMaxHeads {
		all := sumHeads(heads)
		b = append(append(b, tokenSummed), all[:]...)
	} else {
		b = append(b, tokenHeads)
		for _, id := range heads {
			b = append(b, id[:]...)
		}
	}
	return rpc.Token(base64.RawURLEncoding.EncodeToString(b))
}

// parseToken reads a token, which must be of this fork and key.
func parseToken(t rpc.Token, fork dag.ForkID, key string) (s seenHeads, err error) {
	bad := failure(rpc.CodeInvalid, "not a token: %.40q (read the key again and use the token of that answer)", string(t))
	b, derr := base64.RawURLEncoding.DecodeString(string(t))
	if derr != nil || len(b) < tokenHeader || b[0] != tokenVersion || (len(b)-tokenHeader)%32 != 0 {
		return s, bad
	}
	s.fork, s.key = dag.ForkID(b[1:33]), [8]byte(b[33:41])
	rest := b[tokenHeader:]
	switch b[41] {
	case tokenHeads:
		for ; len(rest) > 0; rest = rest[32:] {
			s.heads = append(s.heads, dag.RevisionID(rest[:32]))
		}
	case tokenSummed:
		if len(rest) != 32 {
			return s, bad
		}
		s.summed, s.sum = true, [32]byte(rest)
	default:
		return s, bad
	}
	switch {
	case s.key != keySum(key):
		return s, failure(rpc.CodeStale, "the token is of another key than %q", key)
	case s.fork != fork:
		return s, failure(rpc.CodeStale, "the token of %q was read on another fork", key)
	}
	return s, nil
}

// matches reports whether the heads are exactly those of the token.
func (s *seenHeads) matches(heads []dag.RevisionID) bool {
	if s.summed {
		return sumHeads(heads) == s.sum
	}
	return slices.Equal(s.heads, heads)
}
