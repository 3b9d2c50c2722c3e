#!/usr/bin/env python3
"""`make bench`: the emitted LeNet beside PyTorch, in one run, written to docs/benchmarks.md.

    python3 tests/bench/bench.py [--rounds N] [--seconds S] [--cc COMMAND] [--dry]

Peers are processes that answer one at a time, in turn, on one processor; so a clock that wanders is
the same for all of them. They count their own processor time, so that other work on the machine
disturbs little. A number is the median over the rounds. Before anything is timed, all
peers take the same first steps from the same weights and must find the same losses. PyTorch comes
from an environment of its own below the build folder, made when it is missing; PYTHON_TORCH names
another Python that has torch. BUILD is the build folder.
"""
import argparse
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
TORCH = "torch==2.13.0"
BATCHES = (1, 64)


def torch_python():
    """A Python that can import torch."""
    if os.environ.get("PYTHON_TORCH"):
        return os.environ["PYTHON_TORCH"]
    venv = BUILD / "venv-torch"
    python = venv / "bin/python"
    if not python.exists() or subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode:
        print(f"installing {TORCH} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", TORCH, "numpy"], check=True)
    return str(python)


class Peer:
    def __init__(self, command, kinds):
        self.kinds = kinds
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=sys.stderr, text=True)
        self.name = self.ask("info")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            sys.exit(f"bench: no answer to '{line}'")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def open_peers(folder, cc):
    ours = Peer([BUILD / "bench/lenet_step", folder, cc], ("train", "infer"))
    python, script = torch_python(), ROOT / "tests/bench/lenet_torch.py"
    theirs = [Peer([python, script, folder, mode], kinds) for mode, kinds in
              (("eager", ("train", "infer")), ("channels_last", ("train", "infer")), ("frozen", ("infer",)))]
    return [ours] + theirs


def check_losses(peers):
    for batch in BATCHES:
        want = None
        for p in peers:
            if "train" not in p.kinds:
                continue
            got = [float(x) for x in p.ask(f"losses {batch}").split()]
            want = want or got
            if any(abs(g - w) > 1e-4 * abs(w) for g, w in zip(got, want)):
                sys.exit(f"bench: {p.name} finds the losses {got}, {peers[0].name} {want}")


def measure(peers, rounds, seconds):
    """{(kind, batch): {peer: median seconds}}; the first round warms up."""
    result = {}
    for kind in ("train", "infer"):
        for batch in BATCHES:
            times = {p.name: [] for p in peers if kind in p.kinds}
            for r in range(rounds + 1):
                for p in peers:
                    if kind in p.kinds:
                        t = float(p.ask(f"{kind} {batch} {seconds}"))
                        times[p.name] += [t] if r else []
            result[kind, batch] = {name: statistics.median(t) for name, t in times.items()}
    return result


def machine():
    model, flags, fields = platform.machine(), "", {}
    try:
        for line in open("/proc/cpuinfo"):
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    name = fields.get("model name", "processor unknown")
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields['model']})"
    flags = fields.get("flags", "").split()
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else model
    return f"{os.cpu_count()} processors {name}, {vectors}, {platform.system()}"


def compiler(cc):
    out = subprocess.run(cc.split()[:1] + ["--version"], capture_output=True, text=True).stdout
    return out.split("\n")[0].strip()


def table(result, ours):
    lines = ["| what | batch | cnnc | PyTorch, best | which | cnnc is |", "|-|-|-|-|-|-|"]
    for (kind, batch), times in result.items():
        theirs = {n: t for n, t in times.items() if n != ours}
        best = min(theirs, key=theirs.get)
        lines.append(f"| {'training step' if kind == 'train' else 'inference'} | {batch} | {times[ours] * 1e6:,.1f} µs "
                     f"| {theirs[best] * 1e6:,.1f} µs | {best.split(', ')[1]} | {theirs[best] / times[ours]:.1f} × as fast |")
    return lines


def report(result, peers, args):
    versions = sorted({p.name.rsplit(", ", 1)[0] if "PyTorch" in p.name else p.name for p in peers})
    text = ["LeNet-5, modern (networks/lenet.lua, 61,706 parameters), float. A training step is forward,",
            "cross entropy, backward and SGD with momentum; PyTorch's is `fused=True` and `zero_grad(set_to_none=True)`.",
            "PyTorch's numbers contain its calls from Python, as its users pay them. The best of eager, channels_last and,",
            f"for inference, frozen TorchScript is shown. Medians of {args.rounds} rounds in turn, of the processor time of one thread.", "",
            f"{machine()}; {'; '.join(versions)} ({compiler(args.cc)}).", ""]
    return "\n".join(text + table(result, peers[0].name)) + "\n"


def write(text):
    path, mark = ROOT / "docs/benchmarks.md", ("<!-- lenet: made by make bench -->\n", "<!-- end -->\n")
    page = path.read_text()
    pattern = re.escape(mark[0]) + ".*?" + re.escape(mark[1])
    if not re.search(pattern, page, re.S):
        sys.exit(f"bench: {path} has no place for the table")
    path.write_text(re.sub(pattern, lambda _: mark[0] + text + mark[1], page, count=1, flags=re.S))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--cc", default="cc -O2")
    parser.add_argument("--dry", action="store_true", help="print the table, leave docs/benchmarks.md alone")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        peers = open_peers(folder, args.cc)
        check_losses(peers)
        text = report(measure(peers, args.rounds, args.seconds), peers, args)
        for p in peers:
            p.close()
    print(text)
    if not args.dry:
        write(text)


if __name__ == "__main__":
    main()
