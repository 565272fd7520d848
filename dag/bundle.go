package dag

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Bundle is one block with its revisions, payloads and (when known) signature:
// the unit of wire and storage. Its form is in the package comment.
type Bundle []byte

// The versions of the bundle format: of a bundle with all payloads, and of one
// on the wire that lacks some, which were purged.
const (
	bundleVersion = 1
	bundleLacking = 2
)

// bundleWire is the outer array of a bundle. Head is the block's map with an
// empty list of revisions: their ids follow from Revs.
type bundleWire struct {
	Version uint64
	Head    cbor.RawMessage
	Sig     []byte // none if not known
	Revs    []cbor.RawMessage
}

func (w *bundleWire) append(b []byte) []byte {
	b = appendHead(b, majorArray, 4)
	b = appendHead(b, majorUint, w.Version)
	b = append(b, w.Head...)
	b = appendBytes(b, w.Sig)
	b = appendHead(b, majorArray, uint64(len(w.Revs)))
	for _, rev := range w.Revs {
		b = append(b, rev...)
	}
	return b
}

// revMin is a lower bound of the bytes of a revision's map.
const revMin = 128

// readBundle reads the outer array; what it returns aliases b, which must have
// passed checkCanonical.
func readBundle(b Bundle) (w bundleWire, err error) {
	r := itemReader{b: b}
	if n := r.head(majorArray); n != 4 || r.bad {
		return w, fmt.Errorf("%w: a bundle is an array of 4", errEncoding)
	}
	if w.Version = r.head(majorUint); w.Version == 0 || w.Version > bundleLacking {
		return w, fmt.Errorf("%w: bundle version %d, this build knows 1 to %d", ErrRefused, w.Version, bundleLacking)
	}
	w.Head, w.Sig = r.raw(), r.str(majorBytes)
	n := r.head(majorArray)
	if n > MaxBlock/revMin {
		return w, fmt.Errorf("%w: %d revisions: %w", ErrRefused, n, ErrTooLarge)
	}
	w.Revs = make([]cbor.RawMessage, n)
	for i := range w.Revs {
		w.Revs[i] = r.raw()
	}
	if r.bad || len(w.Sig) != 0 && len(w.Sig) != sigLen {
		return w, fmt.Errorf("%w: bundle, or its signature of %d bytes", errEncoding, len(w.Sig))
	}
	return w, nil
}

// bundleRev is a revision without what follows from its block and payload.
type bundleRev struct {
	Key     []byte
	Fork    []byte          // 32 bytes; none for the default fork
	Parents []byte          // digests, one after another
	Kind    uint64          //
	Payload []byte          // nil (null) for a delete, or when kept apart (Apart)
	Rest    cbor.RawMessage // map of what else differs from the usual
}

// readRev reads a revision of a bundle; what it returns aliases b.
func readRev(b cbor.RawMessage) (w bundleRev, err error) {
	r := itemReader{b: b}
	n := r.head(majorArray)
	w.Key, w.Fork, w.Parents, w.Kind = r.str(majorText), r.str(majorBytes), r.str(majorBytes), r.head(majorUint)
	if !r.null() {
		if w.Payload = r.str(majorBytes); w.Payload == nil {
			w.Payload = []byte{}
		}
	}
	if w.Rest = r.raw(); r.bad || n != 6 {
		return w, fmt.Errorf("%w: revision in a bundle", errEncoding)
	}
	if len(w.Parents)%32 != 0 || len(w.Fork) != 0 && (len(w.Fork) != 32 || ForkID(w.Fork) == defaultFork) {
		return w, fmt.Errorf("%w: parents of %d bytes, fork %x", errEncoding, len(w.Parents), w.Fork)
	}
	return w, nil
}

// revRest holds the fields of a revision that most do not have. Place is set
// when a revision claims to stand elsewhere than it does.
type revRest struct {
	Mark  uint64     `cbor:"mark,omitempty"`
	Label string     `cbor:"label,omitempty"`
	Note  *Note      `cbor:"note,omitempty"`
	Place *wirePlace `cbor:"place,omitempty"`
	Apart *apart     `cbor:"apart,omitempty"`
	More  extras     `cbor:"more,omitempty"`
}

