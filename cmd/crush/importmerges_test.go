package main

func mergeCases() []gitCase {
	side := func(r *repository, name, from string) { r.git("checkout", "-q", "-b", name, from) }
	drop := func(r *repository, names ...string) { r.git(append([]string{"branch", "-q", "-D"}, names...)...) }
	merge := func(r *repository, message string, args ...string) {
		r.git(append([]string{"merge", "-q", "--no-ff", "-m", message}, args...)...)
	}
	return []gitCase{
		{name: "a clean merge", options: [][]string{nil, {"-M", "-C"}, {"--full-tree"}}, build: func(r *repository) {
			r.commit("one", "a", "1", "b", "1", "gone", "1")
			side(r, "side", "main")
			r.commit("side one", "b", "2", "new", "1")
			r.git("rm", "-q", "gone")
			r.commit("side two", "b", "3")
			r.git("checkout", "-q", "main")
			r.commit("two", "a", "2")
			merge(r, "join", "side")
			r.commit("three", "b", "4", "new", "2")
			drop(r, "side")
		}},
		{name: "a merge without commits beside it", options: plainExport, build: func(r *repository) {
			r.commit("one", "a", "1")
			for _, name := range []string{"first", "second", "third"} {
				side(r, name, "main")
				r.commit(name+" one", "a", name+"1", name, "1")
				r.commit(name+" two", "a", name+"2")
				r.git("checkout", "-q", "main")
				merge(r, "join "+name, name)
				drop(r, name)
			}
		}},
		{name: "a merge that keeps one side", options: plainExport, untold: []string{"a", "b", "dropped"}, build: func(r *repository) {
			r.commit("one", "a", "1", "b", "1")
			side(r, "side", "main")
			r.commit("side", "a", "side", "b", "side", "dropped", "1")
			r.git("checkout", "-q", "main")
			r.commit("two", "a", "main")
			merge(r, "ours", "-s", "ours", "side")
			r.git("checkout", "-q", "side")
			r.commit("side again", "b", "side 2", "kept", "1")
			r.git("checkout", "-q", "main")
			merge(r, "theirs", "-X", "theirs", "side")
			r.commit("three", "c", "1")
			drop(r, "side")
		}},
		{name: "a merge with changes of its own", options: plainExport, build: func(r *repository) {
			r.commit("one", "a", "1", "b", "1", "c", "1")
			side(r, "side", "main")
			r.commit("side", "a", "side", "b", "side")
			r.git("checkout", "-q", "main")
			r.commit("two", "a", "main", "c", "2")
			r.git("merge", "-q", "--no-commit", "-s", "ours", "side")
			r.git("rm", "-q", "-f", "c")
			r.commit("join", "a", "both", "b", "neither", "new", "by the merge")
			drop(r, "side")
		}},
		{name: "an octopus", options: plainExport, build: func(r *repository) {
			r.commit("one", "a", "1")
			names := []string{"x", "y", "z"}
			for _, name := range names {
				side(r, name, "main")
				r.commit(name, name, "1", "dir/"+name, "2")
				r.git("checkout", "-q", "main")
			}
			r.commit("two", "a", "2")
			merge(r, "all", names...)
			drop(r, names...)
			r.commit("three", "x", "2", "y", "2")
		}},
		{name: "more than one root", options: plainExport, build: func(r *repository) {
			r.commit("one", "a", "1")
			r.git("checkout", "-q", "--orphan", "other")
			r.git("rm", "-q", "-r", "-f", ".")
			r.commit("other one", "lib/x", "1")
			r.commit("other two", "lib/x", "2")
			r.git("checkout", "-q", "main")
			merge(r, "join", "--allow-unrelated-histories", "other")
			drop(r, "other")
			r.commit("two", "lib/x", "3")
		}},
		{
			name: "empty commits", options: plainExport, forks: map[string]string{"quiet": "quiet"}, silent: []string{"nothing", "still nothing"},
			build: func(r *repository) {
				r.commit("nothing")
				r.commit("one", "a", "1")
				r.commit("still nothing")
				side(r, "quiet", "main")
				r.commit("nothing here")
				side(r, "side", "main")
				r.commit("nothing there")
				r.commit("side", "a", "2")
				r.commit("nothing behind")
				r.git("checkout", "-q", "main")
				merge(r, "join", "side")
				merge(r, "join nothing", "quiet")
				r.commit("nothing at the end")
				drop(r, "side")
			},
		},
		{name: "branches of branches", options: plainExport, forks: map[string]string{"develop": "develop"}, build: func(r *repository) {
			r.commit("one", "a", "1")
			side(r, "develop", "main")
			r.commit("develop one", "d", "1")
			side(r, "feature", "develop")
			r.commit("feature one", "f", "1")
			side(r, "deep", "feature")
			r.commit("deep one", "deep", "1")
			r.git("checkout", "-q", "feature")
			r.commit("feature two", "f", "2")
			merge(r, "join deep", "deep")
			r.git("checkout", "-q", "develop")
			r.commit("develop two", "d", "2")
			merge(r, "join feature", "feature")
			r.git("checkout", "-q", "main")
			r.commit("two", "a", "2")
			merge(r, "release", "develop")
			r.git("checkout", "-q", "develop")
			merge(r, "back", "main")
			r.commit("develop three", "d", "3")
			r.git("checkout", "-q", "main")
			merge(r, "release again", "develop")
			drop(r, "feature", "deep")
		}},
		{name: "criss-cross", options: plainExport, build: func(r *repository) {
			r.commit("one", "a", "1", "b", "1")
			side(r, "side", "main")
			r.commit("side one", "b", "2")
			r.git("checkout", "-q", "main")
			r.commit("two", "a", "2")
			r.git("tag", "main1")
			merge(r, "main takes side", "side")
			r.git("checkout", "-q", "side")
			merge(r, "side takes main", "main1")
			r.git("tag", "-d", "main1")
			r.commit("side two", "b", "3")
			r.git("checkout", "-q", "main")
			r.commit("three", "a", "3")
			merge(r, "join", "side")
			drop(r, "side")
		}},
	}
}
