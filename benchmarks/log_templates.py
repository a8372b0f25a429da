"""How well and how fast are log lines put into templates?

`--data DIR` mines every `DIR/*.parquet` that has a column `content` (lines of one system), one
setting for all, and writes `OUT/NAME.parquet` with `line_id`, `template_id` and `template` for a
scorer of groupings. Where the truth stands beside the lines (`template`), the first lines of
templates are compared with the first lines of the truth's. The peer is drain3 with the masks of its
README (https://github.com/logpai/Drain3), and bare where every line is new.
"""

import random
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import polars as pl
from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

from benchmarks.measure import Row, compare, interleave, report, timed
from detectors.log_rate import LogRate, LogRateParams
from ingest.known import Places
from ingest.templates import Templates
from ingest.tokens import PADDING
from models.columns import RowBatch
from models.words import Bytes

QUESTION = "log lines to templates: first lines of new ones, and speed"
TEMPLATES_MAX = 20_000
BUCKETS = 400
LINES_MIN = 20
RARITY = 0.001
EDGE, END = r"((?<=[^A-Za-z0-9])|^)", r"((?=[^A-Za-z0-9])|$)"
MASKS = (
    (rf"{EDGE}(([0-9a-f]{{2,}}:){{3,}}([0-9a-f]{{2,}})){END}", "ID"),
    (rf"{EDGE}(\d{{1,3}}\.\d{{1,3}}\.\d{{1,3}}\.\d{{1,3}}){END}", "IP"),
    (rf"{EDGE}([0-9a-f]{{6,}} ?){{3,}}{END}", "SEQ"),
    (rf"{EDGE}([0-9A-F]{{4}} ?){{4,}}{END}", "SEQ"),
    (rf"{EDGE}(0x[a-f0-9A-F]+){END}", "HEX"),
    (rf"{EDGE}([\-\+]?\d+){END}", "NUM"),
)


def pack(lines: Sequence[str]) -> tuple[Bytes, Places]:
    """The lines as the miner reads them."""
    texts = [line.encode() for line in lines]
    edges = np.cumsum([0, *map(len, texts)])
    text = np.frombuffer(b"".join(texts) + bytes(PADDING), np.uint8)
    return text, np.stack([edges[:-1], edges[1:]], axis=1)


def drain(masked: bool) -> Any:
    """The peer."""
    config = TemplateMinerConfig()
    config.profiling_enabled = False
    if masked:
        config.masking_instructions = [MaskingInstruction(*mask) for mask in MASKS]
    return TemplateMiner(config=config)


def feed(peer: Any, lines: Sequence[str]) -> list[bool]:
    """Whether each line made a new cluster."""
    return [peer.add_log_message(line)["change_type"] == "cluster_created" for line in lines]


def mine(path: Path, out: Path | None) -> dict[str, tuple[float, float]]:
    """One system: the groups to a file; precision and recall of first lines, ours and drain3's."""
    frame = pl.read_parquet(path)
    lines = frame["content"].fill_null("").to_list()
    miner = Templates(TEMPLATES_MAX)
    places = miner.read(*pack(lines), 0).tolist()
    if out is not None:
        texts = {place: miner.text(place) for place in set(places)}
        pl.DataFrame(
            {
                "line_id": frame["line_id"],
                "template_id": [miner.id_of(place) for place in places],
                "template": [texts[place] for place in places],
            }
        ).write_parquet(out / path.name)
    if "template" not in frame.columns:
        return {}
    ours = {sighting.line for sighting in miner.sightings}
    theirs = {k for k, new in enumerate(feed(drain(True), lines)) if new}
    truth = frame["template"].to_list()
    first = {truth.index(template) for template in set(truth)}
    return {
        "precision": (len(ours & first) / len(ours), len(theirs & first) / len(theirs)),
        "recall": (len(ours & first) / len(first), len(theirs & first) / len(first)),
    }


def sightings(folder: Path, out: Path | None) -> list[Row]:
    """Means over the systems."""
    found = [mine(path, out) for path in with_lines(folder)]
    rows = []
    for name in ("precision", "recall"):
        pairs = [own[name] for own in found if name in own]
        if pairs:
            ours, theirs = mean(p[0] for p in pairs), mean(p[1] for p in pairs)
            what = f"first lines of templates, {name}, mean of {len(pairs)} systems"
            ratio = round(ours / theirs, 2)
            rows.append(
                Row(what, "drain3 + masks", "share", round(ours, 3), round(theirs, 3), ratio, 0.0)
            )
    return rows


