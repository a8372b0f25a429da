"""How good are the scores on labelled series?

    python -m benchmarks.accuracy --data DIR --out OUT [--model JSON] [--scorer DIR]

reads `DIR/manifest.csv` and writes `OUT/<dataset>/<series_id>.parquet` with `ts` and `score`, from
the engine's own shard, in the default configuration or that of `--model`. With `--scorer`, the
folder of the scorer, it prints the figures with intervals and writes them to `OUT/figures.json`.
Several `--model` go to `OUT/<n>-<kind>/…`, to be compared; `--each` takes every kind alone in its
default configuration, detectors of river and scikit-learn's forest among them. Kinds that judge
groups are given whole machines only.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.accuracy.judge import Figure, judge
from benchmarks.accuracy.replay import Entry, entries, write
from detectors.catalog import kinds

DEFAULT = {"kind": "auto"}
NOT_FOR_SERIES = {"threshold", "log_rate", "log_novelty", "log_silence", "river"}
"""Kinds that need to be told what to look for, or look at logs, or run what is named for them."""
RIVERS = ("HalfSpaceTrees", "OneClassSVM", "GaussianScorer")


def main() -> None:
    """Replay, then judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder for scores")
    parser.add_argument("--model", action="append", help="JSON, or a file with it; may be repeated")
    parser.add_argument("--each", action="store_true", help="every kind alone, and peers")
    parser.add_argument("--datasets", default="", help="names, with commas; all when left out")
    parser.add_argument("--scorer", type=Path, help="folder of the scorer, for figures")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    arguments = parser.parse_args()
    if not (arguments.data / "manifest.csv").is_file():
        sys.exit(f"no labelled series: {arguments.data / 'manifest.csv'} is absent")
    chosen = entries(arguments.data, set(filter(None, arguments.datasets.split(","))))
    models = [_model(text) for text in arguments.model or []]
    if arguments.each:
        models += [{"kind": name} for name in kinds() if name not in NOT_FOR_SERIES]
        models += [{"kind": "river", "detector": name} for name in RIVERS]
    models = models or [DEFAULT]
    for number, model in enumerate(models):
        out = arguments.out if len(models) == 1 else arguments.out / f"{number}-{model['kind']}"
        started = time.perf_counter()
        judges_groups = kinds()[model["kind"]].judges_groups
        own = [entry for entry in chosen if entry.grouped or not judges_groups]
        samples = _replay_all(own, model, out, arguments.jobs)
        took = time.perf_counter() - started
        print(f"{json.dumps(model)}: {samples} samples in {took:.0f} s", flush=True)
        if arguments.scorer is not None:
            names = sorted({entry.dataset for entry in own})
            figures = judge(arguments.scorer, arguments.data, out, names)
            (out / "figures.json").write_text(
                json.dumps({"model": model, "figures": figures}, default=asdict, indent=1),
                encoding="utf-8",
            )
            _show(figures)


def _model(text: str) -> dict[str, Any]:
    given = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
    model: dict[str, Any] = json.loads(given)
    return model


def _replay_all(chosen: list[Entry], model: dict[str, Any], out: Path, jobs: int) -> int:
    samples = done = 0
    # Longest first, so that no process is left alone with a long one at the end.
    ordered = sorted(
        chosen, key=lambda entry: -entry.file.stat().st_size * (1 + 20 * entry.grouped)
    )
    # Not forked: the scorer's threads, polars' among them, do not survive that.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(write, entry, model, out) for entry in ordered]
        for finished in as_completed(waiting):
            samples += finished.result()
            done += 1
            if sys.stderr.isatty():
                print(f"\r{done}/{len(chosen)} series", end="", file=sys.stderr, flush=True)
    return samples


def _show(figures: dict[str, dict[str, Any]]) -> None:
    for name, own in figures.items():
        told = {k: v for k, v in own.items() if isinstance(v, Figure)}
        rest = {k: v for k, v in own.items() if k not in told}
        print(f"  {name}: " + "; ".join(f"{key} {value}" for key, value in told.items()))
        print("    " + ", ".join(f"{k} {_number(v)}" for k, v in rest.items()), flush=True)


def _number(value: Any) -> str:
    if isinstance(value, dict):
        return "/".join(f"{own:.1f}" for own in value.values())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
