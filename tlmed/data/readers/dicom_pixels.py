"""The pixels of one frame of a DICOM file, as they are stored: decoded, in bounds, without bits that are not theirs."""

import dataclasses
import struct
from dataclasses import dataclass

import numpy as np

from tlmed.data.readers.damage import Unread
from tlmed.data.readers.dicom_file import Header, only_reasons
from tlmed.data.readers.plane import check_size

GRAY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_FLOATS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}  # and their bits
_BITS = (1, 8, 16, 32)
# Always the same ones: others give other pixels for lossy compressions. That of pylibjpeg for RLE is faster, but panics
# where data are damaged.
_PLUGIN, _RLE_PLUGIN = "pylibjpeg", "pydicom"
# A compression that makes pixels larger than this is none: longer frames are bombs.
_MOST_LARGER, _MOST_EXTRA = 2, 2**16
_MOST_RUN = 64  # times the length of a frame in RLE: two bytes stand for 128 at most
_TAIL = 64  # bytes at the end of a frame, without padding, where its end mark is
_END = b"\xff\xd9"
_START, _SIZE = b"\xff\xd8", b"\xff\x4f\xff\x51"  # of a JPEG, and of the size in JPEG 2000
_MOST_BOXES = 2**16  # bytes before the code of a JPEG 2000 image
# Markers that state the size of a JPEG or JPEG-LS image: all SOF; not DHT, JPG, DAC, which lie between them.
_FRAMES = (*(number for number in range(0xC0, 0xD0) if number not in (0xC4, 0xC8, 0xCC)), 0xF7)


@dataclass(frozen=True, eq=False)
class Stored:
    """How the pixels of a file are stored.

    Attributes:
        keyword: The element that holds them.
        photometric: The photometric interpretation.
        samples: Samples of a pixel.
        allocated: Bits that each sample takes.
        bits: Bits of them that are used.
        high: The number of the highest of these.
        signed: Whether samples may be negative.
        planar: Whether each colour has a plane of its own, in data that are not compressed.
        shape: Height and width.
        frames: How many frames there are.
    """

    keyword: str
    photometric: str
    samples: int
    allocated: int
    bits: int
    high: int
    signed: bool
    planar: bool
    shape: tuple[int, int]
    frames: int

    @property
    def frame_bits(self) -> int:
        """Bits of one frame, not compressed."""
        return self.shape[0] * self.shape[1] * self.samples * self.allocated


def count_frames(header: Header) -> int:
    """Return how many frames a file says it has. 0 and an empty number mean 1, as pydicom and dcmtk read them.

    Raises:
        Unread: If it is no number.
    """
    with only_reasons("its Number of Frames is no number"):
        frames = int(header.get("NumberOfFrames") or 1)
    if not 0 < frames < 2**31:
        raise Unread("its Number of Frames is negative or too large")
    return frames


def describe(header: Header) -> Stored:
    """Read how pixels are stored, and refuse what is not read.

    Args:
        header: The header, with the encoded pixels.

    Raises:
        ValueError: The reason.
    """
    held = [name for name in ("PixelData", *_FLOATS) if header.get(name) is not None]
    if not held:
        raise Unread("it holds no pixel data, or is cut off before them")
    if len(held) > 1:
        raise Unread("it holds pixel data of several types")
    with only_reasons("its header does not say how its pixels are stored"):
        stored = _read(header, held[0])
    check_size(*stored.shape)
    _check(stored)
    return stored


def _read(header: Header, keyword: str) -> Stored:
    allocated = _FLOATS.get(keyword) or int(header.get("BitsAllocated"))
    bits = allocated if keyword in _FLOATS else int(header.get("BitsStored"))
    high = header.get("HighBit")
    return Stored(
        keyword,
        str(header.get("PhotometricInterpretation")).strip().upper(),
        int(header.get("SamplesPerPixel")),
        allocated,
        bits,
        bits - 1 if high is None or keyword in _FLOATS else int(high),
        bool(int(header.get("PixelRepresentation") or 0)),
        bool(int(header.get("PlanarConfiguration") or 0)),
        (int(header.get("Rows")), int(header.get("Columns"))),
        count_frames(header),
    )