def alarms(folder: Path) -> Row:
    """Share of counts that `log_rate` calls outside: templates of 20 lines or more, 400 buckets.

    What is real among them nobody knows; each count is judged against the 60 before it.
    """
    outside = judged = 0
    for path in with_lines(folder):
        miner = Templates(TEMPLATES_MAX)
        lines = pl.read_parquet(path)["content"].fill_null("").to_list()
        places = miner.read(*pack(lines), 0)
        templates = miner.groups()[places]
        bucket = np.arange(len(lines)) * BUCKETS // len(lines)
        loud = [k for k in np.unique(templates) if np.count_nonzero(templates == k) >= LINES_MIN]
        counts = [np.bincount(bucket[templates == k], minlength=BUCKETS) for k in loud]
        detector = LogRate(LogRateParams("60s", RARITY, 60), 1000)
        detector.grow(len(loud))
        rows = np.tile(np.arange(len(loud), dtype=np.int32), BUCKETS)
        times = np.repeat(np.arange(BUCKETS) * 1000, len(loud))
        values = np.ravel(np.array(counts, np.float64), order="F")
        score = detector.step(RowBatch(rows, times, values, np.zeros(len(rows), np.bool_))).score
        outside += int(np.count_nonzero(score > 1))
        judged += int(np.count_nonzero(~np.isnan(score)))
    share = outside / judged
    what = f"counts of templates outside their band, of {judged}"
    return Row(what, "asked for", "share", round(share, 5), RARITY, round(RARITY / share, 2), 0.0)


def with_lines(folder: Path) -> list[Path]:
    """The files that hold lines."""
    return [
        path
        for path in sorted(folder.glob("*.parquet"))
        if "content" in pl.read_parquet_schema(path)
    ]


def permuted(lines: Sequence[str], seed: int) -> list[str]:
    """The same lines with other numbers in them: a cache of whole lines gains nothing."""
    digits = "0123456789"
    table = str.maketrans(digits, "".join(random.Random(seed).sample(digits, 10)))
    return [line.translate(table) for line in lines]


def invented(count: int) -> list[str]:
    """Lines as of a shop, for machines without a set of real ones."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(400)]
    kinds = [rng.choices([*words, "id=9", "10.1.2.3", "17 ms"], k=9) for _ in range(300)]
    return [" ".join(rng.choice(kinds)) for _ in range(count)]


def warm(lines: Sequence[str], rounds: int) -> Row:
    """Templates all known, numbers new in every round."""
    miner, peer = Templates(TEMPLATES_MAX), drain(True)
    for seed in range(3):
        miner.read(*pack(permuted(lines, seed)), 0)
    feed(peer, lines)
    batches = iter([permuted(lines, 10 + k // 2) for k in range(2 * rounds)])

    def ours() -> float:
        text, edges = pack(next(batches))
        return timed(lambda: miner.read(text, edges, 0)) * 1e9 / len(lines)

    def theirs() -> float:
        return timed(partial(feed, peer, next(batches))) * 1e9 / len(lines)

    what = f"known templates, {sum(map(len, lines)) // len(lines)} B a line"
    return compare(what, "drain3 + masks", "ns", *interleave([ours, theirs], rounds))


def every_line_new(count: int, rounds: int) -> Row:
    """Nine random words a line: the worst a log can do."""
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(5_000)]
    lines = [" ".join(rng.choices(words, k=9)) for _ in range(count)]
    packed = pack(lines)

    def ours() -> float:
        miner = Templates(TEMPLATES_MAX)
        return timed(lambda: miner.read(*packed, 0)) * 1e9 / count

    def theirs() -> float:
        return timed(partial(feed, drain(False), lines)) * 1e9 / count

    what = f"every line new, {count} lines"
    return compare(what, "drain3 bare", "ns", *interleave([ours, theirs], rounds))


def options() -> Namespace:
    """The command line."""
    parser = ArgumentParser(description=QUESTION)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller cases")
    parser.add_argument("--data", type=Path, help="folder of parquet files with a column `content`")
    parser.add_argument("--out", type=Path, help="folder for the groups that were found")
    return parser.parse_args()


def main() -> None:
    """Run it."""
    chosen = options()
    rows: list[Row] = []
    if chosen.data is None:
        print("no --data DIR: lines are invented, and only speed is measured", file=sys.stderr)
        lines = invented(5_000)
    else:
        if chosen.out is not None:
            chosen.out.mkdir(parents=True, exist_ok=True)
        rows += sightings(chosen.data, chosen.out)
        rows.append(alarms(chosen.data))
        frames = [pl.read_parquet(path, columns=["content"]) for path in with_lines(chosen.data)]
        lines = pl.concat(frames)["content"].fill_null("").to_list()
    rows.append(warm(lines, 3 if chosen.quick else 5))
    rows.append(every_line_new(2_000 if chosen.quick else 10_000, 1 if chosen.quick else 3))
    report(QUESTION, rows, ("numpy", "numba", "drain3-improved"))


if __name__ == "__main__":
    main()
