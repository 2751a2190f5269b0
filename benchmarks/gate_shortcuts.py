"""Shortcuts that are planted are found, and where labels are dealt out anew nothing is: the tables of docs/gate.md.

    python benchmarks/gate_shortcuts.py planted --data DATA
    python benchmarks/gate_shortcuts.py permuted --data DATA
    python benchmarks/gate_shortcuts.py real --data DATA
    python benchmarks/gate_shortcuts.py speed --data DATA

DATA is the folder with `busi`, `cxr-pediatric`, `nih-cxr-64` and `ct-contrast-dicom`.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tlmed.data import load
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.file_facts import FileFacts
from tlmed.gate.evidence import Evidence, gather
from tlmed.gate.frame_measures import measure_frames
from tlmed.gate.shortcuts import check_shortcuts
from tlmed.gate.told_shortcuts import LEVEL
from tlmed.intensity import resolve
from tlmed.seeds import derive

SIZE, STORED = 224, 256  # pixels: of a network's input, and of the images of busi
MARKER = 12  # pixels of a stored image
RATES = (0.6, 0.7, 0.8, 0.9, 1.0)
SETS = {
    "busi": "busi",
    "nih-cxr-64": "nih-cxr-64/labels.csv",
    "ct-contrast-dicom": "ct-contrast-dicom/labels.csv",
    "cxr-pediatric": "cxr-pediatric/labels.csv",
}


def read(data: Path, name: str, size: int = SIZE) -> Evidence:
    """Return the evidence of a data set."""
    return gather(load(data / SETS[name], PixelRule((size, size), resolve("auto"))))


def relabel(evidence: Evidence, labels: np.ndarray, groups: Sequence[str] | None, seed: int) -> Evidence:
    """Return evidence with other labels of two classes and other groups."""
    groups = None if groups is None else tuple(groups)
    table = replace(evidence.table, labels=labels.astype(np.int64), classes=("no", "yes"), groups=groups)
    return replace(evidence, table=table, seed=seed)


def take(evidence: Evidence, rows: np.ndarray, frames: np.ndarray) -> Evidence:
    """Return the evidence of some images, with other measures of their frames."""
    pick = lambda values: tuple(values[row] for row in rows)  # noqa: E731
    return replace(
        evidence,
        table=evidence.table.take(rows),
        splits=evidence.splits[rows],
        sha256=pick(evidence.sha256),
        digests=None,
        files=pick(evidence.files),
        sketches=evidence.sketches[rows],
        frames=frames,
    )


def plant(images: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Return images with a white square at one place in a corner or at a border; it moves by up to two pixels."""
    last = STORED - MARKER
    near, far = random.randint(0, 17), random.randint(0, last + 1)
    if random.rand() < 0.5:  # a corner
        far = random.randint(0, 17)
    place = np.array([near, far])[:: random.choice([1, -1])]
    place = np.where(random.rand(2) < 0.5, place, last - place)
    planted = images.copy()
    for image in planted:
        row, column = np.clip(place + random.randint(-2, 3, 2), 0, last)
        image[row : row + MARKER, column : column + MARKER] = 255
    return planted


def shrink(images: np.ndarray) -> np.ndarray:
    """Return images at the size of a network's input."""
    return np.stack([np.asarray(Image.fromarray(one).resize((SIZE, SIZE), Image.BILINEAR)) for one in images])


def measure_planted(data: Path, draws: int) -> None:
    """Print how often a marker is found that a share of the positive images have, and 1 minus that of the others."""
    images = load(data / "busi", (STORED, STORED))
    pixels = images.pixels.take(np.arange(len(images.table)))
    evidence = replace(read(data, "busi"), files=(FileFacts(),) * len(pixels))  # the marker is drawn into no file
    significant, told, areas = np.zeros((3, draws, len(RATES)))
    for draw in range(draws):
        random = np.random.RandomState(derive(0, "planted", draw))
        rows = np.sort(random.permutation(len(pixels))[: random.randint(200, 401)])
        labels = random.permutation(evidence.table.labels[rows] == 1)
        marked = measure_frames(shrink(plant(pixels[rows], random)))
        chance = random.rand(len(rows))
        for place, rate in enumerate(RATES):
            has = chance < np.where(labels, rate, 1 - rate)
            frames = np.where(has, marked, evidence.frames[rows])
            found = check_shortcuts(relabel(take(evidence, rows, frames), labels, None, draw))
            tests = [test for test in found.figures["tests"] if test["family"] == "frame"]
            significant[draw, place] = min(test["p_corrected"] for test in tests) <= LEVEL
            areas[draw, place] = max(test["auc"] for test in tests)
            told[draw, place] = any("border" in finding.cure for finding in found.findings)
    print(f"| share with the marker | draws | significant | told | median AUC of the best test |\n|{'---|' * 5}")
    for place, rate in enumerate(RATES):
        shares = (f"{part[:, place].mean():.0%}" for part in (significant, told))
        print(f"| {rate:.1f} and {1 - rate:.1f} | {draws} | {' | '.join(shares)} | {np.median(areas[:, place]):.2f} |")


