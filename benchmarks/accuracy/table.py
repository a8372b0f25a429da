"""Writes the figures of `python -m benchmarks.accuracy … --scorer DIR` into the README.

    python -m benchmarks.accuracy.table OUT

OUT: where the scores of one model went, or the folders of several.
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
    files += sorted(out.glob("*/figures.json"))
    if not files:
        sys.exit(f"{out} holds no figures.json; give `--scorer` to benchmarks.accuracy")
    lines = [
        "| model | data | series | VUS-PR | event F1 | false alerts a series and day at 70 % "
        "recall | alerts a series and day on normal stretches, default | NAB standard |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for file in files:
        told = json.loads(file.read_text(encoding="utf-8"))
        lines += [_line(told["model"], name, own) for name, own in told["figures"].items()]
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


def _line(model: dict[str, Any], name: str, own: dict[str, Any]) -> str:
    parameters = {key: value for key, value in model.items() if key != "kind"}
    title = f"`{model['kind']}`" + (" " + _short(parameters) if parameters else "")
    cells = [
        f"{own[key]['value']:.2f} [{own[key]['low']:.2f}, {own[key]['high']:.2f}]"
        for key in FIGURES
    ]
    nab = f"{own['nab']['standard']:.1f}" if "nab" in own else ""
    normal = f"{own['alerts_on_normal']:.3f}"
    return f"| {title} | {name} | {own['series']} | " + " | ".join([*cells, normal, nab]) + " |"


def _short(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in parameters.items())


if __name__ == "__main__":
    main()
