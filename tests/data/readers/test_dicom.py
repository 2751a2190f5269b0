import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest

from tests.data.readers.dicom_files import Dataset, make, make_table, pydicom, save, uid, write
from tlmed.data.readers import dicom, dicom_file
from tlmed.data.readers.dicom_file import is_dicom, read_patient

DEEP = np.arange(4096, dtype=np.uint16).reshape(64, 64)  # every value of 12 bits
SIGNED = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
BYTES = np.arange(256, dtype=np.uint8).reshape(16, 16)
LARGE = np.tile(BYTES, (4, 4))  # as JPEG 2000 needs it
WINDOW = {"WindowCenter": 2000, "WindowWidth": 1000}
TABLE = (4095 * np.sqrt(np.arange(4096) / 4095)).astype(int)
XA = "1.2.840.10008.5.1.4.1.1.12.1"
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
RESCALED = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def read(pixels, bits=None, **elements):
    return dicom.read_plane(write(pixels, bits, **elements), 0)


def apply_voi(plane):
    return plane.values if plane.voi is None else plane.voi(plane.values)


def show(plane):
    """Return 0..1 of what a plane shows, before it is inverted."""
    low, high = plane.window
    return np.clip((apply_voi(plane).astype(float) - low) / (high - low), 0, 1)


def refuse(content, reason, index=0):
    with pytest.raises(ValueError, match=reason) as caught:
        dicom.read_plane(content, index)
    # Chained errors are shown with --debug; those of pydicom quote the header.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_linear_window_is_that_of_the_standard():
    # PS3.3, C.11.2.1.2.1, as it is written there
    c, w, x = 2000, 1000, DEEP.astype(float)
    y = np.where(x <= c - 0.5 - (w - 1) / 2, 0, np.where(x > c - 0.5 + (w - 1) / 2, 1, (x - (c - 0.5)) / (w - 1) + 0.5))
    np.testing.assert_allclose(show(read(DEEP, 12, **WINDOW)), y, atol=1e-9)


@pytest.mark.parametrize(("width", "first_white"), [(1, 2000), (2, 2000)])
def test_the_narrowest_windows_are_thresholds(width, first_white):
    shown = show(read(DEEP, 12, WindowCenter=2000, WindowWidth=width))
    assert np.unique(shown).tolist() == [0, 1]
    assert DEEP[shown == 1].min() == first_white


def test_an_exact_window_is_that_of_the_standard():
    plane = read(DEEP, 12, VOILUTFunction="LINEAR_EXACT", **WINDOW)
    assert plane.window == (1500, 2500)  # C.11.2.1.3.2: c - w / 2 to c + w / 2


def test_a_sigmoid_is_that_of_the_standard():
    plane = read(DEEP, 12, VOILUTFunction="SIGMOID", **WINDOW)
    np.testing.assert_allclose(show(plane), 1 / (1 + np.exp(-4 * (DEEP - 2000.0) / 1000)), atol=1e-6)


def test_a_window_is_in_units_of_rescaled_values():
    plane = read(DEEP, 12, RescaleSlope="0.5", RescaleIntercept="-1024", WindowCenter="40", WindowWidth="400")
    np.testing.assert_array_equal(plane.values, DEEP * 0.5 - 1024)
    assert (plane.window, plane.bits) == ((-160, 239), 12)


@pytest.mark.parametrize(
    ("elements", "unit"),
    [
        ({"SOPClassUID": CT, **RESCALED}, "HU"),
        ({"SOPClassUID": CT, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], **RESCALED}, "HU"),
        ({"SOPClassUID": CT, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], **RESCALED}, ""),
        ({"SOPClassUID": CT, "RescaleType": "US", **RESCALED}, ""),
        ({"SOPClassUID": CT}, ""),
        ({"SOPClassUID": MR, **RESCALED}, ""),
        ({"SOPClassUID": MR, "RescaleType": "HU", **RESCALED}, "HU"),
        ({}, ""),
    ],
)
def test_values_are_hounsfield_units_only_where_the_file_says_so(elements, unit):
    plane = read(DEEP, 12, **elements)
    assert plane.unit == unit
    assert plane.whole == ((-1024, 3071) if "RescaleSlope" in elements else (0, 4095))


