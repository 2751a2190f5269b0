"""Draw explanations: a map as colour on its image, and PNG files of both side by side."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from tlmed.data.ranges import check_ranges
from tlmed.errors import InputError
from tlmed.evaluation.explanations.methods import Explainer
from tlmed.part_names import split_part
from tlmed.targets import check_targets, is_marked, make_mark
from tlmed.whole_files import atomic
from tlmed.words import thousandths

# Even in perception and ordered by lightness, so that the colour-blind and a grey print show the same order (van der
# Walt & Smith, A better default colormap for matplotlib, SciPy 2015). Its middle is green; that of cividis is grey,
# which is lost on a grey image.
COLOURS = "viridis"
OPACITY = 0.7
_LEAST_SIDE = 224  # smaller images are enlarged by a whole number
_GAP, _MARGIN, _LINE = 8, 8, 22
_BAR = (72, 10)
_COMMAND = "predict"
# Characters of a name that are kept: 4 bytes each at most, and file systems allow 255 bytes for all of a file's name.
_LONGEST, _OF_LABEL = 56, 20


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return an image with a map on it: the more the map says, the more colour; where it is 0 the image is as it was.

    Args:
        image: [height, width, 3], RGB in 0..255.
        heat: Map [height, width], 0..1.

    Returns:
        uint8 [height, width, 3].

    Raises:
        InputError: If the image has other numbers.

    >>> image = np.full((1, 2, 3), 100, "uint8")
    >>> overlay(image, np.array([[0.0, 1.0]])).tolist()
    [[[100, 100, 100], [207, 192, 56]]]
    """
    image, heat = np.asarray(image), np.asarray(heat, "float64")
    check_ranges(image[None], "`image` must be RGB in 0..255")
    share = OPACITY * heat[..., None]
    return np.rint((1 - share) * image + share * _colour(heat)).astype("uint8")


