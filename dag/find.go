package dag

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// The index of ids maps the start of a digest to a place. One record an id
// would put every write at a random key, which costs more than the rest of a
// write together; so ids are gathered, and each findEvery of them are written
// as one sorted segment. A lookup probes the gathered ones and each segment:
// it is for ids that people type and for parents that are not heads, which are
// rare.
const findEvery = 4096

// findLen is the size of an entry: 6 bytes of digest, 3 of the distance to the
// segment's first lsn, 3 of the index (0 the block, i+1 its i-th revision).
const findLen = 12

type findRef struct {
	lsn   uint64
	index uint32 // 0 the block, i+1 its i-th revision
}

func findPrefix(digest [32]byte) [6]byte { return [6]byte(digest[:6]) }

// gathered is the ids that are in no segment yet, as entries in order of
// arrival. There are so few that a lookup reads all of them.
type gathered struct {
	first   uint64 // lowest lsn; 0 if empty
	entries []byte // of findLen bytes each
}

func (t *gathered) count() int { return len(t.entries) / findLen }

func (t *gathered) add(digest [32]byte, lsn uint64, index uint32) {
	if t.first == 0 {
		t.first = lsn
	}
	d := lsn - t.first
	t.entries = append(t.entries, digest[0], digest[1], digest[2], digest[3], digest[4], digest[5],
		byte(d>>16), byte(d>>8), byte(d), byte(index>>16), byte(index>>8), byte(index))
}

// addBlock adds the ids of a block and its revisions.
func (t *gathered) addBlock(lsn uint64, p *parcel) {
	t.add(p.id, lsn, 0)
	for i, id := range p.block.Revisions {
		t.add(id, lsn, uint32(i)+1)
	}
}

// search yields the entries from lo to hi (inclusive).
func (t *gathered) search(lo, hi [6]byte, yield func(findRef)) {
	for i := 0; i < len(t.entries); i += findLen {
		e := t.entries[i : i+findLen]
		if bytes.Compare(e[:6], lo[:]) >= 0 && bytes.Compare(e[:6], hi[:]) <= 0 {
			yield(readFindRef(t.first, e))
		}
	}
}

func readFindRef(first uint64, e []byte) findRef {
	d := uint64(e[6])<<16 | uint64(e[7])<<8 | uint64(e[8])
	return findRef{first + d, uint32(e[9])<<16 | uint32(e[10])<<8 | uint32(e[11])}
}

// segment returns what is gathered in order of digest.
func (t *gathered) segment() []byte {
	all := make([][findLen]byte, t.count())
	for i := range all {
		all[i] = [findLen]byte(t.entries[i*findLen:])
	}
	slices.SortFunc(all, func(a, b [findLen]byte) int { return bytes.Compare(a[:], b[:]) })
	out := make([]byte, 0, len(t.entries))
	for i := range all {
		out = append(out, all[i][:]...)
	}
	return out
}

// searchSegment yields the entries from lo to hi (inclusive) of a segment.
func searchSegment(first uint64, seg []byte, lo, hi [6]byte, yield func(findRef)) error {
	if len(seg)%findLen != 0 {
		return corrupt("index of ids at %d does not decode", first)
	}
	n := len(seg) / findLen
	at := func(i int) []byte { return seg[i*findLen : (i+1)*findLen] }
	i := lowerBound(n, func(i int) bool { return bytes.Compare(at(i)[:6], lo[:]) >= 0 })
	for ; i < n && bytes.Compare(at(i)[:6], hi[:]) <= 0; i++ {
		yield(readFindRef(first, at(i)))
	}
	return nil
}

func lowerBound(n int, ok func(int) bool) int {
	lo, hi := 0, n
	for lo < hi {
		if mid := (lo + hi) / 2; ok(mid) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// findIn returns the places whose digests may start between lo and hi.
func findIn(r Reader, t *gathered, lo, hi [6]byte) ([]findRef, error) {
	var out []findRef
	t.search(lo, hi, func(ref findRef) { out = append(out, ref) })
	var bad error
	err := r.Iterate(prefixRange([]byte{tagFind}), func(k, v []byte) bool {
		bad = searchSegment(binary.BigEndian.Uint64(k[1:]), v, lo, hi, func(ref findRef) { out = append(out, ref) })
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return out, err
}

// prefixBounds turns the distinctive part of an id into bounds on digests.
func prefixBounds(distinctive string) (lo, hi [6]byte, ok bool) {
	if len(distinctive) < minPrefix || len(distinctive) > 52 {
		return lo, hi, false
	}
	digest := func(pad string) (p [6]byte, ok bool) {
		text := distinctive + strings.Repeat(pad, 52-len(distinctive))
		raw, err := base32Lower.DecodeString("afyrei" + text)
		if err != nil || len(raw) != 36 || !bytes.Equal(raw[:4], cidPrefix[:]) {
			return p, false
		}
		return [6]byte(raw[4:10]), true
	}
	lo, ok1 := digest("a")
	hi, ok2 := digest("7")
	return lo, hi, ok1 && ok2
}

// findBlock returns the place of an applied block.
func findBlock(r Reader, t *gathered, id BlockID) (at loc, ok bool, err error) {
	err = findDigest(r, t, id, func(place loc, p *parcel) bool {
		if p.id == id {
			at, ok = place, true
		}
		return ok
	})
	return at, ok, err
}

// findRevision returns the place of a revision of an applied block.
func findRevision(r Reader, t *gathered, id RevisionID) (at loc, ok bool, err error) {
	err = findDigest(r, t, id, func(place loc, p *parcel) bool {
		if int(place.index) < len(p.revs) && p.block.Revisions[place.index] == id {
			at, ok = place, true
		}
		return ok
	})
	return at, ok, err
}

// findDigest yields the places whose ids may start like the digest, the newest
// segment's first, until yield returns true; of a reference to a block the
// index is 0. Most ids that are asked for are new: they cost no segment.
func findDigest(r Reader, t *gathered, digest [32]byte, yield func(loc, *parcel) (done bool)) error {
	prefix := findPrefix(digest)
	var refs []findRef
	collect := func(ref findRef) { refs = append(refs, ref) }
	look := func() (done bool, err error) {
		for _, ref := range refs {
			at, _, p, err := loadArrival(r, ref.lsn)
			if err != nil {
				return true, err
			}
			if ref.index > 0 {
				at.index = ref.index - 1
			}
			if yield(at, p) {
				return true, nil
			}
		}
		refs = refs[:0]
		return false, nil
	}
	t.search(prefix, prefix, collect)
	if done, err := look(); done {
		return err
	}
	segments := prefixRange([]byte{tagFind})
	segments.Reverse = true
	var bad error
	err := r.Iterate(segments, func(k, v []byte) bool {
		if bad = searchSegment(binary.BigEndian.Uint64(k[1:]), v, prefix, prefix, collect); bad != nil {
			return false
		}
		var done bool
		done, bad = look()
		return !done
	})
	if err == nil {
		err = bad
	}
	return err
}
