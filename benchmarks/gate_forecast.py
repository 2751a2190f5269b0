"""How well the gate foresees the AUC of more images, and how many images a test needs: tables in Markdown.

    python benchmarks/gate_forecast.py DATA [SEEDS] [CACHE]

DATA is a folder with the sets `busi`, `cxr-pediatric`, `nih-cxr-64`, `ct-contrast-dicom`, `hippocampus-nifti` and
`medmnist`. Features are those of MobileNetV2 with ImageNet weights; CACHE keeps them.

The truth is what the same procedure measures: the AUC of a linear head on five folds by groups, drawn again and again.
It is measured from all images, and foreseen from half of them, in two ways. "Fitted on half": heads may be fitted on
half of the images, and are tested on all; only what heads learn from is doubled. "Half at hand": only half of the
images exist, to fit on and to test on, and the truth is what is measured when the others have come; the AUC then also
moves because other images are tested. How far it moves with heads as good as before is shown as "luck of the half".
"""

import csv
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm

import tlmed
from tlmed.gate.needed_images import Expected, correlate_owners, count_needed, simulate_design
from tlmed.gate.nested_subsets import Question, count_repeats, list_shares, measure_points, order_owners
from tlmed.gate.power_laws import fit_laws
from tlmed.logistic import project
from tlmed.metrics import binary_auc
from tlmed.metrics.areas import area_interval
from tlmed.seeds import derive

TRUTH_REPEATS, COMPONENTS = 20, 256


@dataclass(frozen=True, eq=False)
class Known:
    """A set: features, the class of each image, and the number of the group of each."""

    features: np.ndarray
    labels: np.ndarray
    owners: np.ndarray


def list_sets(data: Path, cache: Path) -> Iterator[tuple[str, Known]]:
    """Yield each set with its name."""
    for name in ("busi", "cxr-pediatric", "nih-cxr-64", "ct-contrast-dicom", "hippocampus-nifti", "medmnist"):
        file = cache / f"{name}.npz"
        if not file.exists():
            images, labels, groups, options = read_set(data, name)
            features = tlmed.FeatureExtractor(weights="imagenet", **options).fit_transform(images)
            cache.mkdir(parents=True, exist_ok=True)
            np.savez(file, features=features.astype(np.float32), labels=np.array(labels), groups=np.array(groups))
        kept = np.load(file)
        owners = np.unique(kept["groups"], return_inverse=True)[1]
        classes = np.unique(kept["labels"], return_inverse=True)[1]
        if name == "busi":
            malignant = (kept["labels"] == "malignant").astype(int)
            yield "busi, malignant against the rest", Known(kept["features"], malignant, owners)
            yield "busi, three classes", Known(kept["features"], classes, owners)
        else:
            yield "breastmnist" if name == "medmnist" else name, Known(kept["features"], classes, owners)


def read_set(data: Path, name: str) -> tuple:
    """Return the images of a set, their labels, their groups, and options of the extractor."""
    if name == "busi":
        files = sorted(map(str, (data / name).glob("*/*.png")))
        return files, [Path(file).parent.name for file in files], files, {}
    if name == "medmnist":
        arrays = np.load(data / name / "breastmnist.npz")
        images, labels = (
            np.concatenate([arrays[f"{split}_{kind}"] for split in ("train", "val", "test")])
            for kind in ("images", "labels")
        )
        return np.repeat(images[..., None], 3, axis=-1), labels.ravel(), np.arange(len(images)), {}
    with open(data / name / "labels.csv", newline="") as file:
        # The test images of the children's X-rays come from elsewhere: the README says so.
        rows = [row for row in csv.DictReader(file) if name != "cxr-pediatric" or row["split"] == "train"]
    options = {"planes": 5} if name == "hippocampus-nifti" else {}
    paths = [str(data / name / row["path"]) for row in rows]
    return paths, [row["label"] for row in rows], [row["group"] for row in rows], options


def measure(known: Known, random: np.random.RandomState, repeats: int | None = None, pool: np.ndarray | None = None):
    """Return the points of a learning curve."""
    classes = int(known.labels.max()) + 1
    rated = (1,) if classes == 2 else tuple(range(classes))
    question = Question(np.arange(len(known.labels)), known.labels, classes, rated)
    chosen = np.ones(len(known.labels), bool) if pool is None else pool
    smallest = min(len(np.unique(known.owners[chosen & (known.labels == one)])) for one in range(classes))
    repeats = repeats or count_repeats(len(known.labels), 1)
    features = project(known.features, COMPONENTS)
    return measure_points(features, [question], known.owners, list_shares([smallest]), repeats, random, pool)


def take(known: Known, rows: np.ndarray) -> Known:
    """Return the set of some images."""
    owners = np.unique(known.owners[rows], return_inverse=True)[1]
    return Known(known.features[rows], known.labels[rows], owners)


