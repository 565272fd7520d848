#!/usr/bin/env bash
# The demonstration: two real daemons in two network namespaces take a tree of configuration, are cut off from
# each other, write on both sides, one of them is killed with SIGKILL, and after the line is back both have the
# same heads, conflicts, values and histories. Everything is checked; the first thing that is wrong ends it with 1.
#
#   sudo scripts/two-nodes.sh                     a small generated tree
#   sudo scripts/two-nodes.sh history.fe[.zst]    the tree of the last commit of a git fast-export stream
#
# CRUSH names the program; without it, it is built from this checkout. KEEP=1 keeps the scratch directory.
# It needs root and network namespaces, and exits 77 where there are none. It touches nothing but what it makes:
# a scratch directory, three namespaces, two processes.
set -euo pipefail
source "$(dirname "$0")/nodes.sh"

stream=${1:-}
if (($# > 1)) || [[ $stream == -* ]]; then
	echo "usage: scripts/two-nodes.sh [GIT-FAST-EXPORT-STREAM]" >&2
	exit 2
fi
[[ -z $stream || -r $stream ]] || {
	echo "two-nodes: cannot read $stream" >&2
	exit 2
}
demonstration two-nodes 1 2
if [[ -n $stream ]]; then
	command -v git >/dev/null || skip "there is no git to read the stream with"
	[[ $stream != *.zst ]] || command -v zstd >/dev/null || skip "there is no zstd to unpack the stream with"
fi

# exports compares a whole export of each node with a directory, where one is given, and with each other.
exports() {
	local n
	for n in 1 2; do
		rm -rf "$work/export$n"
		on "$n" export --dir "$work/export$n" site/ >/dev/null || fail "export on node $n"
		[[ -z ${1:-} ]] || diff -r "$1" "$work/export$n" || fail "the export of node $n differs from what was applied"
	done
	diff -r "$work/export1" "$work/export2" || fail "the exports differ"
	printf 'both exports are equal: %d files, %s\n' "$(find "$work/export1" -type f | wc -l)" \
		"$(cd "$work/export1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c-16)"
}

# tree puts what is to be applied into a directory, and makes it the expectation.
tree() {
	local i
	mkdir "$work/tree"
	if [[ -n $stream ]]; then
		git init -q --bare "$work/git"
		case $stream in
		*.zst) zstd -qdc "$stream" ;;
		*) cat "$stream" ;;
		esac | git -C "$work/git" fast-import --quiet
		local ref
		ref=$(git -C "$work/git" for-each-ref --sort=-committerdate --count=1 --format='%(refname)' refs/heads)
		git -C "$work/git" log -1 --format='the last commit: %h %s' "$ref"
		git -C "$work/git" archive "$ref" | tar -x -C "$work/tree"
		return
	fi
	for ((i = 0; i < 40; i++)); do
		mkdir -p "$work/tree/apps/app$((i % 7))"
		printf 'name: app%d\nreplicas: %d\n' "$i" $((i % 5)) >"$work/tree/apps/app$((i % 7))/file$i.yaml"
	done
	printf 'no newline at the end' >"$work/tree/plain"
	: >"$work/tree/empty"
	head -c 5000 /dev/urandom >"$work/tree/binary"
	printf 'caf\xc3\xa9\r\n' >"$work/tree/caf"$'\xc3\xa9'
}

say "two namespaces, two daemons, one cable"
wire
start 1
start 2
id2=$(on 2 id)
on 1 member add "$id2" --name node2 --zone zone2
on 2 join "$(peer 1)"
settle
on 2 member ls

