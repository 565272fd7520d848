package rpc

// noun is a part of the service that an older daemon does not have.
type noun struct {
	name string
	of   func(s *Service) any
}

var (
	forksNoun    = &noun{"forks", func(s *Service) any { return s.Forks }}
	mergesNoun   = &noun{"merges", func(s *Service) any { return s.Merges }}
	pointersNoun = &noun{"tags and aliases", func(s *Service) any { return s.Pointers }}
	resetsNoun   = &noun{"resets", func(s *Service) any { return s.Resets }}
	archivesNoun = &noun{"archives", func(s *Service) any { return s.Archives }}
	purgesNoun   = &noun{"purges", func(s *Service) any { return s.Purges }}
	seriesNoun   = &noun{"series", func(s *Service) any { return s.Series }}
	elementsNoun = &noun{"counters and sets", func(s *Service) any { return s.Elements }}
	blamesNoun   = &noun{"blame", func(s *Service) any { return s.Blames }}
)

// check returns an error if the service has no such noun.
func (n *noun) check(s *Service) error {
	if n == nil || n.of(s) != nil {
		return nil
	}
	return &Error{Code: CodeNotFound, Message: "this daemon serves no " + n.name}
}

func forkRoutes() []route {
	return withNoun(forksNoun, []route{
		{
			method: "GET", pattern: forksPath, id: "forks", serve: (*exchange).getForks,
			summary: "Every fork, also those that were removed and can be restored.", answers: jsonAnswer, schema: "Forks",
		},
		{
			method: "POST", pattern: forksPath, id: "createFork", serve: (*exchange).postFork,
			summary: "Makes a fork, of all keys or those of a filter, as they are now or were at a time, block or tag.",
			headers: writeHeaders, body: "CreateFork", answers: jsonAnswer, schema: "Fork",
		},
		{
			method: "GET", pattern: forkPath, id: "showFork", serve: (*exchange).getFork,
			summary: "A fork, by its name, its id or an alias.", answers: jsonAnswer, schema: "Fork",
		},
		{
			method: "DELETE", pattern: forkPath, id: "removeFork", serve: (*exchange).deleteFork,
			summary: "Removes a fork's name; its revisions stay. Refused with 409 if it has writes that no other fork has, unless forced.",
			query:   []string{"force"}, headers: writeHeaders, answers: jsonAnswer, schema: "Fork",
		},
		{
			method: "POST", pattern: forkPath + "/rename", id: "renameFork", serve: (*exchange).postRename,
			summary: "Gives a fork another name. Its id stays.",
			headers: writeHeaders, body: "Rename", answers: jsonAnswer, schema: "Fork",
		},
		{
			method: "POST", pattern: forkPath + "/restore", id: "restoreFork", serve: (*exchange).postRestore,
			summary: "Brings a removed fork back.", headers: writeHeaders, answers: jsonAnswer, schema: "Fork",
		},
	})
}

func mergeRoutes() []route {
	const merging = "Merges a fork into another, or plans it. If conflicts stop it 409, if the plan to apply has moved 412, both with the plan beside the error."
	return withNoun(mergesNoun, []route{
		{
			method: "POST", pattern: "/api/v1/merge", id: "merge", serve: (*exchange).postMerge,
			summary: merging, headers: writeHeaders, body: "Merge", answers: jsonAnswer, schema: "Merged",
		},
		{
			method: "POST", pattern: forkPath + "/merge", id: "mergeInto", serve: (*exchange).postMerge,
			summary: merging + " The path names the fork to merge into.", headers: writeHeaders, body: "Merge", answers: jsonAnswer, schema: "Merged",
		},
		{
			method: "GET", pattern: "/api/v1/conflicts", id: "conflicts", serve: (*exchange).getConflicts,
			summary: "The open conflicts of a fork, or of all.",
			query:   []string{"fork", "prefix", "after", "limit"}, answers: bothLists, schema: "Conflicts",
		},
		{
			method: "GET", pattern: forkPath + "/conflicts", id: "forkConflicts", serve: (*exchange).getConflicts,
			summary: "The open conflicts of a fork.",
			query:   []string{"prefix", "after", "limit"}, answers: bothLists, schema: "Conflicts",
		},
		{
			method: "POST", pattern: "/api/v1/resolve", id: "resolve", serve: (*exchange).postResolve,
			summary: "Settles a conflict, named by its key, by its key and path, or by its id, by taking a side, by a value, or by deleting. Without a path all conflicts of the key.",
			headers: writeHeaders, body: "Resolve", answers: jsonAnswer, schema: "Written",
		},
		{
			method: "GET", pattern: "/api/v1/diff", id: "diff", serve: (*exchange).getDiff,
			summary: "The keys that two forks, or one at two cuts, serve differently.",
			query:   []string{"a", "b", "key", "after", "limit"}, answers: bothLists, schema: "Differences",
		},
		{
			method: "POST", pattern: "/api/v1/pick", id: "pick", serve: (*exchange).postPick,
			summary: "Writes the value of a revision on a fork.",
			headers: writeHeaders, body: "Pick", answers: jsonAnswer, schema: "Written",
		},
	})
}

