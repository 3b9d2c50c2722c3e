#!/bin/sh
# Runs cmocka programs one after the other and finishes with one line: "N passed, N failed".
# A program that crashes, or that runs no test at all, is a failure, said loudly.
# Environment: BUILD (where cnnc is), CNNC_CHECK=full, CNNC_GOLDEN=write: see the tests.
passed=0 failed=0
: "${BUILD:=build}"
export BUILD
log="$BUILD/test-output.txt"
limit=1500 # seconds for one program, on a machine that does other things as well
[ $# -gt 0 ] || { echo "tests/run.sh: no test programs given" >&2; echo "0 passed, 1 failed"; exit 1; }

for program; do
	start=$(date +%s)
	timeout -k 10 "$limit" "$program" >"$log" 2>&1 </dev/null
	status=$?
	ok=$(grep -c '^\[       OK \]' "$log")
	bad=$(sed -n 's/^\[  FAILED  \] \(.*: \)\{0,1\}\([0-9][0-9]*\) test(s), listed below:.*/\2/p' "$log" |
		awk '{ n += $1 } END { print n + 0 }')
	note=
	if [ "$status" -eq 124 ]; then
		note=" TOOK MORE THAN $limit s" bad=$((bad + 1))
	elif [ "$status" -gt 128 ]; then
		note=" CRASHED with signal $((status - 128))" bad=$((bad + 1))
	elif [ $((ok + bad)) -eq 0 ]; then
		note=" RAN NOTHING (status $status)" bad=1
	elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		note=" FAILED with status $status" bad=1
	fi
	passed=$((passed + ok)) failed=$((failed + bad))
	printf '%-28s %4d passed, %d failed, %d s%s\n' "$(basename "$program")" "$ok" "$bad" \
		$(($(date +%s) - start)) "$note"
	[ "$bad" -eq 0 ] || grep -v -e '^\[ RUN' -e '^\[       OK' "$log" | head -n 200
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
