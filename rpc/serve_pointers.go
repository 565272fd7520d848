package rpc

func (x *exchange) getTags() error {
	tags, err := x.Service.Pointers.Tags(x.r.Context())
	if err != nil {
		return err
	}
	return x.writeAny(tagList{list(tags)})
}

func (x *exchange) getAliases() error {
	aliases, err := x.Service.Pointers.Aliases(x.r.Context())
	if err != nil {
		return err
	}
	return x.writeAny(aliasList{list(aliases)})
}

func (x *exchange) getAliasLog() error {
	return x.writeLog(x.Service.Pointers.AliasLog(x.r.Context(), x.id, x.query.Get("after")))
}

func (x *exchange) postTag() error {
	var w tagBody
	if err := x.readFull(&w, maxJSON, "at"); err != nil {
		return err
	}
	if err := checkName("tag", w.Name); err != nil {
		return err
	}
	return x.setTag(PointRequest{Name: w.Name, At: w.At})
}

// deleteTag takes any name: what is not there says so.
func (x *exchange) deleteTag() error { return x.setTag(PointRequest{Name: x.id, Remove: true}) }

func (x *exchange) setTag(r PointRequest) error {
	return answerChange(x, &r.Claim, func() (PointerInfo, error) { return x.Service.Pointers.Tag(x.r.Context(), r) })
}

func (x *exchange) postAlias() error {
	var w aliasBody
	if err := x.readFull(&w, maxJSON, "expect"); err != nil {
		return err
	}
	if err := checkName("alias", w.Name); err != nil {
		return err
	}
	if w.Fork == "" {
		return invalid("fork is missing: the one to point at")
	}
	return x.setAlias(PointRequest{Name: w.Name, Fork: w.Fork, Expect: w.Expect})
}

func (x *exchange) deleteAlias() error {
	return x.setAlias(PointRequest{Name: x.id, Expect: x.query.Get("expect"), Remove: true})
}

func (x *exchange) setAlias(r PointRequest) error {
	return answerChange(x, &r.Claim, func() (PointerInfo, error) { return x.Service.Pointers.Alias(x.r.Context(), r) })
}

func (x *exchange) postReset() error {
	var w resetBody
	if err := x.readJSON(&w); err != nil {
		return err
	}
	switch {
	case w.Prefix == nil:
		return invalid(`prefix is missing: the keys to write again, "" for all`)
	case w.To == "":
		return invalid("to is missing: a time, a block or a tag")
	}
	r := ResetRequest{Fork: x.fork, Prefix: *w.Prefix, To: w.To, Plan: w.Plan}
	return answerChange(x, &r.Claim, func() (Reset, error) { return x.Service.Resets.Reset(x.r.Context(), r) })
}

func (x *exchange) postUndo() error {
	var w undoBody
	if err := x.readFull(&w, maxJSON, "block"); err != nil {
		return err
	}
	r := UndoRequest{Fork: x.fork, Block: w.Block, Plan: w.Plan}
	return answerChange(x, &r.Claim, func() (Reset, error) { return x.Service.Resets.Undo(x.r.Context(), r) })
}
