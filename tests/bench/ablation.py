#!/usr/bin/env python3
"""`make ablation`: what fusion, Winograd's convolutions, prefetches and vectors bring to whole networks.

    python3 tests/bench/ablation.py [--network resnet50,lenet] [--what infer,train] [--batch 1,16]
                                    [--rounds N] [--seconds S] [--cc COMMAND] [--missing] [--realtime] [--write]
                                    [--report]

A network is compiled as always, and once more for each thing left out or put in; all take turns on one thread. What
they compute is compared first, as in bench.py. Training is measured with more than one image. Stages that no option
of cnnc leaves out are left out by the program `variant`. Rows are kept in BUILD/bench/ablation-MACHINE.json.
"""
import concurrent.futures
import os
import statistics
import subprocess
import sys
import typing

import bench
import cases
import emitted
import peers
import report
import session
from session import BENCH, BUILD, ROOT, say

NETWORKS = "lenet", "googlenet", "resnet50"
BOTH = cases.KINDS
WIDTHS = {"avx512": 64, "avx2": 32, "x86-64": 16, "neon": 16, "generic": 4}  # bytes of a vector


class Variant(typing.NamedTuple):
    title: str
    kinds: tuple
    options: tuple = ()
    without: str = "none"  # a stage
    batch: int = 1 << 16   # the largest that it is tried for: some would take minutes
    target: str = ""       # only where there are wider vectors


VARIANTS = {
    "cnnc": Variant("as always", BOTH),
    "direct": Variant("no Winograd", BOTH, ("--winograd=none",)),
    "late": Variant("all gradients, then all weights", ("train",), without="early"),
    "unfused": Variant("nothing fused", BOTH, without="fuse"),
    "unordered": Variant("steps as described", BOTH, without="order"),
    "whole": Variant("sums over images whole", ("train",), without="chunks"),
    "waits": Variant("no prefetches", BOTH, without="ahead"),
    "recompute": Variant("activations computed again", ("train",), ("--recompute",)),
    "avx2": Variant("32-byte vectors", BOTH, target="avx2"),
    "sse": Variant("16-byte vectors", ("infer",), target="x86-64"),
    "generic": Variant("plain C", ("infer",), target="generic", batch=1),
}


class Session(bench.Session):
    """All variants of a row, open."""

    def __init__(self, row, data, meta, nets, args):
        session.Session.__init__(self, row.threads, args)
        self.row, self.data, self.errors = row, data, {}
        self.open("peak", [BENCH / "peak", row.threads, args.cc])
        for name, net in nets.items():
            self.open(name, [BENCH / "step", net.folder, data, row.kind, row.batch, row.threads, meta["classes"],
                             row.of.rate])


def target(cc):
    """Of this machine, as the loop that measures its peak says."""
    return subprocess.run([BENCH / "peak", "1", cc], input="info\n", check=True, capture_output=True,
                          text=True).stdout.strip()


def compiled(row, data, meta, args, here):
    """What cnnc makes of the network, by variant; as many at a time as there are processors."""
    def one(name, variant):
        folder = BENCH / "variants" / f"{row.network}_b{row.batch}_{name}"
        options = [*variant.options, f"--target={variant.target or here}",
                   *(["--inference"] if row.batch == 1 else [])]
        net = emitted.Emitted(ROOT, folder, row.of, row.batch, args.cc,
                              [BENCH / "variant", variant.without, *options])
        net.write_vars(data / "weights", meta["tensors"])
        return net
    asked = {name: v for name, v in VARIANTS.items()
             if row.kind in v.kinds and row.batch <= v.batch
             and (not v.target or WIDTHS[v.target] < WIDTHS[here])}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(asked, pool.map(one, asked.keys(), asked.values())))


def measure_row(row, python, args, here):
    """What is kept of a row; None: it failed."""
    data, meta = bench.prepared(python, row.network, [row])
    nets = compiled(row, data, meta, args, here)
    opened = Session(row, data, meta, nets, args)
    try:
        opened.introduce()
        if not opened.check():
            return None
        times, _ = opened.measure(bench.PAUSE)
    except peers.Lost as lost:
        say(f"  {lost} does not answer: no row")
        return None
    finally:
        opened.close()
    memory = {name: net.bytes_of_step(row.batch) if row.kind == "train" else net.bytes_of_inference(row.batch)
              for name, net in nets.items()}
    return {"times": times, "memory": memory, "version": opened.versions["cnnc"] + session.commit(), "target": here,
            "machine": session.machine(), "cc": f"{args.cc} ({emitted.version(args.cc)})", "realtime": args.realtime}


def quiet(found):
    """The part of the processor that the loop of the peak got."""
    return statistics.median(cpu / wall for wall, cpu in found["times"]["peak"])


def cell(found, name):
    """Time, and memory where it differs, of what the usual text takes."""
    if name not in found["times"]:
        return ""
    usual = found["times"]["cnnc"]
    time = statistics.median(pair[0] / always[0] for pair, always in zip(found["times"][name], usual))
    memory = found["memory"][name] / found["memory"]["cnnc"]
    return f"{time:.2f} ×" + (f", memory {memory:.2f} ×" if abs(memory - 1) >= 0.01 else "")


def table(kind, results):
    found = [row for of, row in results.items() if of.kind == kind]
    names = [name for name in VARIANTS if name != "cnnc" and any(name in row["times"] for row in found)]
    lines = [["network", "batch", "as always, ms", *(VARIANTS[n].title for n in names), "processors"]]
    for row, found in results.items():
        if row.kind == kind:
            usual = statistics.median(wall for wall, _ in found["times"]["cnnc"])
            lines.append([row.of.title, row.batch, report.milliseconds(usual), *(cell(found, n) for n in names),
                          f"{100 * quiet(found):.0f} %"])
    return report.table(lines)


def text(results):
    if not results:
        return "No rows."
    found = list(results.values())
    of = lambda key: report.distinct(f[key] for f in found)
    rounds = " or ".join(map(str, sorted({len(f["times"]["cnnc"]) for f in found})))
    out = [f"Measured on {of('machine')}, one thread, target {of('target')}, with {of('version')}; by {of('cc')}. "
           f"Medians of {rounds} rounds."]
    for kind in cases.KINDS:
        if any(row.kind == kind for row in results):
            out += [f"#### {report.TITLES[kind]}", table(kind, results)]
    return "\n\n".join(out) + "\n"


def write(results):
    """Rewrites the page's part."""
    session.rewrite(ROOT / "docs/benchmarks.md", "ablation", text(results))


def options():
    parser = session.options(__doc__, rounds=5, seconds=0.1)
    parser.add_argument("--network", type=session.words, default=list(NETWORKS))
    parser.add_argument("--what", type=session.words)
    return parser.parse_args()


def main():
    args, good = options(), True
    rows = [r for r in cases.rows(args.what, args.network, args.batch, [1]) if r.kind == "infer" or r.batch > 1]
    store = session.Store(BENCH / session.named("ablation.json"))
    whole = args.network == list(NETWORKS) and not (args.what or args.batch or args.missing or args.report)
    if args.missing:
        rows = [r for r in rows if r.key not in store.rows or quiet(store.rows[r.key]) < report.QUIET]
    if not args.report and rows:
        python, here = peers.environment(BUILD), target(args.cc)
        for row in rows:
            say(row.key)
            found = measure_row(row, python, args, here)
            good = good and found is not None
            if found:
                store.keep(row.key, found)
                store.save()
    results = {r: store.rows[r.key] for r in cases.rows(threads=[1]) if r.key in store.rows}
    print(text(results))
    if args.write or whole:
        write(results)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