func pointerRoutes() []route {
	return withNoun(pointersNoun, []route{
		{
			method: "GET", pattern: tagsPath, id: "tags", serve: (*exchange).getTags,
			summary: "Every tag.", answers: jsonAnswer, schema: "Tags",
		},
		{
			method: "POST", pattern: tagsPath, id: "tag", serve: (*exchange).postTag,
			summary: "Names a cut: the present, or that of a time or block.",
			headers: writeHeaders, body: "TagRequest", answers: jsonAnswer, schema: "Pointer",
		},
		{
			method: "DELETE", pattern: tagsPath + "/{name}", id: "removeTag", serve: (*exchange).deleteTag,
			summary: "Removes a tag.", headers: writeHeaders, answers: jsonAnswer, schema: "Pointer",
		},
		{
			method: "GET", pattern: aliasesPath, id: "aliases", serve: (*exchange).getAliases,
			summary: "Every alias.", answers: jsonAnswer, schema: "Aliases",
		},
		{
			method: "POST", pattern: aliasesPath, id: "alias", serve: (*exchange).postAlias,
			summary: "Points an alias at a fork; with expect only if it points at that fork now, else 412.",
			headers: writeHeaders, body: "AliasRequest", answers: jsonAnswer, schema: "Pointer",
		},
		{
			method: "DELETE", pattern: aliasesPath + "/{name}", id: "removeAlias", serve: (*exchange).deleteAlias,
			summary: "Removes an alias.", query: []string{"expect"}, headers: writeHeaders, answers: jsonAnswer, schema: "Pointer",
		},
		{
			method: "GET", pattern: aliasesPath + "/{name}/log", id: "aliasLog", serve: (*exchange).getAliasLog,
			summary: "Where an alias pointed, who pointed it there, and when, newest first.",
			query:   []string{"after", "limit"}, answers: bothLists, schema: "Log",
		},
	})
}

func resetRoutes() []route {
	return withNoun(resetsNoun, []route{
		{
			method: "POST", pattern: forkPath + "/reset", id: "reset", serve: (*exchange).postReset,
			summary: "Writes the values again that all keys below a prefix had at a time, block or tag, in one atomic change.",
			headers: writeHeaders, body: "Reset", answers: jsonAnswer, schema: "ResetAnswer",
		},
		{
			method: "POST", pattern: forkPath + "/undo", id: "undo", serve: (*exchange).postUndo,
			summary: "Writes again what the keys of a block, or of the newest that wrote on the fork, had before it.",
			headers: writeHeaders, body: "Undo", answers: jsonAnswer, schema: "ResetAnswer",
		},
	})
}

func seriesRoutes() []route {
	return withNoun(seriesNoun, []route{
		{
			method: "POST", pattern: seriesPath, id: "openSeries", serve: (*exchange).openSeries,
			summary: "Opens a series of changes that come from elsewhere: a line with its id, then a line for each change whose source begins with the prefix and that was written before. The series that was open before ends.",
			headers: []string{headerTimeout}, body: "OpenSeries", answers: []string{contentLines}, schema: "SeriesEntry",
		},
		{
			method: "POST", pattern: seriesPath + "/{id}", id: "writeSeries", serve: (*exchange).writeSeries,
			summary: "Writes changes of the open series, one a line, each a block of its own, in order. At the first that fails the error has the receipts of those before it, which are written, as written, and the series is over. Author and message of the headers are those of changes that name none.",
			query:   []string{"sent"},
			headers: writeHeaders, body: "SeriesChange", answers: jsonAnswer, schema: "SeriesReceipts",
		},
	})
}

func withNoun(n *noun, routes []route) []route {
	for i := range routes {
		routes[i].noun = n
	}
	return routes
}
