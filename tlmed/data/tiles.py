"""Cut slides and other large pictures into square tiles: those with tissue, up to a number for each file.

A tile is a sample like any other. Its path is `slide.svs#x=1024,y=0`: the file, and the tile's upper left corner in
pixels of the file.
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

import numpy as np

from tlmed.data.file_facts import FileFacts
from tlmed.data.file_samples import Sample, expand
from tlmed.data.kinds import read_head
from tlmed.data.parts import Part
from tlmed.data.readers import name_format, read_plane
from tlmed.data.readers.plane import Plane
from tlmed.data.readers.reader import naming_extra
from tlmed.data.readers.slides import Slide, is_slide, open_slide
from tlmed.data.table import Table
from tlmed.errors import InputError
from tlmed.part_names import join_part
from tlmed.regular_files import read_regular, sha256
from tlmed.seeds import derive
from tlmed.slicing import Tiling
from tlmed.words import count, listed

NAMED = 3
OPEN = 4  # files that stay open; a picture of another format is decoded whole, and takes up to 300 MB
_THREADS = 4
_LOOK = 64  # pixels of a tile's side are enough to tell tissue
# A pixel is tissue if its saturation (of 255) is above this: `sthresh` of CLAM (Lu et al. 2021, Nature Biomedical
# Engineering 5:555). Glass is white, and stains have a colour.
_SATURATION = 8
_BLACK = 25  # a pixel whose channels are all below it has no colour that can be told: pen, or the edge of a scan
_COARSE = 2.0  # tiles are not enlarged by more than this
_ALIKE = 1.1  # the factor by which resolutions may differ; beyond it, tiles of so many pixels are refused


@dataclass(frozen=True, eq=False)
class _Picture:
    """A large picture that is decoded whole, because its format allows no other way; read like a `Slide`."""

    plane: Plane
    family: str
    mpp: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return np.asarray(self.plane.values).shape[:2]

    def read(self, corner: tuple[int, int], side: int, shrink: float = 1.0) -> Plane:
        x, y = corner
        return self.plane.move(lambda values: values[y : y + side, x : x + side])


@dataclass(frozen=True)
class _File:
    """A file to be cut.

    Args:
        path: Relative to the data's root.
        open: Returns it, open.
        shape: Its height and width in pixels.
        mpp: Micrometres per pixel, if it says so.
        side: Of a tile, in its pixels.
        shrink: How many of its pixels, along a side, a pixel of a tile stands for.
    """

    path: str
    open: Callable[[], Slide | _Picture] = field(repr=False)
    shape: tuple[int, int]
    mpp: float | None
    side: int = 0
    shrink: float = 1.0


def cut_slides(table: Table, tiles: Tiling) -> Table:
    """Return a table of tiles, made from a table of files.

    Which tiles a file gives depends on its name, its pixels and `tiles`, and not on other files or the run's seed: runs
    with other seeds are compared on the same tiles.

    Args:
        table: The files, with their root.
        tiles: How they are cut.

    Raises:
        InputError: Files cannot be opened, know their resolution in part only, or give no tile; all of a kind at once.
    """
    root = table.root
    opener = functools.lru_cache(OPEN)(_open)
    files = _measure([(path, functools.partial(opener, root / path)) for path in table.paths], tiles)
    with ThreadPoolExecutor(_THREADS) as pool:
        corners = list(pool.map(lambda file: _choose(file, tiles), files))
    if empty := [file.path for file, found in zip(files, corners, strict=True) if not found]:
        raise InputError(
            "Every file must give a tile: choose smaller tiles, or less `tissue`, or leave the file out. "
            f"Received: none from {count(len(empty), 'file')} of {len(files):,} ({listed(empty, NAMED)})."
        )
    digest = functools.lru_cache(None)(sha256)  # of this call alone: a file may be another one in the next
    samples = [
        Sample(
            join_part(file.path, f"x={x},y={y}"),
            row,
            functools.partial(_make_part, file, (x, y), functools.partial(digest, root / file.path)),
        )
        for row, (file, found) in enumerate(zip(files, corners, strict=True))
        for x, y in found
    ]
    return expand(table, samples, [_describe(files, len(samples), tiles), *_describe_enlarged(files, table, tiles)])


def _open(file: Path) -> Slide | _Picture:
    if is_slide(file, read_head(file)):
        with naming_extra("Slides", "slides"):
            return open_slide(file)
    content = read_regular(file)
    return _Picture(read_plane(content), name_format(content))


def _measure(named: Sequence[tuple[str, Callable]], tiles: Tiling) -> list[_File]:
    """Open each file once, and find how large its tiles are in its own pixels."""
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda item: _look(*item), named))
    if bad := [text for text in found if isinstance(text, str)]:
        raise InputError(
            f"Every file must be readable, to be cut into tiles. {count(len(bad), 'file')} of {len(found):,} cannot be "
            f"opened. Received: {listed(bad, NAMED)}."
        )
    _check_resolution(found, tiles)
    return [_scale(file, tiles) for file in found]


def _scale(file: _File, tiles: Tiling) -> _File:
    shrink = tiles.mpp / file.mpp if tiles.mpp else 1.0
    return replace(file, side=max(round(tiles.size * shrink), 1), shrink=shrink)


def _look(path: str, opener: Callable) -> _File | str:
    try:
        opened = opener()
    except InputError:  # a reader is not installed: no fault of this file
        raise
    except (OSError, ValueError) as error:
        return f"'{path}' ({getattr(error, 'strerror', None) or error})"
    return _File(path, opener, opened.shape, opened.mpp)


def _check_resolution(files: Sequence[_File], tiles: Tiling) -> None:
    """Refuse files whose tiles would show more tissue in one than in another, without anybody knowing."""
    silent = [file.path for file in files if file.mpp is None]
    known = {file.path: file.mpp for file in files if file.mpp is not None}
    if silent and (known or tiles.mpp):
        raise InputError(
            "Every file must state its resolution where tiles are measured in micrometres, and all or none where they "
            "are measured in pixels (`mpp=None`). "
            f"Received: mpp={tiles.mpp} and {count(len(silent), 'file')} of {len(files):,} without it "
            f"({listed(silent, NAMED)})."
        )
    if tiles.mpp is None and known and max(known.values()) > _ALIKE * min(known.values()):
        raise InputError(
            "Files of different resolutions must be cut at one: set `mpp`, the micrometres of a tile's pixel. "
            f"Received: mpp=None with {min(known.values()):.3g} to {max(known.values()):.3g} micrometres per pixel."
        )
    coarse = [f"{path}: {mpp:.3g}" for path, mpp in known.items() if tiles.mpp and mpp > _COARSE * tiles.mpp]
    if coarse:
        raise InputError(
            f"A file must have at least half of the detail that `mpp` asks for. Received: mpp={tiles.mpp} with "
            f"{listed(coarse, NAMED)} micrometres per pixel."
        )


def _choose(file: _File, tiles: Tiling) -> list[tuple[int, int]]:
    """Return the corners (x, y) of a file's tiles, from the top; they are tried in an order that the seed draws."""
    height, width = file.shape
    rows, columns = height // file.side, width // file.side
    picked: list[int] = []
    opened = file.open()
    for place in np.random.RandomState(derive(tiles.seed, "tiles", PurePath(file.path).name)).permutation(
        rows * columns
    ):
        if tiles.most is not None and len(picked) == tiles.most:
            break
        if not tiles.tissue or _share_tissue(file, opened, _corner(place, columns, file.side)) >= tiles.tissue:
            picked.append(int(place))
    return [_corner(place, columns, file.side) for place in sorted(picked)]


