package dag

import "sync"

// Verdict says what a signature is worth.
type Verdict uint8

// The verdicts.
const (
	Unsure Verdict = iota // nobody here can tell: the chain is not known, or there is no signature
	Good
	Bad
)

// Judge checks the signatures of blocks that came together, in causal order,
// before they are applied: Bad if any is, Good if all are. The key is that of
// the chain, which only the first block of a chain gives; whether its author
// may write is not asked. Apply does not check again what was good.
func (g *Graph) Judge(headers []Header) Verdict {
	chains := g.moment.Load().front.chains
	announced := map[ChainID]NodeID{}
	verdict := Good
	for _, h := range headers {
		if !h.Node.IsZero() {
			announced[h.Chain] = h.Node
		}
		author := announced[h.Chain]
		if lines := chains[h.Chain]; len(lines) > 0 {
			author = lines[0].node
		}
		switch {
		case author.IsZero() || len(h.Sig) == 0:
			verdict = Unsure
		case g.judged.good(author, h.ID, h.Sig):
		case !author.verifyBlock(h.ID, h.Sig):
			return Bad
		default:
			g.judged.note(author, h.ID, h.Sig)
		}
	}
	return verdict
}

// maxJudged is how many good signatures are remembered.
const maxJudged = 1024

// judged remembers signatures that are good. It is safe for concurrent use;
// the zero value is empty.
type judged struct {
	mu    sync.Mutex
	known map[judgedKey]bool
	order []judgedKey // oldest first
}

type judgedKey struct {
	author NodeID
	block  BlockID
	sig    [sigLen]byte
}

func (j *judged) good(author NodeID, id BlockID, sig []byte) bool {
	if len(sig) != sigLen {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.known[judgedKey{author, id, [sigLen]byte(sig)}]
}

func (j *judged) note(author NodeID, id BlockID, sig []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := judgedKey{author, id, [sigLen]byte(sig)}
	switch {
	case j.known[key]:
		return
	case j.known == nil:
		j.known = map[judgedKey]bool{}
	case len(j.order) == maxJudged:
		delete(j.known, j.order[0])
		j.order = j.order[1:]
	}
	j.known[key] = true
	j.order = append(j.order, key)
}
