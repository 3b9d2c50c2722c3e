"""The processes that are timed in turn, and the Python environment of those that are not ours."""
import os
import pathlib
import select
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Without the first group nothing can be compared; each of the others is a peer less.
NEEDED, WELCOME = ("torch", "torchvision", "numpy"), ("onnx", "onnxscript", "onnxruntime", "openvino")
PATIENCE = 1800  # seconds for an answer; torch.compile takes minutes


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


# Both oneDNNs may be the faster: the newest knows only SYCL, which takes its time for each call.
ONEDNN = {
    "onednn": ("onednn", "onednn-devel", "intel-opencl-rt"),
    "onednn_omp": ("onednn-cpu-gomp", "onednn-devel-cpu-gomp"),
}


def onednn(python, build, name, cc):
    """A oneDNN of ONEDNN: its program, made of tests/bench/onednn, and its environment; or None."""
    folder = build / "venv-bench" / name
    lib, program = folder / "lib", folder / "layers"
    sources = [HERE / "onednn/onednn.c", *(build / f"tests/bench/common/{part}.o" for part in ("answer", "layer"))]
    if not (folder / "tried").exists():
        print(f"bench: installing {', '.join(ONEDNN[name])} into {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--ignore-installed", "--prefix", folder,
                        *ONEDNN[name]])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tried").touch()
    if not (lib / "libdnnl.so").exists():
        return print(f"bench: no {ONEDNN[name][0]} to be had: it is left out", file=sys.stderr)
    if not program.exists() or any(s.stat().st_mtime > program.stat().st_mtime for s in sources):
        subprocess.run([*shlex.split(cc), "-std=c11", "-I", folder / "include", *sources, build / "libcnnc.a",
                        "-L", lib, "-ldnnl", f"-Wl,-rpath-link,{lib}", "-lm", "-o", program], check=True)
    paths = [lib, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return program, {"LD_LIBRARY_PATH": ":".join(map(str, paths)), "ONEAPI_DEVICE_SELECTOR": "opencl:cpu",
                     "OCL_ICD_FILENAMES": str(lib / "libintelocl.so")}


def cores(threads):
    """The processors for a row: the last of those that we may use."""
    mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return set(mine[-threads:]) if mine and len(mine) >= threads else None


def settle(where, realtime):
    """What a peer does before it begins: it takes its processors and, as root, a turn before all others' work."""
    if where:
        os.sched_setaffinity(0, where)
    if realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


class Lost(Exception):
    """A peer that does not answer."""


class Peer:
    """A process that answers a line with a line, as tests/bench/common/answer.h says."""

    def __init__(self, name, command, threads, realtime, extra=None):
        self.name = name
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), **(extra or {})}
        where = cores(threads)
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, text=True,
            env=env, preexec_fn=lambda: settle(where, realtime))

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
        """Seconds that its threads have worked; 0 where the system does not tell."""
        total = 0
        for file in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            try:
                total += int(file.read_text().split()[0])
            except (OSError, IndexError):
                pass
        return total * 1e-9

    def close(self):
        try:
            self.process.stdin.close()
            self.process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
