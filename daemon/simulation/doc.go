// Package simulation runs random histories of a cluster and holds every answer
// of its nodes against the oracle of package crdt/oracle. It is for tests only.
//
// The parts stand apart, so that something else can be put under or over them:
//
//   - A [World] is some nodes, each a daemon.Replica on a store in memory, with
//     a clock that only steps move and salts that follow from the seed. Blocks
//     go from node to node only when a step says so, in any order that
//     causality allows, in chunks of any size.
//   - A [Step] is one request to one node, or something that happens to it: a
//     line of text that can be read again. [World.Do] carries it out, through
//     the methods that the command line uses, and checks that it did what was
//     asked and changed nothing else: the parents, value and mark of each new
//     revision, the answer, the refusal where there must be one.
//   - A [Mirror] knows every block that was written. It decodes bundles by the
//     formats of package dag's comment, without a graph, fills the oracle with
//     them, and finds by brute force what is void, what forks are called and
//     which are removed.
//   - A [Network], if there is one, takes the place of such steps: the nodes
//     gossip and open sync sessions by themselves, on a clock of its own, while
//     steps cut, slow and spoil what is between them.
//   - [World.Compare] asks a node for everything and the mirror for the same:
//     values, heads, counts, conflicts with their sides, letters and bases,
//     histories, lists, differences of forks, names, reads at old blocks.
//   - [Explore] makes up a history, which the seed decides, and [World.Finish]
//     ends it: everything is delivered everywhere, nodes are compared with the
//     mirror and with one another, stores are checked and built again, and at
//     times a key or a revision is purged, which leaves all but the value.
//   - [History.Shrink] leaves out of a history that fails all that the failure
//     does not need.
//
// In a history of documents the keys hold json, yaml, counters, sets and texts,
// at times several of them at once, and policies that change on any fork: what is
// written to is read by those of its fork, as the mirror finds them in what the
// oracle reads. The steps are others then: what they write is not compared by its
// bytes but by what it comes to, in leaves and open conflicts, and each revision
// must be honest: open if its author left a conflict, and else with exactly the
// text that its change makes of what he had seen. Who goes back by an undo or a
// reset leaves the conflicts alone that stand as they stood then, and does what
// its plan says.
//
// A merge is foreseen from the oracle, its plan must be what was foreseen, and
// what then happens must be the plan: an earlier plan is carried out or refused
// as stale, as the oracle says.
//
// What is void is judged by the mirror's own rule, not by the list that a node
// keeps: a node that took too little or too much for void would serve something
// else than the mirror, and count something else.
//
// # Running it
//
// An ordinary test run makes some thousand histories. To make more:
//
//	go test ./daemon/simulation -run TestHistories -histories 100000 -timeout 0 -v
//
// TestNetworks is the same with a network, TestDocuments with documents; every
// other history of TestNetworks is one of documents, too. -seed N is the first
// seed; alone it runs that one history. A failure is printed with its seed, the command that repeats it, and the history that it
// was shrunk to, as a program of one step a line:
//
//	# seed=612 nodes=1
//	3 n0 put key=k value=0
//	5 n0 fork name=green only=k
//	8 n0 apply value=app/b:3
//
// Written to a file in testdata, it is run by every test from then on.
//
// scripts/planted-bugs.sh puts faults into a copy of the product, one at a
// time, and wants each of them found here.
package simulation
