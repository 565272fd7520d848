#!/usr/bin/env bash
# The demonstration of zones: three real daemons, each a zone in a network namespace of its own, joined by a switch.
# One zone is cut off. Both sides go on writing, on a fork too, and say how far apart they are. The line comes back;
# both writes are there with names and times, the conflicts are listed on every node, people settle them, and the
# fork is merged. No daemon is stopped for that. Everything is checked; the first thing that is wrong ends it with 1.
#
#   sudo scripts/zones.sh
#
# CRUSH names the program; without it, it is built from this checkout. KEEP=1 keeps the scratch directory.
# It needs root and network namespaces, and exits 77 where there are none. It touches nothing but what it makes:
# a scratch directory, four namespaces, three processes.
set -euo pipefail
source "$(dirname "$0")/nodes.sh"

if (($# > 0)); then
	echo "usage: scripts/zones.sh" >&2
	exit 2
fi
demonstration zones 1 2 3

# typed N VERB… prints a command as a person types it on node N.
typed() {
	local word
	printf 'node%s$ crush' "$1"
	for word in "${@:2}"; do
		[[ $word != *[\ \'\"]* ]] || word="'$word'"
		printf ' %s' "$word"
	done
	echo
}

# show N VERB… types a command on node N; what it prints stays in $work/said.
show() {
	typed "$@"
	on "$@" 2>&1 | tee "$work/said" || fail "node $1: crush ${*:2} exits $?"
}

# refused CODE N VERB… types a command that has to end with CODE.
refused() {
	typed "${@:2}"
	exits "$@"
	cat "$work/complained" >>"$work/said"
	cat "$work/said"
	echo "(exit code $1)"
}

# says WORD… checks what was printed last.
says() {
	local word
	for word in "$@"; do
		grep -qF -- "$word" "$work/said" || fail "it does not say \"$word\""
	done
}

blocks() { on "$1" status -o json | grep -o '"blocks":[0-9]*' | head -n 1 | grep -o '[0-9]*'; }

# lag N M WANT checks how many blocks node M is behind, as node N knows.
lag() {
	local got
	got=$(on "$1" peers -o jsonl | grep -F "\"name\":\"node$2\"" | grep -o '"lag":{"blocks":[0-9]*' | grep -o '[0-9]*$') ||
		fail "node $1 does not know how far node $2 is behind"
	((got == $3)) || fail "node $1 says that node $2 is $got blocks behind, want $3"
}

# together waits until every node knows that all of them have the same.
together() {
	local n i
	settle
	for n in "${nodes[@]}"; do
		for ((i = 0; i < 300; i++)); do
			[[ $(on "$n" peers -o jsonl | grep -c '"in_sync":true') != $((${#nodes[@]} - 1)) ]] || continue 2
			sleep 0.1
		done
		fail "node $n does not see after 30 s that the others have what it has"
	done
}

say "three zones: a namespace, an identity and a daemon each, that know the others' addresses"
wire
declare -A id=()
for n in "${nodes[@]}"; do
	id[$n]=$(on "$n" id 2>/dev/null)
done
for n in "${nodes[@]}"; do
	flags=()
	for other in "${nodes[@]}"; do
		((other == n)) || flags+=(--peer "/ip4/${address[$other]}/tcp/7655/p2p/${id[$other]}")
	done
	start "$n" "${flags[@]}"
done
show 1 member add "${id[2]}" --name node2 --zone zone2
show 1 member add "${id[3]}" --name node3 --zone zone3
show 2 join "$(peer 1)"
show 3 join "$(peer 1)"
together
show 1 peers
says "node2  zone2  connected, in sync" "node3  zone3  connected, in sync" "zone1  1 of 1     1 of 1   - (this node's)"

say "a write that returns when every zone has it; a read elsewhere that is not older; a fork"
show 1 put app/config "replicas: 2" -m "first" --wait zones
for n in 2 3; do value "$n" app/config "replicas: 2"; done
block=$(on 1 put app/limits "cpu: 1" -o json | grep -o '"block":"[a-z2-7]*"' | grep -o 'baf[a-z2-7]*')
show 3 get app/limits --after "$block"
echo
says "cpu: 1"
show 1 fork create staging
show 1 put app/config "replicas: 4" -F staging -m "to try" --wait zones
value 3 app/config "replicas: 4" -F staging
value 3 app/config "replicas: 2"
together

say "the cable of zone 1 is pulled; both sides go on"
unplug 1
before=$(blocks 1)
show 1 put app/config "replicas: 3" -m "more load in zone 1"
show 1 put app/limits "cpu: 2" -F staging -m "measured in zone 1"
show 2 put app/config "replicas: 9" -m "more load in zones 2 and 3" --wait 1
show 3 put app/limits "cpu: 3" -F staging -m "measured in zone 3" --wait 1
refused 10 1 put app/note "zone 1 was here" --wait zones --timeout 1s
says "stored on this node, but in time no node of zone2, zone3 has said that it is on its disk" token
value 1 app/config "replicas: 3"
value 2 app/config "replicas: 9"
value 3 app/config "replicas: 9"
value 1 app/note "zone 1 was here"
gone 2 app/note
value 2 app/limits "cpu: 3" -F staging

say "each side says how far the other is behind"
lag 1 2 3
lag 1 3 3
lag 2 1 2
lag 2 3 0
(($(blocks 1) == before + 3 && $(blocks 2) == before + 2)) || fail "other writes than those of this script"
show 1 peers
says "3 blocks, "
show 2 peers
says "2 blocks, "
refused 7 1 status --max-lag 1ms
says "node2 is behind (3 blocks, " "node3 is behind (3 blocks, "

say "the cable is back; nobody does anything"
plug 1
back=$SECONDS
together
echo "all three have the same after $((SECONDS - back)) s: $(frontier 1)"
for n in "${nodes[@]}"; do
	lag "$n" $((n % 3 + 1)) 0
	value "$n" app/note "zone 1 was here"
	exits 0 "$n" status --max-lag 1ms
done

say "both writes are there, with names and times, and the conflicts are listed, the same on every node"
same "the log" log app/config
show 2 log app/config
says "node1@zone1 (person1)  11 B  more load in zone 1" "node2@zone2 (person2)  11 B  more load in zones 2 and 3"
same "the values" get -r app/ -o jsonl
for fork in default staging; do same "the conflicts of $fork" conflicts -F "$fork" -o jsonl; done
show 3 conflicts
says app/config node1 node2 '"replicas: 3"' '"replicas: 9"'
show 1 conflicts -F staging
says app/limits node1 node3 '"cpu: 2"' '"cpu: 3"'

say "people settle them: by a value of their own, and by one of the sides"
show 3 resolve app/config --value "replicas: 12" -m "the sum" --wait zones
show 2 resolve app/limits -F staging --take node1 --wait zones
for n in "${nodes[@]}"; do
	value "$n" app/config "replicas: 12"
	value "$n" app/limits "cpu: 2" -F staging
	! in_conflict "$n" app/config || fail "node $n still shows a conflict"
	for fork in default staging; do
		exits 0 "$n" conflicts --strict -F "$fork"
	done
done

say "the fork is merged; what was changed on both stops it until somebody chooses"
refused 3 1 merge staging --into default
says app/config '"replicas: 4"' '"replicas: 12"'
value 1 app/limits "cpu: 1"
show 1 merge staging --into default --resolve app/config=default --wait zones
for n in "${nodes[@]}"; do
	value "$n" app/config "replicas: 12"
	value "$n" app/limits "cpu: 2"
done

say "everything that is stored is checked, on all three; then they stop"
stop
say "done: three zones, one history"
