"""Writes the figures of `python -m benchmarks.accuracy … --scorer DIR` into the README.

    python -m benchmarks.accuracy.table OUT

OUT: where the scores of one model went, or the folders of several, of which the first is shown with
all figures and the others beside it.
"""

import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- accuracy: written by `python -m benchmarks.accuracy.table` -->"
END = "<!-- end of accuracy -->"
FIGURES = ("vus_pr", "event_f1", "false_alerts_at_70")


def main() -> None:
    """Read, write."""
    out = Path(sys.argv[1])
    files = [out / "figures.json"] if (out / "figures.json").is_file() else []
    files += sorted(
        out.glob("*/figures.json"), key=lambda file: int(file.parent.name.split("-")[0])
    )
    if not files:
        sys.exit(f"{out} holds no figures.json; give `--scorer` to benchmarks.accuracy")
    told = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    default, others = told[0], told[1:]
    lines = [
        "| model | data | series | VUS-PR | event F1 | false alerts a series and day at 70 % "
        "recall | alerts a series and day on normal stretches, default | NAB standard |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(default["model"], name, own) for name, own in default["figures"].items()),
    ]
    if others:
        sets = sorted({name for one in told for name in one["figures"]})
        lines += [
            "",
            "Each kind alone in its default configuration, and detectors of river: VUS-PR / event "
            "F1, and NAB's standard score.",
            "",
            "| model | " + " | ".join(sets) + " | NAB standard |",
            "|---|" + "---|" * (len(sets) + 1),
            *(_short_line(one["model"], one["figures"], sets) for one in told),
        ]
    lines += [
        "",
        f"[95 % intervals] by resampling series; Python {platform.python_version()}, "
        f"{datetime.now(UTC):%Y-%m-%d}.",
    ]
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")
    print("\n".join(lines))


def _short_line(model: dict[str, Any], figures: dict[str, Any], sets: list[str]) -> str:
    cells = [
        f"{figures[name]['vus_pr']['value']:.2f} / {figures[name]['event_f1']['value']:.2f}"
        if name in figures
        else ""
        for name in sets
    ]
    nab = f"{figures['nab']['nab']['standard']:.1f}" if "nab" in figures else ""
    return f"| {_title(model)} | " + " | ".join([*cells, nab]) + " |"


def _title(model: dict[str, Any]) -> str:
    parameters = [f"{key} {value}" for key, value in model.items() if key != "kind"]
    return " ".join([f"`{model['kind']}`", ", ".join(parameters)]).strip()


def _line(model: dict[str, Any], name: str, own: dict[str, Any]) -> str:
    cells = [
        f"{own[key]['value']:.2f} [{own[key]['low']:.2f}, {own[key]['high']:.2f}]"
        for key in FIGURES
    ]
    nab = f"{own['nab']['standard']:.1f}" if "nab" in own else ""
    normal = f"{own['alerts_on_normal']:.3f}"
    return (
        f"| {_title(model)} | {name} | {own['series']} | "
        + " | ".join([*cells, normal, nab])
        + " |"
    )


if __name__ == "__main__":
    main()
