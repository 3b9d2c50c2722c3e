#!/usr/bin/env python3
"""`make bench-kernels`: single layers beside oneDNN and ONNX Runtime, as shares of the machine's peak.

    python3 tests/bench/layers.py [--network resnet50,lenet] [--filter TEXT] [--pass forward,data,weights]
                                  [--batch 1,16] [--threads 1,2] [--peers onednn,ort] [--rounds N] [--seconds S]
                                  [--target avx2] [--cc COMMAND] [--missing] [--realtime] [--write] [--report]

Layers are the distinct convolutions and dense layers of the networks in cases.py, forward, by data and by weights.
cnnc's kernels come from the compiler's own stages; neither they nor oneDNN multiply less (no Winograd), and copies
into their layouts and out of them are not timed. ONNX Runtime runs a graph of one node, forward, with its copies,
since it has no other way. Before anything is timed, whole results are compared with PyTorch's in double: beyond 1e-4
of the largest there is no row.

--target measures kernels for narrower vectors than the machine has, beside oneDNN held to AVX2 or to SSE4.1, the least
that it can be held to; ONNX Runtime has no such choice. These rows are kept apart, and no table in docs/ has them.

Rows are kept in BUILD/bench/layers-MACHINE.json. Other options are as in bench.py; --missing measures rows once
more whose rounds disagree by a tenth, too.
"""
import concurrent.futures
import os
import pathlib
import sys

import emitted
import layer_cases
import layer_report
import peers
import report
import session
from session import BENCH, BUILD, ROOT, say

GATE = 1e-4
SCATTER = 0.1  # of rounds about their median, beyond which a row tells little
PAUSE = 0.05  # seconds before a turn, in which threads of others go to sleep; one thread has none
ISA = {"avx2": "AVX2", "x86-64": "SSE41"}  # by target, what oneDNN calls it
SCRIPTS = ROOT / "tests/bench"


class Session(session.Session):
    """All peers, open for one row after the other on so many threads."""

    def __init__(self, threads, args, python, vendors):
        super().__init__(threads, args)
        self.open("peak", [BENCH / "peak", threads, args.cc, *args.target])
        self.open("cnnc", layer_program(args, threads))
        for name, (program, environment) in vendors.items():
            self.open(name, [program], environment)
        if not args.target and (not args.peers or "ort" in args.peers):
            self.open("ort", [python, SCRIPTS / "onnx_layers.py", threads])
        self.introduce()
        self.versions["cnnc"] += session.commit()

    def of(self, row):
        """Those that do this row."""
        return [p for p in self.peers if p.name in self.NEEDED or row.kind in layer_cases.PEERS[p.name][1]]

    def check(self, row, reference):
        """Opens the row; the distances from the reference by name, or None: one is wrong."""
        found = {}
        self.ask_all(f"open {row.words}", [p for p in self.of(row) if p.name != "peak"])
        for p in self.of(row):
            if p.name == "peak":
                continue
            path = BENCH / f"check-{p.name}"
            try:
                p.ask(f"check {path}")
            except peers.Lost:
                self.lose(p)
                continue
            rectified = p.name == "cnnc" and row.kind != "weights"
            found[p.name] = float(reference.ask(f"distance {'relu' if rectified else 'plain'} {path}"))
            path.unlink()
            if not found[p.name] <= GATE:
                say(f"  {p.name} is off by {found[p.name]:.1e}: no row")
                return None
        return found


def layer_program(args, threads):
    """cnnc's peer; its kernels are compiled in a folder for each target."""
    folder = BENCH / "-".join(["layers", *args.target])
    folder.mkdir(parents=True, exist_ok=True)
    return [BENCH / "layer", folder, threads, args.cc, *args.target]


def compile_all(rows, args):
    """The kernels of all rows, as many at a time as there are processors."""
    cases = dict.fromkeys(row.words for row in rows)
    say(f"compiling {len(cases)} kernels")
    peer = peers.Peer("cnnc", layer_program(args, 1), 1, False)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        work = [pool.submit(emitted.compile_library, pathlib.Path(peer.ask(f"open {words}")), args.cc)
                for words in cases]
        for each in work:
            each.result()
    peer.close()