def draw_panel(image: np.ndarray, heat: np.ndarray, caption: str = "", note: str = "") -> Image.Image:
    """Draw an image and its overlay side by side, with two lines below and a key to the colours.

    Args:
        image: [height, width, 3], RGB in 0..255.
        heat: Map [height, width], 0..1.
        caption: What was predicted, below the image.
        note: How it is explained, below that.

    Raises:
        InputError: If the image has other numbers.
    """
    drawn = overlay(image, heat)
    times = -(-_LEAST_SIDE // min(drawn.shape[:2]))
    pair = [Image.fromarray(part) for part in (np.rint(image).astype("uint8"), drawn)]
    size = tuple(times * side for side in pair[0].size)
    height = size[1] + 2 * _LINE + 3 * _MARGIN
    panel = Image.new("RGB", (2 * size[0] + _GAP + 2 * _MARGIN, height), "white")
    for i, part in enumerate(pair):
        # Nearest, so that the network's own pixels show.
        panel.paste(part.resize(size, Image.Resampling.NEAREST), (_MARGIN + i * (size[0] + _GAP), _MARGIN))
    _write_lines(panel, size, (caption, note))
    return panel


@dataclass(frozen=True)
class Place:
    """Where explanations are written.

    Attributes:
        folder: Is made where it is missing.
        names: Paths of the images; the files are named by them, no two alike.
        force: Whether earlier explanations may be written over.
    """

    folder: str | Path
    names: Sequence[str]
    force: bool = False


def write_explanations(
    place: Place,
    images: np.ndarray,
    maps: np.ndarray,
    captions: Sequence[str] | None = None,
    method: str = "explained",
    note: str = "",
) -> list[Path]:
    """Write a PNG for each image: image and overlay side by side, with a caption.

    Args:
        place: The folder, and the paths of the images.
        images: [n, height, width, 3], RGB in 0..255.
        maps: float [n, height, width], 0..1.
        captions: What was predicted for each.
        method: Stands in the names of the files, before `.png`.
        note: A second line for all.

    Returns:
        The files, in the order of the images.

    Raises:
        InputError: If the folder cannot be made, a file exists and may not be written over, or images have other
            numbers.
    """
    images = np.asarray(images)
    check_ranges(images, "`images` must be RGB in 0..255")
    images, files = np.rint(images).astype("uint8"), name_in(place, method)
    for file, image, heat, caption in zip(files, images, maps, captions or [""] * len(files), strict=True):
        write_panel(file, image, heat, caption, note)
    return files


def save_explanations(
    place: Place,
    batches: Iterable[np.ndarray],
    predictions: Sequence[int],
    scores: np.ndarray,
    classes: Sequence[str],
    explainer: Explainer,
    rule: str = "",
) -> list[Path]:
    """Explain why images were given their class, batch by batch, and write a PNG for each.

    Args:
        place: The folder, and the paths of the images.
        batches: Their pixels in the same order, uint8 [b, height, width, 3] each.
        predictions: Their classes, 0..k-1, which are explained.
        scores: Class probabilities [n, k], shown in the captions.
        classes: Names of the k classes.
        explainer: From `make_explainer`.
        rule: What chose between the classes; stands after each caption.

    Returns:
        The files, in the order of the images.

    Raises:
        InputError: As for `write_explanations`.
    """
    predictions = np.asarray(predictions)
    captions = [
        f"{classes[label]} {thousandths(row[label])}{rule}"
        for label, row in zip(predictions, np.asarray(scores), strict=True)
    ]
    files, done = name_in(place, explainer.method), 0
    for images in batches:
        images = np.asarray(images)
        rows = slice(done, done + len(images))
        maps = explainer(images, predictions[rows])
        for file, image, heat, caption in zip(files[rows], images, maps, captions[rows], strict=True):
            write_panel(file, image, heat, caption, explainer.name)
        done += len(images)
    return files


def name_files(names: Sequence[str], method: str, labels: Sequence[str] = ()) -> list[str]:
    """Return a file name for each path: as much of its end as tells all apart, and a number where nothing does.

    Args:
        names: Paths.
        method: Stands before `.png`.
        labels: Where pictures are of labels: each path has a name for each of them, one after the other.

    >>> name_files(["a/x.png", "b/x.png"], "grad-cam")
    ['a-x.grad-cam.png', 'b-x.grad-cam.png']
    >>> name_files(["a.nii#plane=3"], "grad-cam")
    ['a-plane_3.grad-cam.png']
    >>> name_files(["x.png"], "grad-cam", ["edema", "lung mass"])
    ['x.edema.grad-cam.png', 'x.lung_mass.grad-cam.png']
    """
    longest = _LONGEST - _OF_LABEL * bool(labels)
    parts = [_divide(name) for name in names]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        stems = [_tidy("-".join(each[-depth:]), longest) for each in parts]
        # Some file systems take upper and lower case for the same.
        if len({stem.casefold() for stem in stems}) == len(stems):
            break
    else:
        stems = _number(stems) if parts else []
    ends = [f".{stem}" for stem in name_labels(labels)] or [""]
    return [f"{stem}{end}.{method}.png" for stem in stems for end in ends]


def name_labels(labels: Sequence[str]) -> list[str]:
    """Return what stands for each label in the names of files; no two are alike.

    >>> name_labels(["Lung mass", "lung/mass"])
    ['Lung_mass', 'lung_mass-2']
    """
    return _number([_tidy(label, _OF_LABEL) for label in labels])


def _divide(name) -> tuple[str, ...]:
    """Return the folders of a path and its name without an ending; with the part of the file that a sample is."""
    file, part = split_part(name)
    path = Path(file).with_suffix("")
    return (*path.parts[:-1], f"{path.name}-{part}" if part else path.name)


def _number(stems) -> list[str]:
    taken, numbered = set(), []
    for stem in stems:
        free, count = stem, 1
        while free.casefold() in taken:
            count += 1
            free = f"{stem}-{count}"
        taken.add(free.casefold())
        numbered.append(free)
    return numbered


def _tidy(stem, longest) -> str:
    """Return text that every file system accepts as a name, and that a shell takes for one word and no option."""
    return re.sub(r"[^\w.()-]+", "_", stem)[-longest:].lstrip(".-") or "image"


def open_folder(folder: str | Path, sources: Sequence[str | Path] = ()) -> None:
    """Make a folder for explanations.

    Args:
        folder: Is made where it is missing.
        sources: Where images are looked for: files, and folders with everything below them.

    Raises:
        InputError: If it cannot be made, or lies where its pictures would be taken for images the next time.
    """
    place = Path(folder).resolve()
    for source in map(Path, sources):
        if source.is_dir() and place.is_relative_to(source.resolve()):
            raise InputError(
                "Explanations must go to a folder outside of the images' folders, because they would be read as images "
                f"the next time. Received: {folder}, inside {source}."
            )
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Explanations must go to a folder that can be made. Received: {folder}: {error}.") from error


def name_in(place: Place, method: str) -> list[Path]:
    """Make a folder for explanations, and return the file of each image in it.

    Args:
        place: The folder, and the paths of the images.
        method: Stands before `.png`.

    Raises:
        InputError: If the folder cannot be made, or a file exists and may not be written over; see `check_targets`.
    """
    files = [Path(place.folder) / name for name in name_files(place.names, method)]
    claim_files(place, files)
    return files


def claim_files(place: Place, files: Sequence[Path]) -> None:
    """Make a folder for explanations, and refuse files in it that may not be written.

    Args:
        place: The folder, and the paths of the images.
        files: In that folder.

    Raises:
        InputError: As for `name_in`.
    """
    open_folder(place.folder)
    made = {file: lambda file: is_marked(file, _COMMAND) for file in files}
    check_targets("--explain", made, place.force, place.names)


def write_panel(file: Path, image: np.ndarray, heat: np.ndarray, caption: str, note: str) -> None:
    """Write what `draw_panel` draws as a PNG that later explanations may be written over."""
    about = PngImagePlugin.PngInfo()
    about.add_text("Software", make_mark(_COMMAND))
    with atomic(file) as part:
        draw_panel(image, heat, caption, note).save(part, "PNG", pnginfo=about)


def _write_lines(panel, size, lines) -> None:
    """Write below the pair, and draw the key below the overlay."""
    draw, top = ImageDraw.Draw(panel), size[1] + 2 * _MARGIN
    bar = Image.fromarray(_colour(np.linspace(0, 1, _BAR[0])[None].repeat(_BAR[1], axis=0)).astype("uint8"))
    font, small = _font(15), _font(12)
    words = ("little", "much")
    widths = [round(small.getlength(word)) for word in words]
    left = panel.width - _MARGIN - _BAR[0] - widths[1] - 4
    panel.paste(bar, (left, top + _LINE + 5))
    draw.text((left - widths[0] - 4, top + _LINE + 2), words[0], "#5a6675", small)
    draw.text((left + _BAR[0] + 4, top + _LINE + 2), words[1], "#5a6675", small)
    room = panel.width - 2 * _MARGIN
    draw.text((_MARGIN, top), _shorten(lines[0], font, room), "#1b2430", font)
    draw.text((_MARGIN, top + _LINE + 2), _shorten(lines[1], small, left - widths[0] - 12), "#5a6675", small)


def _shorten(text, font, room) -> str:
    text = " ".join(str(text).split())
    whole = text
    while text and font.getlength(text + "…" * (text != whole)) > room:
        text = text[:-1]
    return text + "…" * (text != whole)


def _colour(heat) -> np.ndarray:
    return matplotlib.colormaps[COLOURS](heat)[..., :3] * 255


def _font(size) -> ImageFont.FreeTypeFont:
    # The font that plots use too: it has the letters of most languages.
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
