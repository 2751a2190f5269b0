"""What determinism costs: recipes with `deterministic=True` and without, in turns, each in a process of its own.

    python benchmarks/determinism.py [--data my_images/] [--out docs/performance.md]

Every run has an empty cache. The ratio is that of the seconds of a pair; test scores stand beside the times.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tlmed.launch import TLMED
from tlmed.whole_files import write_text

MARK = ("<!-- determinism: begin -->", "<!-- determinism: end -->")
COMMON = ("data.image_size=128,128", "phases.patience=none")
CASES = {
    "frozen backbone, 30 epochs of a head": ("feature_extractor", "phases.epochs=30", "head.dropout=0.2"),
    "two blocks thawed, 4 epochs": ("fine_tuning", "phases.epochs=4"),
    "all layers, 2 epochs": ("fine_tuning_from_scratch", "phases.epochs=2"),
    "the same, images augmented": (
        "fine_tuning_from_scratch",
        "phases.epochs=2",
        "augment.flip=both",
        "augment.rotation=0.1",
    ),
}


def measure(recipe: str, settings, data: str, deterministic: bool) -> tuple[float, float]:
    """Train once, and return the seconds and the test AUC."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", recipe, "--data", data, "--out", f"{folder}/run"]
        for setting in (*COMMON, *settings, f"deterministic={deterministic}"):
            words += ["--set", setting]
        environment = {**os.environ, "TLMED_CACHE_DIR": f"{folder}/cache"}
        subprocess.run([*TLMED, *words], check=True, env=environment, stdout=subprocess.DEVNULL)
        run = Path(folder) / "run"
        read = [json.loads((run / name).read_text()) for name in ("timing.json", "metrics.json")]
        return read[0]["training_seconds"], read[1]["metrics"]["auc"]["value"]


def describe(name: str, pairs) -> str:
    """Return a row of the table."""
    ratios = [kept[0] / free[0] for kept, free in pairs]
    seconds = [statistics.median(run[0] for run in side) for side in zip(*pairs, strict=True)]
    scores = [statistics.median(run[1] for run in side) for side in zip(*pairs, strict=True)]
    spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    numbers = [*(f"{value:.2f}" for value in seconds), *(f"{value:.3f}" for value in scores)]
    return f"| {' | '.join([name, spread, str(len(pairs)), *numbers])} |"


@click.command()
@click.option("--data", default="tfds:tlmed_phantoms", help="As for `tlmed train`.")
@click.option("--rounds", default=3, help="Pairs of each case.")
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="Write the table into this page.")
def main(data, rounds, out):
    """Print, for each case, what determinism costs."""
    rows = [
        "| job | times as long: median (min to max) | pairs | seconds, with | without | AUC, with | without |",
        "| :-- | --: | --: | --: | --: | --: | --: |",
    ]
    measure("feature_extractor", ("phases.epochs=1",), data, True)  # draws or downloads the data, which is not timed
    for name, (recipe, *settings) in CASES.items():
        order = [(True, False) if number % 2 else (False, True) for number in range(rounds)]
        pairs = []
        for turn in order:
            found = {which: measure(recipe, settings, data, which) for which in turn}
            pairs.append((found[True], found[False]))
        rows.append(describe(name, pairs))
        print(rows[-1], flush=True)
    if out is not None:
        before, _, rest = out.read_text(encoding="utf-8").partition(MARK[0])
        _, _, after = rest.partition(MARK[1])
        write_text(out, f"{before}{MARK[0]}\n\n" + "\n".join(rows) + f"\n\n{MARK[1]}{after}")


if __name__ == "__main__":
    sys.exit(main())
