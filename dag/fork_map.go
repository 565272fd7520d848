package dag

// numMap is a persistent map from numbers: with returns a map that shares what
// it did not change. It is a trie over the digits of the numbers, the lowest
// first, so that numbers which are given in turn fill it evenly. The zero value
// is empty; a copy is as good as the original.
type numMap[V any] struct {
	root *numNode[V]
	len  int
}

// numNode is a leaf, or has kids.
type numNode[V any] struct {
	kids  *[numWidth]*numNode[V]
	key   uint32
	value V
}

const (
	numBits  = 4
	numWidth = 1 << numBits
)

func (m numMap[V]) get(key uint32) (v V, ok bool) {
	n := m.root
	for rest := key; n != nil; rest >>= numBits {
		if n.kids == nil {
			if n.key != key {
				break
			}
			return n.value, true
		}
		n = n.kids[rest%numWidth]
	}
	return v, false
}

func (m numMap[V]) with(key uint32, value V) numMap[V] {
	root, added := m.root.with(&numNode[V]{key: key, value: value}, 0)
	if added {
		m.len++
	}
	m.root = root
	return m
}

// with puts a leaf below a copy of a node that is shift bits down.
func (n *numNode[V]) with(leaf *numNode[V], shift uint) (out *numNode[V], added bool) {
	switch {
	case n == nil:
		return leaf, true
	case n.kids == nil && n.key == leaf.key:
		return leaf, false
	}
	next := &numNode[V]{kids: &[numWidth]*numNode[V]{}}
	if n.kids != nil {
		*next.kids = *n.kids
	} else {
		next.kids[n.key>>shift%numWidth] = n
	}
	kid := &next.kids[leaf.key>>shift%numWidth]
	*kid, added = (*kid).with(leaf, shift+numBits)
	return next, added
}

// each yields all pairs, in the same order for equal sets of keys.
func (m numMap[V]) each(yield func(key uint32, value V) bool) { m.root.each(yield) }

func (n *numNode[V]) each(yield func(key uint32, value V) bool) bool {
	switch {
	case n == nil:
		return true
	case n.kids == nil:
		return yield(n.key, n.value)
	}
	for _, kid := range n.kids {
		if !kid.each(yield) {
			return false
		}
	}
	return true
}

// textMap is a persistent map from texts. The zero value is empty.
type textMap[V any] struct{ m numMap[[]textPair[V]] }

type textPair[V any] struct {
	key   string
	value V
}

// textHash is FNV-1a: the same in every run, so that each yields in one order.
func textHash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

func (m textMap[V]) get(key string) (v V, ok bool) {
	pairs, _ := m.m.get(textHash(key))
	for _, p := range pairs {
		if p.key == key {
			return p.value, true
		}
	}
	return v, false
}

func (m textMap[V]) with(key string, value V) textMap[V] {
	hash := textHash(key)
	old, _ := m.m.get(hash)
	pairs := make([]textPair[V], 0, len(old)+1)
	for _, p := range old {
		if p.key != key {
			pairs = append(pairs, p)
		}
	}
	m.m = m.m.with(hash, append(pairs, textPair[V]{key, value}))
	return m
}

// each yields all pairs in an order that is the same in every run for one
// history of the map.
func (m textMap[V]) each(yield func(key string, value V) bool) {
	m.m.each(func(_ uint32, pairs []textPair[V]) bool {
		for _, p := range pairs {
			if !yield(p.key, p.value) {
				return false
			}
		}
		return true
	})
}
