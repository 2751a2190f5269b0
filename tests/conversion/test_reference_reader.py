"""The reader beside an exported model: it gives the pixels of tlmed to the bit, or a ValueError; never other pixels."""

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image

from tests.conversion.test_conversion import facts_of
from tests.data.readers.dicom_files import Dataset, make, make_table, pydicom, save, uid, write
from tests.data.readers.mutants import check_mutants
from tests.data.readers.test_dicom_peers import list_packaged, list_slices
from tests.data.test_data_images import LOSSLESS, tiff
from tlmed.conversion import reference_reader as alone
from tlmed.data.decode_and_resize import PixelRule, decode_resized
from tlmed.intensity import resolve

DEEP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
SIGNED = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
XA, MR = "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.4"
WINDOW, RESCALED = {"WindowCenter": 2000, "WindowWidth": 1000}, {"RescaleSlope": 2, "RescaleIntercept": -1024}
SEQUENCES = (
    *("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
WINDOWS = ("auto", "full", "lung", (1000, 900), (0.5, 99.5, "percentile"), (1, 99, "file"))


def rule_of(asked, size=(16, 24)):
    intensity = resolve(asked)
    return PixelRule(size, intensity.measured((-1000.0, 900.0)) if intensity.is_open else intensity)


def group_of(name, **elements):
    outer, item = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    setattr(outer, name, [item])
    return outer


def floats():
    made = make(DEEP, 12, **WINDOW)
    made.DoubleFloatPixelData = DEEP.astype("<f8").tobytes()
    return save(made)


def compress(syntax, cut=False, **options):
    made = make(DEEP, 12, **WINDOW)
    made.compress(syntax, **options)
    if cut:
        code = pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)
        made.PixelData = pydicom.encaps.encapsulate([code[: len(code) // 2]])
    return save(made)


def change(made, **kinds):
    """Write elements of another type than theirs."""
    for name, (kind, value) in kinds.items():
        made.add_new(name, kind, value)
    return save(made)


warnings.filterwarnings("ignore", module="pydicom")  # of what is written here on purpose
READ = {  # as tlmed reads them, by at least one window
    "plain": write(DEEP, 12, **WINDOW),
    "signed": write(SIGNED, 16, **WINDOW),
    "without a window": write(DEEP, 12),
    "10 bits": write(DEEP // 4, 10, **WINDOW),
    "bits of an overlay": write(DEEP | 0xA000, 12, **WINDOW),
    "signed, 12 bits": write(SIGNED & 0x0FFF, 12, PixelRepresentation=1, **WINDOW),
    "no HighBit": write(DEEP, 12, HighBit=None, **WINDOW),
    "rescaled": write(DEEP, 12, **RESCALED, **WINDOW),
    "fractions": write(DEEP, 12, RescaleSlope="0.3333", RescaleIntercept="-7.77", **WINDOW),
    "a slope below 0": write(DEEP, 12, RescaleSlope=-1, RescaleIntercept=4095, **WINDOW),
    "two slopes": write(DEEP, 12, RescaleSlope=[2, 3], RescaleIntercept=[-1, 5], **WINDOW),
    "slope and intercept are empty": write(DEEP, 12, RescaleSlope=None, RescaleIntercept=None, **WINDOW),
    "several windows": write(DEEP, 12, WindowCenter=[2000, 40], WindowWidth=[1000, 400]),
    "a window of width 1": write(DEEP, 12, WindowCenter=2000, WindowWidth=1),
    "a window hardly wider than 1": write(DEEP, 12, WindowCenter=2000, WindowWidth="1.00000001"),
    "a window of width 1 far from 0": write(DEEP, 12, WindowCenter=3000, WindowWidth=1, **RESCALED),
    "an empty window": write(DEEP, 12, WindowCenter=None, WindowWidth=None),
    "empty sequences": write(DEEP, 12, **{name: [] for name in SEQUENCES}, **WINDOW),
    "a localizer": write(DEEP, 12, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **RESCALED, **WINDOW),
    "a localizer in small letters": write(DEEP, 12, ImageType=["ORIGINAL", "localizer"], **RESCALED, **WINDOW),
    "an image type of one word": write(DEEP, 12, ImageType="AXIAL LOCALIZER", **RESCALED, **WINDOW),
    "MR, called CT": write(DEEP, 12, SOPClassUID=MR, Modality="CT", **RESCALED, **WINDOW),
    "CT, called MR": write(DEEP, 12, Modality="MR", **RESCALED, **WINDOW),
    "MR in Hounsfield units": write(DEEP, 12, SOPClassUID=MR, RescaleType="HU", **RESCALED),
    "CT in other units": write(DEEP, 12, RescaleType="US", **RESCALED, **WINDOW),
    "called angiography": write(DEEP, 12, Modality="XA", **RESCALED, **WINDOW),
    "white is low": write(DEEP, 12, PhotometricInterpretation="MONOCHROME1", **WINDOW),
    "inverse": write(DEEP, 12, PresentationLUTShape="INVERSE", **WINDOW),
    "identity": write(DEEP, 12, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY", **WINDOW),
    "padding": write(SIGNED, 16, PixelPaddingValue=-2000, **WINDOW),
    "no frames": write(DEEP, 12, NumberOfFrames=0, **WINDOW),
    "big-endian": write(DEEP, 12, uid.ImplicitVRLittleEndian, **WINDOW),
    "run lengths": compress(uid.RLELossless),
    "without a preamble": write(DEEP, 12, **WINDOW)[132:],
}
OTHERS = {  # refused by tlmed, or by the reader alone
    "a slope of 0": write(DEEP, 12, RescaleSlope=0, RescaleIntercept=5, **WINDOW),
    "a slope alone": write(DEEP, 12, RescaleSlope=2, **WINDOW),
    "an intercept alone": write(DEEP, 12, RescaleIntercept=-1024, **WINDOW),
    "a large slope": write(DEEP, 12, RescaleSlope="1e30", RescaleIntercept=0, **WINDOW),
    "an intercept that is no number": change(make(DEEP, 12, RescaleSlope=1, **WINDOW), RescaleIntercept=("LO", "a")),
    "a slope that is no number": change(make(DEEP, 12, RescaleIntercept=1, **WINDOW), RescaleSlope=("LO", "nan")),
    "a width below 1": write(DEEP, 12, WindowCenter=2000, WindowWidth="0.5"),
    "a width of 0": write(DEEP, 12, WindowCenter=2000, WindowWidth=0),
    "a width below 0": write(DEEP, 12, WindowCenter=2000, WindowWidth=-400),
    "a center alone": write(DEEP, 12, WindowCenter=2000),
    "a width alone": write(DEEP, 12, WindowWidth=2000),
    "a large window": write(DEEP, 12, WindowCenter=0, WindowWidth="1e31"),
    "a window that is no number": change(make(DEEP, 12, WindowWidth=10), WindowCenter=("LO", "inf")),
    "an exact window": write(DEEP, 12, VOILUTFunction="LINEAR_EXACT", **WINDOW),
    "a sigmoid": write(DEEP, 12, VOILUTFunction="SIGMOID", **WINDOW),
    "another function": write(DEEP, 12, VOILUTFunction="GAMMA", **WINDOW),
    "a VOI LUT": write(DEEP, 12, VOILUTSequence=[make_table(range(4096), 0, 12)], **WINDOW),
    "a modality LUT": write(DEEP, 12, ModalityLUTSequence=[make_table(range(4096), 0, 12)], **WINDOW),
    "another presentation LUT": write(DEEP, 12, PresentationLUTShape="LIN OD", **WINDOW),
    "a supplemental palette": write(DEEP, 12, PixelPresentation="COLOR", **WINDOW),
    "angiography": write(DEEP, 12, SOPClassUID=XA, **RESCALED, **WINDOW),
    "high bits": write(DEEP << 4, 12, HighBit=15, **WINDOW),
    "a HighBit of 0": write(DEEP, 12, HighBit=0, **WINDOW),
    "bits in the middle": write(DEEP << 2, 12, HighBit=13, **WINDOW),
    "too many bits": write(DEEP, 12, BitsStored=17, **WINDOW),
    "32 bits": write(DEEP.astype(np.uint32), 32, **WINDOW),
    "8 bits": write(DEEP.astype(np.uint8), **WINDOW),
    "two samples": write(DEEP, 12, SamplesPerPixel=2, **WINDOW),
    "colours": write(np.dstack([DEEP] * 3), 12),
    "other colours": write(DEEP, 12, PhotometricInterpretation="HSV", **WINDOW),
    "two frames": write(np.stack([DEEP, DEEP[::-1]]), 12, **WINDOW),
    "frames below 0": write(DEEP, 12, NumberOfFrames=-1, **WINDOW),
    "numbers of two types": floats(),
    "a rescaling for each frame": write(
        DEEP, 12, PerFrameFunctionalGroupsSequence=[group_of("PixelValueTransformationSequence", **RESCALED)], **WINDOW
    ),
    "a window for all frames": write(
        DEEP, 12, SharedFunctionalGroupsSequence=[group_of("FrameVOILUTSequence", WindowCenter=5, WindowWidth=9)]
    ),
    "damaged padding": change(make(DEEP, 12, **WINDOW), PixelPaddingValue=("LO", "a")),
    "no rows": write(DEEP, 12, Rows=0, **WINDOW),
    "large": write(DEEP, 12, Rows=65535, Columns=65535, **WINDOW),
    "cut off": READ["plain"][:-100],
    "run lengths, cut off": compress(uid.RLELossless, cut=True),
    "no pixels": READ["plain"][: -DEEP.nbytes - 12],
    "without meta information": READ["plain"][READ["plain"].index(b"\x08\0\x16\0") :],
}


def compare(content, rule):
    """Return whether the reader reads a content, in which case it gives what tlmed gives."""
    try:
        found = alone.read(content, facts_of(rule))
    except ValueError as error:
        said = str(error)
        assert 10 < len(said) < 200
        assert "\n" not in said
        return False
    np.testing.assert_array_equal(found, decode_resized(content, rule))
    return True


@pytest.mark.parametrize("asked", WINDOWS, ids=str)
def test_dicom_is_shown_as_tlmed_shows_it_or_refused(asked):
    rule = rule_of(asked)
    read = {name for name, content in (READ | OTHERS).items() if compare(content, rule)}
    assert read <= READ.keys()
    if asked == (1000, 900):
        assert read == READ.keys()
    if asked == "auto":
        assert {"a window of width 1", "a window of width 1 far from 0", "empty sequences"} <= read


def test_dicom_in_every_compression_is_shown_as_tlmed_shows_it_or_refused():
    paths = [path for path in list_packaged() if path.stat().st_size < 2**19]
    rule = rule_of((1000, 900))
    assert sum(compare(path.read_bytes(), rule) for path in paths) >= 10


def test_a_compressed_frame_that_is_cut_off_is_refused():
    pytest.importorskip("openjpeg", reason="needs pylibjpeg-openjpeg: pip install '.[dicom]'")
    whole, cut = (compress(uid.JPEG2000Lossless, cut, encoding_plugin="pylibjpeg") for cut in (False, True))
    assert compare(whole, rule_of("auto"))
    assert not compare(cut, rule_of("auto"))


def test_no_compression_hides_that_a_frame_is_cut_off():
    seen = 0
    for path in (path for path in list_packaged() if path.stat().st_size < 2**19):
        if not compare(path.read_bytes(), rule_of((1000, 900))):
            continue
        made = pydicom.dcmread(path)
        if not made.file_meta.TransferSyntaxUID.is_encapsulated:
            continue
        code = pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)
        for share in (0.5, 0.9, 0.99):
            made.PixelData = pydicom.encaps.encapsulate([code[: int(len(code) * share)]])
            assert not compare(save(made), rule_of((1000, 900))), (path.name, share)
        seen += 1
    assert seen >= 3


GRAY = LOSSLESS["png gray"][0]


def draw_large():
    """Return a PNG of 144 million black pixels, of which all are there."""
    out = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    return out.getvalue()


NO_IMAGES = {
    "nothing": b"",
    "text": b"no image at all",
    "NumPy": b"\x93NUMPY" + bytes(200),
    "a mark of DICOM": bytes(128) + b"DICM",
    "a mark of DICOM, and rubbish": bytes(128) + b"DICM" + b"rubbish" * 50,
    "an empty PNG": GRAY[:8],
    "a header alone": GRAY[:40],
    "half a PNG": GRAY[: len(GRAY) // 2],
    "large": GRAY[:16] + struct.pack(">II", 60_000, 60_000) + GRAY[24:],
    "larger than tlmed reads": GRAY[:16] + struct.pack(">II", 12_000, 12_000) + GRAY[24:],
    "whole and larger than tlmed reads": draw_large(),
    "16-bit colours in planes": tiff([DEEP] * 3, 2, 16, 3, tag284=[2]),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_whole_image_is_a_value_error_of_one_sentence(name):
    assert not compare(NO_IMAGES[name], rule_of("auto"))
    with pytest.raises(ValueError, match=r"\w"):
        decode_resized(NO_IMAGES[name], rule_of("auto"))


def test_a_missing_file_is_still_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        alone.read(tmp_path / "gone.png", facts_of())


@pytest.mark.parametrize("name", [name for name in LOSSLESS if not name.startswith("array")])
def test_a_truncated_picture_is_shown_as_tlmed_shows_it_or_refused(name):
    content = LOSSLESS[name][0]
    for end in range(0, len(content), max(len(content) // 20, 1)):
        compare(content[:end], rule_of("auto"))


@pytest.mark.slow
def test_damaged_files_are_shown_as_tlmed_shows_them_or_refused():
    paths = [path for path in [*list_packaged(), *list_slices()[:5]] if path.stat().st_size < 2**18]
    seeds = [path.read_bytes() for path in paths] + [*READ.values()]
    seeds += [LOSSLESS[name][0] for name in LOSSLESS if not name.startswith("array")]
    check_mutants(seeds, lambda damaged: compare(damaged, rule_of((1000, 900))))