type wirePlace struct {
	_     struct{} `cbor:",toarray"`
	Chain [32]byte
	Seq   uint64
	Index uint64
	Salt  [16]byte
	Time  int64
}

// apart stands in storage for a payload that has a record of its own; on the
// wire, in a bundle that lacks payloads, for one that is not there.
type apart struct {
	_     struct{} `cbor:",toarray"`
	Value [32]byte
	Size  int64
}

// parcel is a block in memory with all that belongs to it.
type parcel struct {
	id       BlockID
	block    *Block
	sig      []byte // nil if not known
	revs     []*Revision
	payloads [][]byte // nil where deleted, purged, or not loaded
	size     int      // see blockSize; of blocks that came from elsewhere
	kept     []kept   // how the payloads are to be stored; nil: not decided
	// sent has the payloads that came as deltas of their first parents', by index:
	// form, size and body.
	sent map[int]keptRecord
	own  bool // the long payloads are nobody else's, and do not change
}

// encode returns the bundle. The payloads that have a record in stored are left
// out; nil, as on the wire, leaves out those that are not here.
func (p *parcel) encode(stored []kept) Bundle {
	head := *p.block
	head.Revisions = nil
	w := bundleWire{Version: bundleVersion, Head: head.Encode(), Sig: p.sig, Revs: make([]cbor.RawMessage, len(p.revs))}
	room := 64 + len(w.Head) + len(w.Sig)
	for i, r := range p.revs {
		isApart := stored != nil && stored[i].record != nil
		if stored == nil && p.isAbsent(i) {
			w.Version, isApart = bundleLacking, true
		}
		w.Revs[i] = p.encodeRev(i, r, isApart)
		room += len(w.Revs[i])
	}
	return w.append(make([]byte, 0, room))
}

// isAbsent reports whether the i-th revision has a payload that is not here.
func (p *parcel) isAbsent(i int) bool { return p.payloads[i] == nil && !p.revs[i].Deleted }

// lacks reports whether a payload of the block is not here.
func (p *parcel) lacks() bool {
	for i := range p.revs {
		if p.isAbsent(i) {
			return true
		}
	}
	return false
}

func (p *parcel) encodeRev(i int, r *Revision, isApart bool) cbor.RawMessage {
	rest, usual := p.restOf(i, r)
	if isApart {
		rest.Apart = &apart{Value: r.Value, Size: r.Size}
	}
	here := !r.Deleted && !isApart
	size := 64 + len(r.Key) + 32*len(r.Parents)
	if here {
		size += len(p.payloads[i])
	}
	b := appendHead(make([]byte, 0, size), majorArray, 6)
	b = appendText(b, r.Key)
	if r.Fork == defaultFork {
		b = appendBytes(b, nil)
	} else {
		b = appendBytes(b, r.Fork[:])
	}
	b = appendHead(b, majorBytes, uint64(32*len(r.Parents)))
	for _, id := range r.Parents {
		b = append(b, id[:]...)
	}
	b = appendHead(b, majorUint, r.Kind)
	if here {
		b = appendBytes(b, p.payloads[i])
	} else {
		b = append(b, cborNull)
	}
	switch {
	case usual && isApart:
		return rest.Apart.append(b)
	case usual:
		return append(b, rawMap...)
	}
	return append(b, marshal(&rest, nil)...)
}

// restOf returns what differs from the usual in the i-th revision.
func (p *parcel) restOf(i int, r *Revision) (rest revRest, usual bool) {
	rest = revRest{Mark: uint64(r.Mark), Label: r.Label, Note: r.Note, More: r.extra}
	usual = rest.Mark == 0 && rest.Label == "" && rest.Note == nil && rest.More == nil
	if !p.block.places(r, i) {
		rest.Place, usual = &wirePlace{Chain: r.Chain, Seq: r.Seq, Index: r.Index, Salt: r.Salt, Time: r.Time}, false
	}
	return rest, usual
}

