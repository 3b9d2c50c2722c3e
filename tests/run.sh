#!/bin/sh
# Runs cmocka programs, as many at a time as there are processors, and finishes with one line: "N passed, N failed".
# A program that crashes, or that runs no test at all, is a failure, said loudly.
# Environment: BUILD (where cnnc is), JOBS, CNNC_CHECK=full, CNNC_GOLDEN=write: see the tests.
: "${BUILD:=build}" "${JOBS:=$(nproc)}"
export BUILD
logs="$BUILD/test-output"
limit=1500 # seconds for one program, on a machine that does other things as well

# One program: its line, what it said if it failed, and a file with the two counts.
run_one() {
	program=$1 name=$(basename "$1") note=
	log="$logs/$name.txt" start=$(date +%s)
	TMPDIR=$(mktemp -d) || return # others leave files, too, while this one looks for what it left
	export TMPDIR
	timeout -k 10 "$limit" "$program" >"$log" 2>&1 </dev/null
	status=$?
	rm -rf "$TMPDIR"
	ok=$(grep -c '^\[       OK \]' "$log")
	bad=$(sed -n 's/^\[  FAILED  \] \(.*: \)\{0,1\}\([0-9][0-9]*\) test(s), listed below:.*/\2/p' "$log" |
		awk '{ n += $1 } END { print n + 0 }')
	if [ "$status" -eq 124 ]; then
		note=" TOOK MORE THAN $limit s" bad=$((bad + 1))
	elif [ "$status" -gt 128 ]; then
		note=" CRASHED with signal $((status - 128))" bad=$((bad + 1))
	elif [ $((ok + bad)) -eq 0 ]; then
		note=" RAN NOTHING (status $status)" bad=1
	elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		note=" FAILED with status $status" bad=1
	fi
	said=
	[ "$bad" -eq 0 ] || said=$(grep -v -e '^\[ RUN' -e '^\[       OK' "$log" | head -n 200; echo .)
	printf '%-28s %4d passed, %d failed, %d s%s\n%s' "$name" "$ok" "$bad" $(($(date +%s) - start)) "$note" "${said%.}"
	echo "$ok $bad" >"$logs/$name.counts"
}

if [ "$1" = --one ]; then
	run_one "$2"
	exit 0
fi
[ $# -gt 0 ] || { echo "tests/run.sh: no test programs given" >&2; echo "0 passed, 1 failed"; exit 1; }
rm -rf "$logs" && mkdir -p "$logs" || exit 1
printf '%s\n' "$@" | xargs -n 1 -P "$JOBS" sh "$0" --one
# Whose counts are missing was not even begun.
cat "$logs"/*.counts | awk -v programs=$# '
	{ passed += $1; failed += $2 }
	END { failed += programs - NR; print passed + 0 " passed, " failed " failed"; exit failed > 0 }'
