"""The tables and the figure that tests/bench/bench.py makes of the rows it kept."""
import math
import statistics

import cases
import plot
import session

TITLES = {"infer": "Inference", "train": "A training step"}
SMALL = "lenet", "resnet20"  # the other networks are for photographs
QUIET = 0.9  # of the processors; with less, a row is not to be trusted


class Result:
    """A row and what was measured, with the numbers that the tables show."""

    def __init__(self, row, found):
        self.row, self.found = row, found
        middle = lambda pairs, k: statistics.median(pair[k] for pair in pairs)
        self.time = {name: middle(pairs, 0) for name, pairs in found["times"].items() if name != "peak"}
        others = {name: t for name, t in self.time.items() if name != "cnnc"}
        self.best = min(others, key=others.get) if others else None
        self.ratio = others[self.best] / self.time["cnnc"] if others else None
        peak = found["times"]["peak"]
        rate = row.threads * 1e9 / middle(peak, 0)
        self.share = found["flop"] / self.time["cnnc"] / rate
        # A thread that multiplies and adds alone takes its processor whole, where there is nobody else.
        self.quiet = statistics.median(cpu / wall / row.threads for wall, cpu in peak)
        self.rate = rate
        # On one thread others disturb processor time less than the wall clock.
        cpu = {name: middle(pairs, 1) for name, pairs in found["times"].items() if name != "peak"}
        alone = row.threads == 1 and others
        self.cpu_ratio = min(cpu[n] for n in others) / cpu["cnnc"] if alone else None

    def ratio_to(self, names):
        there = [self.time[n] for n in names if n in self.time]
        return min(there) / self.time["cnnc"] if there else None


def milliseconds(seconds):
    ms = seconds * 1e3
    return f"{ms:.3f}" if ms < 10 else f"{ms:.1f}" if ms < 1000 else f"{ms:,.0f}"


def line(row, found):
    """A row in short."""
    r = Result(row, found)
    times = ", ".join(f"{name} {milliseconds(t)}" for name, t in r.time.items())
    ratio = f"{r.ratio:.2f} x as fast as the best, " if r.best else ""
    ratio += f"{r.cpu_ratio:.2f} by processor time, " if r.cpu_ratio else ""
    return (f"{times} ms; cnnc is {ratio}{100 * r.share:.0f} % of {r.rate * 1e-9:.0f} GF/s; "
            f"we had {100 * r.quiet:.0f} % of the processors, idle peers at most {100 * found['others']:.0f} %")


def table(lines):
    head, *rest = [[str(c) for c in cells] for cells in lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, *rest]).replace(
        "|\n", "|\n|" + "-|" * len(head) + "\n", 1)


def times_table(results):
    there = [n for n in cases.PEERS if any(n in r.time for r in results)]
    lines = [["network", "batch", "threads", "cnnc, ms", *(cases.PEERS[n][1] for n in there), "cnnc is",
              "of the peak", "processors"]]
    for r in results:
        cells = [milliseconds(r.time[n]) if n in r.time else "–" for n in there]
        cells = [f"**{cell}**" if n == r.best else cell for n, cell in zip(there, cells)]
        lines.append([r.row.of.title, r.row.batch, r.row.threads, milliseconds(r.time["cnnc"]), *cells,
                      f"{r.ratio:.2f} ×" if r.best else "–", f"{100 * r.share:.0f} %", f"{100 * r.quiet:.0f} %"])
    return table(lines)


def mean(ratios):
    return math.exp(statistics.mean(map(math.log, ratios)))


def means(results):
    """Geometric means: beside the best peer of each row, beside all of PyTorch, and beside each peer."""
    torch = [n for n, (script, _) in cases.PEERS.items() if script == "torch_peer.py"]
    groups = {"the best peer": list(cases.PEERS), "the best of PyTorch": torch}
    groups |= {"the best of PyTorch without tuned malloc": [n for n in torch if n not in cases.ENVIRONMENT]}
    groups |= {title: [n] for n, (_, title) in cases.PEERS.items()}
    threads = sorted({r.row.threads for r in results})
    lines = [["cnnc beside", *(f"{n} thread{'s' * (n > 1)}" for n in threads), "rows"]]
    large = [r for r in results if r.row.network not in SMALL]

    def add(title, names, among):
        cells, count = [], 0
        for n in threads:
            ratios = [r.ratio_to(names) for r in among if r.row.threads == n and r.ratio_to(names)]
            cells.append(f"{mean(ratios):.2f} ×" if ratios else "–")
            count += len(ratios)
        if count:
            lines.append([title, *cells, count])

    for title, names in groups.items():
        add(title, names, results)
        if title == "the best peer":
            add(f"the best peer, without {' and '.join(cases.NETWORKS[n].title for n in SMALL)}", names, large)
    cpu = [r.cpu_ratio for r in results if r.cpu_ratio]
    if cpu:
        cells = [f"{mean(cpu):.2f} ×" if n == 1 else "–" for n in threads]
        lines.append(["the best peer, by processor time", *cells, len(cpu)])
    return table(lines)


