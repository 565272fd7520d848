package rpc

import "slices"

func elementRoutes() []route {
	elements := withNoun(elementsNoun, []route{
		{
			method: "POST", pattern: forkPath + "/incr/{key...}", id: "increment", serve: (*exchange).postIncrement,
			summary: "Adds to a counter; a key that is not there becomes one. Never sent twice, because it would count twice.",
			query:   []string{"by"}, headers: condHeaders, answers: jsonAnswer, schema: "Counted",
		},
		{
			method: "POST", pattern: forkPath + "/set/{key...}", id: "changeSet", serve: (*exchange).postElements,
			summary: "Adds elements to a set and removes others; a key that is not there becomes one. What is there already, or not there, changes nothing.",
			headers: condHeaders, body: "ElementsChange", answers: jsonAnswer, schema: "Written",
		},
		{
			method: "GET", pattern: forkPath + "/set/{key...}", id: "elements", serve: (*exchange).getElements,
			summary: "The elements of a set, in byte order; none if the key is not there.",
			query:   []string{"after", "limit"}, answers: bothLists, schema: "Elements",
		},
	})
	return slices.Concat(elements, withNoun(blamesNoun, []route{
		{
			method: "GET", pattern: forkPath + "/blame/{key...}", id: "blame", serve: (*exchange).getBlame,
			summary: "Who wrote what of a value last: each field of a json or yaml, each line of a text, any other value as one part.",
			query:   []string{"after", "limit"}, answers: bothLists, schema: "Blame",
		},
	}))
}
