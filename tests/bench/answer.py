"""What peers in Python have in common: they answer lines of the standard input, as tests/bench/common/answer.h says."""
import sys
import time

SHORT = 3  # a call that takes longer than so many turns needs no other before it to be as fast as it can


class Timer:
    def __init__(self, call):
        self.call, self.estimate = call, 0.0

    def run(self, least):
        """Seconds of wall clock and of processor time a call, means over calls of at least `least` seconds."""
        call, clock = self.call, time.perf_counter
        if self.estimate < SHORT * least:
            start = clock()
            call()
            self.estimate = max(clock() - start, 1e-6)
        calls = 0
        start, cpu = clock(), time.process_time()
        while True:
            for _ in range(max(1, int(0.2 * least / self.estimate))):
                call()
                calls += 1
            took = clock() - start
            if took >= least:
                break
        cpu = time.process_time() - cpu
        self.estimate = took / calls
        return took / calls, cpu / calls


def serve(info, check, call, **more):
    """`check` gives a numpy array of floats, `call` is what is timed; `more` are functions of further words."""
    out, sys.stdout = sys.stdout, sys.stderr
    timer = Timer(call)
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "info":
            answer = info
        elif word == "check":
            check().astype("float32").tofile(rest)
            answer = "ok"
        elif word == "run":
            answer = "{:.9g} {:.9g}".format(*timer.run(float(rest)))
        elif word in more:
            timer.estimate, answer = 0.0, more[word](rest)
        else:
            sys.exit(f"not understood: {line}")
        print(answer, file=out, flush=True)