def foresee(known: Known, seed: int, all_: object) -> tuple[list[float], ...]:
    """Return what both ways foresee for all images from one half: low, middle and high, and the luck of the half."""
    random = np.random.RandomState(derive(seed, "half"))
    places = order_owners(known.labels, known.owners, random)
    half = places <= places.max() // 2
    target, truth = all_.sizes[-1], all_.areas.mean(axis=0)
    fitted, own = measure(known, random, pool=half), measure(take(known, np.flatnonzero(half)), random)
    ways = [fit_laws(points, target / points.sizes[-1]) for points in (fitted, own)]
    luck = own.areas.mean(axis=0)[-1] - np.interp(np.log(own.sizes[-1]), np.log(all_.sizes), truth)
    return *(way.foresee(target) for way in ways), [abs(luck)]


def show_forecasts(sets: list[tuple[str, Known]], seeds: int) -> None:
    """Print how far forecasts from half of the images are from the truth, and how often their interval holds it."""
    print("| set | images | AUC | " + " | ".join(["error", "in the 90 % interval", "its width"] * 2) + " | luck |")
    print("| :-- | " + "--: | " * 9)
    errors, inside = ([], []), ([], [])
    for name, known in sets:
        all_ = measure(known, np.random.RandomState(derive(0, "truth")), TRUTH_REPEATS)
        truth = all_.areas.mean(axis=0)[-1]
        found = [foresee(known, seed, all_) for seed in range(seeds)]
        cells = [name, f"{len(known.labels):,}", f"{truth:.3f}"]
        for way in range(2):
            low, middle, high = np.array([one[way] for one in found]).T
            errors[way].append(np.abs(middle - truth))
            inside[way].append((low <= truth) & (truth <= high))
            cells += [f"{np.median(errors[way][-1]):.4f}", f"{inside[way][-1].mean():.0%}".replace("%", " %")]
            cells += [f"{np.median(high - low):.3f}"]
        print("|", " | ".join([*cells, f"{np.median([one[2] for one in found]):.4f}"]), "|", flush=True)
    totals = [
        [f"{np.median(np.concatenate(errors[way])):.4f}", f"{100 * np.concatenate(inside[way]).mean():.0f} %", ""]
        for way in range(2)
    ]
    print("| all | | |", " | ".join([*totals[0], *totals[1], ""]), "|")


def draw_test(groups: int, shape: tuple, random: np.random.RandomState) -> tuple[np.ndarray, ...]:
    """Return owners, whether each image is positive, and normal scores, of a number of groups."""
    area, alike, sizes, share, is_mixed = shape
    owners = np.repeat(np.arange(groups), random.choice(sizes, groups))
    flags = random.rand(len(owners)) < share if is_mixed else (random.rand(groups) < share)[owners]
    common, own = random.standard_normal(groups)[owners], random.standard_normal(len(owners))
    return owners, flags, math.sqrt(2) * norm.ppf(area) * flags + alike**0.5 * common + (1 - alike) ** 0.5 * own


def show_needed(draws: int = 400, width: float = 0.08) -> None:
    """Print how wide intervals are that as many images give as are said to be needed."""
    print(
        f"| AUC | positive | groups of | alike | images for {width} | 3.92 standard errors | mean width of intervals |"
    )
    print("| --: | --: | :-- | --: | --: | --: | --: |")
    cases = [
        (area, alike, sizes, share, is_mixed)
        for area, share in ((0.7, 0.5), (0.85, 0.2), (0.95, 0.3))
        for alike, sizes, is_mixed in (
            (0.0, (1,), False),
            (0.5, (1, 2, 6), False),
            (0.8, (10,), False),
            (0.8, (10,), True),
        )
    ]
    for number, shape in enumerate(cases):
        random = np.random.RandomState(derive(number, "needed"))
        area, alike, sizes, share, is_mixed = shape
        owners, flags, scores = draw_test(3000, shape, random)
        found = correlate_owners(scores, flags, owners)
        design = max(simulate_design(area, flags, owners, found, random), 1.0) if max(sizes) > 1 else 1.0
        needed = count_needed([Expected(area, flags.mean(), design)], np.eye(1), width)
        areas, widths = [], []
        for _ in range(draws):
            owners, flags, scores = draw_test(max(round(needed / np.mean(sizes)), 2), shape, random)
            areas.append(binary_auc(flags, scores))
            entry = area_interval(flags, scores, owners)
            widths.append(entry["high"] - entry["low"])
        words = " or ".join(map(str, sizes)) + (", both classes" if is_mixed else "")
        print(
            f"| {area} | {share:.0%} | {words} | {alike} | {needed:,} | {3.92 * np.std(areas):.3f} "
            f"| {np.mean(widths):.3f} |".replace("%", " %"),
            flush=True,
        )


def main(data: Path, seeds: int = 10, cache: Path = Path("gate_forecast_features")) -> None:
    """Print both tables."""
    show_forecasts(list(list_sets(data, cache)), seeds)
    print()
    show_needed()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(kind(text) for kind, text in zip((int, Path), sys.argv[2:], strict=False)))
