#!/bin/sh
# check.sh PROGRAM FOLDER: trains PROGRAM for eight epochs, whole and in parts, with one, two and three
# threads, and wants the same weights to the bit; then it wants 85 % of the test digits.
program=$1 folder=$2
rm -rf "$folder"
mkdir -p "$folder" || exit 1

die() {
	echo "$program: $*" >&2
	exit 1
}
train() {
	"$program" --epochs 8 "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; die "failed: $*"; }
}

train --threads 1 --weights "$folder/whole"
for threads in 2 3; do
	train --threads $threads --weights "$folder/threads"
	cmp "$folder/whole" "$folder/threads" || die "$threads threads compute something else than one"
done
# inside an epoch, then at the end of one
train --checkpoint "$folder/point" --steps 11
train --checkpoint "$folder/point" --steps 44
train --checkpoint "$folder/point" --weights "$folder/parts"
cmp "$folder/whole" "$folder/parts" || die "a resumed training ends elsewhere than a whole one"
# the same where images move, which is known from the checkpoint
train --pad 2 --flip 1 --threads 1 --weights "$folder/moved"
cmp -s "$folder/whole" "$folder/moved" && die "moved images teach the same"
train --pad 2 --flip 1 --checkpoint "$folder/moving" --steps 11
train --checkpoint "$folder/moving" --threads 2 --weights "$folder/parts"
cmp "$folder/moved" "$folder/parts" || die "a resumed training moves other images than a whole one"
train --epochs 0 --load "$folder/whole"
right=$(sed -n 's/^test accuracy.*: \([0-9]*\) of 360$/\1/p' "$folder/log")
[ "${right:-0}" -ge 306 ] || die "only ${right:-none} of 360 digits are right"
echo "$program: the same bits whole, resumed and threaded; $right of 360 right after eight epochs"
