#!/usr/bin/env bash
# Gives the module its published path: scripts/rename.sh example.org/crush
# It rewrites go.mod, scripts/tools.mod, bench/go.mod and every import, and nothing else: text that merely
# contains the name keeps it.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ $# -eq 1 && $1 == *.*/* ]] || {
	echo "usage: scripts/rename.sh HOST.NAME/PATH" >&2
	exit 2
}
new=$1
old=$(go list -m)

go mod edit -module="$new"
go mod edit -module="$new/scripts/tools" scripts/tools.mod
if [[ -f bench/go.mod ]]; then
	go mod edit -module="$new/bench" -dropreplace="$old" -replace="$new=../" bench/go.mod
	if grep -qE "^(require )?[[:space:]]*$old v" bench/go.mod; then
		go mod edit -droprequire="$old" -require="$new@v0.0.0" bench/go.mod
	fi
fi

# An import stands alone on its line; a string in a list of strings has a comma after it.
find . -name '*.go' -not -path './.git/*' -exec sed -i -E \
	"s#^(import[[:space:]]+|\t)([A-Za-z0-9_.]+[[:space:]]+)?\"${old//./\\.}/([^\"]*)\"([[:space:]]*//.*)?\$#\1\2\"$new/\3\"\4#" {} +

# The new path sorts elsewhere in its import group.
go tool -modfile=scripts/tools.mod gofumpt -w .
