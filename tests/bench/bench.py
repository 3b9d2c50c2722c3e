#!/usr/bin/env python3
"""`make bench`: whole networks beside ONNX Runtime, OpenVINO and PyTorch, in inference and training.

    python3 tests/bench/bench.py [--network resnet50,lenet] [--batch 1,16] [--threads 1,2] [--what infer,train]
                                 [--peers ort,eager] [--compile] [--rounds N] [--seconds S] [--cc COMMAND]
                                 [--missing] [--realtime] [--large-pages] [--write] [--report]

Peers are processes that answer one at a time, in turn, on the same processors; so a clock that wanders is the
same for all of them. All begin with the same weights and images. Before anything is timed, outputs are compared
with PyTorch's in double, and the losses of the first training steps with each other, dropout included: they must
agree to 1e-4 of the largest, or the row fails. Losses may also differ by 5 % of what they have moved, since
roundings let ReLUs change sides, and such gradients differ by a hundredth. A number is the median of the rounds,
of the wall clock; a round is calls for at least S seconds, the first warms up. The machine's peak of
multiply-adds is one more peer: it says what there was to be had, and what part of the processors we got.

Two threads wait for each other hundreds of times a call; where anything else runs on the machine, that
multiplies, most of all for PyTorch. --realtime, as root, lets peers run before all other work. --missing measures
only rows that have not been kept, or that had less than 90 % of the processors when they were. --large-pages has the
malloc of all processes ask for large pages; such rows are kept apart, and no table in docs/ has them.

Rows are kept in BUILD/bench/results-MACHINE.json, in the place of older ones, and all that were kept are printed.
Without a filter, or with --write, the tables and the figure in docs/ are made of them. --report measures nothing.
BUILD is the build folder. PYTHON_BENCH names a Python with the peers' packages; without it one is made there.
"""
import json
import os
import shutil
import subprocess
import sys

import cases
import emitted
import peers
import report
import session
from session import BENCH, BUILD, ROOT, floats, say

GATE, MOVED = 1e-4, 0.05
PAUSE = 0.05  # seconds between two peers' turns, in which the threads of the first go to sleep


def prepared(python, network, rows):
    """The folder with a network's weights and data for these rows, and what is known of it."""
    folder = BENCH / "data" / network
    meta = folder / "meta.json"
    sources = [ROOT / "tests/bench" / name for name in ("prepare.py", "torch_networks.py", "cases.py")]
    if meta.exists() and any(s.stat().st_mtime > meta.stat().st_mtime for s in sources):
        shutil.rmtree(folder)
    asked = dict.fromkeys(f"{row.kind}={row.batch}" for row in rows if row.network == network)
    say(f"{network}: weights and data")
    subprocess.run([python, ROOT / "tests/bench/prepare.py", network, folder, *asked], check=True)
    return folder, json.loads(meta.read_text())


def compiled(row, data, meta, cc):
    folder = BENCH / "emitted" / f"{row.network}_b{row.batch}"
    say(f"{row.network}: compiling for batch {row.batch}")
    net = emitted.Emitted(ROOT, folder, row.of, row.batch, cc, [BUILD / "cnnc"])
    net.write_vars(data / "weights", meta["tensors"])
    return net


def distance(got, want):
    """The largest difference, of the largest number; a NaN is far."""
    top = max(map(abs, want))
    worst = max(abs(g - w) if g == g else float("inf") for g, w in zip(got, want, strict=True))
    return worst / top


