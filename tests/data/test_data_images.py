"""One decode rule and one resize rule: what a model sees must not depend on how a picture was stored."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from tlmed.data import decode, resize
from tlmed.data.decode_and_resize import PixelRule, decode_resized, examine
from tlmed.data.resizing import fit_image
from tlmed.fitting_in import FITS

RNG = np.random.RandomState(0)
GRAY = RNG.randint(0, 256, (6, 9)).astype(np.uint8)
COLOUR = RNG.randint(0, 256, (6, 9, 3)).astype(np.uint8)
DEEP = RNG.randint(0, 65536, (6, 9)).astype(np.uint16)
SMOOTH = np.stack(np.meshgrid(np.linspace(0, 255, 64), np.linspace(255, 0, 48)) * 2)[:3].transpose(1, 2, 0)
SMOOTH = SMOOTH.astype(np.uint8)


def encode(image, form, **options):
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, form, **options)
    return stream.getvalue()


def encode_png16(samples, colour_type, bits=16, **chunks):
    """Write the PNGs that Pillow reads and cannot write (16 bits of colour types 2, 4 and 6; 2 and 4 bits of gray)."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    def row_bytes(row):
        if bits == 16:
            return row.astype(">u2").tobytes()
        return np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, -bits:].ravel()).tobytes()

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row_bytes(row) for row in samples)
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *(chunk(name.encode(), body) for name, body in chunks.items())]
    parts += [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(planes, photometric, bits=16, channels=1, **more):
    """Write an uncompressed TIFF, a strip for each plane, with a given photometric interpretation."""
    height, width = planes[0].shape[:2]
    strips = [plane.tobytes() for plane in planes]
    places = [8 + sum(map(len, strips[:i])) for i in range(len(strips))]
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [1]), 262: (3, [photometric])}
    tags |= {273: (4, places), 277: (3, [channels]), 278: (4, [height]), 279: (4, list(map(len, strips)))}
    tags |= {int(tag.removeprefix("tag")): (3, values) for tag, values in more.items()}
    body, entries = b"".join(strips), b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            body, packed = body + packed, struct.pack("<I", 8 + len(body))
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory


def tiff16(samples, photometric, bits=16):
    """Write a grayscale TIFF of samples of 16 bits."""
    return tiff([samples.astype("<u2")], photometric, bits)


def repeated(gray):
    return np.repeat(gray[..., None], 3, axis=2)


PALETTE = Image.fromarray(COLOUR).quantize(7)
BLACK_OR_WHITE = np.where(GRAY > 127, 255, 0).astype(np.uint8)
SEEN = repeated(GRAY > 127)

