#!/usr/bin/env bash
# The gate, for people and for CI. It runs every check in order, prints the name and the time of each,
# and stops at the first one that fails.
#
#   scripts/check.sh           everything
#   scripts/check.sh --quick   format, vet, short tests: while writing
#   scripts/check.sh --bench   everything, and the bench module too (it downloads the peers it compares with)
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false bench=false
for arg in "$@"; do
	case $arg in
	--quick) quick=true ;;
	--bench) bench=true ;;
	*)
		echo "usage: scripts/check.sh [--quick] [--bench]" >&2
		exit 2
		;;
	esac
done

# A checkout that belongs to another user makes every build ask Git and fail. No check needs the stamp.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false"

tool() { go tool -modfile=scripts/tools.mod "$@"; }

# gofumpt lists what it would change and exits 0 all the same.
format() {
	local unformatted
	unformatted=$(tool gofumpt -l .) || return 1
	[[ -z $unformatted ]] && return
	printf 'not formatted:\n%s\nrepair with: go tool -modfile=scripts/tools.mod gofumpt -w .\n' "$unformatted"
	return 1
}

modernize() {
	go fix -diff ./... && return
	echo "repair with: go fix ./..."
	return 1
}

tidy() {
	go mod tidy -diff && return
	echo "repair with: go mod tidy"
	return 1
}

race() {
	if ! command -v "$(go env CC)" >/dev/null; then
		echo "the race detector needs a C compiler ($(go env CC)); on Debian: apt-get install gcc libc6-dev"
		return 1
	fi
	# Of crdt, gitstream and scripts nothing runs beside anything else.
	CGO_ENABLED=1 go test -race -short -timeout 10m ./cmd/... ./dag ./daemon/... ./p2p ./rpc
}

bench_module() (cd bench && go vet ./... && go test ./... && go mod tidy -diff)

# A function called in a condition loses set -e, so each check above says itself how it ended.
step() {
	local name=$1 from=$SECONDS
	shift
	echo "== $name"
	if ! "$@"; then
		echo "check: $name FAILED after $((SECONDS - from)) s" >&2
		exit 1
	fi
	echo "-- $name: $((SECONDS - from)) s"
}

step gofumpt format
step "import graph and house rules" go test ./scripts
step "go vet" go vet ./...
if $quick; then
	step "go test -short" go test -short ./...
	exit
fi
step "go mod tidy" tidy
step "go fix" modernize
step staticcheck tool staticcheck ./...
if $bench; then
	step "bench module" bench_module
fi
step "go test -race -short" race
step "go test" go test -timeout 10m ./...
echo "check: all green in $SECONDS s"