def test_of_several_windows_the_first_counts():
    content = write(DEEP, 12, WindowCenter=[2000, 40], WindowWidth=[1000, 400])
    assert dicom.read_plane(content, 0).window == (1500, 2499)
    assert [text.format(images="2 images", hold="hold") for text in dicom.DICOM.remarks(content)] == [
        "2 images hold several windows or VOI LUTs: the first is used, a LUT before a window, unless a window is set."
    ]
    assert dicom.DICOM.remarks(write(DEEP, 12, **WINDOW)) == set()


def test_a_voi_lut_goes_before_a_window():
    plane = read(DEEP, 12, VOILUTSequence=[make_table(TABLE, 0, 12), make_table(TABLE[::-1], 0, 12)], **WINDOW)
    np.testing.assert_array_equal(apply_voi(plane), TABLE.reshape(64, 64))
    np.testing.assert_array_equal(plane.values, DEEP)  # for another window, which is in these units
    assert plane.window == (0, 4095)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("kind", ["US", "OW"])
@pytest.mark.parametrize("stored", [SIGNED, DEEP])
def test_a_lut_begins_at_its_first_value_which_may_be_negative(syntax, kind, stored):
    table = np.arange(2000) * 32
    rescaled = {} if stored is SIGNED else {"RescaleSlope": 1, "RescaleIntercept": -2048}
    content = write(
        stored, 16 if stored is SIGNED else 12, syntax, VOILUTSequence=[make_table(table, -500, 16, kind)], **rescaled
    )
    expected = table[np.clip(SIGNED.astype(int) + 500, 0, 1999)]
    np.testing.assert_array_equal(apply_voi(dicom.read_plane(content, 0)), expected)


def test_a_modality_lut_goes_before_the_window():
    plane = read(DEEP, 12, ModalityLUTSequence=[make_table(TABLE[::-1], 0, 16)], **WINDOW)
    np.testing.assert_array_equal(plane.values, TABLE[::-1].reshape(64, 64))
    assert plane.window == (1500, 2499)


def test_the_modality_lut_of_angiography_is_not_for_display():
    lut = [make_table(TABLE[::-1], 0, 16)]
    np.testing.assert_array_equal(read(DEEP, 12, SOPClassUID=XA, ModalityLUTSequence=lut, **WINDOW).values, DEEP)


def test_entries_of_8_bits_may_come_in_pairs():
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", bytes(range(255, -1, -1)))
    np.testing.assert_array_equal(apply_voi(read(BYTES, VOILUTSequence=[item])), 255 - BYTES)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", False),
    ],
)
def test_white_is_inverted_once_and_last(photometric, shape, inverted):
    elements = {} if shape is None else {"PresentationLUTShape": shape}
    plane = read(DEEP, 12, PhotometricInterpretation=photometric, **WINDOW, **elements)
    assert plane.inverted == inverted
    np.testing.assert_array_equal(plane.values, DEEP)


def test_8_bits_stay_as_they_are():
    plane = read(BYTES)
    assert (plane.values.dtype, plane.window, plane.bits) == (np.uint8, None, 8)
    np.testing.assert_array_equal(plane.values, BYTES)


