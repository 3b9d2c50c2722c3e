"""What the benchmarks share: options, peers that are open and take turns, rows that are kept, and where it was."""
import argparse
import array
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

import peers

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
BENCH = BUILD / "bench"
WAKING = 0.03  # seconds: threads that slept may find themselves on one processor, and be parted after some 15 ms
# Processors of a virtual machine share a core for a while, with each other or with what its host does besides:
# instructions that do nothing then take so many times what they took at best. A turn beside which they did is taken
# again, this often, if that does not take too many seconds.
SHARED, TURNS, LONGEST = 1.15, 8, 2.0


def say(text):
    print(text, file=sys.stderr, flush=True)


def words(text):
    return text.split(",")


def numbers(text):
    return [int(n) for n in text.split(",")]


def options(description, rounds, seconds):
    """A parser of what all benchmarks are told; each adds its own filter."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=numbers)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=float, default=seconds, help="of a turn, at least")
    parser.add_argument("--cc", default="cc -O2")
    parser.add_argument("--missing", action="store_true", help="only rows not kept, or kept from a busy machine")
    parser.add_argument("--realtime", action="store_true", help="peers run before all other work; as root")
    parser.add_argument("--write", action="store_true", help="the tables in docs/, whatever the filter")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    return parser


def rewrite(path, what, text):
    """Puts text between a page's two marks for this kind of machine; without them, behind those of the others."""
    first, last = f"<!-- {what}, {kind()} -->\n", "<!-- end -->\n"
    page, pattern = path.read_text(), re.escape(first) + ".*?" + re.escape(last)
    if not re.search(pattern, page, re.S):
        others = list(re.finditer(f"<!-- {what}, .*?" + re.escape(last), page, re.S))
        if not others:
            sys.exit(f"{path} has no place for the tables of {what}")
        at = others[-1].end()
        page = f"{page[:at]}\n### With {kind()}\n\n{first}{last}{page[at:]}"
    path.write_text(re.sub(pattern, lambda _: first + text + last, page, count=1, flags=re.S))


def floats(path):
    values = array.array("f")
    values.frombytes(path.read_bytes())
    return values


class Session:
    """Peers that are open, on so many threads."""
    NEEDED = "peak", "cnnc"

    def __init__(self, threads, args):
        self.threads, self.args = threads, args
        self.peers, self.lost, self.versions = [], [], {}
        self.least, self.slowed = float("inf"), 1.0  # seconds of peak's "issue"; of the last one, so many times these
        self.shared = 0  # turns of a row that were kept although a core was shared

    def open(self, name, command, extra=None):
        self.peers.append(peers.Peer(name, command, self.threads, self.args.realtime, extra))

    def lose(self, peer):
        if peer.name in self.NEEDED:
            raise peers.Lost(peer.name)
        say(f"  {peer.name} does not answer: it is left out")
        self.lost.append(peer.name)
        self.peers.remove(peer)
        peer.close()

    def ask_all(self, line, among=None):
        """Answers by name. All are asked at once."""
        asked, answers = [], {}
        for p in list(among or self.peers):
            try:
                p.send(line)
                asked.append(p)
            except peers.Lost:
                self.lose(p)
        for p in asked:
            try:
                answers[p.name] = p.receive()
            except peers.Lost:
                self.lose(p)
        return answers

    def introduce(self):
        self.versions = self.ask_all("info")
        for _ in range(4 * TURNS):
            self.watch()

    def watch(self):
        """How much slower than they can processors take instructions now."""
        peak = next(p for p in self.peers if p.name == "peak")
        if self.threads > 1:
            peak.ask(f"run {WAKING}")
        now = float(peak.ask("issue 0.001").split()[0])
        self.least = min(self.least, now)
        self.slowed = now / self.least

    def try_turn(self, peer):
        """One peer's repetition: its wall clock and processor time, and how many processors others kept busy."""
        others = [p for p in self.peers if p is not peer]
        if self.threads > 1:
            peer.ask(f"run {WAKING}")
        before, start = sum(p.processor_time() for p in others), time.time()
        wall, cpu = map(float, peer.ask(f"run {self.args.seconds}").split())
        return (wall, cpu), (sum(p.processor_time() for p in others) - before) / (time.time() - start)

    def turn(self, peer, times, pause):
        """A repetition on cores that nobody shares, or the least, if there is one. Returns what others kept busy."""
        tries, start = [], time.time()
        while not tries or (tries[-1][0] > SHARED and len(tries) < TURNS and time.time() - start < LONGEST):
            time.sleep(pause)
            before = self.slowed
            found, others = self.try_turn(peer)
            self.watch()
            tries.append((max(before, self.slowed), found, others))
        slowed, found, others = min(tries)
        self.shared += slowed > SHARED
        times.append(found)
        return others

    def measure(self, pause, among=None):
        """Repetitions by peer, as pairs of wall clock and processor time; and the others' share. Each round begins
        with another peer: always first among ten, behind the peak, cnnc looked slower by a tenth than in turn."""
        among = list(among or self.peers)
        times, others = {p.name: [] for p in among}, [0.0]
        for r in range(self.args.rounds + 1):
            self.shared = self.shared if len(times["cnnc"]) > 1 else 0  # not of the first round
            first = r % len(among)
            for p in (among[first:] + among[:first])[::1 if r % 2 else -1]:
                try:
                    others.append(self.turn(p, times[p.name], pause))
                except peers.Lost:
                    self.lose(p)
                    among.remove(p)
                    del times[p.name]
        return {name: t[1:] for name, t in times.items()}, max(others)

    def close(self):
        for p in self.peers:
            p.close()


class Store:
    """Rows by key, in a file that is never half written."""

    def __init__(self, path):
        self.path = path
        self.rows = json.loads(path.read_text()) if path.exists() else {}

    def keep(self, key, found):
        self.rows[key] = found

    def save(self):
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.rows, separators=(",", ":")).replace('},"', '},\n"'))
        part.rename(self.path)


def commit():
    """Which text of cnnc it was, where git knows."""
    git = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return "" if git.returncode else f" ({git.stdout.strip()})"


def processor():
    """What Linux says of the first processor."""
    fields = {}
    try:
        for line in open("/proc/cpuinfo"):
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return fields


def vectors():
    """The widest vectors of this machine."""
    flags = processor().get("flags", "").split()
    return "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else platform.machine()


def kind():
    """This machine's vectors and whose processor it is: what rows are kept by, and have tables of their own for."""
    vendor = {"GenuineIntel": ", Intel", "AuthenticAMD": ", AMD"}.get(processor().get("vendor_id"), "")
    return vectors() + vendor


def named(name):
    """A file's name with the kind of machine in it."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{kind().lower().replace('-', '').replace(', ', '-')}{dot}{ending}"


def machine():
    fields = processor()
    name = fields.get("model name", "unknown")
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields['model']})"
    return f"{os.cpu_count()} processors {name}, {vectors()}, {platform.system()}"
