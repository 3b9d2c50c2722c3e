#!/bin/sh
# Dependencies run one way: each room may include only what stands below it (HACKING.md draws it).
# A rule: files | extended regular expression over the text between the quotes or brackets of #include.
status=0
forbid() {
	files=$(ls $1 2>/dev/null) || true
	[ -n "$files" ] || return 0
	if grep -nHE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($2)[>\"]" $files; then
		echo "layers: $1 must not include the above" >&2
		status=1
	fi
}
own='(.*/)?'
lua='(lua|lualib|lauxlib|lua5.4/.*)\.h'
top="${own}(driver|cnnc|main)\.h|${own}repl/.*|${own}jit/.*"

forbid 'compiler/arena.c compiler/text.c compiler/file.c compiler/base.h' \
	"$lua|${own}(diag|ir|op|program|options)\.h|.*/.*\.h[^>]*\.h|$top"
forbid 'compiler/nest/*.[ch]' "$lua|${own}(op|program|options)\.h|${own}(targets|schedule|emit|frontend|ops|passes|program)/.*|$top"
forbid 'compiler/graph*.c compiler/autodiff.c compiler/model.c compiler/ir.h compiler/op.h' \
	"$lua|${own}(program|options)\.h|${own}(targets|schedule|emit|frontend|program)/.*|$top"
forbid 'compiler/ops/*.[ch]' "$lua|${own}(program|options)\.h|${own}(targets|schedule|emit|frontend|passes|program)/.*|$top"
forbid 'compiler/passes/*.[ch]' "$lua|${own}(program|options)\.h|${own}(targets|schedule|emit|frontend|program)/.*|$top"
forbid 'compiler/schedule/*.[ch]' "$lua|${own}op\.h|${own}(emit|frontend|ops|passes)/.*|$top"
forbid 'compiler/program/[!l]*.[ch]' "$lua|${own}(op|options)\.h|${own}(schedule|emit|frontend|ops|passes)/.*|$top" # all but lower
forbid 'compiler/program/lower.c compiler/update.c compiler/recompute.c' \
	"$lua|${own}options\.h|${own}(schedule|emit|frontend|ops|passes)/.*|$top"
forbid 'compiler/emit/*.[ch]' "$lua|${own}op\.h|${own}(frontend|ops|passes)/.*|$top"
forbid 'compiler/targets/*.[ch]' "$lua|\.\./.*"
forbid 'compiler/frontend/*.[ch]' "${own}program\.h|${own}(targets|schedule|emit|program|passes)/.*|$top"
forbid 'compiler/jit/*.[ch]' "$lua|${own}(ir|op|program|options|driver|cnnc)\.h|${own}(targets|schedule|emit|frontend|ops|passes|repl|nest|program)/.*"
forbid 'compiler/driver.[ch] compiler/options.[ch]' "${own}(tune|here)\.h"
forbid 'compiler/driver.c compiler/options.c compiler/api.c compiler/tune*.[ch] compiler/here.[ch]' "$lua|${own}repl/.*"
forbid 'compiler/*.[ch] compiler/*/*.[ch]' '(.*/)?runtime/[^/]*\.h'
forbid 'runtime/*.[ch]' '(.*/)?compiler/.*'
forbid 'runtime/formats/*.[ch]' '\.\./.*'
exit $status
