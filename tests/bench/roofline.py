#!/usr/bin/env python3
"""`make roofline`: the steps of a network below the machine's roofs, as SVG.

    python3 tests/bench/roofline.py OUT.svg NET.lua [OPTION OF CNNC]...

Runs `cnnc --profile`. A point is a step that multiplies and adds: operations for each byte that it reads and writes,
each number once, against operations a second; its area is its part of the function's time. The roofs are the
machine's peak of multiply-adds, and what its memory streams.
"""
import math
import os
import pathlib
import re
import subprocess
import sys
import typing
from xml.sax.saxutils import escape

import plot

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEFT, TOP, WIDTH, HEIGHT, RIGHT, GAP = 56, 40, 620, 300, 24, 84
AREA = 2000  # of all points of a function together
SMALLEST, LARGEST = 2.0, 14.0  # radius
COLOURS = (*plot.COLOURS, "#c9a227", "#c4524f", "#3fa7a3", "#8c6d52")
TITLES = {"infer": "Inference", "step": "A training step"}  # the functions that are shown


class Step(typing.NamedTuple):
    kind: str
    name: str
    share: float      # of the function's time
    rate: float       # GF/s
    intensity: float  # operations a byte


def profile(arguments):
    cnnc = ROOT / os.environ.get("BUILD", "build") / "cnnc"
    return subprocess.run([cnnc, "--profile", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def parse(text):
    """The first line; GF/s and GB/s of the machine; steps by function."""
    head = text.split("\n")[0]
    roofs = re.search(r"at most ([\d.]+) GF/s, and ([\d.]+) GB/s", head)
    if not roofs:
        sys.exit(f"roofline: not understood: {head}")
    functions, steps = {}, None
    for line in text.split("\n"):
        if re.match(r"\w+: a mean of", line):
            steps = functions.setdefault(line.split(":")[0], [])
        row = re.match(r" *([\d.]+) +([\d.]+)% +([\d.]+) +[\d.]+% +([\d.]+) +([\d.]+) +\S+  (\w+): (.*)", line)
        if row and float(row[5]) > 0:
            steps.append(Step(row[6], row[7], float(row[2]) / 100, float(row[3]), float(row[3]) / float(row[5])))
    return head, tuple(map(float, roofs.groups())), functions


class Axes:
    """Logarithmic, of a panel whose upper left corner is at (LEFT, y)."""

    def __init__(self, steps, roofs, y):
        peak, stream = roofs
        ridge = peak / stream
        self.x = self.powers([ridge / 8, ridge * 8, *(s.intensity for s in steps)])
        self.y = self.powers([peak / 8, peak * 1.3, *(s.rate for s in steps)])
        self.top = y

    @staticmethod
    def powers(values):
        return math.floor(math.log2(min(values))), math.ceil(math.log2(max(values)))

    def at(self, intensity, rate):
        across = (math.log2(intensity) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log2(rate) - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + WIDTH * across, self.top + HEIGHT * (1 - up)

    def grid(self):
        out = []
        for k in range(self.x[0], self.x[1] + 1):
            x, _ = self.at(2.0 ** k, 2.0 ** self.y[0])
            out += [f'<line x1="{x:.1f}" y1="{self.top}" x2="{x:.1f}" y2="{self.top + HEIGHT}"/>',
                    f'<text class="small" x="{x:.1f}" y="{self.top + HEIGHT + 14}" text-anchor="middle">{2.0 ** k:g}'
                    '</text>']
        for k in range(self.y[0], self.y[1] + 1):
            _, y = self.at(2.0 ** self.x[0], 2.0 ** k)
            out += [f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + WIDTH}" y2="{y:.1f}"/>',
                    f'<text class="small" x="{LEFT - 6}" y="{y + 3:.1f}" text-anchor="end">{2.0 ** k:g}</text>']
        middle, below = LEFT + WIDTH / 2, self.top + HEIGHT + 30
        return out + [f'<text class="small" x="{middle}" y="{below}" text-anchor="middle">operations a byte</text>',
                      f'<text class="small" x="{LEFT - 6}" y="{self.top - 8}" text-anchor="end">GF/s</text>']

    def roofs(self, peak, stream):
        """From the left border up along the stream, then along the peak."""
        low = max(2.0 ** self.x[0], 2.0 ** self.y[0] / stream)
        points = [self.at(low, low * stream), self.at(peak / stream, peak), self.at(2.0 ** self.x[1], peak)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        (_, _), (x, _), (end, y) = points
        return [f'<polyline class="roof" points="{path}"/>',
                f'<text class="small" x="{end - 4:.1f}" y="{y - 5:.1f}" text-anchor="end">{peak:.0f} GF/s, '
                f'from {peak / stream:.1f} operations a byte at {stream:.1f} GB/s</text>']


def panel(title, steps, roofs, y, colours):
    axes = Axes(steps, roofs, y)
    out = [f'<text class="title" x="{LEFT}" y="{y - 8}">{escape(title)}</text>', *axes.grid(), *axes.roofs(*roofs)]
    for s in sorted(steps, key=lambda s: -s.share):
        x, at = axes.at(s.intensity, s.rate)
        radius = min(max(math.sqrt(AREA * s.share / math.pi), SMALLEST), LARGEST)
        out.append(f'<circle cx="{x:.1f}" cy="{at:.1f}" r="{radius:.1f}" fill="{colours[s.kind]}"><title>'
                   f'{escape(s.name)}: {s.rate:.1f} GF/s, {100 * s.share:.1f} % of the time</title></circle>')
    return out


def picture(head, roofs, functions):
    shown = {name: steps for name, steps in functions.items() if steps and name.split("_")[0] in TITLES}
    if not shown:
        sys.exit("roofline: no step multiplies and adds")
    kinds = list(dict.fromkeys(s.kind for steps in shown.values() for s in steps))
    colours = {kind: COLOURS[i % len(COLOURS)] for i, kind in enumerate(kinds)}
    out, y, x = [f'<text x="8" y="16">{escape(head.split(":")[0])}</text>'], TOP + 36, LEFT
    for kind, colour in colours.items():
        out += [f'<circle cx="{x}" cy="{TOP - 10}" r="5" fill="{colour}"/>',
                f'<text class="small" x="{x + 9}" y="{TOP - 7}">{escape(kind)}</text>']
        x += 24 + 6 * len(kind)
    for name, steps in shown.items():
        word, _, batch = name.partition("_b")
        out += panel(f"{TITLES[word]}, batch {batch}", steps, roofs, y, colours)
        y += HEIGHT + GAP
    width, height = LEFT + WIDTH + RIGHT, y - GAP + 44
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}">\n<style>{plot.STYLE} .roof {{ fill: none; stroke: #888; stroke-width: 2 }}\n'
            "circle { fill-opacity: .75 }</style>\n" + "\n".join(out) + "\n</svg>\n")


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: roofline.py OUT.svg NET.lua [OPTION OF CNNC]...")
    pathlib.Path(sys.argv[1]).write_text(picture(*parse(profile(sys.argv[2:]))))
    print(f"roofline: {sys.argv[1]}", file=sys.stderr)


main()
