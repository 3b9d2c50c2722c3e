"""A figure of ratios as SVG: bars from 1 to the right where cnnc is faster, to the left where it is slower."""
import math
from xml.sax.saxutils import escape

LEFT, WIDTH, RIGHT, BAR, GAP = 190, 470, 50, 11, 8
# One colour each for 1, 2, ... threads; both stand out on white and on black.
COLOURS = "#3b82c4", "#e0872f", "#4f9d69", "#a56cc1"
STYLE = """text { font: 12px sans-serif; fill: #555 } .title { font-weight: bold } .small { font-size: 10px }
line { stroke: #888; stroke-opacity: .35 } .one { stroke-opacity: 1 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }"""


def scale(ratios):
    """The powers of two around all ratios, as exponents."""
    low = min(-1, math.floor(math.log2(min(ratios))))
    return low, max(1, math.ceil(math.log2(max(ratios))))


def group(out, y, title, bars, place):
    """Bars of one kind, below each other: [(label, threads, ratio)], neighbours with one label together."""
    out.append(f'<text class="title" x="8" y="{y + 12}">{escape(title)}</text>')
    y += 22
    last = None
    for label, threads, ratio in bars:
        if label != last:
            y += GAP
            out.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(label)}</text>')
        last = label
        at, one = place(ratio), place(1)
        out.append(f'<rect x="{min(at, one):.1f}" y="{y}" width="{max(abs(at - one), 0.5):.1f}" height="{BAR - 1}" '
                   f'fill="{COLOURS[(threads - 1) % len(COLOURS)]}"/>')
        anchor, beside = ("start", 4) if ratio >= 1 else ("end", -4)
        out.append(f'<text class="small" x="{at + beside:.1f}" y="{y + BAR - 2}" text-anchor="{anchor}">'
                   f'{ratio:.2f}</text>')
        y += BAR
    return y + 16


def bars(groups):
    """SVG of [(title, [(label, threads, ratio)])]."""
    all_bars = [b for _, of in groups for b in of]
    if not all_bars:
        return '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'
    low, high = scale([ratio for _, _, ratio in all_bars])
    place = lambda ratio: LEFT + WIDTH * (math.log2(ratio) - low) / (high - low)
    out, y = [], 44
    for title, of in groups:
        y = group(out, y, title, of, place)
    grid = []
    for k in range(low, high + 1):
        x, word = place(2.0 ** k), ' class="one"' if k == 0 else ""
        grid += [f'<line{word} x1="{x:.1f}" y1="40" x2="{x:.1f}" y2="{y}"/>',
                 f'<text class="small" x="{x:.1f}" y="36" text-anchor="middle">{2.0 ** k:g} ×</text>']
    head = ['<text x="8" y="16">Time of the best peer, divided by cnnc\'s: to the right, cnnc is faster</text>']
    for i, n in enumerate(sorted({n for _, n, _ in all_bars})):
        x = LEFT + 330 + 75 * i
        head += [f'<rect x="{x}" y="8" width="{BAR}" height="{BAR}" fill="{COLOURS[(n - 1) % len(COLOURS)]}"/>',
                 f'<text class="small" x="{x + 15}" y="17">{n} thread{"s" * (n > 1)}</text>']
    width = LEFT + WIDTH + RIGHT
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 8}" width="{width}" height="{y + 8}">\n'
            f"<style>{STYLE}</style>\n" + "\n".join(head + grid + out) + "\n</svg>\n")
