"""Runs benchmarks and writes their rows into the README's table."""

import json
import subprocess
import sys
from pathlib import Path

QUESTIONS = (
    *("mad", "ewma", "novelty", "history", "wire", "road", "intake"),
    *("log_templates", "footprint"),
)
README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- benchmarks: written by `make bench` -->"
END = "<!-- end of benchmarks -->"


def main() -> None:
    """Run them one after another; `--quick` is passed on, `--data DIR` to those that take it."""
    given = sys.argv[1:]
    data = given[given.index("--data") : given.index("--data") + 2] if "--data" in given else []
    quick = [word for word in given if word == "--quick"]
    answers = [
        json.loads(
            subprocess.run(
                [
                    *(sys.executable, "-m", f"benchmarks.{name}", *quick),
                    *(data if name == "log_templates" else []),
                ],
                check=True,
                stdout=subprocess.PIPE,
            ).stdout
        )
        for name in QUESTIONS
    ]
    machine = answers[0]["machine"]
    lines = [
        "| what | ours | peer | theirs | times faster | spread |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['what']} | {row['ours']} {row['unit']} | {row['peer']} "
            f"| {row['theirs']} {row['unit']} | {row['ratio']} | ±{row['spread']:.0%} |"
            for answer in answers
            for row in answer["rows"]
        ),
        "",
        f"One core of {machine['processor']}, which copies "
        f"{machine['copy_gigabytes_per_second']} GB/s; Python {machine['python']}; "
        f"{answers[0]['date']}; times are per sample (per line of a page, per start), medians of "
        "interleaved rounds: "
        + ", ".join(f"`python -m benchmarks.{name}`" for name in QUESTIONS)
        + ".",
    ]
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