class Session(session.Session):
    """All peers of a row, open."""

    def __init__(self, row, python, data, meta, net, args):
        super().__init__(row.threads, args)
        self.row, self.data, self.errors = row, data, {}
        self.open("peak", [BENCH / "peak", row.threads, args.cc])
        self.open("cnnc", [BENCH / "step", net.folder, data, row.kind, row.batch, row.threads, meta["classes"],
                           row.of.rate])
        for name in cases.peers(row, args.compile):
            script = cases.PEERS[name][0]
            if args.peers and name not in args.peers:
                continue
            if script != "onnx_peer.py" or (data / f"b{row.batch}.onnx").exists():
                self.open(name, [python, ROOT / "tests/bench" / script, name, row.network, data, row.kind, row.batch,
                                 row.threads], cases.ENVIRONMENT.get(name))

    def check(self):
        """Outputs or first losses; False if some are wrong."""
        want, good = None, True
        if self.row.kind == "infer":
            want = floats(self.data / f"y{self.row.batch}")
        for p in [p for p in self.peers if p.name != "peak"]:
            path = BENCH / f"check-{p.name}"
            try:
                p.ask(f"check {path}")
            except peers.Lost:
                self.lose(p)
                continue
            got = floats(path)
            want, gate = want or got, GATE
            if self.row.kind == "train":
                moved = (max(want) - min(want)) / max(want)
                gate = max(GATE, MOVED * moved)
                if moved < 10 * GATE:
                    say(f"  losses hardly move: {list(want)}; nothing could be compared")
                    good = False
            self.errors[p.name] = distance(got, want)
            if not self.errors[p.name] <= gate:
                good = False
                say(f"  {p.name} is off by {self.errors[p.name]:.1e}: {list(got[:3])}, not {list(want[:3])}")
            path.unlink()
        return good


def measure_row(row, python, data, meta, net, args):
    """What is kept of a row; None: it failed."""
    opened = Session(row, python, data, meta, net, args)
    try:
        opened.introduce()
        if not opened.check():
            return None
        times, others = opened.measure(PAUSE)
    except peers.Lost as lost:
        say(f"  {lost} does not answer: no row")
        return None
    finally:
        opened.close()
    opened.versions["cnnc"] += session.commit()
    found = {"times": times, "others": others, "shared": opened.shared, "lost": opened.lost, "errors": opened.errors,
             "versions": opened.versions, "flop": meta["flop"][row.kind] * row.batch, "machine": session.machine(),
             "cc": f"{args.cc} ({emitted.version(args.cc)})", "seconds": args.seconds, "realtime": args.realtime}
    if row.kind == "train":
        found |= {"bytes": net.bytes_of_step(row.batch), "torch_bytes": meta["peak"][str(row.batch)]}
    return found


def settled(row, found):
    """Whether a row was kept, and measured on a machine that had little else to do."""
    undisturbed = bool(found) and not found["lost"] and not found.get("shared")
    return undisturbed and report.Result(row, found).quiet >= report.QUIET


def measure(rows, store, args):
    """Measures all rows; returns whether all could be."""
    python, good, ready, made = peers.environment(BUILD), True, {}, {}
    for name in dict.fromkeys(row.network for row in rows):
        ready[name] = prepared(python, name, rows)
    for row in rows:
        data, meta = ready[row.network]
        at = row.network, row.batch
        made[at] = made.get(at) or compiled(row, data, meta, args.cc)
    for row in rows:
        say(row.key)
        found = measure_row(row, python, *ready[row.network], made[row.network, row.batch], args)
        good = good and found is not None and not found["lost"]
        if found:
            store.keep(row.key, found)
            store.save()
            say("  " + report.line(row, found))
    return good


def main():
    parser = session.options(__doc__, rounds=7, seconds=0.15)
    parser.add_argument("--network", type=session.words, help=",".join(cases.NETWORKS))
    parser.add_argument("--threads", type=session.numbers)
    parser.add_argument("--what", type=session.words, help="infer,train")
    parser.add_argument("--peers", type=session.words, help=",".join(cases.PEERS))
    parser.add_argument("--compile", action="store_true", help="torch.compile, too, where it may be the fastest")
    parser.add_argument("--large-pages", action="store_true", help="all take memory in large pages")
    args = parser.parse_args()
    rows = cases.rows(args.what, args.network, args.batch, args.threads)
    if not rows:
        parser.error("no row is left of the filter")
    filtered = args.what or args.network or args.batch or args.threads or args.peers or args.missing
    if args.large_pages:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    store = session.Store(BENCH / session.named("large-pages.json" if args.large_pages else "results.json"))
    if args.missing:
        rows = [r for r in rows if not settled(r, store.rows.get(r.key))]
    good = args.report or measure(rows, store, args)
    results = {r: store.rows[r.key] for r in cases.rows() if r.key in store.rows}
    print(report.text(results))
    if (args.write or not (filtered or args.report)) and not args.large_pages:
        report.write(ROOT / "docs", results)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
