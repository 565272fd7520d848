package p2p

import (
	"bytes"
	"slices"

	"crush/dag"
)

// view is what one side of a session knows of the other.
type view struct {
	tips     []dag.Pin               // what it has
	coming   []dag.Pin               // what it fetches from others
	samples  []dag.Pin               // what it has along chains on which the sides differ
	heard    map[dag.ChainStart]bool // it told its samples of these
	answered map[dag.ChainStart]bool // it was told ours of these

	known   []dag.Pin        // of all that it told, what is here: it has that and all before it
	lacking []dag.Pin        // its tips that are not here
	doubt   []dag.ChainStart // chains of which it cannot be told yet what it lacks
}

func newView() view {
	return view{heard: make(map[dag.ChainStart]bool), answered: make(map[dag.ChainStart]bool)}
}

// hear takes the peer's samples.
func (v *view) hear(l Locator) {
	for _, t := range l.Chains {
		v.heard[t.Chain] = true
		v.samples = append(v.samples, t.Pins...)
	}
}

// weigh finds what the peer has of what is here. A tip that is not here, of a
// chain that is, is taken to go on from our tip if it is further; if that is
// wrong, the peer sees it, for then it has another block where our tip stands.
// In any other case the two chains part somewhere, and samples must tell where.
func (v *view) weigh(ours []dag.Pin, blocks Blocks) error {
	told := slices.Concat(v.tips, v.coming, v.samples)
	here, err := blocks.Known(told)
	if err != nil {
		return err
	}
	v.known, v.lacking, v.doubt = nil, nil, nil
	for i, p := range told {
		if here[i] {
			v.known = append(v.known, p)
		}
	}
	for i, p := range v.tips {
		if here[i] {
			continue
		}
		v.lacking = append(v.lacking, p)
		own := chainPins(ours, p.Chain)
		switch {
		case len(own) == 0 || v.heard[p.Chain]:
		case len(own) == 1 && len(chainPins(v.tips, p.Chain)) == 1 && p.Seq > own[0].Seq:
			v.known = append(v.known, own...)
		default:
			v.doubt = append(v.doubt, p.Chain)
		}
	}
	v.doubt = slices.Compact(v.doubt)
	return nil
}

// chainPins returns the pins of one chain out of sorted ones.
func chainPins(pins []dag.Pin, chain dag.ChainStart) []dag.Pin {
	from, _ := slices.BinarySearchFunc(pins, chain, func(p dag.Pin, c dag.ChainStart) int { return bytes.Compare(p.Chain[:], c[:]) })
	to := from
	for to < len(pins) && pins[to].Chain == chain {
		to++
	}
	return pins[from:to]
}

// locate returns our samples of the chains of which the peer needs them and
// has not been told.
func (v *view) locate(blocks Blocks) (Locator, error) {
	var l Locator
	total := 0
	for _, chain := range v.unanswered() {
		t := Trail{Chain: chain}
		pins, err := blocks.Locator(chain)
		if err != nil {
			return l, err
		}
		for _, p := range v.known {
			if p.Chain == chain {
				pins = append(pins, p)
			}
		}
		// Without samples of a chain, all of it is sent.
		if total += len(pins); total <= maxSamples {
			slices.SortFunc(pins, dag.Pin.Compare)
			t.Pins = slices.Compact(pins)
		}
		v.answered[chain] = true
		l.Chains = append(l.Chains, t)
	}
	return l, nil
}

// unanswered returns the chains on which the sides differ and of which the
// peer was not told our samples, in order.
func (v *view) unanswered() (chains []dag.ChainStart) {
	for _, c := range v.doubt {
		if !v.answered[c] {
			chains = append(chains, c)
		}
	}
	for c := range v.heard {
		if !v.answered[c] {
			chains = append(chains, c)
		}
	}
	slices.SortFunc(chains, func(a, b dag.ChainStart) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(chains)
}

// open reports whether another round is needed.
func (v *view) open() bool { return len(v.doubt) > 0 || len(v.unanswered()) > 0 }
