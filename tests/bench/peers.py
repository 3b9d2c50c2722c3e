"""The processes that are timed in turn, and the Python environment of those that are not ours."""
import os
import pathlib
import select
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Without the first group nothing can be compared; each of the others is a peer less.
NEEDED, WELCOME = ("torch", "torchvision", "numpy"), ("onnx", "onnxscript", "onnxruntime", "openvino")
PATIENCE = 1800  # seconds for an answer; torch.compile takes minutes
TICK = os.sysconf("SC_CLK_TCK")


def has(python, *modules):
    return subprocess.run([python, "-c", f"import {', '.join(modules)}"], capture_output=True).returncode == 0


def environment(build):
    """A Python with the peers' packages. PYTHON_BENCH names one; else it is made below the build folder."""
    if os.environ.get("PYTHON_BENCH"):
        return os.environ["PYTHON_BENCH"]
    folder = build / "venv-bench"
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if not has(python, *NEEDED):
        print(f"bench: installing {', '.join(NEEDED + WELCOME)} into {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDED], check=True)
    for name in WELCOME:
        mark = folder / f"tried-{name}"
        if not mark.exists() and not has(python, name):
            if subprocess.run([python, "-m", "pip", "install", "--quiet", name]).returncode:
                print(f"bench: no {name} to be had: it is left out", file=sys.stderr)
        mark.touch()
    return str(python)


def cores(threads):
    """The processors for a row: the last of those that we may use."""
    mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return set(mine[-threads:]) if mine and len(mine) >= threads else None


class Lost(Exception):
    """A peer that does not answer."""


class Peer:
    """A process that answers a line with a line, as tests/bench/step.c says."""

    def __init__(self, name, command, threads, extra=None):
        self.name = name
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), **(extra or {})}
        where = cores(threads)
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, text=True,
            env=env, preexec_fn=(lambda: os.sched_setaffinity(0, where)) if where else None)

    def send(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except OSError as e:
            raise Lost(self.name) from e

    def receive(self):
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.kill()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise Lost(self.name)
        return answer

    def ask(self, line):
        self.send(line)
        return self.receive()

    def processor_time(self):
        """Seconds it has worked since it began."""
        try:
            words = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(words[11]) + int(words[12])) / TICK
        except (OSError, IndexError):
            return 0.0

    def close(self):
        try:
            self.process.stdin.close()
            self.process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def open_peak(build, threads, cc):
    return Peer("peak", [build / "bench/peak", threads, cc], threads)


def open_ours(build, emitted, data, row, classes):
    return Peer("cnnc", [build / "bench/step", emitted.folder, data, row.kind, row.batch, row.threads, classes],
                row.threads)


def open_other(python, name, script, data, row, extra):
    return Peer(name, [python, HERE / script, name, row.network, data, row.kind, row.batch, row.threads],
                row.threads, extra)