@pytest.mark.parametrize(
    ("pixels", "bits", "elements"),
    [
        (BYTES.astype(np.int8), 8, {}),
        (BYTES // 16, 4, {}),
        (BYTES.astype(np.uint16), 8, {}),
        (BYTES, 8, {"RescaleSlope": 2, "RescaleIntercept": -10}),
        (BYTES, 8, {"RescaleSlope": -1, "RescaleIntercept": 0}),
    ],
)
def test_up_to_8_bits_are_shown_in_the_whole_range_of_their_bits(pixels, bits, elements):
    shown = show(read(pixels, bits, **elements))
    assert (shown.min(), shown.max()) == (0, 1)
    assert len(np.unique(shown)) == 2**bits


def test_more_than_8_bits_without_a_window_have_none():
    plane = read(DEEP, 12)
    assert (plane.window, plane.bits) == (None, 12)


def test_overlays_in_bits_that_are_not_used_are_no_pixels():
    overlay = (np.random.RandomState(0).rand(64, 64) > 0.5).astype(np.uint16) << 12
    np.testing.assert_array_equal(read(DEEP | overlay, 12, **WINDOW).values, DEEP)
    made = make(DEEP | overlay, 12)
    made.add_new(0x60000010, "US", 64)
    assert [text.format(images="1 image", hold="holds") for text in dicom.DICOM.remarks(save(made))] == [
        "1 image holds overlays: they are not drawn."
    ]


def test_the_stored_bits_need_not_be_the_lowest():
    np.testing.assert_array_equal(read(DEEP << 4, 12, HighBit=15).values, DEEP)
    np.testing.assert_array_equal(read((SIGNED << 2).astype(np.int16), 12, HighBit=13).values, SIGNED)


def test_a_value_for_padding_is_shown_as_others_are():
    plane = read(SIGNED, 16, PixelPaddingValue=-2000, WindowCenter=-500, WindowWidth=1000)
    np.testing.assert_array_equal(plane.values, SIGNED)


@pytest.mark.parametrize(
    ("pixels", "elements", "padded"),
    [
        (SIGNED, {"PixelPaddingValue": -2000}, SIGNED == -2000),
        (SIGNED, {"PixelPaddingValue": -2000, **RESCALED}, SIGNED == -2000),  # it is stored, before any rescaling
        (SIGNED, {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1990}, (SIGNED >= -2000) & (SIGNED <= -1990)),
        (DEEP, {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000}, DEEP >= 4000),  # MONOCHROME1: white is low
        (DEEP, {"PixelPaddingValue": 0}, DEEP == 0),
        (SIGNED, {"PixelPaddingValue": -2049}, None),
        (SIGNED, {}, None),
    ],
)
def test_pixels_with_a_value_for_padding_are_told(pixels, elements, padded):
    plane = read(pixels, 16, **elements)
    np.testing.assert_array_equal(plane.padding, padded)
    expected = pixels if padded is None else pixels[~padded]
    np.testing.assert_array_equal(
        np.sort(plane.counted, axis=None), np.sort(expected + plane.values[0, 0] - pixels[0, 0], axis=None)
    )


def test_a_value_for_padding_of_the_wrong_type_has_the_sign_of_the_pixels():
    made = make(SIGNED, 16)
    made.add_new("PixelPaddingValue", "US", 63536)  # as in real CT
    np.testing.assert_array_equal(dicom.read_plane(save(made), 0).padding, SIGNED == -2000)


def test_floats_have_padding_of_their_own():
    made = make(SIGNED.astype(np.float32), 32, FloatPixelPaddingValue=-2000.0, PixelPaddingValue=7)
    made.FloatPixelData = SIGNED.astype("<f4").tobytes()
    del made.PixelData
    np.testing.assert_array_equal(dicom.read_plane(save(made), 0).padding, SIGNED == -2000)


def test_both_planar_configurations_are_read():
    rgb = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8)
    np.testing.assert_array_equal(read(rgb).values, rgb)
    planar = np.ascontiguousarray(rgb.transpose(2, 0, 1)).reshape(20, 30, 3)
    np.testing.assert_array_equal(read(planar, PlanarConfiguration=1).values, rgb)


def test_ybr_becomes_rgb_once():
    # PS3.3, C.7.6.3.1.2
    ybr = np.array([[[100, 90, 200], [17, 128, 128]]], np.uint8)
    expected = [[[100 + 1.402 * 72, 100 + 0.344136 * 38 - 0.714136 * 72, 100 - 1.772 * 38], [17, 17, 17]]]
    found = read(ybr, PhotometricInterpretation="YBR_FULL").values
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_colours_of_more_than_8_bits_fill_16():
    rgb = np.array([[[0, 2048, 4095]]], np.uint16)
    plane = read(rgb, 12)
    assert (plane.values.tolist(), plane.bits) == ([[[0, 32768, 65520]]], 16)


def make_palette(count, first, bits):
    tables = np.random.RandomState(0).randint(0, 2**bits, (3, count)).astype("<u2" if bits > 8 else "u1")
    elements = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [count, first, bits]
        elements[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    return tables, elements


@pytest.mark.parametrize(("count", "first", "bits"), [(256, 0, 8), (100, 50, 16)])
def test_palettes_are_looked_up(count, first, bits):
    tables, elements = make_palette(count, first, bits)
    plane = read(BYTES, **elements)
    expected = tables.T[np.clip(BYTES.astype(int) - first, 0, count - 1)]
    np.testing.assert_array_equal(plane.values, expected)
    assert plane.values.dtype == (np.uint8 if bits == 8 else np.uint16)


def test_one_bit_is_black_and_white():
    bits = np.random.RandomState(0).randint(0, 2, (16, 16)).astype(np.uint8)
    made = make(bits, 1, BitsAllocated=1, PixelData=np.packbits(bits, bitorder="little").tobytes())
    plane = dicom.read_plane(save(made), 0)
    np.testing.assert_array_equal(show(plane), bits)


def test_floating_point_pixels_have_no_window_and_must_be_finite():
    values = np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16)
    made = make(values.astype(np.float32), 32)
    del made.PixelData, made.PixelRepresentation, made.BitsStored, made.HighBit
    made.FloatPixelData = values.tobytes()
    plane = dicom.read_plane(save(made), 0)
    np.testing.assert_array_equal(plane.values, values)
    assert (plane.window, plane.bits) == (None, 32)
    made.FloatPixelData = np.where(values > 0, np.nan, values).tobytes()
    refuse(save(made), "NaN, infinite or too large")


