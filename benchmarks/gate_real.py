"""Real faults of public sets: does the gate find each of them?

    python benchmarks/gate_real.py FOLDER

FOLDER holds `busi`, `nih-cxr-64`, `cxr-pediatric`, `ct-contrast-dicom` and `medmnist`. What is expected is counted by
other code (hashlib, Pillow, pydicom, NumPy), or is known of the set. A Markdown table is printed: what, expected,
found. Nothing is drawn at random; images are read at 224 pixels and checked without features.
"""

import csv
import hashlib
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from tlmed.data import load
from tlmed.findings import ERROR, GROUP, IDENTICAL, TWO_LABELS, Finding
from tlmed.gate.battery import CHEAP, conduct
from tlmed.gate.evidence import Evidence, gather
from tlmed.gate.file_stems import find_stems

SIZE = (224, 224)
PAIR = ("benign/benign (433).png", "malignant/malignant (145).png")
Row = tuple[str, str, str]


def inspect(source: Path) -> tuple[Evidence, list[Finding]]:
    """Return the evidence of a source, and what the whole cheap gate finds in it."""
    evidence = gather(load(source, SIZE))
    return evidence, [finding for part in conduct(evidence, CHEAP) for finding in part.findings]


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def find_sets(keys: Sequence[str], names: Sequence[str]) -> set[frozenset[str]]:
    """Return the names of each key that occurs more than once."""
    found = defaultdict(set)
    for key, name in zip(keys, names, strict=True):
        found[key].add(name)
    return {frozenset(same) for same in found.values() if len(same) > 1}


def digest_bytes(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def digest_pixels(file: Path) -> str:
    is_dicom = file.suffix == ".dcm"
    pixels = pydicom.dcmread(file).pixel_array if is_dicom else np.asarray(Image.open(file).convert("RGB"))
    return hashlib.md5(f"{pixels.shape}".encode() + pixels.astype(np.int64).tobytes()).hexdigest()


def list_sets(findings: Iterable[Finding], *kinds: str) -> set[frozenset[str]]:
    return {frozenset(finding.files) for finding in findings if finding.kind in kinds}


def compare(what: str, expected: set, found: set) -> Row:
    """Return a row on sets of files: how many are expected, how many of them are found, and how many others."""
    more = f" and {len(found - expected)} more" if found - expected else ""
    return what, f"{len(expected)}", f"{len(expected & found)}{more}"


def look_at_busi(folder: Path) -> list[Row]:
    pair = {frozenset(PAIR)}
    assert digest_bytes(folder / PAIR[0]) == digest_bytes(folder / PAIR[1])
    evidence, findings = inspect(folder)
    rows = [compare("busi: pairs of one image under two labels", pair, list_sets(findings, TWO_LABELS))]
    paths = evidence.table.paths
    same = find_sets([digest_pixels(folder / path) for path in paths], paths)
    rows.append(
        compare("busi: sets of equal pixels", same, list_sets(findings, TWO_LABELS, IDENTICAL)),
    )
    rows.append(("busi: stems of file names that may be patients", "0", f"{len(set(find_stems(paths, 3)) - {''})}"))
    for fold in range(1, 6):
        file = folder / f"radimagenet_fold{fold}.csv"
        split = {row["path"]: row["split"] for row in read_rows(file)}
        crosses = pair if split[PAIR[0]] != split[PAIR[1]] else set()
        _, findings = inspect(file)
        errors = [finding for finding in findings if finding.level == ERROR]
        rows.append(compare(f"{file.name}: copies across its splits", crosses, list_sets(errors, IDENTICAL)))
        rows.append(compare(f"{file.name}: images under two labels", pair, list_sets(errors, TWO_LABELS)))
    return rows


def look_at_nih(folder: Path) -> list[Row]:
    file = folder / "labels.csv"
    listed, where = read_rows(file), defaultdict(set)
    for row in listed:
        where[row["group"]].add(row["split"])
    crossing = {group for group, splits in where.items() if len(splits) > 1}
    files = {frozenset(row["path"] for row in listed if row["group"] == group) for group in crossing}
    _, findings = inspect(file)
    rows = [compare("nih-cxr-64: patients in several splits, by their column", files, list_sets(findings, GROUP))]
    without = [{name: value for name, value in row.items() if name != "group"} for row in listed]
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "images").symlink_to(folder.resolve() / "images")
        other = Path(place) / "labels.csv"
        with other.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, without[0])
            writer.writeheader()
            writer.writerows(without)
        _, findings = inspect(other)
    (named,) = [finding for finding in findings if finding.kind == GROUP]
    by_group = {row["path"]: row["group"] for row in listed}
    rows.append(
        compare(
            "nih-cxr-64: the same patients, by file names alone", crossing, {by_group[path] for path in named.files}
        )
    )
    return [*rows, *score_stems("nih-cxr-64", [row["path"] for row in listed], [row["group"] for row in listed])]


