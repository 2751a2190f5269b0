"""Plant copies across the splits of real data sets, and count those that the gate finds, and its false alarms.

    python benchmarks/gate_copies.py plant --data DIR [--features]
    python benchmarks/gate_copies.py speed [--images 10000]

The copies are drawn with Pillow, and with nothing of the detector. `DIR` holds the folders `busi`, `cxr-pediatric` and
`nih-cxr-64`. What is no planted copy and yet a real one, seen by eye, is listed in gate_copies_real.csv.
"""

import argparse
import csv
import io
import itertools
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

SETS, EACH, SEED, SIZE = ("busi", "cxr-pediatric", "nih-cxr-64"), 40, 0, (224, 224)
REAL = Path(__file__).with_name("gate_copies_real.csv")
_USUAL = 256  # pixels of the side for which amounts in pixels are meant

Draw = Callable[[Image.Image, np.random.RandomState], Image.Image]


def compress(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image after JPEG of quality 30 to 90."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(random.randint(30, 91)))
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def shrink(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image with 50 to 90 % of its height and width."""
    factor = random.uniform(0.5, 0.9)
    rule = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)[random.randint(3)]
    return image.resize(tuple(round(side * factor) for side in image.size), rule)


def lighten(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image with 60 to 140 % of its brightness and of its contrast."""
    brighter = ImageEnhance.Brightness(image).enhance(random.uniform(0.6, 1.4))
    return ImageEnhance.Contrast(brighter).enhance(random.uniform(0.6, 1.4))


def crop(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return a part of an image, anywhere, of 80 to 95 % of each side."""
    sides = [round(side * random.uniform(0.8, 0.95)) for side in image.size]
    left, top = (random.randint(whole - side + 1) for whole, side in zip(image.size, sides, strict=True))
    return image.crop((left, top, left + sides[0], top + sides[1]))


def flip(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image upside down."""
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def mirror(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image with left and right exchanged."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def turn(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image rotated by 90, 180 or 270 degrees."""
    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    return image.transpose(turns[random.randint(3)])


def tilt(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image rotated by 1 to 5 degrees either way, its corners black."""
    angle = random.uniform(1, 5) * random.choice([-1, 1])
    return image.rotate(angle, Image.Resampling.BICUBIC)


def frame(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image with a black or white border of 4 to 12 % of its side, each side its own."""
    left, top, right, bottom = (round(image.size[i % 2] * random.uniform(0.04, 0.12)) for i in range(4))
    size = (image.width + left + right, image.height + top + bottom)
    framed = Image.new("RGB", size, ((0, 0, 0), (255, 255, 255))[random.randint(2)])
    framed.paste(image, (left, top))
    return framed


def annotate(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image with one to three texts or arrows burnt in, white or yellow."""
    marked = image.copy()
    draw = ImageDraw.Draw(marked)
    short = min(image.size)
    for _ in range(random.randint(1, 4)):
        colour = ((255, 255, 255), (255, 255, 0))[random.randint(2)]
        x, y = random.uniform(0.03, 0.7) * image.width, random.uniform(0.03, 0.9) * image.height
        if random.rand() < 0.5:
            font = ImageFont.load_default(max(6, short * random.uniform(0.05, 0.1)))
            draw.text((x, y), ("R", "LEFT", "AP portable", "1.2 cm", "MASS")[random.randint(5)], colour, font)
            continue
        angle, long, wide = random.uniform(0, 2 * np.pi), short * random.uniform(0.1, 0.25), max(1, short // 100)
        end = (x + long * np.cos(angle), y + long * np.sin(angle))
        draw.line((x, y, *end), colour, wide)
        for side in (-0.5, 0.5):
            draw.line((x, y, x + long * np.cos(angle + side) / 3, y + long * np.sin(angle + side) / 3), colour, wide)
    return marked


def bend(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image with a gamma of 0.6 to 1.6."""
    gamma = random.uniform(0.6, 1.6)
    return image.point([round(255 * (value / 255) ** gamma) for value in range(256)] * 3)


def blur(image: Image.Image, random: np.random.RandomState) -> Image.Image:
    """Return an image after a Gaussian blur with a radius of 1 to 2 pixels of 256."""
    return image.filter(ImageFilter.GaussianBlur(random.uniform(1, 2) * min(image.size) / _USUAL))


KINDS: Mapping[str, Draw] = {
    "re-compressed": compress,
    "resized": shrink,
    "brightness and contrast": lighten,
    "cropped": crop,
    "vertical flip": flip,
    "mirrored": mirror,
    "rotated by 90, 180, 270": turn,
    "rotated by 1 to 5 degrees": tilt,
    "border": frame,
    "text or arrows": annotate,
    "gamma": bend,
    "blur": blur,
}


@dataclass(frozen=True)
class Planted:
    """A data set with copies planted across its split.

    Attributes:
        path: Of its CSV.
        sources: The path of the original of each planted file.
        kinds: The kind of each planted file.
    """

    path: Path
    sources: Mapping[str, str]
    kinds: Mapping[str, str]


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Return a row (path, label, group, split) for each image of a data set, with whole paths."""
    from tlmed.data import load

    source = folder / "labels.csv" if (folder / "labels.csv").exists() else folder
    images = load(str(source), SIZE, seed=SEED)
    table = images.table
    labels = [table.classes[label] for label in table.labels]
    groups = table.groups or ("",) * len(table)
    rows = zip(table.paths, labels, groups, images.splits, strict=True)
    return [dict(path=path, label=a, group=b, split=c) for path, a, b, c in rows]


def plant(folder: Path, out: Path, each: int = EACH, seed: int = SEED) -> Planted:
    """Copy a data set, with copies of training images added to its test part, `each` of every kind, and write its CSV.

    Args:
        folder: The data set.
        out: A folder that is not there yet.
        each: Copies of a kind.
        seed: Of what is drawn.
    """
    random = np.random.RandomState(seed)
    rows = read_rows(folder)
    shutil.copytree(folder, out)
    train = [row for row in rows if row["split"] == "train"]
    chosen = random.choice(len(train), each * len(KINDS), replace=each * len(KINDS) > len(train))
    planted, sources, kinds = [], {}, {}
    for number, (row, kind) in enumerate(zip(chosen, itertools.cycle(KINDS), strict=False)):
        source, path = train[row], f"copy-{number:03d}.png"
        with Image.open(folder / source["path"]) as opened:
            KINDS[kind](opened.convert("RGB"), random).save(out / path)
        group = f"planted-{number}" if source["group"] else ""
        planted.append({**source, "path": path, "group": group, "split": "test"})
        sources[path], kinds[path] = source["path"], kind
    table = out / "planted.csv"
    with open(table, "w", newline="") as file:
        fields = [field for field in ("path", "label", "group", "split") if rows[0][field]]
        writer = csv.DictWriter(file, fields, extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*rows, *planted])
    return Planted(table, sources, kinds)


def read_real() -> dict[str, list[frozenset[str]]]:
    """Return the pairs of each data set that are copies and not planted, as they were seen by eye."""
    pairs: dict[str, list[frozenset[str]]] = {name: [] for name in SETS}
    with open(REAL, newline="") as file:
        for row in csv.DictReader(file):
            pairs[row["set"]].append(frozenset((row["first"], row["second"])))
    return pairs


@dataclass(frozen=True)
class Count:
    """What was found in one data set.

    Attributes:
        found: Planted copies found, by kind.
        planted: Planted copies, by kind.
        true: Pairs found that are copies, planted or real.
        false: Pairs found that are none.
        strangers: Images in a false pair of two patients.
        images: All.
        seconds: That the check took.
    """

    found: Counter
    planted: Counter
    true: int
    false: list[tuple[str, ...]]
    strangers: int
    images: int
    seconds: float


def count_found(evidence, planted: Planted, real: Sequence[frozenset[str]]) -> Count:
    """Return what the check finds of planted copies, and its false alarms.

    Copies of one image, and of images that are copies of each other, are one set; a pair within a set is true.
    """
    from tlmed.findings import IDENTICAL, TWO_LABELS
    from tlmed.gate.copies_and_labels import check_copies
    from tlmed.gate.copy_sets import Sets
    from tlmed.gate.near_copies import check_alike, check_near_copies, read_pairs

    start = time.perf_counter()
    parts = [check_near_copies(evidence)]
    if evidence.features is not None:
        parts.append(check_alike(replace(evidence, copies=read_pairs(evidence, parts[0]))))
    seconds = time.perf_counter() - start
    row = {path: number for number, path in enumerate(evidence.table.paths)}
    truth, seen = Sets(len(row)), Sets(len(row))
    first: dict[str, int] = {}
    for number, digest in enumerate(evidence.sha256):
        truth.join(first.setdefault(digest, number), number)
    for one, other in [*planted.sources.items(), *map(tuple, real)]:
        truth.join(row[one], row[other])
    # A copy may be equal in all pixels, after a gamma near 1: another check finds those.
    for finding in check_copies(evidence).findings:
        for file in finding.files if finding.kind in (IDENTICAL, TWO_LABELS) else ():
            seen.join(row[finding.files[0]], row[file])
    pairs = [tuple(pair["files"]) for checked in parts for pair in checked.figures["pairs"]]
    for one, other in pairs:
        seen.join(row[one], row[other])
    found = Counter(planted.kinds[a] for a, b in planted.sources.items() if seen.find(row[a]) == seen.find(row[b]))
    false = [pair for pair in pairs if truth.find(row[pair[0]]) != truth.find(row[pair[1]])]
    groups = evidence.table.groups or evidence.table.paths
    own = {path: groups[row[planted.sources.get(path, path)]] for path in row}
    strangers = {path for pair in false if own[pair[0]] != own[pair[1]] for path in pair}
    return Count(
        found, Counter(planted.kinds.values()), len(pairs) - len(false), false, len(strangers), len(row), seconds
    )


def plant_all(data: Path, features: bool, seed: int) -> dict[str, Count]:
    """Plant copies in each data set, and count what is found."""
    from tlmed.data import load
    from tlmed.gate.evidence import gather

    counts, real = {}, read_real()
    for name in SETS:
        with tempfile.TemporaryDirectory() as scratch:
            planted = plant(data / name, Path(scratch) / name, seed=seed)
            evidence = gather(load(str(planted.path), SIZE))
            if features:
                evidence = add_features(evidence, Path(scratch) / name)
            counts[name] = count_found(evidence, planted, real[name])
    return counts


def add_features(evidence, folder: Path):
    """Return evidence with features of MobileNetV2, whose ImageNet weights must be at hand."""
    from tlmed import FeatureExtractor

    files = [str(folder / path) for path in evidence.table.paths]
    return replace(evidence, features=FeatureExtractor(weights="imagenet").fit_transform(files))


def print_planted(counts: Mapping[str, Count]) -> None:
    """Print a row for each kind of copy, and rows of sums and of false alarms."""
    print("| copy | " + " | ".join(counts) + " |\n|---|" + "---:|" * len(counts))
    for kind in KINDS:
        print_row(kind, [f"{count.found[kind]} of {count.planted[kind]}" for count in counts.values()])
    sums = [(count.found.total(), count.planted.total()) for count in counts.values()]
    print_row("all, found", [f"{found} of {planted} ({found / planted:.1%})" for found, planted in sums])
    print_row("pairs found that are copies", [f"{count.true:,}" for count in counts.values()])
    print_row("pairs found that are none", [f"{len(count.false):,}" for count in counts.values()])
    shares = [count.true / (count.true + len(count.false)) for count in counts.values()]
    print_row("precision", [f"{share:.1%}" for share in shares])
    alarms = [f"{count.strangers:,} of {count.images:,} images" for count in counts.values()]
    print_row("false alarms between patients", alarms)
    print_row("seconds of the check", [f"{count.seconds:.1f}" for count in counts.values()])
    for name, count in counts.items():
        for pair in count.false:
            print(f"false, {name}: {' and '.join(pair)}", file=sys.stderr)


def print_row(name: str, cells: Sequence[str]) -> None:
    """Print a row of a Markdown table."""
    print(f"| {name} | " + " | ".join(cells) + " |")


def draw_synthetic(amount: int, seed: int = SEED) -> np.ndarray:
    """Return sketches of synthetic anatomy, uint8 [n, 64, 64]: coarse structure that all share, and own detail."""
    from scipy import ndimage

    random, parts = np.random.RandomState(seed), []
    shared = 40 * ndimage.gaussian_filter(random.normal(size=(64, 64)), 8, mode="wrap") * 8
    for start in range(0, amount, 1000):
        noise = random.normal(size=(min(1000, amount - start), 64, 64)).astype(np.float32)
        layers = [
            gain * ndimage.gaussian_filter(noise, (0, scale, scale)) for gain, scale in ((15, 0.7), (60, 2), (120, 5))
        ]
        parts.append(np.clip(128 + shared + sum(layers), 0, 255).astype(np.uint8))
    return np.concatenate(parts)


def measure_speed(amount: int) -> tuple[float, float, int, int, float]:
    """Return seconds, those of processors, copies planted and found, and peak memory in GB, for so many sketches.

    One in a hundred is a copy of another, of one of the twelve kinds.
    """
    from tlmed.data.file_facts import FileFacts
    from tlmed.data.table import Table
    from tlmed.gate.evidence import Evidence
    from tlmed.gate.near_copies import check_near_copies

    random, sketches = np.random.RandomState(SEED), draw_synthetic(amount)
    copies = amount // 100
    for number, kind in zip(range(copies), itertools.cycle(KINDS), strict=False):
        image = KINDS[kind](Image.fromarray(sketches[copies + number]).convert("RGB"), random).convert("L")
        sketches[number] = np.asarray(image.resize((64, 64), Image.Resampling.BOX))
    paths = tuple(f"{number}.png" for number in range(amount))
    table = Table("synthetic", paths, np.zeros(amount, np.int64), ("one", "two"), None, None, lambda row: b"")
    splits = np.where(np.arange(amount) < copies, "test", "train")
    files, frames = (FileFacts(),) * amount, np.zeros(amount)
    evidence = Evidence(table, splits, (), paths, None, files, sketches, frames)
    start, busy = time.perf_counter(), time.process_time()
    checked = check_near_copies(evidence)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    pairs = {frozenset(pair["files"]) for pair in checked.figures["pairs"]}
    found = sum(frozenset((paths[number], paths[copies + number])) in pairs for number in range(copies))
    return seconds, busy, copies, found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def main() -> None:
    """Run a part and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("plant", "speed"))
    parser.add_argument("--data", type=Path, help="the folder of the data sets")
    parser.add_argument("--features", action="store_true", help="with features of MobileNetV2")
    parser.add_argument("--images", type=int, nargs="+", default=(1_000, 10_000))
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    if options.part == "plant":
        print_planted(plant_all(options.data, options.features, options.seed))
        return
    print(
        "| images | seconds | seconds of processors | copies planted | found | peak memory, GB |\n" + "|---:" * 6 + "|"
    )
    for amount in options.images:
        seconds, busy, copies, found, memory = measure_speed(amount)
        print_row(f"{amount:,}", [f"{seconds:.1f}", f"{busy:.1f}", f"{copies:,}", f"{found:,}", f"{memory:.1f}"])


if __name__ == "__main__":
    main()
