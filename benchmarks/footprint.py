"""What does a series cost in memory, and the engine at its start?

Memory: ewma, cusum, seasonal and mad over 60 steps, filled, in a process of their own; beside it
the state that they save. Start: the command's help, and a process that judges its first sample
with kernels compiled before, beside Python's own start.
"""

import subprocess
import sys
from functools import partial

from benchmarks.measure import Row, arguments, compare, interleave, report, timed

HELP = ["-m", "aiops.cli", "--help"]
FIRST = """
import numpy as np
from detectors.ewma import Ewma, EwmaParams
from models.columns import RowBatch
one = np.zeros(1, np.int32)
detector = Ewma(EwmaParams(warmup=1), 1000)
detector.grow(1)
for k in range(2):
    scores = detector.step(RowBatch(one, np.full(1, k * 1000), np.ones(1), np.zeros(1, np.bool_)))
assert scores.score[0] == 0
"""
FILLED = """
import resource, sys
import numpy as np
from detectors.catalog import kinds
from models.columns import RowBatch
series = int(sys.argv[1])
made = []
for kind, more in (("ewma", {}), ("cusum", {}), ("seasonal", {}), ("mad", {"window": "15m"})):
    detector = kinds()[kind](kinds()[kind].Params(**more), 15_000)
    detector.grow(series)
    made.append(detector)
rng = np.random.default_rng(1)
rows, absent = np.arange(series, dtype=np.int32), np.zeros(series, np.bool_)
for tick in range(64):
    times, values = np.full(series, tick * 15_000), rng.normal(size=series)
    for detector in made:
        detector.step(RowBatch(rows, times, values, absent))
held = sum(detector.array(f.name).nbytes for detector in made for f in detector.fields())
print(held, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def run(*words: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def start_rows(rounds: int) -> list[Row]:
    """Milliseconds from nothing."""
    cases = {"python": ["-c", "pass"], "aiops --help": HELP, "import to first score": ["-c", FIRST]}
    for words in cases.values():
        run(*words)

    def once(words: list[str]) -> float:
        return timed(lambda: run(*words)) * 1e3

    results = interleave([partial(once, words) for words in cases.values()], rounds)
    named = dict(zip(cases, results, strict=True))
    nothing = named.pop("python")
    return [compare(what, "python -c pass", "ms", own, nothing) for what, own in named.items()]


def memory_rows(series: int) -> list[Row]:
    """Bytes a series, beside the goal."""
    held, process = (int(word) for word in run("-c", FILLED, str(series)).split())
    what = f"four detectors, {series} series"
    return [
        compare(f"{what}: state", "1 KB a series", "B", [held / series], [1000.0]),
        compare(f"{what}: process", "1.2 KB a series", "B", [process / series], [1200.0]),
    ]


def main() -> None:
    """Run it."""
    question = "memory a series, and time from nothing to the first score"
    quick = arguments(question).quick
    rows = start_rows(3 if quick else 9) + memory_rows(100_000 if quick else 1_000_000)
    report(question, rows, ("numpy", "numba"))


if __name__ == "__main__":
    main()
