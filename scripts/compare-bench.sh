#!/usr/bin/env bash
# Measures the daemon of this tree beside that of an earlier commit, in the same rounds.
#
#   scripts/compare-bench.sh COMMIT [puts|gets] [FLAGS of the benchmark]
#
# The last column that counts is the ratio of the rows "crush" and "crush before".
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $# -lt 1 || ${2:-puts} != puts && ${2:-puts} != gets ]]; then
	echo "usage: scripts/compare-bench.sh COMMIT [puts|gets] [FLAGS]" >&2
	exit 2
fi
commit=$(git rev-parse --verify --quiet "$1^{commit}") || {
	echo "compare-bench: $1 is no commit of this repository" >&2
	exit 1
}
command=${2:-puts}
shift $(($# > 1 ? 2 : 1))

work=$(mktemp -d)
cleanup() {
	git worktree remove --force "$work/tree" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
git worktree add --quiet --detach "$work/tree" "$commit"
(cd "$work/tree" && go build -buildvcs=false -o "$work/before" ./cmd/crush)
cd bench
go run . "$command" -before "$work/before" "$@"