def _check(stored: Stored) -> None:
    if min(stored.shape) < 1:
        raise Unread("it has no rows or no columns")
    if stored.allocated not in (*_BITS, *_FLOATS.values()) or (
        stored.allocated == 64 and stored.keyword == "PixelData"
    ):
        raise Unread("its samples have neither 1, 8, 16 nor 32 bits")
    if not 0 < stored.bits <= stored.high + 1 <= stored.allocated:
        raise Unread("its BitsAllocated, BitsStored and HighBit contradict each other")
    if stored.samples == 1 and stored.photometric in (*GRAY, PALETTE):
        return
    if stored.samples != 3 or stored.photometric not in _COLOURS:
        raise Unread("its colours are neither gray, a palette, RGB nor YBR_FULL")
    if stored.signed or stored.allocated > 16 or stored.allocated == 1:
        raise Unread("its colours are signed, or have neither 8 nor 16 bits")
    if stored.photometric.startswith("YBR_FULL") and stored.allocated != 8:
        raise Unread("its colours are YBR with more than 8 bits")


def decode(header: Header, stored: Stored, index: int) -> np.ndarray:
    """Decode a frame.

    Args:
        header: The header, with the encoded pixels.
        stored: How they are stored.
        index: Which frame, from 0.

    Returns:
        [height, width], signed, unsigned or float; or uint8 or uint16 [height, width, 3]: RGB. Bits that are not
        stored, such as overlays, are 0, or copies of the sign.

    Raises:
        Unread: The reason.
        ImportError: No plugin for its compression is installed.
    """
    decoder = _find_decoder(header)
    data = header.get(stored.keyword)
    if decoder.UID.is_encapsulated:
        data = _wrap(_take_frame(header, stored, data, index), decoder.UID, stored)
        index, stored = 0, dataclasses.replace(stored, frames=1)
    elif len(data) < _count_bytes(stored):
        raise Unread("its pixel data are cut off")
    with only_reasons("its pixel data are damaged"):
        pixels, found = decoder.as_array(
            data, index=index, decoding_plugin=_name_plugin(decoder.UID), **_options(header, stored)
        )
    if stored.samples == 3 and found["photometric_interpretation"] != "RGB":
        raise Unread("its colours cannot be turned into RGB")
    return _cut_bits(pixels, stored, decoder.UID)


def _find_decoder(header: Header):
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID, UID_dictionary

    name = UID(header.syntax).name if header.syntax in UID_dictionary else "unknown"
    try:
        decoder = get_decoder(UID(header.syntax))
    except NotImplementedError:  # what pydicom raises for a syntax that it has no decoder for
        raise Unread(f"its transfer syntax is not read: {name}") from None
    if (plugin := _name_plugin(decoder.UID)) and plugin not in decoder.available_plugins:
        raise ImportError(f"no plugin of {plugin} for {name}")
    return decoder


def _name_plugin(syntax) -> str:
    if not syntax.is_encapsulated:
        return ""
    return _RLE_PLUGIN if _is_rle(syntax) else _PLUGIN


def _is_rle(syntax) -> bool:
    return syntax.name.startswith("RLE")


def _options(header: Header, stored: Stored) -> dict[str, object]:
    return {
        "pixel_keyword": stored.keyword,
        "pixel_vr": header.elements[stored.keyword].VR,
        "photometric_interpretation": stored.photometric,
        "samples_per_pixel": stored.samples,
        "bits_allocated": stored.allocated,
        "bits_stored": stored.bits,
        "pixel_representation": int(stored.signed),
        "planar_configuration": int(stored.planar),
        "rows": stored.shape[0],
        "columns": stored.shape[1],
        "number_of_frames": stored.frames,
        "correct_unused_bits": False,  # `_cut_bits` does that: pydicom takes no notice of HighBit
    }