def invent_groups(evidence: Evidence, random: np.random.RandomState) -> np.ndarray:
    """Return groups of one to six images that follow one another."""
    sizes = random.randint(1, 7, len(evidence))
    return np.repeat(np.arange(len(sizes)), sizes)[: len(evidence)].astype(str)


def deal_labels(evidence: Evidence, random: np.random.RandomState) -> Iterator[tuple[str, Evidence]]:
    """Yield evidence whose labels mean nothing, by how they were dealt out."""
    n, seed = len(evidence), random.randint(2**31)
    groups = evidence.table.groups or tuple(invent_groups(evidence, random))
    names, owners = np.unique(groups, return_inverse=True)
    for share in (0.5, 0.15):
        said = f"{share:.0%} positive"
        yield f"single images, {said}", relabel(evidence, random.permutation(n) < share * n, None, seed)
        pure = (random.permutation(len(names)) < share * len(names))[owners]
        yield f"groups of one class, {said}", relabel(evidence, pure, groups, seed)
        mixed = random.rand(n) < random.beta(share, 1 - share, len(names))[owners]
        yield f"groups of mixed classes, {said}", relabel(evidence, mixed, groups, seed)


def measure_permuted(data: Path, draws: int) -> None:
    """Print how often anything is found where labels are dealt out by chance."""
    print(f"| set | labels | draws | any test significant | any finding |\n|{'---|' * 5}")
    for name in ("busi", "nih-cxr-64", "ct-contrast-dicom"):
        evidence, alarms, tested = read(data, name), {}, 0
        for draw in range(draws):
            for how, dealt in deal_labels(evidence, np.random.RandomState(derive(0, "permuted", name, draw))):
                found = check_shortcuts(dealt)
                tests = found.figures["tests"]
                tested = max(tested, len(tests))
                alarm = min((test["p_corrected"] for test in tests), default=1) <= LEVEL, bool(found.findings)
                alarms.setdefault(how, []).append(alarm)
        for how, each in alarms.items():
            shares = " | ".join(f"{share:.1%}" for share in np.mean(each, axis=0))
            print(f"| {name} ({tested} tests) | {how} | {len(each)} | {shares} |", flush=True)


def show_real(data: Path) -> None:
    """Print what is found in the sets as they are."""
    for name in SETS:
        found = check_shortcuts(read(data, name))
        print(f"\n{name}: {found.figures['images']:,} images, {len(found.figures['tests'])} tests")
        for finding in found.findings:
            print(f"- {finding.level}: {finding.text}")


def measure_speed(data: Path) -> None:
    """Print seconds of the whole battery, for images of busi taken again and again, each as an image of its own."""
    evidence = read(data, "busi")
    print(f"| images | measuring frames, ms each | battery, s | permutations |\n|{'---|' * 4}")
    pixels = np.random.RandomState(0).randint(0, 256, (128, SIZE, SIZE, 3), np.uint8)
    start = time.perf_counter()
    measure_frames(pixels)
    each = (time.perf_counter() - start) / len(pixels)
    for n in (60, 60, 1000, 10_000, 100_000):
        rows = np.sort(np.random.RandomState(n).randint(0, len(evidence), n))
        many = take(evidence, rows, evidence.frames[rows])
        paths = tuple(f"{row}/{path}" for row, path in enumerate(many.table.paths))
        many = replace(many, sha256=tuple(map(str, range(n))), table=replace(many.table, paths=paths))
        start = time.perf_counter()
        found = check_shortcuts(relabel(many, many.table.labels == 1, None, 0))
        print(f"| {n:,} | {1000 * each:.2f} | {time.perf_counter() - start:.3f} | {found.figures['permutations']} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("part", choices=["planted", "permuted", "real", "speed"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=0, help="how many, by default 100 planted and 200 permuted")
    given = parser.parse_args()
    if given.part == "planted":
        measure_planted(given.data, given.draws or 100)
    elif given.part == "permuted":
        measure_permuted(given.data, given.draws or 200)
    elif given.part == "real":
        show_real(given.data)
    else:
        measure_speed(given.data)