say "the whole tree in one atomic change on node 1"
tree
mapfile -t files < <(cd "$work/tree" && find . -type f -printf '%P\n' | LC_ALL=C sort)
((${#files[@]} >= 30)) || fail "a tree of ${#files[@]} files is too small to show anything"
on 1 apply -f "$work/tree" --prefix site/ -m "the first release" | tail -n 1
settle
for n in 1 2; do
	blocks=$(on "$n" log site/ -o jsonl | grep -o '"block":"[a-z2-7]*"' | sort -u | wc -l)
	((blocks == 1)) || fail "node $n has the change in $blocks blocks: it was not atomic"
done
exports "$work/tree"

say "changed, deleted, and rolled back in part"
mid=$((${#files[@]} / 2))
for ((i = 0; i < mid; i += 5)); do echo "# changed" >>"$work/tree/${files[i]}"; done
for ((i = mid; i < ${#files[@]} - 6; i += 9)); do
	cp "$work/tree/${files[i]}" "$work/last-deleted"
	rm "$work/tree/${files[i]}"
	last_deleted=${files[i]}
done
on 1 apply -f "$work/tree" --prefix site/ --prune -m "the second release" | tail -n 1
settle
exports "$work/tree"
# Two of the changes and one of the deletions are taken back, one of them on the other node.
on 1 rollback "site/${files[0]}" --to 'head~1' -m "back"
on 2 rollback "site/${files[5]}" --to 'head~1' -m "back"
on 2 rollback "site/$last_deleted" --to 'head~1' -m "still needed"
for i in 0 5; do
	sed -i '$ d' "$work/tree/${files[i]}" # the last line is the change
done
cp "$work/last-deleted" "$work/tree/$last_deleted"
settle
exports "$work/tree"

say "the cable is pulled; both sides go on"
unplug 1
# Different keys, in one atomic change each; then the same key on both sides; then a deletion here and an edit there.
k=("site/${files[@]: -1}" "site/${files[@]: -2:1}" "site/${files[@]: -3:1}" "site/${files[@]: -4:1}")
mkdir "$work/north" "$work/south"
for i in 1 2 3; do
	echo "written in the north" >"$work/north/n$i"
	echo "written in the south" >"$work/south/s$i"
done
on 1 apply -f "$work/north" --prefix site/north/ | tail -n 1
on 2 apply -f "$work/south" --prefix site/south/ | tail -n 1
on 1 put "${k[0]}" "replicas: 3 (north)" -m "more load in the north"
on 2 put "${k[0]}" "replicas: 9 (south)" -m "more load in the south"
on 1 del "${k[1]}" -m "not used any more"
on 2 put "${k[1]}" "edited in the south" -m "very much used"
on 1 put "${k[2]}" "the same on both sides"
on 2 put "${k[2]}" "the same on both sides"
on 1 put site/counter 1 && on 1 put site/counter 2 && on 1 put site/counter 3
on 2 put site/counter 7
value 1 "${k[0]}" "replicas: 3 (north)"
value 2 "${k[0]}" "replicas: 9 (south)"
gone 1 "${k[1]}"
gone 1 site/south/s1
gone 2 site/north/n1

say "node 2 is killed with SIGKILL and started again, still cut off"
kill -KILL "${pid[2]}"
wait "${pid[2]}" 2>/dev/null || true
exits 9 2 get "${k[0]}"
start 2
value 2 "${k[0]}" "replicas: 9 (south)"
value 2 "${k[1]}" "edited in the south"
value 2 site/south/s3 "written in the south"
value 2 site/counter 7
on 2 put site/south/after "written after the kill"
# A rollback in part on one side: one key of the second release goes back, the rest stays.
on 1 rollback "site/${files[10]}" --to 'head~1' -m "back, during the cut"
sed -i '$ d' "$work/tree/${files[10]}"

say "the cable is back"
plug 1
before=$SECONDS
settle
echo "the same frontier on both after $((SECONDS - before)) s: $(frontier 1)"

say "the same heads, conflicts, values, counts and histories"
same "ls" ls site/
same "heads, conflicts and served values" get -r site/ -o jsonl
on 1 ls site/ >"$work/keys"
for key in "${k[1]}" "site/${files[mid]}"; do # a history is there for what is deleted, too
	grep -qxF "$key" "$work/keys" || echo "$key" >>"$work/keys"
done
# each N prints log of every key, and info of those that both sides wrote. A cursor of log is a place on one node.
each() {
	local key
	while IFS= read -r key; do
		on "$1" log "$key" -o jsonl | sed 's/,"cursor":"[^"]*"//'
		[[ " ${k[*]} site/counter " != *" $key "* ]] || on "$1" info "$key" -o json
	done <"$work/keys"
}
each 1 >"$work/each.1" &
each_one=$!
each 2 >"$work/each.2" || fail "log and info on node 2"
wait "$each_one" || fail "log and info on node 1"
cmp "$work/each.1" "$work/each.2" || fail "log or info differs"
printf 'log of %d keys, and info of the contested ones, are equal, %d lines\n' "$(wc -l <"$work/keys")" "$(wc -l <"$work/each.1")"
exports
for n in 1 2; do
	value "$n" site/south/after "written after the kill"
	value "$n" site/north/n2 "written in the north"
	for i in 0 1; do
		in_conflict "$n" "${k[$i]}" || fail "node $n shows no conflict for ${k[$i]}"
	done
	in_conflict "$n" site/counter || fail "node $n shows no conflict for site/counter"
	value "$n" "${k[2]}" "the same on both sides"
	! in_conflict "$n" "${k[2]}" || fail "node $n shows a conflict for ${k[2]}, which has one value"
	in_conflict "$n" "${k[3]}" && fail "node $n shows a conflict for ${k[3]}, which nobody touched"
done
# Whatever only one side wrote is as it was written.
rm -rf "$work/expect"
cp -r "$work/tree" "$work/expect"
mkdir -p "$work/expect/north" "$work/expect/south"
cp "$work"/north/* "$work/expect/north/"
cp "$work"/south/* "$work/expect/south/"
printf 'written after the kill' >"$work/expect/south/after"
for key in "${k[@]:0:3}" site/counter; do
	rm -f "$work/expect/${key#site/}" "$work/export1/${key#site/}"
done
diff -r "$work/expect" "$work/export1" || fail "a key that only one side wrote is not as it was written"

say "both sides of every conflict, on both nodes, with names and times"
for key in "${k[0]}" "${k[1]}" site/counter; do
	same "info of $key" info "$key" -o json # as text it says how old things are, which goes on
	on 1 info "$key"
	echo
done

say "one person settles it, and it is settled on both"
on 2 put "${k[0]}" "replicas: 12 (settled)" -m "the sum"
settle
for n in 1 2; do
	value "$n" "${k[0]}" "replicas: 12 (settled)"
	! in_conflict "$n" "${k[0]}" || fail "node $n still shows a conflict"
done

say "everything that is stored is checked, on both; then both stop"
stop
say "done: two nodes, one history"
