# What the demonstrations on several nodes share. It is sourced, by a script that has set -euo pipefail:
#
#   demonstration NAME NODES…   checks that this can run here, and makes the scratch directory $work
#   wire                        a network namespace for each node, and one for the switch that joins them
#   start N [FLAG…]             runs the daemon of node N, zone N, until the end
#   on N VERB…                  what a person types on node N
#   unplug N, plug N            pulls the cable of node N at the switch, and puts it back; its daemon runs on
#
# Everything is made for this run and goes with it, also on Ctrl-C: namespaces by their names, which hold the
# script's process number, and daemons by theirs. CRUSH names the program; without it, it is built from this
# checkout. KEEP=1 keeps the scratch directory.

demonstration() {
	demo=$1
	shift
	nodes=("$@")
	started=$SECONDS
	declare -gA net=() address=() pid=()
	local n
	for n in "${nodes[@]}"; do
		net[$n]=crush-$$-$n address[$n]=10.99.7.$n
	done
	switch=crush-$$-switch
	((EUID == 0)) || skip "network namespaces need root: run it with sudo"
	command -v ip >/dev/null || skip "there is no program ip (iproute2)"
	work=$(mktemp -d)
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	ip netns add "$switch" 2>"$work/netns" || skip "no network namespaces here: $(cat "$work/netns")"
	if [[ -z ${CRUSH:-} ]]; then
		echo "building crush; the first time takes a minute"
		CRUSH=$work/crush
		(cd "$(dirname "${BASH_SOURCE[0]}")/.." && go build -buildvcs=false -o "$CRUSH" ./cmd/crush)
	fi
}

# skip says why nothing can be shown here.
skip() {
	echo "$demo: skipped: $*" >&2
	exit 77
}

# fail ends the demonstration with what was not as it has to be.
fail() {
	echo "$demo: FAILED: $*" >&2
	local n
	for n in "${nodes[@]}"; do
		if [[ -s $work/$n.log ]]; then
			echo "--- the end of the log of node $n" >&2
			tail -n 15 "$work/$n.log" >&2
		fi
	done
	exit 1
}

say() { printf '\n== %3d s  %s\n' $((SECONDS - started)) "$*"; }

cleanup() {
	trap - EXIT
	local n
	for n in "${!pid[@]}"; do
		kill -KILL "${pid[$n]}" 2>/dev/null || true
		wait "${pid[$n]}" 2>/dev/null || true
	done
	for n in "${net[@]}" "$switch"; do
		ip netns del "$n" 2>/dev/null || true
	done
	if [[ -n ${KEEP:-} ]]; then
		echo "kept: $work"
	else
		rm -rf "$work"
	fi
}

wire() {
	local n
	ip -n "$switch" link add switch type bridge
	ip -n "$switch" link set switch up
	for n in "${nodes[@]}"; do
		ip netns add "${net[$n]}"
		ip -n "$switch" link add "port$n" type veth peer name line netns "${net[$n]}"
		ip -n "$switch" link set "port$n" master switch up
		ip -n "${net[$n]}" addr add "${address[$n]}/24" dev line
		ip -n "${net[$n]}" link set lo up
		ip -n "${net[$n]}" link set line up
	done
}

unplug() { ip -n "$switch" link set "port$1" down; }

plug() { ip -n "$switch" link set "port$1" up; }

# start N [FLAG…] runs the daemon of node N in its namespace and waits until it is ready.
start() {
	local n=$1 i
	shift
	: >"$work/$n.out"
	ip netns exec "${net[$n]}" "$CRUSH" daemon --data "$work/$n" --name "node$n" --zone "zone$n" --http off \
		--listen "/ip4/${address[$n]}/tcp/7655" --listen "/ip4/${address[$n]}/udp/7655/quic-v1" "$@" \
		>"$work/$n.out" 2>>"$work/$n.log" &
	pid[$n]=$!
	for ((i = 0; i < 300; i++)); do
		grep -q '^ready' "$work/$n.out" && return
		kill -0 "${pid[$n]}" 2>/dev/null || fail "the daemon of node $n ended"
		sleep 0.1
	done
	fail "the daemon of node $n did not get ready in 30 s"
}

# on N VERB… is what a person types on node N. The socket is a file, so namespaces do not matter to it.
on() {
	local n=$1
	shift
	env -i PATH="$PATH" HOME="$work" CRUSH_DATA="$work/$n" CRUSH_AUTHOR="person$n" "$CRUSH" "$@"
}

# peer N is where the others reach node N.
peer() { awk '/^peer.*\/tcp\// {print $2; exit}' "$work/$1.out"; }

frontier() { on "$1" status -o json | grep -o '"frontier":"[0-9a-f]*"'; }

# settle waits until all nodes say that they have the same history.
settle() {
	local i n all
	for ((i = 0; i < 600; i++)); do
		all=$(for n in "${nodes[@]}"; do frontier "$n" || echo none; done | sort -u)
		[[ $all == '"frontier"'* && $all != *$'\n'* ]] && return
		sleep 0.2
	done
	fail "the frontiers still differ after 2 minutes: $all"
}

# same WHAT VERB… compares what all nodes print, byte for byte; it stays in $work/same.
same() {
	local what=$1 n
	shift
	for n in "${nodes[@]}"; do
		on "$n" "$@" >"$work/same.$n" || fail "$what: exit $? on node $n"
		cmp "$work/same.$n" "$work/same.${nodes[0]}" || fail "$what differs between the nodes"
	done
	cp "$work/same.${nodes[0]}" "$work/same"
}

# value N KEY WANT [FLAG…] checks what node N serves.
value() {
	local n=$1 key=$2 want=$3 got
	shift 3
	got=$(on "$n" get "$key" "$@" 2>/dev/null) || fail "node $n has no $key"
	[[ $got == "$want" ]] || fail "node $n serves for $key: $got, want $want"
}

# exits CODE N VERB… checks how a verb ends on node N; what it prints stays in $work/said, what it complains of
# in $work/complained.
exits() {
	local want=$1 n=$2 code=0
	shift 2
	on "$n" "$@" >"$work/said" 2>"$work/complained" || code=$?
	((code == want)) || fail "node $n: crush $* exits $code, want $want: $(cat "$work/complained")"
}

# gone N KEY checks that node N serves nothing.
gone() { exits 5 "$1" get "$2"; }

in_conflict() { on "$1" get "$2" -o json 2>/dev/null | grep -q '"conflict":true'; }

# stop ends all daemons as a service manager does, and checks what they have stored before and after.
stop() {
	local n code
	for n in "${nodes[@]}"; do
		on "$n" verify || fail "verify on node $n"
	done
	for n in "${nodes[@]}"; do
		kill -TERM "${pid[$n]}"
		code=0
		wait "${pid[$n]}" || code=$?
		unset "pid[$n]"
		((code == 0)) || fail "the daemon of node $n ended with $code"
		on "$n" verify || fail "verify of node $n, stopped"
	done
}
