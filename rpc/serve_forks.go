package rpc

import (
	"slices"
	"strings"

	"crush/dag"
)

func (x *exchange) getForks() error {
	forks, err := x.Service.Forks.Forks(x.r.Context())
	if err != nil {
		return err
	}
	return x.writeAny(forkList{list(forks)})
}

// getFork answers with the fork that a name, an id or an alias means.
func (x *exchange) getFork() error {
	forks, err := x.Service.Forks.Forks(x.r.Context())
	if err != nil {
		return err
	}
	f := findFork(forks, x.fork)
	if f == nil && x.Service.Pointers != nil {
		aliases, err := x.Service.Pointers.Aliases(x.r.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(aliases, func(p PointerInfo) bool { return p.Name == x.fork })
		if i >= 0 {
			f = findFork(forks, aliases[i].Fork)
		}
	}
	if f == nil {
		return &Error{Code: CodeNotFound, Message: "there is no fork " + quote(x.fork) + " on this node: crush fork ls lists them"}
	}
	return x.writeAny(f)
}

// findFork returns the fork with an id, a name, or another label; a fork that
// was removed only if no other has it.
func findFork(forks []ForkInfo, name string) *ForkInfo {
	matches := []func(f ForkInfo) bool{
		func(f ForkInfo) bool { return f.ID.String() == name },
		func(f ForkInfo) bool { return f.Name == name && !f.Deleted },
		func(f ForkInfo) bool { return slices.Contains(f.Labels, name) && !f.Deleted },
		func(f ForkInfo) bool { return f.Name == name || slices.Contains(f.Labels, name) },
	}
	for _, match := range matches {
		if i := slices.IndexFunc(forks, match); i >= 0 {
			return &forks[i]
		}
	}
	return nil
}

func (x *exchange) postFork() error {
	var r ForkRequest
	if err := x.readFull(&r, maxJSON, "from", "at"); err != nil {
		return err
	}
	if err := checkName("fork", r.Name); err != nil {
		return err
	}
	if err := checkFilter(r.Filter); err != nil {
		return err
	}
	return answerChange(x, &r.Claim, func() (ForkInfo, error) { return x.Service.Forks.CreateFork(x.r.Context(), r) })
}

func (x *exchange) postRename() error {
	var w renameBody
	if err := x.readJSON(&w); err != nil {
		return err
	}
	if err := checkName("fork", w.Name); err != nil {
		return err
	}
	r := ForkChange{Fork: x.fork, Name: w.Name}
	return answerChange(x, &r.Claim, func() (ForkInfo, error) { return x.Service.Forks.RenameFork(x.r.Context(), r) })
}

func (x *exchange) deleteFork() error {
	force, err := x.flag("force")
	if err != nil {
		return err
	}
	r := ForkChange{Fork: x.fork, Force: force}
	return answerChange(x, &r.Claim, func() (ForkInfo, error) { return x.Service.Forks.RemoveFork(x.r.Context(), r) })
}

func (x *exchange) postRestore() error {
	r := ForkChange{Fork: x.fork}
	return answerChange(x, &r.Claim, func() (ForkInfo, error) { return x.Service.Forks.RestoreFork(x.r.Context(), r) })
}

// answerChange sets the request's claim, makes the change, and answers with
// what came of it.
func answerChange[T any](x *exchange, claim *Claim, change func() (T, error)) (err error) {
	if *claim, err = x.claim(); err != nil {
		return err
	}
	v, err := change()
	if err != nil {
		return err
	}
	return x.writeAny(v)
}

// checkName says why a fork, tag or alias cannot be given a name.
func checkName(what, name string) error {
	if name == "" {
		return invalid("name is missing: what the " + what + " shall be called")
	}
	if dag.ValidName(name) != nil {
		return invalid(article(what) + " cannot be called " + quote(name) + ": a name has 1 to 128 letters, digits and ._/-, and starts with a letter or digit")
	}
	return nil
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an " + noun
	}
	return "a " + noun
}

// checkFilter says why a filter cannot be one.
func checkFilter(f *Filter) error {
	if f == nil {
		return nil
	}
	for _, key := range slices.Concat(f.Keys, f.SkipKeys) {
		if err := checkKey(key); err != nil {
			return invalid("filter: " + err.Error())
		}
	}
	if slices.Contains(f.Scopes, "") || slices.Contains(f.Skips, "") {
		return invalid("filter: a pattern is empty")
	}
	return nil
}