def test_frames_are_counted_and_read_one_by_one():
    content = write(np.stack([DEEP, DEEP[::-1]]), 12, **WINDOW)
    assert dicom.count_planes(content) == 2
    np.testing.assert_array_equal(dicom.read_plane(content, 1).values, DEEP[::-1])
    refuse(content, "it has 2 frames, and not a frame 3", 2)


@pytest.mark.parametrize("frames", [0, None])
def test_no_number_of_frames_means_one(frames):
    content = write(DEEP, 12, NumberOfFrames=frames, **WINDOW)
    assert dicom.count_planes(content) == 1
    np.testing.assert_array_equal(dicom.read_plane(content, 0).values, DEEP)


def make_groups(slope=None, center=None, spacing=None):
    outer = Dataset()
    for name, elements in (
        ("PixelValueTransformationSequence", {"RescaleSlope": slope, "RescaleIntercept": 0}),
        ("FrameVOILUTSequence", {"WindowCenter": center, "WindowWidth": 100}),
        ("PixelMeasuresSequence", {"PixelSpacing": spacing}),
    ):
        if next(iter(elements.values())) is not None:
            item = Dataset()
            for keyword, value in elements.items():
                setattr(item, keyword, value)
            setattr(outer, name, [item])
    return outer


def test_frames_of_enhanced_files_have_rescaling_and_windows_of_their_own():
    content = write(
        np.stack([DEEP, DEEP]),
        12,
        SharedFunctionalGroupsSequence=[make_groups(center=50, spacing=[0.5, 0.25])],
        PerFrameFunctionalGroupsSequence=[make_groups(slope=2), make_groups(slope=3, center=70)],
    )
    first, second = (dicom.read_plane(content, index) for index in (0, 1))
    np.testing.assert_array_equal(first.values, DEEP * 2)
    np.testing.assert_array_equal(second.values, DEEP * 3)
    assert (first.window, second.window) == ((0, 99), (20, 119))
    assert first.spacing == second.spacing == (0.5, 0.25)


def test_fewer_groups_than_frames_are_refused():
    groups = [make_groups(slope=2)]
    refuse(write(np.stack([DEEP, DEEP]), 12, PerFrameFunctionalGroupsSequence=groups), "groups are fewer", 1)


def test_spacing_is_that_in_the_patient_or_else_that_of_the_detector():
    assert read(DEEP, 12, ImagerPixelSpacing=[0.1, 0.2], PixelSpacing=[0.5, 0.25]).spacing == (0.5, 0.25)
    assert read(DEEP, 12, ImagerPixelSpacing=[0.1, 0.2]).spacing == (0.1, 0.2)
    assert read(DEEP, 12, PixelSpacing=[0, 0.25]).spacing is None
    assert read(DEEP, 12).spacing is None


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"WindowCenter": 10}, "its window has no center or no width"),
        ({"WindowCenter": 10, "WindowWidth": 0}, "width of its window is less than 1"),
        ({"WindowCenter": 10, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"}, "width of its window is not above 0"),
        ({"VOILUTFunction": "GAMMA", **WINDOW}, "its VOI LUT Function is neither"),
        ({"RescaleSlope": 1}, "its rescaling has no slope"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "its rescaling has no slope, a slope of 0"),
        ({"RescaleSlope": "1e30", "RescaleIntercept": 0}, "numbers that are too large"),
        ({"PresentationLUTShape": "LIN OD"}, "its presentation LUT"),
        ({"PixelPresentation": "COLOR"}, "supplemental palette"),
        ({"VOILUTSequence": [make_table(TABLE, 0, 10)]}, "its lookup table is shorter than it says, or has other bits"),
        ({"BitsAllocated": 24}, "neither 1, 8, 16 nor 32 bits"),
        ({"HighBit": 3}, "contradict each other"),
        ({"BitsStored": 17}, "contradict each other"),
        ({"PhotometricInterpretation": "HSV"}, "its colours are neither"),
        ({"SamplesPerPixel": 2}, "its colours are neither"),
        ({"NumberOfFrames": 10**10}, "Number of Frames"),
        ({"NumberOfFrames": 2}, "its pixel data are cut off"),
        ({"Rows": 65535, "Columns": 65535}, "more than 100,000,000 pixels"),
        ({"Rows": 0}, "no rows or no columns"),
    ],
)
def test_what_is_not_read_is_refused_by_name(elements, reason):
    refuse(write(DEEP, 12, **elements), reason)