def _corner(place: int, columns: int, side: int) -> tuple[int, int]:
    row, column = divmod(int(place), columns)
    return column * side, row * side


def _share_tissue(file: _File, opened: Slide | _Picture, corner: tuple[int, int]) -> float:
    pixels = np.asarray(opened.read(corner, file.side, max(file.side / _LOOK, 1)).values)
    if pixels.ndim == 2:
        raise InputError(
            "`tissue` must be 0 for gray pictures, because tissue is told by its colour. "
            f"Received: tissue above 0 with '{file.path}'."
        )
    step = max(len(pixels) // _LOOK, 1)
    return find_tissue(pixels[::step, ::step]).mean()


def find_tissue(pixels: np.ndarray) -> np.ndarray:
    """Return which pixels of a stained slide are tissue.

    Args:
        pixels: uint8 [height, width, 3].

    Returns:
        bool [height, width].

    >>> find_tissue(np.array([[[240, 240, 242], [200, 120, 180], [10, 0, 9]]], np.uint8)).tolist()
    [[False, True, False]]
    """
    highest, lowest = pixels.max(axis=-1).astype(int), pixels.min(axis=-1).astype(int)
    # Saturation is (highest - lowest) / highest; multiplied out, so that black divides nothing.
    return ((highest - lowest) * 255 > _SATURATION * highest) & (highest >= _BLACK)


def _make_part(file: _File, corner: tuple[int, int], digest: Callable[[], str]) -> Part:
    name = f"x={corner[0]},y={corner[1]} side={file.side} shrink={file.shrink:.6g}"
    spacing = (file.mpp / 1000,) * 2 if file.mpp else None
    return Part(
        name,
        digest,
        lambda: (file.open().read(corner, file.side, file.shrink),),
        lambda: file.open().family,
        facts=lambda: FileFacts(0, file.open().family, *file.shape, spacing=spacing),
    )


def _describe(files: Sequence[_File], samples: int, tiles: Tiling) -> str:
    size = f"{tiles.size} x {tiles.size} pixels"
    wide = f"{size} of {tiles.mpp} micrometres" if tiles.mpp else f"{size} of the file"
    tissue = f", at least {tiles.tissue:.0%} of each tissue" if tiles.tissue else ""
    most = f", at most {tiles.most:,} of a file" if tiles.most else ""
    return f"{count(len(files), 'file')} cut into {count(samples, 'tile')} of {wide}{tissue}{most}."


def _describe_enlarged(files: Sequence[_File], table: Table, tiles: Tiling) -> list[str]:
    """Say how many files of each class give tiles with less detail: a network could tell classes by that.

    Files to be predicted have no classes.
    """
    coarse = [row for row, file in enumerate(files) if tiles.mpp and file.mpp > _ALIKE * tiles.mpp]
    if not coarse:
        return []
    amounts = Counter(table.classes[table.labels[row]] for row in coarse) if table.classes else {}
    whose = listed([f"{number:,} of class {name!r}" for name, number in sorted(amounts.items())], NAMED)
    where, are = f" ({whose})" if whose else "", "is" if len(coarse) == 1 else "are"
    most = max(files[row].mpp for row in coarse)
    return [
        f"{len(coarse):,} of {count(len(files), 'file')}{where} {are} coarser than {tiles.mpp} micrometres per pixel, "
        f"up to {most:.3g}: tiles of them are enlarged, and less sharp."
    ]