def _count_bytes(stored: Stored) -> int:
    bits = stored.frames * stored.frame_bits
    if stored.photometric == "YBR_FULL_422":  # two pixels share their colours
        bits = bits // 3 * 2
    return -(-bits // 8)


def _take_frame(header: Header, stored: Stored, data: bytes, index: int) -> bytes:
    from pydicom.encaps import get_frame

    tables = header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths")
    offsets = None if None in tables else tables
    with only_reasons("its compressed frames are damaged"):
        return get_frame(data, index, number_of_frames=stored.frames, extended_offsets=offsets)


def _wrap(frame: bytes, syntax, stored: Stored) -> bytes:
    """Return a compressed frame as pixel data with this one frame.

    Raises:
        Unread: It is cut off, or its own header promises other pixels than the file's.
    """
    from pydicom.encaps import encapsulate

    if stored.high != stored.bits - 1:
        raise Unread("its pixels are compressed, and not in the lowest bits")
    if len(frame) > _MOST_LARGER * stored.frame_bits // 8 + _MOST_EXTRA:
        raise Unread("its compressed pixels are larger than its pixels")
    if not _is_rle(syntax):
        frame = _check_code(frame, stored)
    elif stored.frame_bits // 8 > _MOST_RUN * len(frame):
        raise Unread("its compressed pixels are cut off")
    with only_reasons("its compressed frames are damaged"):
        return encapsulate([frame], has_bot=False)


def _check_code(frame: bytes, stored: Stored) -> bytes:
    """Return a JPEG, JPEG-LS or JPEG 2000 image without the boxes of a JP2 file.

    DICOM does not know such boxes (PS3.5, A.4.4). pydicom 3.0.2 looks through them, and does not end where one has a
    length of 0.
    """
    # Decoders fill what is missing with gray, and say nothing.
    if _END not in frame.rstrip(b"\0")[-_TAIL:]:
        raise Unread("its compressed pixels are cut off")
    # A decoder takes memory for what this header says, before anything is compared with Rows and Columns.
    with only_reasons("its compressed pixels are damaged"):
        if not frame.startswith(_START):
            frame = frame[frame[:_MOST_BOXES].index(_SIZE) :]
        found = _measure_jpeg(frame) if frame.startswith(_START) else _measure_jpeg_2000(frame)
    if found != (*stored.shape, stored.samples):
        raise Unread("its compressed pixels have another size than its header says")
    return frame


def _measure_jpeg(frame: bytes) -> tuple[int, int, int]:
    """Return height, width and samples of a JPEG or JPEG-LS image."""
    place = 2
    while True:
        mark, kind, length = struct.unpack_from(">BBH", frame, place)
        if mark != 0xFF:
            raise ValueError
        if kind in _FRAMES:
            return struct.unpack_from(">HHB", frame, place + 5)
        # Fill bytes may stand before a marker.
        place += 1 if kind == 0xFF else length + 2


def _measure_jpeg_2000(frame: bytes) -> tuple[int, int, int]:
    """Return height, width and samples of a JPEG 2000 image, whose first marker of parameters says them."""
    right, bottom, left, top = struct.unpack_from(">IIII", frame, 8)
    return bottom - top, right - left, struct.unpack_from(">H", frame, 40)[0]


def _cut_bits(pixels: np.ndarray, stored: Stored, syntax) -> np.ndarray:
    """Move the stored bits of samples to the lowest place, with their sign."""
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    # pydicom gives these two by the precision of their own code.
    decoded = any(part in syntax.name for part in ("JPEG 2000", "JPEG-LS", "High-Throughput"))
    if stored.keyword in _FLOATS or stored.allocated == 1 or stored.bits == stored.allocated or decoded:
        return pixels
    above = stored.allocated - 1 - stored.high
    return (pixels << above) >> (stored.allocated - stored.bits)