def test_segmented_palettes_are_refused():
    _, elements = make_palette(256, 0, 8)
    refuse(write(BYTES, SegmentedRedPaletteColorLookupTableData=bytes(6), **elements), "its palette is segmented")


def test_a_file_without_pixels_is_refused():
    made = make(DEEP, 12)
    del made.PixelData
    refuse(save(made), "it holds no pixel data")
    assert dicom.count_planes(save(made)) == 1


def test_a_file_that_is_cut_off_is_refused_wherever_that_is():
    content = write(DEEP, 12, **WINDOW)
    for end in range(0, len(content), 97):
        refuse(content[:end], "cut off|damaged|does not say")


def compress(pixels, syntax, **options):
    made = make(pixels)
    made.compress(syntax, encoding_plugin=options.pop("plugin", ""), **options)
    return made


def test_rle_is_read():
    pixels = np.random.RandomState(0).randint(0, 4, (64, 64)).astype(np.uint16)
    np.testing.assert_array_equal(dicom.read_plane(save(compress(pixels, uid.RLELossless)), 0).values, pixels)


def jpeg_2000():
    pytest.importorskip("openjpeg", reason="needs pylibjpeg-openjpeg: pip install '.[dicom]'")
    return compress(LARGE, uid.JPEG2000Lossless, plugin="pylibjpeg")


def test_jpeg_2000_is_read_with_and_without_boxes():
    made = jpeg_2000()
    np.testing.assert_array_equal(dicom.read_plane(save(made), 0).values, LARGE)
    code = pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)
    # pydicom 3.0.2 never ends where a box has a length of 0.
    made.PixelData = pydicom.encaps.encapsulate([b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(8) + code])
    np.testing.assert_array_equal(dicom.read_plane(save(made), 0).values, LARGE)


