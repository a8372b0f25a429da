"""The commands `detect`, `tune` and `backtest`: judging the past from the terminal."""

import argparse
import asyncio
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from aiops.clock import SystemClock
from aiops.injection import SHAPES
from aiops.offline import Found, judge_file, whole_file, whole_past
from aiops.plot import Drawn, draw
from aiops.settings_file import load_settings
from aiops.sources import Sources
from aiops.tuning import CANDIDATES, Estimate, Verdict, judge
from api.client import Client
from models.anomaly import Anomaly
from models.columns import SampleBatch
from models.detector import Detector, Model
from models.durations import parse_duration
from models.errors import InvalidInput
from models.job import Backtest, Detect, Job
from models.labels import Labels
from models.timestamps import format_timestamp, parse_timestamp
from models.validation import parse

POLL_SECONDS = 0.3
TUNED = ("model", "alerts a day", "stable", "found", *SHAPES, "µs a sample")
MIN_WIDTH = 120
SHOWN_MAX = 50


def detect(arguments: argparse.Namespace) -> int:
    """Judge a file; exit status 0, whatever was found."""
    asked = _asked(arguments) | {"model": read_model(arguments.model or "auto")}
    with progress("judging") as advance:
        found = asyncio.run(judge_file(arguments.file, asked, advance))
    if arguments.out is not None:
        _write(found, arguments.out)
    if arguments.plot is not None:
        draw(arguments.plot, str(arguments.file), found.drawn())
    judged = int(np.isfinite(found.columns[1]).sum())
    summary = (
        f"{len(found.rows)} samples, {judged} judged, of {len(found.labels)} series at "
        f"{found.document.step / 1000:g} s: {len(found.anomalies)} anomalies"
    )
    _tell(found.anomalies, summary, as_json=arguments.json)
    return 0


def backtest(client: Client, arguments: argparse.Namespace) -> None:
    """Ask a server for a backtest, wait for it and tell what it found."""
    now_ms = round(time.time() * 1_000)
    start_ms, end_ms = instant(arguments.start, now_ms), instant(arguments.end, now_ms)
    model = read_model(arguments.model) if arguments.model else None
    asked = parse(Backtest, {"start": start_ms, "end": end_ms, "model": model})
    job = _finished(client, client.backtest(arguments.name, asked))
    result = job.result or {}
    anomalies = [Anomaly.model_validate(entry) for entry in result["anomalies"]]
    if arguments.plot is not None:
        window = {"start": start_ms, "end": end_ms, "model": model}
        answer = client.detect(arguments.name, parse(Detect, window))
        draw(arguments.plot, arguments.name, _drawn(answer.series, anomalies))
    changed = result["changed"]
    _tell(
        anomalies,
        f"{result['samples']} samples of {result['series']} series: "
        f"{result['anomalies_total']} anomalies, {result['alerts_per_day']:.2f} a day; the running "
        f"detector told {changed['same']} of them, and {len(changed['only_running'])} others",
        as_json=arguments.json,
    )


