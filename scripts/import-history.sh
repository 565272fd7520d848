#!/usr/bin/env bash
# Imports a real history, and checks all of it against Git.
#
#   scripts/import-history.sh FILE    a git fast-export stream: plain, .gz or .zst
#
# A fresh node imports the stream; every key of the last commit is compared byte for byte with a checkout of Git;
# the log of the busiest keys and of a sample of others is compared with git rev-list; verify finds nothing; a
# second import writes nothing. Then a second node joins and gets all of it; and a third imports it, is killed with
# SIGKILL in the middle, goes on, and ends with the same. Everything is checked; the first thing that is wrong ends
# it with 1. It prints the rates.
#
# CRUSH names the program; without it, it is built from this checkout. SAMPLE is how many keys' histories are
# compared (default 60). KEEP=1 keeps the scratch directory. It needs git, and listens on loopback only.
set -euo pipefail

stream=${1:-}
if (($# != 1)) || [[ $stream == -* ]]; then
	echo "usage: scripts/import-history.sh FILE" >&2
	exit 2
fi
[[ -r $stream ]] || {
	echo "import-history: cannot read $stream" >&2
	exit 2
}
command -v git >/dev/null || {
	echo "import-history: skipped: there is no git to compare with" >&2
	exit 77
}
sample=${SAMPLE:-60}
work=$(mktemp -d)
started=$SECONDS
declare -A pid=()

cleanup() {
	trap - EXIT
	local n
	for n in "${!pid[@]}"; do
		kill -KILL "${pid[$n]}" 2>/dev/null || true
		wait "${pid[$n]}" 2>/dev/null || true
	done
	if [[ -n ${KEEP:-} ]]; then
		echo "kept: $work"
	else
		rm -rf "$work"
	fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
	echo "import-history: FAILED: $*" >&2
	exit 1
}

say() { printf '\n== %3d s  %s\n' $((SECONDS - started)) "$*"; }

now() { date +%s%N; }

# rate N FROM says how many a second that were, since FROM.
rate() { awk -v n="$1" -v ns=$(($(now) - $2)) 'BEGIN {printf "%d in %.1f s: %d a second\n", n, ns / 1e9, n * 1e9 / ns}'; }

# start N runs the daemon of node N and waits until it is ready.
start() {
	local n=$1 i
	: >"$work/$n.out"
	"$CRUSH" daemon --data "$work/$n" --name "node$n" --http off --mdns off --listen /ip4/127.0.0.1/tcp/0 \
		>"$work/$n.out" 2>>"$work/$n.log" &
	pid[$n]=$!
	for ((i = 0; i < 600; i++)); do
		grep -q '^ready' "$work/$n.out" && return
		kill -0 "${pid[$n]}" 2>/dev/null || fail "the daemon of node $n ended: $(tail -n 3 "$work/$n.log")"
		sleep 0.1
	done
	fail "the daemon of node $n did not get ready in a minute"
}

stop() {
	kill "-$2" "${pid[$1]}"
	wait "${pid[$1]}" || [[ $2 == KILL ]] || fail "the daemon of node $1 ended with $?"
	unset "pid[$1]"
}

on() {
	local n=$1
	shift
	env -i PATH="$PATH" HOME="$work" TMPDIR="$work" CRUSH_DATA="$work/$n" "$CRUSH" "$@"
}

# number N MEMBER is a number that status has.
number() { on "$1" status -o json | grep -o "\"$2\":[0-9]*" | head -n 1 | cut -d: -f2; }

# tree N compares every key of the last commit.
tree() {
	rm -rf "$work/export"
	on "$1" export --dir "$work/export" | tail -n 1
	diff -r "$work/tree" "$work/export" || fail "the keys of node $1 are not the files of the last commit"
	printf 'all %d keys are byte for byte those of %s\n' "$(find "$work/tree" -type f | wc -l)" "$ref"
}

# times prints when the commits were made that Git lists for a path.
times() { TZ=UTC git -C "$work/git" log --format=%ad --date=format-local:%Y-%m-%dT%H:%M:%S.000Z "$@" | sort; }

# histories N compares the logs of keys. Where a merge keeps one side, the other is hidden by git rev-list, and not
# by --full-history.
histories() {
	local path n=0 equal=0 revisions=0
	while IFS= read -r path; do
		on "$1" log "$path" -o jsonl | grep -o '"claimed":"[^"]*"' | cut -d'"' -f4 | sort >"$work/here"
		times "$ref" -- ":(literal)$path" >"$work/git.least"
		if cmp -s "$work/here" "$work/git.least"; then
			equal=$((equal + 1))
		else
			times --full-history "$ref" -- ":(literal)$path" >"$work/git.most"
			[[ -z $(comm -13 "$work/here" "$work/git.least") ]] || fail "the log of $path misses commits of git rev-list"
			[[ -z $(comm -23 "$work/here" "$work/git.most") ]] || fail "the log of $path has commits that git rev-list --full-history has not"
		fi
		n=$((n + 1)) revisions=$((revisions + $(wc -l <"$work/here")))
	done
	((n > 0)) || fail "no history was compared"
	echo "$n histories of $revisions revisions: $equal are those of git rev-list, $((n - equal)) lie between it and git rev-list --full-history"
}

if [[ -z ${CRUSH:-} ]]; then
	echo "building crush; the first time takes a minute"
	CRUSH=$work/crush
	(cd "$(dirname "$0")/.." && go build -buildvcs=false -o "$CRUSH" ./cmd/crush)
fi

say "Git reads it"
git init -q --bare "$work/git"
case $stream in
*.zst) zstd -qdc "$stream" ;;
*.gz) gzip -dc "$stream" ;;
*) cat "$stream" ;;
esac | git -C "$work/git" fast-import --quiet
git -C "$work/git" commit-graph write --reachable --changed-paths 2>/dev/null
ref=$(git -C "$work/git" for-each-ref --format='%(refname)' refs/heads/main refs/heads/master refs/heads | head -n 1)
mkdir "$work/tree"
git -C "$work/git" archive "$ref" | tar -x -C "$work/tree"
find "$work/tree" -type l | while IFS= read -r link; do # a link is its target
	target=$(readlink -n "$link" && echo .)
	rm "$link"
	printf %s "${target%.}" >"$link"
