"""What images of several sizes are worth to a linear head, beside the detail that each size keeps: tables in Markdown.

    python benchmarks/advice_rules.py DATA [CACHE]

DATA is a folder with the sets `busi`, `cxr-pediatric`, `nih-cxr-64`, `ct-contrast-dicom` and `medmnist`; CACHE keeps
features. Only development images take part: those that are not in the test split (the given one, or that of seed 0).
Features are those of MobileNetV2 with ImageNet weights, brought to 256 principal components. Heads are logistic
regressions, in two repeats of five folds by groups; the penalty is chosen within the training images of each fold.

The standard error is that of the paired difference to 224 pixels on the same images, by patients where there are any
(`tlmed.metrics.compare_metrics`), of the scores of the first repeat.

    python benchmarks/advice_rules.py DATA CACHE --ratios

measures what the adjustment by the shares of classes does to predictions of three classes, of which two are made rarer:
`busi` at 128 pixels, all benign images and fewer of the others, five draws.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed import backbones
from tlmed.advising.image_detail import measure_detail
from tlmed.data import ImageSet, decode, join_units, load, open_source
from tlmed.data.decode_and_resize import PixelRule
from tlmed.features import feature_model
from tlmed.gate.grouped_folds import deal_folds
from tlmed.intensity import resolve
from tlmed.logistic import fit_path, project
from tlmed.metrics import compare_metrics, macro_auc
from tlmed.seeds import derive

SETS = {
    "busi": "busi",
    "cxr-pediatric": "cxr-pediatric/labels.csv",
    "nih-cxr-64": "nih-cxr-64/labels.csv",
    "ct-contrast-dicom": "ct-contrast-dicom/labels.csv",
    "breastmnist": "medmnist/breastmnist.npz",
}
SIZES = (64, 96, 128, 160, 224, 320)
USUAL = 224
FOLDS, REPEATS = 5, 2
RATIOS, DRAWS = (3, 5, 10, 20), 5
PENALTIES = tuple(np.geomspace(30, 0.1, 6))  # of components, whose variances are not 1
BATCH = 32


@dataclass(frozen=True, eq=False)
class Known:
    """The development images of a set at one size: features, labels, owners, and seconds that features took."""

    features: np.ndarray
    labels: np.ndarray
    owners: np.ndarray
    seconds: float


def read(data: Path, name: str, size: int) -> tuple[ImageSet, np.ndarray]:
    """Return images, and the rows of those for development."""
    images = load(open_source(data / SETS[name]), PixelRule((size, size), resolve("auto")), seed=0)
    return images, np.flatnonzero(images.splits != "test")


def know(data: Path, cache: Path, name: str, size: int) -> Known:
    """Return what is known of a set at a size, from the cache if it is there."""
    file = cache / f"{name}-{size}.npz"
    if not file.exists():
        images, rows = read(data, name, size)
        network = feature_model(backbones.build("MobileNetV2", "imagenet", (size, size)).model)
        network.predict_on_batch(images.pixels.take(rows[:BATCH]))  # tracing is no part of the time
        start, parts = time.perf_counter(), []
        for begin in range(0, len(rows), BATCH):
            parts.append(np.asarray(network.predict_on_batch(images.pixels.take(rows[begin : begin + BATCH]))))
        seconds = time.perf_counter() - start
        owners = join_units(images.table.groups, images.sha256)[rows]
        cache.mkdir(parents=True, exist_ok=True)
        found = {"features": np.concatenate(parts), "labels": images.table.labels[rows], "owners": owners}
        np.savez(file, **found, seconds=seconds)
    kept = np.load(file)
    owners = np.unique(kept["owners"], return_inverse=True)[1]
    return Known(project(kept["features"]), kept["labels"], owners, float(kept["seconds"]))


def score(known: Known, repeat: int) -> np.ndarray:
    """Return the probabilities of images by heads that were fitted without them, float [n, classes]."""
    classes = int(known.labels.max()) + 1
    scores = np.zeros((len(known.labels), classes))
    folds = deal_folds(known.labels, known.owners, FOLDS, np.random.RandomState(derive(0, "advice", repeat)))
    for fold in range(FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        inner = deal_folds(known.labels[train], known.owners[train], 4, np.random.RandomState(derive(0, fold, repeat)))
        losses = np.zeros(len(PENALTIES))
        for part in range(4):
            fitted, held = train[inner != part], train[inner == part]
            losses += [_loss(found, known.labels[held]) for found in _predict(known, fitted, held, classes)]
        best = PENALTIES[: int(losses.argmin()) + 1]
        scores[test] = _predict(known, train, test, classes, best)[-1]
    return scores


def _predict(known: Known, fitted, held, classes, penalties=PENALTIES) -> list[np.ndarray]:
    heads = fit_path(known.features[fitted], known.labels[fitted], classes, penalties)
    return [head.predict(known.features[held]) for head in heads]


def _loss(scores, labels) -> float:
    return -float(np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-12)).sum())


def rate(known: Known, found: list[list[np.ndarray]]) -> tuple[float, float, float, float]:
    """Return the AUC, the difference to the usual size, its standard error, and that of one fold of five alone.

    Args:
        known: The images.
        found: The scores at this size, and at the usual one, of each repeat.
    """
    classes = int(known.labels.max()) + 1
    area, other = (np.mean([macro_auc(known.labels, each) for each in scores]) for scores in found)
    names = [str(number) for number in range(classes)]

    def spread(rows) -> float:
        tables = [(scores[0][rows], scores[0][rows].argmax(1)) for scores in found]
        compared = compare_metrics(known.labels[rows], *tables, names, groups=known.owners[rows], only=["auc"])["auc"]
        return np.nan if compared["low"] is None else (compared["high"] - compared["low"]) / 2 / 1.96

    folds = deal_folds(known.labels, known.owners, FOLDS, np.random.RandomState(derive(0, "advice", 0)))
    single = np.mean([spread(np.flatnonzero(folds == fold)) for fold in range(FOLDS)])
    return float(area), float(area - other), spread(np.arange(len(known.labels))), float(single)


def measure_set(data: Path, name: str) -> dict[int, float]:
    """Return the detail of at most 200 development images at each size."""
    images, rows = read(data, name, 64)
    chosen = np.random.RandomState(derive(0, "detail")).permutation(rows)[:200]
    intensity = images.pixels.rule.intensity
    return measure_detail((decode(images.table.read(int(row)), intensity) for row in chosen), SIZES)


def thin(known: Known, ratio: float, seed: int) -> Known:
    """Return all images of the most frequent class, and of each other so many that it has `ratio` times as many."""
    random, amounts = np.random.RandomState(derive(seed, "ratio")), np.bincount(known.labels)
    most = round(amounts.max() / ratio)
    kept = [
        random.permutation(np.flatnonzero(known.labels == label))[: None if amount == amounts.max() else most]
        for label, amount in enumerate(amounts)
    ]
    rows = np.sort(np.concatenate(kept))
    return Known(known.features[rows], known.labels[rows], np.unique(known.owners[rows], return_inverse=True)[1], 0.0)


def measure_ratios(data: Path, cache: Path) -> None:
    """Print accuracy and balanced accuracy without the adjustment and with it, for several ratios."""
    known = know(data, cache, "busi", 128)
    print("| ratio | accuracy | adjusted | balanced accuracy | adjusted | rarest recall | adjusted |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for ratio in RATIOS:
        found = []
        for seed in range(DRAWS):
            part = thin(known, ratio, seed)
            scores, shares = score(part, seed), np.bincount(part.labels) / len(part.labels)
            found.append([value for table in (scores, scores / shares) for value in _rate_answers(part.labels, table)])
        means = np.mean(found, axis=0).reshape(2, 3).T.ravel()
        print(f"| {ratio} | " + " | ".join(f"{value:.3f}" for value in means) + " |", flush=True)


def _rate_answers(labels, scores) -> tuple[float, float, float]:
    right = scores.argmax(1) == labels
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    return float(right.mean()), float(np.mean(recalls)), float(min(recalls))


def main(data: Path, cache: Path) -> None:
    """Print a row for each set and size."""
    print("| set | images | pixels | detail | AUC | against 224 | its SE | SE of one fold | images/s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in SETS:
        detail, sizes = measure_set(data, name), {size: know(data, cache, name, size) for size in SIZES}
        scores = {size: [score(known, repeat) for repeat in range(REPEATS)] for size, known in sizes.items()}
        for size, known in sizes.items():
            area, gain, noise, single = rate(known, [scores[size], scores[USUAL]])
            speed = len(known.labels) / known.seconds
            told = f"{gain:+.4f} | {noise:.4f} | {single:.4f}" if size != USUAL else " | | "
            print(
                f"| {name} | {len(known.labels)} | {size} | {detail[size]:.2f} | {area:.4f} | {told} | {speed:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    named = [Path(name) for name in sys.argv[1:] if name != "--ratios"]
    work = measure_ratios if "--ratios" in sys.argv else main
    work(named[0], named[1] if len(named) > 1 else Path("features"))
