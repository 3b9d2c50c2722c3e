#!/bin/sh
# What cnnc is built and tested with; `deps.sh full`: and what make check-full takes besides. Silent when all is
# there; else names what is missing and why it is needed, installs it where that is possible without asking, or
# prints the command and fails.

set=$1

# package (Debian, Ubuntu) | test, true when it is there | what it is for
list() {
	cat <<-'END'
	gcc|command -v cc gcc|the compiler that builds cnnc, and one of those its output is tested with
	libc6-dev|header stdio.h|the C library's headers
	pkg-config|command -v pkg-config pkgconf|finds Lua
	liblua5.4-dev|header lua5.4/lua.h lua.h|the language networks are described in
	libtcc-dev|header libtcc.h|compiles networks in memory for the interactive loop
	tcc|command -v tcc|one of the compilers that the output is tested with
	libedit-dev|header editline/readline.h|line editing and history
	libjansson-dev|header jansson.h|reads the headers of weight files
	zlib1g-dev|header zlib.h|reads compressed data sets
	libpng-dev|header png.h|reads and writes the pictures of examples/filters
	libcmocka-dev|header cmocka.h|runs the tests
	END
	[ "$set" != full ] || cat <<-'END'
	gcc-aarch64-linux-gnu|command -v aarch64-linux-gnu-gcc|compiles what is emitted for another architecture
	libc6-dev-arm64-cross|command -v aarch64-linux-gnu-gcc|its C library
	qemu-user|command -v qemu-aarch64|runs that here
	END
}

compiler=$(command -v cc || command -v gcc || command -v clang)

# header a.h b.h: one of them is found by the compiler. Without a compiler nothing can be said: missing.
header() {
	for name; do
		[ -n "$compiler" ] && echo "#include <$name>" | "$compiler" -E -xc - >/dev/null 2>&1 && return 0
	done
	return 1
}
# present TEST: true when the requirement of one row is met.
present() {
	case $1 in
	"command -v "*) for name in ${1#command -v }; do command -v "$name" >/dev/null && return 0; done ;;
	"header "*) header ${1#header } && return 0 ;;
	esac
	return 1
}

missing=$(list | while IFS='|' read -r package test why; do
	present "$test" || echo "$package"
done)
[ -n "$missing" ] || exit 0

echo "cnnc needs these packages, which are missing here:"
list | while IFS='|' read -r package test why; do
	for m in $missing; do [ "$m" = "$package" ] && printf '  %-16s %s\n' "$package" "$why"; done
done
missing=$(echo $missing)

if ! command -v apt-get >/dev/null; then
	echo "The names are Debian's. Please install the same libraries with this system's package manager." >&2
	exit 1
fi
command="apt-get install -y --no-install-recommends $missing"
if [ "$(id -u)" = 0 ]; then
	root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	root="sudo -n"
else
	echo "Please run:  sudo $command" >&2
	exit 1
fi
echo "Installing: $root $command"
export DEBIAN_FRONTEND=noninteractive
# The lists of a fresh system are empty: fetch them only when the first try fails.
if $root $command >/dev/null 2>&1; then exit 0; fi
$root apt-get update >/dev/null && $root $command && exit 0
echo "The installation failed. Please run:  sudo $command" >&2
exit 1