done
git -C "$work/git" log -1 --format='the last commit: %h %s' "$ref"

say "a fresh node imports it"
start 1
from=$(now)
on 1 import --git-stream "$stream"
revisions=$(number 1 revisions) blocks=$(number 1 blocks)
echo "revisions: $(rate "$revisions" "$from")"
tree 1
du -sh "$work/1/store" 2>/dev/null || du -sh "$work/1"

say "the histories of the busiest keys, and of a sample of all"
git -C "$work/git" log --no-merges --format= --name-only --no-renames "$ref" | grep -v '^"' | sort | uniq -c | sort -rn | sed 's/^ *[0-9]* //' >"$work/paths"
{
	head -n $((sample / 3)) "$work/paths"
	shuf -n $((sample - sample / 3)) --random-source="$work/paths" "$work/paths"
} | histories 1

say "it is whole, and a second import writes nothing"
on 1 verify
from=$(now)
on 1 import --git-stream "$stream" | head -n 1
[[ $(number 1 blocks) == "$blocks" ]] || fail "the second import wrote $(($(number 1 blocks) - blocks)) blocks"

say "a second node joins"
start 2
on 1 member add "$(on 2 id)" --name node2 >/dev/null
from=$(now)
on 2 join "$(awk '/^peer/ {print $2; exit}' "$work/1.out")" >/dev/null
for ((i = 0; i < 1200; i++)); do
	[[ $(number 2 revisions) -lt $revisions ]] || break
	sleep 0.2 # each look takes of the processors what the join could
done
echo "revisions: $(rate "$(number 2 revisions)" "$from")"
[[ $(number 2 revisions) == "$revisions" ]] || fail "node 2 has $(number 2 revisions) revisions of $revisions"
tree 2
on 2 verify
blocks2=$(number 2 blocks)
on 2 import --git-stream "$stream" | head -n 1
[[ $(number 2 blocks) == "$blocks2" ]] || fail "the import on node 2 wrote $(($(number 2 blocks) - blocks2)) blocks"
stop 2 TERM
stop 1 TERM

say "a third is killed in the middle, and goes on"
start 3
on 3 import --git-stream "$stream" >"$work/3.import" 2>&1 &
importer=$!
for ((i = 0; i < 6000; i++)); do
	(($(number 3 blocks || echo 0) < blocks / 2)) || break
	sleep 0.01
done
stop 3 KILL 2>/dev/null
if wait "$importer"; then
	echo "the import was through before the kill"
else
	tail -n 1 "$work/3.import"
fi
start 3
echo "after the kill: $(number 3 revisions) revisions in $(number 3 blocks) blocks"
on 3 import --git-stream "$stream"
[[ $(number 3 revisions) == "$revisions" ]] || fail "after it there are $(number 3 revisions) revisions, not $revisions"
tree 3
on 3 verify
stop 3 TERM

say "all as it has to be"