// places reports whether r claims the place that it has as the i-th of b.
func (b *Block) places(r *Revision, i int) bool {
	return r.Chain == b.Chain && r.Seq == b.Seq && r.Index == uint64(i) && r.Salt == b.Salt && r.Time == b.Time
}

// Header is what a bundle says before it is applied.
type Header struct {
	ID     BlockID
	Chain  ChainID
	Seq    uint64
	Prev   BlockID
	Deps   []BlockID
	Time   int64 // unix milliseconds, the author's claim
	Signed bool
	Node   NodeID // the author, if the block announces its chain; else zero
	Sig    []byte // nil unless Signed
}

// ReadHeader decodes a bundle strictly: canonical form, hashes and limits are
// checked; the signature is not. Its errors are ErrRefused, or ErrLater for a
// block of which only a later version of the format can tell.
func ReadHeader(b Bundle) (Header, error) {
	p, err := decodeBundle(b)
	if err != nil {
		return Header{}, err
	}
	h := Header{ID: p.id, Chain: p.block.Chain, Seq: p.block.Seq, Prev: p.block.Prev, Deps: p.block.Deps, Time: p.block.Time, Signed: p.sig != nil, Sig: p.sig}
	if op, ok := p.block.announces(); ok {
		h.Node = op.Key
	}
	return h, nil
}

// decodeBundle reads a bundle from the wire. Its errors are ErrRefused, or
// ErrLater.
func decodeBundle(b Bundle) (*parcel, error) {
	if isLater(b) {
		return nil, fmt.Errorf("decode bundle: %w", ErrLater)
	}
	if len(b) > MaxBlock {
		return nil, fmt.Errorf("decode bundle: %w: %d bytes, limit %d", ErrRefused, len(b), MaxBlock)
	}
	p, err := decodeStored(b)
	if err != nil {
		return nil, fmt.Errorf("decode bundle: %w", err)
	}
	version := itemReader{b: b}
	version.head(majorArray)
	if lacking := version.head(majorUint) == bundleLacking; lacking != p.lacks() {
		return nil, fmt.Errorf("decode bundle: %w: payloads that are not there, or a version that says so: %v", ErrRefused, lacking)
	}
	return p, nil
}

// isLater reports whether a bundle says that it, or its block, is of a version
// that this code does not know. The first field of a block is its version in
// every version.
func isLater(b Bundle) bool {
	r := itemReader{b: b}
	if r.head(majorArray) == 0 || r.bad {
		return false
	}
	if v := r.head(majorUint); r.bad || v > bundleLacking {
		return !r.bad
	}
	r.head(majorMap)
	r.name("v")
	return r.head(majorUint) > blockVersion && !r.bad
}

// splitBundle reads the outer array and the block's head; Revisions is empty.
// What it returns aliases b.
func splitBundle(b Bundle) (w bundleWire, head *Block, err error) {
	if w, err = readBundle(b); err != nil {
		return w, nil, err
	}
	head, err = DecodeBlock(w.Head)
	if err != nil {
		return w, nil, err
	}
	if len(head.Revisions) != 0 {
		return w, nil, fmt.Errorf("%w: list of revisions in a bundle's head", ErrRefused)
	}
	return w, head, nil
}

// decodeStored reads a bundle in which payloads may be kept apart, and
// computes the ids of its revisions and block. A block has one bundle with and
// one without a signature (of each choice of payloads kept apart). The
// parcel's payloads alias b.
func decodeStored(b Bundle) (*parcel, error) {
	if err := checkCanonical(b, maxNesting+bundleNesting); err != nil {
		return nil, err
	}
	w, head, err := splitBundle(b)
	if err != nil {
		return nil, err
	}
	p := &parcel{block: head, revs: make([]*Revision, len(w.Revs)), payloads: make([][]byte, len(w.Revs))}
	if len(w.Sig) > 0 {
		p.sig = w.Sig
	}
	head.Revisions = make([]RevisionID, len(w.Revs))
	maps, payloads := 0, 0
	for i, raw := range w.Revs {
		if p.revs[i], p.payloads[i], err = decodeRev(raw, head, i); err != nil {
			return nil, fmt.Errorf("revision %d: %w", i, err)
		}
		var size int
		head.Revisions[i], size = p.revs[i].hash()
		maps, payloads = maps+size, payloads+int(p.revs[i].Size)
	}
	enc := head.Encode()
	if p.size = blockSize(len(enc), maps, payloads); p.size > MaxBlock {
		return nil, fmt.Errorf("%w: block of %d bytes, limit %d: %w", ErrRefused, p.size, MaxBlock, ErrTooLarge)
	}
	p.id = sha256.Sum256(enc)
	return p, nil
}

