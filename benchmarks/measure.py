"""How everything here is measured: interleaved rounds, medians, spread, the machine beside it."""

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np


@dataclass(frozen=True)
class Row:
    """One comparison. spread: the widest round's distance from the median, as a share of it."""

    what: str
    peer: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    spread: float


def arguments(question: str) -> argparse.Namespace:
    """`--quick` for fewer rounds and smaller cases."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller cases")
    return parser.parse_args()


def interleave(cases: list[Callable[[], float]], rounds: int) -> list[list[float]]:
    """Each case's results, measured in turns so that a busy neighbour hits all alike."""
    results: list[list[float]] = [[] for _ in cases]
    for _ in range(rounds):
        for result, case in zip(results, cases, strict=True):
            result.append(case())
    return results


def compare(what: str, peer: str, unit: str, ours: list[float], theirs: list[float]) -> Row:
    """Times per unit of work: the ratio says how many times faster ours is."""
    mine, other = median(ours), median(theirs)
    spread = max(abs(x - m) / m for xs, m in ((ours, mine), (theirs, other)) for x in xs)
    return Row(
        what, peer, unit, round(mine, 2), round(other, 2), round(other / mine, 2), round(spread, 2)
    )


def timed(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def copy_gigabytes_per_second() -> float:
    """What this machine copies on one thread, in arrays far larger than its caches."""
    source = np.ones(2**25)
    target = np.empty_like(source)
    seconds = min(timed(lambda: np.copyto(target, source)) for _ in range(5))
    return round(2 * source.nbytes / seconds / 1e9, 1)


def report(question: str, rows: list[Row], packages: tuple[str, ...]) -> None:
    """Print the JSON object."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    print(
        json.dumps(
            {
                "question": question,
                "date": f"{datetime.now(UTC):%Y-%m-%d}",
                "machine": {
                    "processor": _processor(),
                    "python": platform.python_version(),
                    "copy_gigabytes_per_second": copy_gigabytes_per_second(),
                },
                "commit": commit.stdout.strip() or "unknown",
                "versions": {name: version(name) for name in packages},
                "rows": [asdict(row) for row in rows],
            },
            indent=1,
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