def tune(arguments: argparse.Namespace) -> int:
    """Compare models on a recording, or on what a detector of a settings file would read."""
    if arguments.injections < 1 or arguments.seed < 0:
        raise InvalidInput("--injections must be at least 1, and --seed at least 0")
    with progress("reading") as advance:
        document, batch = asyncio.run(_history(arguments, advance))
    if arguments.budget is not None:
        document = parse(Detector, document.model_dump(mode="json") | {"budget": arguments.budget})
    models = [read_model(text) for text in arguments.model] or list(CANDIDATES)
    table = Table(*TUNED, title=f"{len(batch)} samples of {len(batch.labels)} series", box=None)
    with progress("judging") as advance:
        for verdict in judge(
            document,
            models,
            batch,
            injections=arguments.injections,
            seed=arguments.seed,
            advance=advance,
        ):
            if arguments.json:
                print(json.dumps(_as_json(verdict)), flush=True)
            table.add_row(*_tuned_row(verdict))
    if not arguments.json:
        wide = Console(width=max(MIN_WIDTH, Console().width))
        wide.print(table)
        print(
            "Judged is the second half of the time. Stable: told as well with half the past. Found:"
            " of anomalies put in,\nof 4 to 12 deviations of a series' noise. How many alerts are"
            " true, nobody knows without labels."
        )
    return 0


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keys of a document that the options for a file give."""
    asked: dict[str, Any] = {}
    if arguments.step is not None:
        asked["step"] = arguments.step
    if arguments.group_by is not None:
        asked["group_by"] = arguments.group_by.split(",")
    return asked


async def _history(
    arguments: argparse.Namespace, advance: Callable[[int, int], None]
) -> tuple[Detector, SampleBatch]:
    if arguments.config is None:
        return await whole_file(Path(arguments.what), _asked(arguments), advance)
    settings = load_settings(arguments.config)
    found = [d for d in settings.detectors if d.name == arguments.what]
    if not found:
        known = ", ".join(d.name for d in settings.detectors) or "none"
        raise InvalidInput(f"no detector {arguments.what!r} in {arguments.config}; known: {known}")
    (document,) = found
    (own,) = [source for source in settings.sources if source.name == document.source]
    if own.type in ("remote_write", "loki_push"):
        raise InvalidInput(
            f"source {own.name!r} keeps nothing of what is pushed to it: tune on a recording"
        )
    now_ms = round(time.time() * 1_000)
    start_ms, end_ms = instant(arguments.start, now_ms), instant(arguments.end, now_ms)
    if start_ms >= end_ms:
        raise InvalidInput("--end must be after --start")
    with TemporaryDirectory() as folder:
        sources = Sources(Path(folder), SystemClock().now_ms, random.Random(1))  # noqa: S311
        try:
            await sources.put(own)
            source = sources.get(own.name)
            return document, await whole_past(source, document, start_ms, end_ms, advance)
        finally:
            await sources.close()


def _as_json(verdict: Verdict) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Estimate):
            return value._asdict()
        return {key: plain(own) for key, own in value.items()} if isinstance(value, dict) else value

    return {field.name: plain(getattr(verdict, field.name)) for field in fields(verdict)}


def _tuned_row(verdict: Verdict) -> list[str]:
    parameters = {key: value for key, value in verdict.model.items() if key != "kind"}
    name = " ".join([str(verdict.model["kind"]), *(f"{k}={v}" for k, v in parameters.items())])
    alerts, shapes = verdict.alerts_per_day, verdict.by_shape.values()
    return [
        name,
        f"{alerts.value:.2f} [{alerts.low:.2f}, {alerts.high:.2f}]",
        _share(verdict.stability),
        _share(verdict.recall),
        *("-" if own is None else f"{own.value:.0%}" for own in shapes),
        f"{verdict.nanoseconds / 1000:.2f}",
    ]


def _share(own: Estimate | None) -> str:
    return "-" if own is None else f"{own.value:.0%} [{own.low:.0%}, {own.high:.0%}]"


def read_model(text: str) -> dict[str, Any]:
    """A model from JSON, or from the name of a kind. Raises InvalidInput."""
    if not text.lstrip().startswith("{"):
        return {"kind": text}
    try:
        model: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"--model: not JSON: {error}") from error
    return parse(Model, model).model_dump()


def instant(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch of RFC 3339, Unix seconds, or a duration ago like 7d or -7d.

    Raises InvalidInput.
    """
    try:
        return now_ms - parse_duration(text.removeprefix("-"))
    except ValueError:
        pass
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise InvalidInput(f"{error}; or like 7d, for seven days ago") from error


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal, nothing where stderr is none; call with what is done, and of what."""
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(
        *columns, TimeRemainingColumn(), disable=not sys.stderr.isatty(), transient=True
    ) as bar:
        task = bar.add_task(what)
        yield lambda done, whole: bar.update(task, completed=done, total=max(whole, 1))


def _finished(client: Client, job: Job) -> Job:
    """The job once it is over; an interrupt cancels it. Raises InvalidInput when it failed."""
    try:
        with progress("judging") as advance:
            while not job.over:
                advance(round(job.progress * 1_000), 1_000)
                time.sleep(POLL_SECONDS)
                job = client.job(job.id)
    except KeyboardInterrupt:
        client.cancel(job.id)
        raise
    if job.state != "done":
        raise InvalidInput(f"the backtest {job.state}: {job.error or 'by someone else'}")
    return job


def _write(found: Found, path: Path) -> None:
    table = found.table()
    if path.suffix == ".csv":
        table.write_csv(path)
    elif path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        raise InvalidInput(f"{str(path)!r}: scores go to a .csv or a .parquet file")


def _drawn(series: Sequence[Any], anomalies: Sequence[Anomaly]) -> list[Drawn]:
    found = []
    for one in series:
        rows = np.array(
            [[math.nan if value is None else value for value in row] for row in one.samples]
        ).reshape(-1, 6)
        own = [a for a in anomalies if one.labels.items() <= a.labels.items()]
        times_ms = np.round(rows[:, 0] * 1_000).astype(np.int64)
        found.append(Drawn(str(Labels(one.labels)), times_ms, rows[:, 1:].T, own))
    return found


def _tell(anomalies: Sequence[Anomaly], summary: str, *, as_json: bool) -> None:
    if as_json:
        for anomaly in anomalies:
            print(anomaly.model_dump_json())
        return
    for anomaly in sorted(anomalies, key=lambda a: -a.peak_score)[:SHOWN_MAX]:
        shown = anomaly.explanation
        until = "still open" if anomaly.ended_at is None else format_timestamp(anomaly.ended_at)
        spoke = f" by {shown.spoke}" if shown.spoke else ""
        print(
            f"{format_timestamp(anomaly.started_at)} … {until}  score {anomaly.peak_score:.2f}  "
            f"{Labels(anomaly.labels)}  saw {_text(shown.observed)}, expected "
            f"{_text(shown.expected)}{spoke}"
        )
    print(summary)


def _text(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"