def score_stems(name: str, paths: Sequence[str], groups: Sequence[str]) -> list[Row]:
    """Return rows on pairs of images of one patient, as file names tell them, against the true groups."""
    stems = find_stems(paths)

    def count_pairs(keys) -> int:
        return sum(many * (many - 1) // 2 for key, many in Counter(keys).items() if key is not None)

    both = count_pairs((stem, group) if stem else None for stem, group in zip(stems, groups, strict=True))
    told, true = count_pairs(stem or None for stem in stems), count_pairs(groups)
    figures = f"recall {both / true:.3f}, precision {both / told:.3f}" if told else "none: the names tell no patients"
    return [(f"{name}: pairs of one patient by file names", f"{true:,} pairs", figures)]


def look_at_pediatric(folder: Path) -> list[Row]:
    listed = read_rows(folder / "labels.csv")
    paths, groups = [row["path"] for row in listed], [row["group"] for row in listed]
    same = find_sets([digest_pixels(folder / path) for path in paths], paths)
    _, findings = inspect(folder / "labels.csv")
    found = compare("cxr-pediatric: duplicate sets (of the whole set's 30)", same, list_sets(findings, IDENTICAL))
    return [found, *score_stems("cxr-pediatric", paths, groups)]


def look_at_ct(folder: Path) -> list[Row]:
    listed = read_rows(folder / "labels.csv")
    paths = [row["path"] for row in listed]
    same = find_sets([digest_pixels(folder / path) for path in paths], paths)
    _, findings = inspect(folder / "labels.csv")
    rows = [compare("ct-contrast-dicom: pairs of equal pixels", same, list_sets(findings, IDENTICAL))]
    # Names are such as ID_0000_AGE_0060_CONTRAST_1_CT.dcm: each has a number of its own.
    assert len({Path(path).name.split("_")[1] for path in paths}) == len(paths)
    return [*rows, *score_stems("ct-contrast-dicom", paths, [row["group"] for row in listed])]


def look_at_breastmnist(folder: Path) -> list[Row]:
    with np.load(folder / "breastmnist.npz") as arrays:
        images = {split: arrays[f"{split}_images"] for split in ("train", "val", "test")}
    paths = [f"{split}/{row}" for split, stack in images.items() for row in range(len(stack))]
    same = find_sets([image.tobytes() for stack in images.values() for image in stack], paths)
    _, findings = inspect(folder / "breastmnist.npz")
    errors = [finding for finding in findings if finding.level == ERROR]
    return [
        compare("breastmnist.npz: images in train and in test", same, list_sets(errors, IDENTICAL)),
        compare("breastmnist.npz: images under two labels", same, list_sets(errors, TWO_LABELS)),
    ]


SETS: dict[str, Callable[[Path], list[Row]]] = {
    "busi": look_at_busi,
    "nih-cxr-64": look_at_nih,
    "cxr-pediatric": look_at_pediatric,
    "ct-contrast-dicom": look_at_ct,
    "medmnist": look_at_breastmnist,
}


def main(folder: str) -> None:
    """Print the table of all sets that are there."""
    print("| what | expected | found |\n|---|---|---|")
    for name, look in SETS.items():
        if (Path(folder) / name).exists():
            for row in look(Path(folder) / name):
                print(f"| {' | '.join(row)} |", flush=True)
        else:
            print(f"| {name} is not in {folder} | | |")


if __name__ == "__main__":
    main(*sys.argv[1:])
