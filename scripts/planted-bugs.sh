#!/usr/bin/env bash
# Shows that the random histories of daemon/simulation find faults. It puts the faults of scripts/planted into a
# copy of this tree, one at a time, runs the histories, and wants them to fail. It prints for each what caught it,
# and to how many steps the history was shrunk.
#
#   scripts/planted-bugs.sh            all
#   scripts/planted-bugs.sh NAME…      some: the names of the files, without .patch
#
# Those called document-… are looked for in the histories of documents.
#
# HISTORIES says how many histories a fault has to survive (5000). It exits 1 if one survives, and 2 if a patch no
# longer applies or builds: then the product has moved on, and the fault must be planted anew. It takes some
# minutes, needs Go and Git, and is no part of scripts/check.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
histories=${HISTORIES:-5000}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copy=$work/tree
mkdir "$copy"
# What the test is built from, as it is here, committed or not.
git ls-files -z --cached --others --exclude-standard -- go.mod go.sum crdt dag p2p rpc daemon |
	tar --null --files-from=- -cf - | tar -xf - -C "$copy"

die() {
	echo "planted-bugs: $*" >&2
	exit 2
}

# plant puts a fault in, or with -R takes it out again. The copy is no repository.
plant() { GIT_CEILING_DIRECTORIES=$work git -C "$copy" apply "$@"; }

if (($#)); then
	patches=("${@/%/.patch}")
	patches=("${patches[@]/#/scripts/planted/}")
else
	patches=(scripts/planted/*.patch)
fi

root=$PWD survivors=()
printf '%-38s %-9s %7s %5s  %s\n' fault seed steps secs 'caught by'
for patch in "${patches[@]}"; do
	name=$(basename "$patch" .patch)
	[[ -r $patch ]] || die "there is no $patch"
	plant "$root/$patch" || die "$name does not apply any more: plant it anew"
	(cd "$copy" && go test -c -o "$work/planted.test" ./daemon/simulation) || die "$name does not build any more: plant it anew"
	from=$SECONDS test=TestHistories
	[[ $name == document-* ]] && test=TestDocuments
	if (cd "$copy/daemon/simulation" && "$work/planted.test" -test.run "^$test\$" -histories "$histories" -test.timeout 10m) >"$work/out" 2>&1; then
		survivors+=("$name")
		printf '%-38s %-9s %7s %5d  %s\n' "$name" - - $((SECONDS - from)) 'NOTHING: it survives'
	else
		# seed 3: step … / shrunk from 22 to 7 steps: what was wrong
		seed=$(sed -n 's/.*simulation_test.go:[0-9]*: seed \([0-9]*\): .*/\1/p' "$work/out" | head -n 1)
		steps=$(sed -n 's/.*shrunk from [0-9]* to \([0-9]*\) steps: .*/\1/p' "$work/out" | head -n 1)
		cause=$(sed -n 's/.*shrunk from [0-9]* to [0-9]* steps: //p' "$work/out" | head -n 1)
		if [[ -z $steps ]]; then
			tail -n 30 "$work/out" >&2
			die "$name ended the test without a history"
		fi
		printf '%-38s %-9s %7s %5d  %.100s\n' "$name" "$seed" "$steps" $((SECONDS - from)) "$cause"
	fi
	plant -R "$root/$patch"
done

if ((${#survivors[@]})); then
	echo "planted-bugs: ${#survivors[@]} of ${#patches[@]} survive: ${survivors[*]}" >&2
	exit 1
fi
echo "planted-bugs: all ${#patches[@]} are caught"