@pytest.mark.parametrize(("damage", "reason"), [("cut", "cut off"), ("size", "another size"), ("long", "larger than")])
def test_a_compressed_frame_that_cannot_be_true_is_not_decoded(damage, reason):
    made = jpeg_2000()
    code = pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)
    if damage == "cut":
        code = code[: len(code) // 2]
    elif damage == "size":
        code = code[:8] + struct.pack(">II", 10**6, 10**6) + code[16:]
    else:
        code += bytes(10**6) + b"\xff\xd9"
    made.PixelData = pydicom.encaps.encapsulate([code])
    refuse(save(made), reason)


def test_a_transfer_syntax_that_is_not_read_is_named():
    made = make(BYTES, syntax=uid.MPEG2MPML)
    made.PixelData = pydicom.encaps.encapsulate([bytes(100)])
    made["PixelData"].is_undefined_length = True
    refuse(save(made), "its transfer syntax is not read: MPEG2 Main Profile / Main Level")


def test_a_missing_plugin_is_missing_software_and_no_fault_of_the_file(monkeypatch):
    made = jpeg_2000()
    decoder = pydicom.pixels.get_decoder(uid.JPEG2000Lossless)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(ImportError, match="no plugin of pylibjpeg for JPEG 2000"):
        dicom.read_plane(save(made), 0)


def test_so_is_missing_pydicom(monkeypatch):
    content = write(BYTES)
    dicom_file._number.cache_clear()
    monkeypatch.setitem(sys.modules, "pydicom.datadict", None)
    with pytest.raises(ImportError):
        dicom.read_plane(content, 0)
    assert is_dicom(content[:352])


@pytest.mark.slow
def test_several_threads_may_be_the_first_to_need_pydicom(tmp_path):
    (tmp_path / "x.dcm").write_bytes(save(jpeg_2000()))
    script = """
import pathlib, sys
from concurrent.futures import ThreadPoolExecutor
from tlmed.data.readers import dicom
content = pathlib.Path(sys.argv[1]).read_bytes()
sys.setswitchinterval(1e-6)
with ThreadPoolExecutor(8) as pool:
    assert len(list(pool.map(dicom.read_plane, [content] * 8))) == 8
"""
    # Without the lock, half of such starts failed.
    for _ in range(5):
        subprocess.run([sys.executable, "-c", script, tmp_path / "x.dcm"], check=True)


def test_for_now_a_file_has_one_frame():
    for content in (write(BYTES), write(DEEP, 12, **WINDOW), write(np.dstack([DEEP] * 3), 12)):
        dicom.DICOM.read_plane(content, 0)
    with pytest.raises(ValueError, match="it has 2 frames; a recipe says which planes are samples: "):
        dicom.DICOM.read_plane(write(np.stack([DEEP, DEEP]), 12, **WINDOW), 0)


def deflate(made, tail=b""):
    made.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    return save(made) if not tail else save(made) + tail


def test_a_deflated_file_is_read():
    np.testing.assert_array_equal(dicom.read_plane(deflate(make(DEEP, 12, **WINDOW)), 0).values, DEEP)


def test_a_deflate_bomb_is_refused_before_it_takes_memory(monkeypatch):
    monkeypatch.setattr(dicom_file, "MOST_INFLATED", 2**20)
    content = deflate(make(BYTES))
    start = content.index(b"1.2.840.10008.1.2.1.99") + 22
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(2**26)) + packer.flush()
    tracemalloc.start()
    refuse(strip_after_meta(content) + bomb, "its data set is deflated and has more than 1,048,576 bytes")
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    assert start < len(content)


def strip_after_meta(content):
    length = struct.unpack_from("<I", content, 140)[0]  # of the file meta information, after its own element
    return content[: 144 + length]


def test_files_are_known_by_their_content():
    content = write(DEEP, 12, Modality="CT")
    assert is_dicom(content[:352])
    meta = len(strip_after_meta(content))
    assert is_dicom(content[132:][:352])  # without the preamble
    assert is_dicom(content[meta:][:352])  # without any meta information
    np.testing.assert_array_equal(dicom.read_plane(content[meta:], 0).values, DEEP)
    implicit = write(DEEP, 12, Modality="CT", syntax=uid.ImplicitVRLittleEndian)
    bare = implicit[len(strip_after_meta(implicit)) :]
    assert is_dicom(bare[:352])
    np.testing.assert_array_equal(dicom.read_plane(bare, 0).values, DEEP)


@pytest.mark.parametrize(
    "head", [b"", bytes(352), b"\x89PNG\r\n\x1a\n" + bytes(344), b"II*\0" + bytes(348), b"\x08\0\x05\0" + bytes(348)]
)
def test_other_files_are_not_taken_for_dicom(head):
    assert not is_dicom(head)


def test_identity_is_read_for_groups_only():
    made = make(BYTES, PatientID=" 4711 ", StudyInstanceUID="1.2.3.4")
    assert read_patient(save(made)) == ("4711", "1.2.3.4")
    assert read_patient(write(BYTES)) == ("", "")


PRIVATE = "DOE^JANE"


@pytest.mark.parametrize(
    "keyword", ["PhotometricInterpretation", "PresentationLUTShape", "VOILUTFunction", "PixelPresentation"]
)
def test_no_reason_quotes_the_header(keyword, recwarn, caplog):
    content = write(DEEP, 12, **{**WINDOW, keyword: PRIVATE})
    recwarn.clear()
    caplog.clear()
    reason = ""
    try:
        dicom.read_plane(content, 0)
    except ValueError as error:
        reason = str(error)
    assert PRIVATE not in reason
    assert not recwarn.list
    assert PRIVATE not in caplog.text


def test_a_number_that_is_a_name_is_refused_without_quoting_it(caplog):
    content = write(DEEP, 12, WindowCenter="1111.1111", WindowWidth="100").replace(b"1111.1111 ", b"DOE^JANE  ")
    with pytest.raises(ValueError, match="WindowCenter in its header is") as caught:
        dicom.read_plane(content, 0)
    assert PRIVATE not in str(caught.value)
    assert PRIVATE not in caplog.text