def measure_row(row, opened, reference, args):
    """What is kept of a row; None: it failed."""
    reference.ask(f"open {row.words}")
    errors = opened.check(row, reference)
    if errors is None:
        return None
    times, others = opened.measure(PAUSE if row.threads > 1 else 0, opened.of(row))
    return {"times": times, "others": others, "shared": opened.shared, "lost": opened.lost, "errors": errors,
            "versions": opened.versions, "machine": session.machine(), "cc": f"{args.cc} ({emitted.version(args.cc)})",
            "realtime": args.realtime}


def measure(rows, store, args):
    """Measures all rows; returns whether all could be."""
    python, good, opened = peers.environment(BUILD), True, {}
    vendors = {name: peers.onednn(python, BUILD, name, args.cc) for name in peers.ONEDNN
               if not args.peers or name in args.peers}
    vendors = {name: vendor for name, vendor in vendors.items() if vendor}
    compile_all(rows, args)
    every = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    reference = peers.Peer("reference", [python, SCRIPTS / "torch_layers.py"], every, False)
    for row in rows:
        n = row.threads
        try:
            opened[n] = opened.get(n) or Session(n, args, python, vendors)
            found = measure_row(row, opened[n], reference, args)
        except peers.Lost as lost:
            say(f"  {lost} does not answer: no row")
            opened.pop(n).close()
            found = None
        good = good and found is not None and not found["lost"]
        if found:
            store.keep(row.key, found)
            say(layer_report.line(row, found))
        if n in opened and opened[n].lost:  # it is there again for the next row
            opened.pop(n).close()
        if row.threads == args.threads[-1]:
            store.save()
    for peer in [reference, *opened.values()]:
        peer.close()
    return good


def settled(row, found):
    """Whether a row was kept, and measured on a machine that had little else to do, whatever came out."""
    if not found or found["lost"] or found.get("shared"):
        return False
    result = layer_report.Result(row, found)
    return result.quiet >= report.QUIET and result.scatter <= SCATTER


def options():
    parser = session.options(__doc__, rounds=4, seconds=0.01)
    parser.add_argument("--network", type=session.words, help="only layers of these")
    parser.add_argument("--filter", default="", help="only layers whose name has this in it, as 3x3 or 1_6_32x32")
    parser.add_argument("--pass", type=session.words, dest="kinds", help=",".join(layer_cases.PASSES))
    parser.add_argument("--threads", type=session.numbers, default=list(layer_cases.THREADS))
    parser.add_argument("--peers", type=session.words, help=",".join(layer_cases.PEERS))
    parser.add_argument("--target", choices=ISA, help="narrower vectors than the machine's")
    args = parser.parse_args()
    if args.target and args.write:
        parser.error("docs/ has no tables of --target")
    args.target = [args.target] if args.target else []
    return args


def main():
    args = options()
    every = layer_cases.layers()
    chosen = [layer for layer in layer_cases.layers(args.network) if args.filter in layer.key]
    rows = layer_cases.rows(chosen, args.kinds, args.batch, args.threads)
    if not rows:
        sys.exit("layers: no row is left of the filter")
    whole = set(rows) == set(layer_cases.rows(every)) and not (args.peers or args.report)
    store = session.Store(BENCH / session.named("-".join(["layers", *args.target]) + ".json"))
    os.environ.update({"ONEDNN_MAX_CPU_ISA": ISA[target] for target in args.target})
    if args.missing:
        rows = [r for r in rows if not settled(r, store.rows.get(r.key))]
    good = args.report or not rows or measure(rows, store, args)
    results = [layer_report.Result(r, store.rows[r.key]) for r in layer_cases.rows(every) if r.key in store.rows]
    print(layer_report.text(results, every))
    if (args.write or whole) and not args.target:
        layer_report.write(ROOT / "docs", results, every)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
