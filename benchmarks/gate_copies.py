"""Plant copies across the splits of real data sets, and count those that the gate finds, and its false alarms.

    python benchmarks/gate_copies.py plant --data DIR [--features]
    python benchmarks/gate_copies.py speed [--images 10000]

The copies are drawn with Pillow, and with nothing of the detector. `DIR` holds the folders `busi`, `cxr-pediatric` and
`nih-cxr-64`. What is no planted copy and yet a real one, seen by eye, is listed in gate_copies_real.csv.
"""

import csv
import io
import itertools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