// decodeRev reads the i-th revision of a bundle. The payload is nil if the
// revision is a delete or its payload is kept apart, else not nil.
func decodeRev(raw cbor.RawMessage, b *Block, i int) (*Revision, []byte, error) {
	w, err := readRev(raw)
	if err != nil {
		return nil, nil, err
	}
	rest, err := decodeRest(w.Rest)
	if err != nil {
		return nil, nil, err
	}
	r := &Revision{
		Key: string(w.Key), Kind: w.Kind, Chain: b.Chain, Seq: b.Seq, Index: uint64(i), Salt: b.Salt, Time: b.Time, Fork: defaultFork,
	}
	r.Parents = make([]RevisionID, len(w.Parents)/32)
	for j := range r.Parents {
		r.Parents[j] = RevisionID(w.Parents[32*j:])
	}
	if len(w.Fork) == 32 {
		r.Fork = ForkID(w.Fork)
	}
	switch {
	case w.Payload != nil && rest.Apart != nil:
		return nil, nil, fmt.Errorf("%w: payload both here and apart", errEncoding)
	case w.Payload != nil:
		r.Value, r.Size = sha256.Sum256(w.Payload), int64(len(w.Payload))
	case rest.Apart != nil:
		r.Value, r.Size = rest.Apart.Value, rest.Apart.Size
	default:
		r.Deleted = true
	}
	return r, w.Payload, r.complete(&rest, b, i)
}

// complete adds the rest to the i-th revision of a block, and applies what
// every receiver enforces.
func (r *Revision) complete(rest *revRest, b *Block, i int) error {
	r.Mark, r.Label, r.Note, r.extra = Mark(rest.Mark), rest.Label, rest.Note, rest.More
	if pl := rest.Place; pl != nil {
		r.Chain, r.Seq, r.Index, r.Salt, r.Time = pl.Chain, pl.Seq, pl.Index, pl.Salt, pl.Time
		if b.places(r, i) {
			return fmt.Errorf("%w: place written out that is the usual one", errEncoding)
		}
	}
	if err := r.checkExtra(); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// decodeRest reads the map at the end of a revision in a bundle; each has one
// encoding.
func decodeRest(raw cbor.RawMessage) (rest revRest, err error) {
	if bytes.Equal(raw, rawMap) {
		return rest, nil
	}
	if a, ok := readApart(raw); ok {
		return revRest{Apart: a}, nil
	}
	if err := decMode.Unmarshal(raw, &rest); err != nil {
		return rest, fmt.Errorf("%w: %s", errEncoding, err)
	}
	if !bytes.Equal(marshal(&rest, nil), raw) {
		return rest, fmt.Errorf("%w: rest of a revision in a bundle", errEncoding)
	}
	return rest, nil
}

// checkExtra refuses unknown fields that would shadow known ones, or that the
// revision's own map could not have.
func (r *Revision) checkExtra() error {
	for _, k := range revisionFields {
		if _, clash := r.extra[k]; clash {
			return fmt.Errorf("%w: field %q twice", ErrRefused, k)
		}
	}
	if len(r.extra) == 0 {
		return nil
	}
	enc := r.Encode()
	if _, n, _, err := readHead(enc); err != nil || n > maxFields {
		return fmt.Errorf("%w: revision of more than %d fields", errEncoding, maxFields)
	}
	return checkCanonical(enc, maxNesting)
}