def memory(results):
    lines = [["network", "batch", "cnnc, bytes", "PyTorch's tensors, bytes", "cnnc takes"]]
    seen = set()
    for r in results:
        at = r.row.network, r.row.batch
        if at not in seen:
            ours, theirs = r.found["bytes"], r.found["torch_bytes"]
            lines.append([r.row.of.title, r.row.batch, f"{ours:,}", f"{theirs:,}", f"{100 * ours / theirs:.0f} %"])
        seen.add(at)
    return table(lines)


def memory_mean(results):
    """In geometric mean, but for small networks; a list, since there may be none."""
    part = {(r.row.network, r.row.batch): r.found["bytes"] / r.found["torch_bytes"] for r in results
            if r.row.network not in SMALL}
    names = " and ".join(cases.NETWORKS[n].title for n in SMALL)
    return [f"In geometric mean without {names}: {100 * mean(part.values()):.0f} %."] if part else []


def distinct(values):
    return "; ".join(dict.fromkeys(values))


def conditions(results):
    """Where and with what."""
    versions = distinct(v for r in results for k, v in r.found["versions"].items() if k != "peak")
    rounds = " or ".join(map(str, sorted({len(r.found["times"]["cnnc"]) for r in results})))
    real = ", peers before all other work (--realtime)" if all(r.found["realtime"] for r in results) else ""
    return (f"Measured on {distinct(r.found['machine'] for r in results)}, with {versions}; cnnc's C by "
            f"{distinct(r.found['cc'] for r in results)}. Medians of {rounds} rounds{real}.")


def trust(results):
    """How far it can be trusted."""
    text = []
    for n in sorted({r.row.threads for r in results}):
        rates = [r.rate * 1e-9 for r in results if r.row.threads == n]
        text += [f"The machine's peak beside the rows of {n} thread{'s' * (n > 1)} was {min(rates):.0f} to "
                 f"{max(rates):.0f} GF/s."]
    least, most = (f(results, key=lambda r: r.quiet) for f in (min, max))
    idle = max(r.found["others"] for r in results)
    text += [f"We had {100 * least.quiet:.0f} to {100 * most.quiet:.0f} % of the processors, the least in "
             f"{least.row.key}; peers that waited took at most {100 * idle:.0f} % of one."]
    shared = [r.row.key for r in results if r.found.get("shared")]
    if shared:
        text += [f"A core was shared in each try of some turn of {', '.join(shared)}."]
    worst = {kind: [max(r.found["errors"].values()) for r in results if r.row.kind == kind] for kind in cases.KINDS}
    if worst["infer"]:
        text += [f"Outputs are at most {max(worst['infer']):.1e} of the largest away from PyTorch's in double."]
    if worst["train"]:
        text += [f"Losses of the first {cases.FIRST_STEPS} steps differ by at most {max(worst['train']):.1e} of the "
                 "largest between peers."]
    lost = [f"{name} in {r.row.key}" for r in results for name in r.found["lost"]]
    return "\n".join(text + ([f"No answer came from {', '.join(lost)}."] if lost else []))


def text(rows):
    """All tables of {row: what was kept}."""
    results = [Result(row, found) for row, found in rows.items()]
    if not results:
        return "No rows."
    out = [conditions(results) + "\n" + trust(results)]
    for kind in cases.KINDS:
        of = [r for r in results if r.row.kind == kind]
        if of:
            out += [f"#### {TITLES[kind]}", times_table(of)]
            out += ["Geometric means:", means(of)] if any(r.best for r in of) else []
        if of and kind == "train":
            out += ["#### Memory of training", memory(of), *memory_mean(of)]
    return "\n\n".join(out) + "\n"


def write(docs, rows):
    """Rewrites the page and the figure."""
    picture = session.named("benchmarks.svg")
    figure = f"![Times of the best peers, divided by cnnc's]({picture})"
    session.rewrite(docs / "benchmarks.md", "networks", f"{figure}\n\n{text(rows)}")
    results = [r for r in (Result(row, found) for row, found in rows.items()) if r.best]
    groups = [(TITLES[kind], [(f"{r.row.of.title}, batch {r.row.batch}", r.row.threads, r.ratio)
                              for r in results if r.row.kind == kind]) for kind in cases.KINDS]
    (docs / picture).write_text(plot.bars([g for g in groups if g[1]]))
