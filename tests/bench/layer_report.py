"""The tables that tests/bench/layers.py makes of the rows it kept."""
import statistics

import layer_cases
import report
import session

EVEN = 0.95  # of the best peer's speed: what is not slower


class Result:
    """A row and what was measured, with the numbers that the tables show."""

    def __init__(self, row, found):
        self.row, self.found = row, found
        middle = lambda pairs, k: statistics.median(pair[k] for pair in pairs)
        times, peak = found["times"], found["times"]["peak"]
        self.time = {name: middle(pairs, 0) for name, pairs in times.items() if name != "peak"}
        # Turns that followed each other make a pair: what disturbed one is likely to have disturbed the other.
        self.ratios = {name: statistics.median(p[0] / c[0] for p, c in zip(pairs, times["cnnc"]))
                       for name, pairs in times.items() if name not in ("peak", "cnnc")}
        self.best = min(self.ratios, key=self.ratios.get) if self.ratios else None
        self.ratio = self.ratios.get(self.best)
        self.scatter = self.scatter_of(times) if self.ratio else 0
        self.rate = row.threads * 1e9 / middle(peak, 0)
        self.share = row.layer.flop * row.batch / self.time["cnnc"] / self.rate
        self.quiet = statistics.median(cpu / wall / row.threads for wall, cpu in peak)

    def scatter_of(self, times):
        """How far rounds are from the ratio, in the median, as a part of it."""
        rounds = (p[0] / c[0] for p, c in zip(times[self.best], times["cnnc"]))
        return statistics.median(abs(r - self.ratio) for r in rounds) / self.ratio


def line(row, found):
    """A row in short."""
    r = Result(row, found)
    times = ", ".join(f"{name} {report.milliseconds(t)}" for name, t in r.time.items())
    ratio = f"{r.ratio:.2f} x the best, " if r.best else ""
    return (f"{row.key}: {times} ms; {ratio}{100 * r.share:.0f} % of {r.rate * 1e-9:.0f} GF/s, "
            f"{100 * r.quiet:.0f} % of the processors")


def summary_line(title, results):
    there = [r for r in results if r.ratio]
    if not there:
        return [title, len(results), "–", "–", "–", f"{100 * statistics.mean(r.share for r in results):.0f} %"]
    least = min(there, key=lambda r: r.ratio)
    return [title, len(there), f"{report.mean([r.ratio for r in there]):.2f} ×",
            f"{sum(r.ratio >= EVEN for r in there)} of {len(there)}", f"{least.ratio:.2f} × ({least.row.layer.title})",
            f"{100 * statistics.mean(r.share for r in there):.0f} %"]


def summary(results, networks):
    """Geometric means: by pass, batch and threads, then by network."""
    lines = [["layers", "rows", "cnnc is", f"at least {EVEN}", "the least", "of the peak"]]
    groups = {}
    for r in results:
        threads = f"{r.row.threads} thread{'s' * (r.row.threads > 1)}"
        groups.setdefault((r.row.threads, r.row.batch, 0), (f"all, batch {r.row.batch}, {threads}", []))[1].append(r)
        order = 1 + list(layer_cases.PASSES).index(r.row.kind)
        title = f"{layer_cases.PASSES[r.row.kind]}, batch {r.row.batch}, {threads}"
        groups.setdefault((r.row.threads, r.row.batch, order), (title, []))[1].append(r)
    lines += [summary_line(title, of) for _, (title, of) in sorted(groups.items())]
    for network in dict.fromkeys(title for titles in networks.values() for title in titles):
        of = [r for r in results if network in networks[r.row.layer]]
        lines += [summary_line(network, of)] if of else []
    return report.table(lines + [summary_line("all", results)])


def conditions(results):
    versions = report.distinct(v for r in results for k, v in r.found["versions"].items() if k != "peak")
    rounds = " or ".join(map(str, sorted({len(r.found["times"]["cnnc"]) for r in results})))
    real = ", peers before all other work (--realtime)" if all(r.found["realtime"] for r in results) else ""
    quiet = sorted(r.quiet for r in results)
    bad = sum(q < report.QUIET for q in quiet)
    count = sum(bool(r.found.get("shared")) for r in results)
    shared = f", and in {count} a core was shared in each try of some turn" if count else ""
    error = max(max(r.found["errors"].values()) for r in results)
    lost = [f"{name} in {r.row.key}" for r in results for name in r.found["lost"]]
    idle = max(r.found["others"] for r in results)
    return (f"Measured on {report.distinct(r.found['machine'] for r in results)}, with {versions}; cnnc's C by "
            f"{report.distinct(r.found['cc'] for r in results)}. Medians of {rounds} rounds{real}. We had "
            f"{100 * quiet[0]:.0f} to {100 * quiet[-1]:.0f} % of the processors, less than "
            f"{100 * report.QUIET:.0f} % in {bad} of {len(quiet)} rows{shared}; peers that waited took at most "
            f"{100 * idle:.0f} % of one. Results are at most {error:.1e} of the largest away from "
            f"PyTorch's in double." + f" No answer came from {', '.join(lost)}." * bool(lost))


def cell(results):
    """A pass of a layer: ours, the best peer's, what we are of it, our share of the peak."""
    if not results:
        return ["", "", ""]
    r, = results
    theirs = f" / {report.milliseconds(r.time[r.best])}" if r.best else ""
    ratio = f"{r.ratio:.2f} ×" if r.best else "–"
    return [report.milliseconds(r.time["cnnc"]) + theirs, ratio, f"{100 * r.share:.0f} %"]


def details(results, networks):
    """Tables with a line for each layer."""
    out = []
    for threads in layer_cases.THREADS:
        for batch in layer_cases.BATCHES:
            of = {}
            for r in results:
                if (r.row.threads, r.row.batch) == (threads, batch):
                    of.setdefault(r.row.layer, []).append(r)
            if not of:
                continue
            lines = [["layer", "first of", *(word for title in layer_cases.PASSES.values()
                                             for word in (f"{title}, ms", "cnnc is", "peak")), "processors"]]
            for layer, there in of.items():
                cells = [c for kind in layer_cases.PASSES for c in cell([r for r in there if r.row.kind == kind])]
                lines.append([layer.title, networks[layer][0], *cells, f"{100 * min(r.quiet for r in there):.0f} %"])
            out += [f"## Batch {batch}, {threads} thread{'s' * (threads > 1)}", report.table(lines)]
    return "\n\n".join(out) + "\n"


def text(results, networks):
    if not results:
        return "No rows."
    return conditions(results) + "\n\n" + summary(results, networks) + "\n"


HEAD = """# Single layers beside oneDNN and ONNX Runtime

Made by `make bench-kernels`, which `docs/benchmarks.md` describes. Times are cnnc's and the best peer's; *cnnc is* the
median over rounds of theirs divided by ours; *peak* is the part of the machine's peak that we reach, padded taps
counted; *processors* is the part of the processors that we got, in the worst of the three passes.

"""


def write(docs, results, networks):
    """Rewrites the page's part, and the page of all layers."""
    page = session.named("layers.md")
    session.rewrite(docs / "benchmarks.md", "layers", f"{text(results, networks)}\nAll layers are in `docs/{page}`.\n")
    (docs / page).write_text(HEAD + conditions(results) + "\n\n" + details(results, networks))
