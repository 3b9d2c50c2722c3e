#!/usr/bin/env python3
"""Makes examples/digits/data/ from the UCI optical digits, as scikit-learn ships them.

    python3 tools/digits_to_idx.py digits.csv.gz examples/digits/data

digits.csv.gz is sklearn/datasets/data/digits.csv.gz of any scikit-learn: 1,797 lines of 64 pixels, 0 to
16, and a label. They become four IDX files under MNIST's names, 1,437 images for training and 360 for
testing. The split keeps every class's share (largest remainders) and takes the test images at even steps
along each class's lines, so that every writer is in both parts. No random numbers: the same input gives
the same bytes.
"""
import gzip
import os
import struct
import sys

SIDE, DARKEST, CLASSES, IMAGES, TEST_IMAGES = 8, 16, 10, 1797, 360


def read_lines(path):
    """[(pixels as bytes 0..255, label)] of the CSV, checked."""
    lines = []
    with gzip.open(path, "rt", encoding="ascii") as file:
        for number, text in enumerate(file, 1):
            field = [int(word) for word in text.split(",")]
            if len(field) != SIDE * SIDE + 1:
                sys.exit(f"{path}:{number}: {len(field)} fields")
            *pixel, label = field
            if not all(0 <= p <= DARKEST for p in pixel) or not 0 <= label < CLASSES:
                sys.exit(f"{path}:{number}: a pixel or the label is out of range")
            lines.append((bytes((p * 255 + DARKEST // 2) // DARKEST for p in pixel), label))
    if len(lines) != IMAGES:
        sys.exit(f"{path}: {len(lines)} images instead of {IMAGES}")
    return lines


def test_lines(lines):
    """The numbers of the lines that go to the test set."""
    members = [[i for i, line in enumerate(lines) if line[1] == label] for label in range(CLASSES)]
    share = [len(m) * TEST_IMAGES for m in members]  # in units of 1/len(lines)
    quota = [s // len(lines) for s in share]
    by_remainder = sorted(range(CLASSES), key=lambda c: (-(share[c] % len(lines)), c))
    for c in by_remainder[: TEST_IMAGES - sum(quota)]:
        quota[c] += 1
    chosen = set()
    for m, q in zip(members, quota):
        chosen.update(m[(2 * k + 1) * len(m) // (2 * q)] for k in range(q))
    assert len(chosen) == TEST_IMAGES
    return chosen


def write(folder, name, dims, data):
    """One IDX file of bytes in gzip, without name and time of day."""
    head = bytes([0, 0, 8, len(dims)]) + b"".join(struct.pack(">I", d) for d in dims)
    with open(os.path.join(folder, name + ".gz"), "wb") as file:
        file.write(gzip.compress(head + data, 9, mtime=0))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    lines = read_lines(sys.argv[1])
    chosen = test_lines(lines)
    for part, wanted in (("train", False), ("t10k", True)):
        kept = [line for i, line in enumerate(lines) if (i in chosen) == wanted]
        images = b"".join(pixel for pixel, _ in kept)
        labels = bytes(label for _, label in kept)
        write(sys.argv[2], f"{part}-images-idx3-ubyte", (len(kept), SIDE, SIDE), images)
        write(sys.argv[2], f"{part}-labels-idx1-ubyte", (len(kept),), labels)


if __name__ == "__main__":
    main()