LOSSLESS = {
    "png gray": (encode(GRAY, "PNG"), repeated(GRAY)),
    "png colour": (encode(COLOUR, "PNG"), COLOUR),
    "bmp colour": (encode(COLOUR, "BMP"), COLOUR),
    "bmp gray": (encode(GRAY, "BMP"), repeated(GRAY)),
    "gif gray": (encode(GRAY, "GIF"), repeated(GRAY)),
    "tiff colour": (encode(COLOUR, "TIFF"), COLOUR),
    "tiff lzw": (encode(COLOUR, "TIFF", compression="tiff_lzw"), COLOUR),
    "palette": (encode(PALETTE, "PNG"), np.array(PALETTE.convert("RGB"))),
    "1 bit": (encode(Image.fromarray(GRAY > 127), "PNG"), repeated(BLACK_OR_WHITE)),
    "alpha": (encode(np.dstack([COLOUR, BLACK_OR_WHITE]), "PNG"), COLOUR * SEEN),
    "gray and alpha": (encode(np.dstack([GRAY, BLACK_OR_WHITE]), "PNG"), repeated(GRAY) * SEEN),
    "transparent colour": (
        encode(GRAY, "PNG", transparency=int(GRAY[0, 0])),
        repeated(np.where(GRAY[0, 0] == GRAY, 0, GRAY)),
    ),
    "png 16 gray": (encode(DEEP, "PNG"), repeated(DEEP // 256)),
    "png 16 colour": (encode_png16(np.dstack([DEEP] * 3), 2), repeated(DEEP // 256)),
    "png 16 gray and opaque": (encode_png16(np.dstack([DEEP, DEEP * 0 + 65535]), 4), repeated(DEEP // 256)),
    "tiff 16 gray": (encode(DEEP, "TIFF"), repeated(DEEP // 256)),
    "tiff 16 gray deflated": (encode(DEEP, "TIFF", compression="tiff_deflate"), repeated(DEEP // 256)),
    "tiff 16 big-endian": (encode(DEEP.astype(">u2"), "TIFF"), repeated(DEEP // 256)),
    "png 2 bits, transparent gray": (
        encode_png16(GRAY % 4, 0, 2, tRNS=struct.pack(">H", 1)),
        repeated(np.where(GRAY % 4 == 1, 0, GRAY % 4 * 85)),
    ),
    "png 4 bits, transparent gray": (
        encode_png16(GRAY % 16, 0, 4, tRNS=struct.pack(">H", 9)),
        repeated(np.where(GRAY % 16 == 9, 0, GRAY % 16 * 17)),
    ),
    "png 16 with gamma": (
        encode_png16(np.dstack([DEEP] * 3), 2, gAMA=struct.pack(">I", 100_000)),
        repeated(DEEP // 256),
    ),
    "tiff planes": (tiff(list(COLOUR.transpose(2, 0, 1)), 2, 8, 3, tag284=[2]), COLOUR),
    "tiff 16 colour": (tiff([np.dstack([DEEP] * 3)], 2, 16, 3), repeated(DEEP // 256)),
    "tiff 16 white is zero": (tiff16(DEEP, 0), repeated((65535 - DEEP) // 256)),
    "array gray": (GRAY, repeated(GRAY)),
    "array gray, one channel": (GRAY[..., None], repeated(GRAY)),
    "array colour": (COLOUR, COLOUR),
    "array 16": (DEEP, repeated(DEEP // 256)),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_give_the_stored_pixels(name):
    content, expected = LOSSLESS[name]
    image = decode(content)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


def test_half_transparent_pixels_are_composited_over_black():
    half = np.dstack([np.full((2, 2, 3), 200, np.uint8), np.full((2, 2), 128, np.uint8)])
    assert decode(encode(half, "PNG")).tolist() == np.full((2, 2, 3), 100).tolist()


@pytest.mark.parametrize("options", [{"quality": 95}, {"quality": 95, "progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_is_near_the_stored_pixels(mode, options):
    image = Image.fromarray(SMOOTH).convert(mode)
    decoded = decode(encode(image, "JPEG", **options))
    assert np.abs(decoded.astype(int) - np.array(image.convert("RGB"))).max() < 16


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    for form in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decode(encode(COLOUR, form, exif=exif)), np.rot90(COLOUR, -1), err_msg=form)


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PNG"])
def test_the_first_of_several_frames_counts(form):
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    stream = io.BytesIO()
    frames[0].save(stream, form, save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(stream.getvalue()), repeated(GRAY))


def test_samples_of_12_bits_use_the_whole_range():
    samples = np.array([[0, 2048, 4095, 16]])
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x10])  # 12 bits each, high bits first
    content = bytearray(tiff16(samples, 1, bits=12))
    content[8:14] = packed
    assert decode(bytes(content))[0, :, 0].tolist() == [0, 128, 255, 1]


WHOLE = {
    "png": encode(np.random.RandomState(3).randint(0, 256, (48, 64, 3)).astype(np.uint8), "PNG"),
    "jpeg": encode(SMOOTH, "JPEG"),
    "progressive jpeg": encode(SMOOTH, "JPEG", progressive=True),
    "gif": encode(SMOOTH, "GIF"),
    "bmp": encode(SMOOTH, "BMP"),
    "tiff": encode(SMOOTH, "TIFF"),
    "tiff lzw": encode(SMOOTH, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", WHOLE)
def test_truncated_images_are_refused(name, share):
    with pytest.raises(ValueError, match=r"\w"):
        decode(WHOLE[name][: int(len(WHOLE[name]) * share)])


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png", "gif"])
def test_a_download_that_ends_in_zeros_is_no_grey_image(name):
    half = len(WHOLE[name]) // 2
    with pytest.raises(ValueError, match=r"\w"):
        decode(WHOLE[name][:half] + bytes(len(WHOLE[name]) - half))


@pytest.mark.parametrize("name", WHOLE)
def test_damage_anywhere_is_a_reason_and_never_a_crash(name):
    random = np.random.RandomState(1)
    for _ in range(60):
        content = bytearray(WHOLE[name])
        for place in random.randint(0, min(len(content), 400), 3):
            content[place] = random.randint(256)
        try:
            image = decode(bytes(content))
        except ValueError as error:
            assert str(error)  # noqa: PT017  both outcomes are right: some damage cannot be seen
        else:
            assert image.ndim == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"patient 12, 3 January\n", "no readable"),
        (encode(COLOUR, "WEBP", lossless=True), "it is WebP, whatever its name says"),
        (encode(COLOUR, "JPEG2000"), "it is JPEG 2000"),
        # Pillow reads each of these as something else.
        (tiff([COLOUR.astype(np.int8)], 2, 8, 3, tag339=[2, 2, 2]), "its colours are floats, signed, or of more"),
        (tiff([DEEP, DEEP // 2, DEEP // 4], 2, 16, 3, tag284=[2]), "separate planes"),
        (tiff([COLOUR], 8, 8, 3), "L\\*a\\*b"),
        (encode_png16(np.dstack([DEEP] * 3), 2, tRNS=DEEP[:1, :3].astype(">u2").tobytes()), "a transparent colour"),
        (COLOUR.astype(np.float32), "colours of type float32 have no defined range"),
        (GRAY > 127, "pixels of type bool are no whole or floating-point numbers"),
        (np.zeros((4, 4, 2), np.uint8), "neither grayscale nor RGB"),
        (np.zeros((0, 4), np.uint8), "neither grayscale nor RGB"),
    ],
)
def test_content_without_meaning_is_refused(content, reason):
    with pytest.raises(ValueError, match=reason):
        decode(content)


def png_of(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header
    return start + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + struct.pack(">I", 0) + b"IDAT"


def gif_of(width, height, frame):
    """Write a GIF whose first frame may be larger than its screen."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00;"


def with_size(content, place, form, width, height):
    size = struct.pack(form, width, height)
    return content[:place] + size + content[place + len(size) :]


JPEG = encode(SMOOTH, "JPEG")
BOMBS = {
    "png": png_of(50_000, 50_000),
    "wide png": png_of(178_950_000, 1),
    "high png": png_of(1, 178_000_000),
    "long png": png_of(70_000, 2),
    "png between Pillow's limits and ours": png_of(10_001, 10_001),
    "gif screen": gif_of(60_000, 60_000, (1, 1)),
    "gif frame": gif_of(1, 1, (60_000, 60_000)),
    "gif frame between the limits": gif_of(1, 1, (10_001, 10_001)),
    "jpeg": with_size(JPEG, JPEG.index(b"\xff\xc0") + 5, ">HH", 60_000, 60_000),
    "bmp": with_size(encode(COLOUR, "BMP"), 18, "<ii", 70_000, 2),
    "bmp from below": with_size(encode(COLOUR, "BMP"), 18, "<ii", 20_000, -20_000),
    "tiff": tiff16(np.zeros((1, 1)), 1).replace(
        struct.pack("<HHII", 256, 4, 1, 1), struct.pack("<HHII", 256, 4, 1, 99_999)
    ),
}


# What Pillow warns of is refused in any case; only with warnings as errors is the reason Pillow's.
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_before_it_goes_off():
    for form, bomb in BOMBS.items():
        begin = time.perf_counter()
        with pytest.raises(
            ValueError, match=r"it has (more than 100,000,000 pixels|a side of more than 65,535 pixels)"
        ):
            decode(bomb)
        assert time.perf_counter() - begin < 1, form


@pytest.mark.parametrize("shape", [(1, 70_000), (70_000, 1, 3), (20_000, 20_000)])
def test_arrays_have_the_limits_of_files(shape):
    with pytest.raises(ValueError, match=r"it has (more than|a side of more than)"):
        decode(np.broadcast_to(np.uint8(1), shape))


def test_an_image_at_the_limit_is_read():
    assert decode_resized(encode(np.full((1, 65_535), 7, np.uint8), "PNG"), (2, 2)).tolist() == [[[7] * 3] * 2] * 2


@pytest.mark.parametrize("size", [(24, 32), (7, 5), (48, 64), (100, 90), (1, 1)])
def test_resize_is_antialiased_bilinear(size):
    tf = pytest.importorskip("tensorflow")
    noise = np.random.RandomState(2).randint(0, 256, (48, 64, 3)).astype(np.uint8)
    for image in (SMOOTH, noise):
        ours = resize(image, size)
        theirs = np.rint(tf.image.resize(image, size, antialias=True))
        assert ours.dtype == np.uint8
        assert ours.shape == (*size, 3)
        assert np.abs(ours - theirs).max() <= 1


def test_resize_to_the_same_size_changes_nothing():
    np.testing.assert_array_equal(resize(COLOUR, COLOUR.shape[:2]), COLOUR)


@pytest.mark.parametrize("name", LOSSLESS)
def test_the_hot_path_gives_the_same_pixels_as_decode_and_resize(name):
    content = LOSSLESS[name][0]
    np.testing.assert_array_equal(decode_resized(content, (4, 5)), resize(decode(content), (4, 5)))


@pytest.mark.parametrize("coloured", [None, (0, 0), (24, 32), (47, 63)])
@pytest.mark.parametrize("fit", FITS)
def test_gray_that_is_stored_as_colours_gives_the_same_pixels(fit, coloured):
    image = repeated(np.random.RandomState(4).randint(0, 256, (48, 64)).astype(np.uint8))
    if coloured is not None:
        image[coloured] = 255, 0, 9
    found = examine(encode(image, "PNG"), PixelRule((20, 30), fit=fit)).pixels
    np.testing.assert_array_equal(found, np.array(fit_image(Image.fromarray(image), (20, 30), fit)))
