"""NIfTI: volumes of one file, `.nii` or `.nii.gz`, scaled, and turned to the axes of the patient.

Only the header and the voxels are read: extensions, which may hold anything, and texts are not. Nothing of a header
leaves this family but voxels, their size and their order, and facts that are compared and never shown (`FileFacts`);
reasons for refusing a file quote numbers of voxels only.

- The display range that a header may name (`cal_min`, `cal_max`) is not used: most programs leave it empty, and volumes
  of one set with and without it would be shown differently.
- An oblique volume is turned by right angles only, to the nearest axes; no voxel is computed anew.
"""

import functools
import gzip
import importlib
import io
import math
import threading
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tlmed.data.file_facts import FileFacts
from tlmed.data.readers.plane import Plane, count_odd
from tlmed.data.readers.reader import Reader, name_library
from tlmed.data.readers.stack import CHOOSE, Stack, check_index, check_shape, cut, cut_spacing, make_once
from tlmed.slicing import AXES

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

_GZIP = b"\x1f\x8b"
_SIZES = {348: (344, (b"n+1\0", b"ni1\0")), 540: (4, (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n"))}  # place of the mark
_LONGEST_HEADER = 540
_FARTHEST = 2**24  # bytes before the voxels: header and extensions
_MOST_REST = 2**20  # bytes after the voxels that are looked at
_PART = 2**24  # bytes of voxels that are held beside what was made of others: a multiple of all sizes of a voxel
_BYTE = 8  # bits
# In a metre and in a micrometre, by the unit of a header; all others are taken for one.
_MILLIMETRES = {1: 1000.0, 3: 0.001}
_IMPORTING, _MODULES = threading.Lock(), ("nibabel.nifti1", "nibabel.nifti2", "nibabel.orientations")
_SLANTED = (
    "{images} {hold} axes that are not at right angles, as after a tilted gantry: planes across the tilt show the body "
    "slanted."
)
_RIGHT = 0.02  # the largest cosine between axes at right angles: about one degree
_DAMAGED = "its orientation is damaged"
_UNORIENTED = "{images} {hold} no orientation (neither qform nor sform), so that left and right may be exchanged."


@functools.cache
def _import() -> None:
    # Modules of nibabel import each other: without the lock, another thread may find one of them half made.
    with _IMPORTING:
        for name in _MODULES:
            importlib.import_module(name)


def _read_start(content: bytes) -> bytes:
    """Return as many of the first bytes as a header has, decompressed; fewer if there are no more."""
    if not content.startswith(_GZIP):
        return content[:_LONGEST_HEADER]
    try:
        # 31: with the header of gzip.
        return zlib.decompressobj(31).decompress(content, _LONGEST_HEADER)
    except zlib.error:
        return b""


def is_nifti(head: bytes) -> bool:
    """Tell a NIfTI file, or the header of a pair, by its first bytes, compressed or not.

    >>> is_nifti((348).to_bytes(4, "little") + bytes(340) + b"n+1" + bytes(1)), is_nifti(bytes(348))
    (True, False)
    """
    return _find_mark(_read_start(head)) != b""


def _find_mark(start: bytes) -> bytes:
    for order in ("little", "big"):
        place, marks = _SIZES.get(int.from_bytes(start[:4], order), (0, ()))
        for mark in marks:
            if start[place : place + len(mark)] == mark:
                return mark
    return b""


def _read_header(content: bytes) -> "Nifti1Header":
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    start = _read_start(content)
    mark = _find_mark(start)
    if not mark:
        raise ValueError("its header is damaged, or cut off")
    if mark.startswith(b"ni"):
        raise ValueError("it is the header of a pair of files (.hdr and .img); save both as one .nii")
    kind = Nifti2Header if mark.startswith(b"n+2") else Nifti1Header
    if len(start) < kind.sizeof_hdr:
        raise ValueError("its header is cut off")
    return kind(start[: kind.sizeof_hdr], check=False)


def _find_shape(header: "Nifti1Header") -> tuple[int, int, int]:
    """Return the sides of a volume as they are stored; refuse what is none, or too large."""
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        raise ValueError("its header is damaged: a volume has 1 to 7 dimensions")
    sides = [int(side) for side in header["dim"][1 : axes + 1]]
    if min(sides) < 1:
        raise ValueError("its header is damaged: a side has no voxels")
    more = math.prod(sides[3:])
    if more > 1:
        raise ValueError(
            f"it has {sum(side > 1 for side in sides[3:]) + 3} dimensions, with {more:,} volumes; save each one that "
            "is to be used as a file of its own (nibabel.four_to_three)"
        )
    shape = (*sides, 1, 1)[:3]
    check_shape(shape)
    return shape


def _find_kind(header: "Nifti1Header") -> np.dtype:
    from nibabel.spatialimages import HeaderDataError

    try:
        kind = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        raise ValueError("the type of its voxels is not known") from None
    if kind.fields is not None or kind.kind not in "iuf" or kind.itemsize > 8:
        raise ValueError("its voxels are neither whole nor floating-point numbers of up to 64 bits, as colours are not")
    return kind


def _find_scale(header: "Nifti1Header") -> tuple[float, float]:
    """Return the slope and the intercept of values; a slope of 0 means that there is none (NIfTI-1, scl_slope)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise ValueError("its slope or intercept is infinite")
    return slope, intercept


def _find_whole(header: "Nifti1Header", kind: np.dtype) -> tuple[float, float] | None:
    """Return the lowest and the highest value that voxels can express; None for floats, and for bytes as they are."""
    slope, intercept = _find_scale(header)
    if kind.kind == "f" or (kind == np.uint8 and (slope, intercept) == (1, 0)):
        return None
    limits = np.iinfo(kind)
    low, high = sorted(slope * float(end) + intercept for end in (limits.min, limits.max))
    return low, high


def _find_orientation(header: "Nifti1Header") -> tuple[np.ndarray, tuple[float, float, float]]:
    """Return how to turn a volume, as nibabel says it, and the sides of a voxel along the axes of the patient."""
    from nibabel.affines import voxel_sizes
    from nibabel.orientations import io_orientation

    affine = _read_affine(header)
    try:
        with np.errstate(all="ignore"):
            turned = io_orientation(affine)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError):
        raise ValueError(_DAMAGED) from None
    if not np.isfinite(turned).all():
        raise ValueError(_DAMAGED)
    sizes = voxel_sizes(affine) * _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    return turned, tuple(float(sizes[list(turned[:, 0]).index(axis)]) for axis in range(3))


def _read_affine(header: "Nifti1Header") -> np.ndarray:
    """Return the matrix that leads from voxels to the patient; it is finite."""
    from nibabel.spatialimages import HeaderDataError

    try:
        with np.errstate(all="ignore"):
            affine = header.get_best_affine()
    except (HeaderDataError, ValueError, ArithmeticError, np.linalg.LinAlgError):
        raise ValueError(_DAMAGED) from None
    if not np.isfinite(affine).all():
        raise ValueError(_DAMAGED)
    return affine


def _read_voxels(content: bytes, header: "Nifti1Header", shape: tuple[int, int, int], kind: np.dtype) -> np.ndarray:
    """Return the values of all voxels in the order in which they are stored, [i, j, k]."""
    slope, intercept = _find_scale(header)
    begin = float(header["vox_offset"])
    if not header.sizeof_hdr <= begin <= _FARTHEST:
        raise ValueError(f"its header is damaged, or more than {_FARTHEST:,} bytes stand before its voxels")
    # Planes of 8 bits are unsigned; others than float32 are whole numbers as they are stored.
    plain = kind.kind != "f" and (slope, intercept) == (1, 0) and kind.itemsize <= 4
    found = np.int16 if kind == np.int8 else kind.newbyteorder("=") if plain else np.float32
    values, odd, place = np.empty(math.prod(shape), found), 0, 0
    for part in _read_parts(content, int(begin), values.size * kind.itemsize):
        numbers = np.frombuffer(part, kind)
        numbers = numbers if plain else _scale(numbers, slope, intercept)
        odd += 0 if plain else count_odd(numbers)
        values[place : place + numbers.size] = numbers
        place += numbers.size
    if odd:
        raise ValueError(f"{odd:,} of its {values.size:,} voxels are NaN, infinite or too large")
    return values.reshape(shape, order="F")


def _read_parts(content: bytes, begin: int, size: int) -> Iterator[bytes]:
    """Yield the bytes of the voxels in parts: those of 64 bits take twice as much memory as what is made of them.

    No more are decompressed, whatever a file holds.
    """
    packed = content.startswith(_GZIP)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) if packed else io.BytesIO(content) as stream:
            stream.read(begin)
            for place in range(0, size, _PART):
                wanted = min(_PART, size - place)
                part = stream.read(wanted)
                if len(part) < wanted:
                    raise ValueError("it is cut off")
                yield part
            if packed:
                stream.read(_MOST_REST)  # at the end of the file its check sum is compared
    except EOFError:
        raise ValueError("it is cut off") from None
    except (OSError, zlib.error):
        raise ValueError("its compression is damaged") from None


def _scale(values: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Return float32, which is exact for the 24 bits that voxels of 16 bits do not fill."""
    with np.errstate(all="ignore"):
        if (slope, intercept) != (1, 0):
            values = values.astype(np.float32 if values.dtype.kind != "f" and values.itemsize <= 2 else np.float64)
            values *= slope
            values += intercept
        return values.astype(np.float32, copy=False)


def open_stack(content: bytes) -> Stack:
    """Open a volume by its header; voxels are decoded when its first plane is read.

    Args:
        content: A NIfTI file, compressed or not.

    Raises:
        ValueError: A short reason, without anything of the header's texts.
    """
    _import()
    header = _read_header(content)
    shape, kind = _find_shape(header), _find_kind(header)
    turned, sizes = _find_orientation(header)
    whole = _find_whole(header, kind)
    # A volume that is one plane thick can be cut in one way only.
    counts = {
        axis: side
        for axis, side in zip(AXES, _turn_shape(shape, turned), strict=True)
        if sorted(shape)[0] > 1 or side == 1
    }
    grid = make_once(lambda: _turn(_read_voxels(content, header, shape, kind), turned))

    def read(axis: str, index: int) -> Plane:
        check_index(index, counts.get(axis, 0))
        values = cut(grid(), axis, index)
        return Plane(values, _BYTE * values.itemsize, spacing=cut_spacing(sizes, axis), whole=whole)

    return Stack(counts, read)


def _turn_shape(shape: tuple[int, int, int], turned: np.ndarray) -> tuple[int, int, int]:
    return tuple(shape[list(turned[:, 0]).index(axis)] for axis in range(3))


def _turn(values: np.ndarray, turned: np.ndarray) -> np.ndarray:
    from nibabel.orientations import apply_orientation

    return apply_orientation(values, turned)


def _count_planes(content: bytes) -> int:
    return min(open_stack(content).counts.values())


def _read_only_plane(content: bytes, index: int) -> Plane:
    """Read a volume that is one plane thick; of others somebody has to choose."""
    stack = open_stack(content)
    axis, count = min(stack.counts.items(), key=lambda found: found[1])
    if count > 1:
        raise ValueError(f"it is a volume; {CHOOSE}")  # the same text for all volumes of a folder
    return stack.read(axis, index)


def _find_remarks(content: bytes) -> frozenset[str]:
    _import()
    header = _read_header(content)
    oriented = header["qform_code"] > 0 or header["sform_code"] > 0
    return frozenset(([] if oriented else [_UNORIENTED]) + ([_SLANTED] if _is_slanted(header) else []))


def _is_slanted(header: "Nifti1Header") -> bool:
    """Tell whether the axes of the voxels are not at right angles."""
    try:
        axes = _read_affine(header)[:3, :3]
    except ValueError:
        return False  # to read such a volume says so
    longest = np.abs(axes).max(axis=0)
    if not longest.all():
        return False
    axes = axes / longest  # the squares of large numbers would overflow
    axes = axes / np.linalg.norm(axes, axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > _RIGHT)


def _find_facts(content: bytes) -> FileFacts:
    _import()
    header = _read_header(content)
    sides, kind = _find_shape(header), _find_kind(header)
    spacing = tuple(
        float(side) * _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0) for side in header["pixdim"][1:3]
    )
    found = {
        "compressed": "yes" if content.startswith(_GZIP) else "",
        "description": header["descrip"].item().decode("latin-1").strip(" \0"),
        "number type": kind.str,
        "slope": f"{float(header['scl_slope']):.6g}",
        "intercept": f"{float(header['scl_inter']):.6g}",
        "form codes": f"{header['qform_code']} {header['sform_code']}",
    }
    tags = {name: text for name, text in found.items() if text}
    return FileFacts(0, "NIfTI", sides[1], sides[0], _BYTE * kind.itemsize, "gray", spacing, tags)


def _name_version() -> str:
    return name_library("nibabel")


NIFTI = Reader(
    name="NIfTI",
    endings=(".nii", ".nii.gz"),
    extra="nifti",
    owns=is_nifti,
    version=_name_version,
    count_planes=_count_planes,
    read_plane=_read_only_plane,
    remarks=_find_remarks,
    open_stack=open_stack,
    facts=_find_facts,
)
