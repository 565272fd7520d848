package dag

import (
	"crypto/sha256"
	"fmt"
	"math"
)

// Inflow is the receiving end of a flow of chunks. The zero value is at its
// start. It is used by one goroutine.
type Inflow struct {
	flow
	failed  error // why nothing more can be read
	codec   codec
	tallies *tallies
}

// errChunk marks bytes of a chunk that are not what the format says.
func errChunk(format string, args ...any) error {
	return fmt.Errorf("chunk: %w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// unpacking is one chunk under way.
type unpacking struct {
	*flow
	codec     *codec
	plan, ids recordReader
	bodies    []byte
	room      int // of MaxChunk
}

// unpack rebuilds the blocks of a chunk. Those of later versions of the format
// are left out; later is how many. Short payloads of the parcels alias the
// chunk, and so do deltas. Its errors are ErrRefused, and nothing more can be read after one.
func (in *Inflow) unpack(chunk []byte) (parcels []*parcel, later int, err error) {
	if in.failed != nil {
		return nil, 0, in.failed
	}
	defer func() { in.failed = err }()
	head := recordReader{b: chunk}
	planLen, idsLen := head.num(), head.num()
	u := unpacking{flow: &in.flow, codec: &in.codec, room: MaxChunk}
	u.plan.b, u.ids.b = head.bytes(planLen), head.bytes(idsLen)
	if u.bodies = head.b; head.bad {
		return nil, 0, errChunk("its parts are longer than its %d bytes", len(chunk))
	}
	n := u.plan.num()
	if n == 0 || n > uint64(len(u.plan.b)) {
		return nil, 0, errChunk("%d blocks in a plan of %d bytes", n, planLen)
	}
	for range n {
		p, err := u.block()
		if err != nil {
			return nil, 0, err
		}
		if p == nil {
			later++
			continue
		}
		parcels = append(parcels, p)
	}
	if len(u.plan.b)+len(u.ids.b)+len(u.bodies) > 0 {
		return nil, 0, errChunk("bytes that belong to no block")
	}
	return parcels, later, nil
}

// ended reports that the chunk ran out or held a number in a long form.
func (u *unpacking) ended() bool { return u.plan.bad || u.ids.bad }

// block reads one block; nil if it is of a later version.
func (u *unpacking) block() (*parcel, error) {
	form := u.plan.bytes(1)
	if u.ended() {
		return nil, errChunk("it ends in the middle")
	}
	if form[0] >= formLacking {
		return u.bundle(form[0])
	}
	b := &Block{Version: blockVersion}
	copy(b.Salt[:], u.ids.bytes(uint64(len(b.Salt))))
	number, err := u.place(b)
	if err != nil {
		return nil, err
	}
	b.Time = u.time + u.signed()
	if form[0]&formDeps != 0 {
		n := u.plan.num()
		if n == 0 || n > uint64(len(u.plan.b)) {
			return nil, errChunk("a block with %d deps", n)
		}
		b.Deps = make([]BlockID, n)
		for i := range b.Deps {
			if b.Deps[i], err = u.blockID(); err != nil {
				return nil, err
			}
		}
	}
	if form[0]&formRest != 0 {
		if err := u.rest(b); err != nil {
			return nil, err
		}
	}
	p := &parcel{block: b, own: true}
	size, err := u.revisions(p)
	if err != nil {
		return nil, err
	}
	if form[0]&formSigned != 0 {
		p.sig = u.ids.bytes(sigLen)
	}
	if u.ended() {
		return nil, errChunk("it ends in the middle")
	}
	if err := u.finish(p, form[0], size); err != nil {
		return nil, err
	}
	u.chain(number, b, p.id)
	u.flow.block(p.id)
	u.time = b.Time
	return p, nil
}

// bundle reads a block that lacks payloads, or steps over one that this version
// cannot read: nil.
func (u *unpacking) bundle(form byte) (*parcel, error) {
	id := BlockID(u.ids.digest())
	b := Bundle(u.plan.bytes(u.plan.num()))
	if u.ended() {
		return nil, errChunk("it ends in the middle")
	}
	u.flow.block(id)
	if form > formLacking || isLater(b) {
		return nil, nil
	}
	p, err := decodeBundle(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("chunk: %w", err)
	case p.id != id:
		return nil, errChunk("block %s stands where %s should", p.id, id)
	case !p.lacks():
		return nil, errChunk("a bundle that lacks nothing")
	case p.size > u.room:
		return nil, errChunk("block of %d bytes, with %d left for the chunk: %s", p.size, u.room, ErrTooLarge)
	}
	u.room -= p.size
	return p, nil
}

// signed reads the difference of two times.
func (u *unpacking) signed() int64 {
	n := u.plan.num()
	return int64(n>>1) ^ -int64(n&1)
}

// place reads where the block stands.
func (u *unpacking) place(b *Block) (number uint64, err error) {
	number = u.plan.num()
	switch n := uint64(len(u.chains)); {
	case u.ended() || number > n:
		return 0, errChunk("chain %d of %d", number, n)
	case number < n:
		c := u.chains[number]
		b.Chain, b.Seq, b.Prev = c.id, c.next, c.prev
		return number, nil
	}
	b.Chain, b.Seq = ChainID(u.ids.digest()), u.plan.num()
	if b.Seq > math.MaxInt64 {
		return 0, errChunk("seq %d", b.Seq)
	}
	if b.Seq > 0 {
		b.Prev, err = u.blockID()
	}
	return number, err
}

// blockID reads a reference to a block.
func (u *unpacking) blockID() (BlockID, error) {
	n := u.plan.num()
	if n == 0 {
		return BlockID(u.ids.digest()), nil
	}
	id := u.blocks.back(n)
	if id == nil {
		return BlockID{}, errChunk("the block %d back of %d", n, u.blocks.n)
	}
	return *id, nil
}

// rest reads the fields that most blocks do not have. Whether they can stand
// in a block is left to finish.
func (u *unpacking) rest(b *Block) error {
	raw := u.plan.bytes(u.plan.num())
	if u.ended() {
		return errChunk("it ends in the middle")
	}
	if r := (itemReader{b: raw}); r.head(majorMap) == 1 {
		r.name("note")
		if n, ok := r.plainNote(); ok && len(r.b) == 0 {
			b.Note = n
			return nil
		}
	}
	if err := checkCanonical(raw, maxNesting); err != nil {
		return fmt.Errorf("chunk: %w", err)
	}
	var w restWire
	extra, err := unmarshal(raw, &w, restFields)
	if err != nil {
		return fmt.Errorf("chunk: %w", err)
	}
	for _, k := range blockFields {
		if _, ok := extra[k]; ok {
			return errChunk("field %q twice", k)
		}
	}
	b.Note, b.Ops, b.extra = w.Note, w.Ops, extra
	return nil
}

// revisions reads a block's revisions and computes their ids: a later one can
// refer to an earlier one.
func (u *unpacking) revisions(p *parcel) (size int, err error) {
	n := u.plan.num()
	if n > uint64(len(u.plan.b)) {
		return 0, errChunk("%d revisions with %d bytes left", n, len(u.plan.b))
	}
	for i := range int(n) {
		r, fork, payload, err := u.one(p, i)
		if err != nil {
			return 0, fmt.Errorf("revision %d: %w", i, err)
		}
		id, bytes := r.hash()
		if size += bytes + len(payload); size > MaxBlock {
			return 0, errChunk("block of more than %d bytes: %s", MaxBlock, ErrTooLarge)
		}
		p.revs, p.payloads = append(p.revs, r), append(p.payloads, payload)
		p.block.Revisions = append(p.block.Revisions, id)
		note := flowRevision{id: id, key: r.Key, fork: fork, kind: r.Kind}
		if len(payload) >= deltaMin {
			note.payload = payload
		}
		u.revision(note, func(RevisionID) {})
	}
	return size, nil
}

// one reads the i-th revision of a block, the number of its fork, and its
// payload, nil if it is a delete.
func (u *unpacking) one(p *parcel, i int) (r *Revision, fork uint32, payload []byte, err error) {
	b := p.block
	flags := u.plan.bytes(1)
	if u.ended() || flags[0] > revFlags {
		return nil, 0, nil, errChunk("flags %x", flags)
	}
	r = &Revision{
		Chain: b.Chain, Seq: b.Seq, Index: uint64(i), Salt: b.Salt, Time: b.Time,
		Deleted: flags[0]&revIsDelete != 0, Fork: defaultFork,
	}
	parent, err := u.parents(r, flags[0])
	switch {
	case err != nil:
		return nil, 0, nil, err
	case flags[0]&revIsLike == 0:
		if fork, err = u.keyOf(r); err != nil {
			return nil, 0, nil, err
		}
	case parent == nil || parent.fork == forkUnnamed:
		return nil, 0, nil, errChunk("like a parent that did not pass")
	default:
		r.Key, r.Kind, fork = parent.key, parent.kind, parent.fork
		if fork > 0 {
			r.Fork = u.forks[fork-1]
		}
	}
	var rest revRest
	if flags[0]&revHasRest != 0 {
		if rest, err = u.restOf(); err != nil {
			return nil, 0, nil, err
		}
	}
	if !r.Deleted || flags[0]&revIsDelta != 0 {
		if payload, err = u.payload(p, i, parent, flags[0]); err != nil {
			return nil, 0, nil, err
		}
		r.Value, r.Size = sha256.Sum256(payload), int64(len(payload))
	}
	if u.ended() {
		return nil, 0, nil, errChunk("it ends in the middle")
	}
	return r, fork, payload, r.complete(&rest, b, i)
}

// payload reads the payload of the i-th revision of a block, whose first parent
// is given if it passed. A long one is nobody else's.
func (u *unpacking) payload(p *parcel, i int, parent *flowRevision, flags byte) ([]byte, error) {
	k := keptRecord{form: keptWhole}
	if flags&revIsDelta != 0 {
		if flags&revIsDelete != 0 || parent == nil || parent.payload == nil {
			return nil, errChunk("a delta of a payload that is not remembered")
		}
		if form := u.plan.bytes(1); !u.ended() {
			k.form = form[0]
		}
		if k.form == keptPatched {
			k.size = int(min(u.plan.num(), MaxBlock))
		} else if k.form != keptSpliced {
			return nil, errChunk("a delta of form %d", k.form)
		}
	}
	n := u.plan.num()
	if n > uint64(len(u.bodies)) || k.size > MaxPayload {
		return nil, errChunk("payload of %d bytes with %d left", n, len(u.bodies))
	}
	if k.body, u.bodies = u.bodies[:n:n], u.bodies[n:]; k.form == keptWhole {
		if n < deltaMin && n > 0 {
			return k.body, nil
		}
		return append([]byte{}, k.body...), nil
	}
	payload, err := k.payload(u.codec, parent.payload)
	if err != nil {
		return nil, errChunk("%s", err)
	}
	if p.sent == nil {
		p.sent = map[int]keptRecord{}
	}
	p.sent[i] = k
	return payload, nil
}

// restOf reads what most revisions do not have.
func (u *unpacking) restOf() (rest revRest, err error) {
	raw := u.plan.bytes(u.plan.num())
	if u.ended() {
		return rest, errChunk("it ends in the middle")
	}
	if err := checkCanonical(raw, maxNesting+bundleNesting); err != nil {
		return rest, fmt.Errorf("chunk: %w", err)
	}
	if rest, err = decodeRest(raw); err == nil && rest.Apart != nil {
		err = errChunk("a payload is kept apart")
	}
	return rest, err
}

// parents reads what a revision has seen, and returns the first parent if it
// passed.
func (u *unpacking) parents(r *Revision, flags byte) (first *flowRevision, err error) {
	n := uint64(1)
	if flags&revOneParent == 0 {
		n = u.plan.num()
	}
	if n > uint64(len(u.plan.b)) {
		return nil, errChunk("%d parents with %d bytes left", n, len(u.plan.b))
	}
	if linkSize*n > MaxBlock {
		return nil, errChunk("%d parents: %s", n, ErrTooLarge)
	}
	r.Parents = make([]RevisionID, n)
	for i := range r.Parents {
		back := u.plan.num()
		if back == 0 {
			r.Parents[i] = u.ids.digest()
			continue
		}
		p := u.revs.back(back)
		if p == nil {
			return nil, errChunk("the revision %d back of %d", back, u.revs.n)
		}
		if r.Parents[i] = p.id; i == 0 {
			first = p
		}
	}
	return first, nil
}

// keyOf reads a key with its kind and fork, and returns the fork's number.
func (u *unpacking) keyOf(r *Revision) (fork uint32, err error) {
	r.Kind = u.plan.num()
	number := u.plan.num()
	switch n := uint64(len(u.forks)); {
	case number > n+1:
		return 0, errChunk("fork %d of %d", number, n)
	case number == n+1:
		r.Fork = ForkID(u.ids.digest())
		fork = u.fork(r.Fork)
	case number > 0:
		r.Fork, fork = u.forks[number-1], uint32(number)
	}
	shared, more := u.plan.num(), u.plan.num()
	if shared > uint64(len(u.key)) || more > MaxKey {
		return 0, errChunk("%d bytes of a key of %d, and %d more", shared, len(u.key), more)
	}
	r.Key = u.key[:shared] + string(u.plan.bytes(more))
	return fork, nil
}

// finish computes the block's id and applies what every receiver enforces.
func (u *unpacking) finish(p *parcel, form byte, size int) error {
	b := p.block
	if err := b.check(); err != nil {
		return errChunk("%s", err)
	}
	enc := b.Encode()
	if size += blockSize(len(enc), 0, 0); size > MaxBlock || size > u.room {
		return errChunk("block of %d bytes, limit %d, with %d left for the chunk: %s", size, MaxBlock, u.room, ErrTooLarge)
	}
	p.size = size
	u.room -= size
	if form&formRest != 0 {
		if _, err := DecodeBlock(enc); err != nil {
			return fmt.Errorf("chunk: %w", err)
		}
	}
	p.id = sha256.Sum256(enc)
	return nil
}
