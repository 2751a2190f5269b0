"""What is shown equals what dcmtk shows: on every file of pydicom's package, on CT slices, and on files made here.

Where dcmtk 3.6.7 differs by more than a grey level, `ALLOWED` says by how much. The reasons:

- Lossy JPEG: another inverse cosine transform, and another rule to enlarge the colours; T.81 allows both.
- YBR_FULL: its integers are up to 1.9 levels from the formula of PS3.3, C.7.6.3.1.2; pydicom's up to 0.5.
- One to seven bits without a window: it shows the highest value at 255 - 255 / 2**bits, and not white.
- LINEAR_EXACT: it applies LINEAR, which is another function (PS3.3, C.11.2.1.3.2).
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.readers.dicom_files import make, make_table, pydicom, save, uid, write
from tlmed.data.decode_and_resize import decode
from tlmed.data.readers import dicom
from tlmed.intensity import WINDOWS, resolve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("dcmj2pnm"), reason="needs dcmj2pnm: apt install dcmtk"),
]

DEEP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
SIGNED = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
BYTES = np.arange(256, dtype=np.uint8).reshape(16, 16)
RGB = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8)
TABLE = (4095 * np.sqrt(np.arange(4096) / 4095)).astype(int)
WINDOW = {"WindowCenter": 2000, "WindowWidth": 1000}
ALLOWED = {
    **{f"SC_rgb_dcmtk_+eb+cy+{kind}.dcm": 2 for kind in ("n1", "np")},
    **{"SC_rgb_jpeg_lossy_gdcm.dcm": 2, "examples_ybr_color.dcm": 3},
    **{"liver_1frame.dcm": 127, "liver_expb_1frame.dcm": 127},
    **{"4 bits": 15, "YBR_FULL": 2, "exact, narrow": 64},
}


def list_packaged():
    folder = Path(pydicom.data.__path__[0])
    return [path for path in sorted(folder.rglob("*")) if path.suffix in ("", ".dcm") and path.is_file()]


def list_slices():
    return sorted(Path(os.environ.get("TLMED_TEST_DATA", "")).glob("ct-contrast-dicom/dicom/*"))


def render(path, frame, folder):
    """Return what dcmtk shows of a frame, with the first VOI LUT, or else window; None if it reads nothing."""
    header = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    options = ["--use-voi-lut", "1"] if header.get("VOILUTSequence") else []
    if not options and header.get("WindowCenter") is not None:
        options = ["--use-window", "1"]
    shown, raw = folder / "shown.pnm", folder / "raw.dcm"
    for source in (path, raw):
        shown.unlink(missing_ok=True)
        command = ["dcmj2pnm", "--write-raw-pnm", "--no-overlays", "--frame", str(frame + 1), *options, source, shown]
        subprocess.run(command, capture_output=True)
        if shown.exists():
            with Image.open(shown) as image:
                return np.asarray(image)
        # It decodes neither JPEG 2000 nor JPEG-LS; GDCM does.
        if source == path and shutil.which("gdcmconv"):
            subprocess.run(["gdcmconv", "--raw", "-i", path, "-o", raw], capture_output=True)
    return None


def show(plane):
    """Return the grey levels or colours of a plane, 0..255; None if no window says which."""
    values = (plane.values if plane.voi is None else plane.voi(plane.values)).astype(np.float64)
    if plane.values.ndim == 3:
        return values if plane.bits == 8 else values // 256
    if plane.window is None and plane.bits > 8:
        return None
    low, high = plane.window or (0, 255)
    shares = np.clip((values - low) / (high - low), 0, 1)
    return np.rint(255 * (1 - shares if plane.inverted else shares))


def compare(path, folder, name):
    """Return how many frames were compared; one that stands alone is also read as a data set's images are."""
    content, compared = path.read_bytes(), 0
    frames = dicom.count_planes(content)
    for frame in sorted({0, frames - 1}):
        shown = show(dicom.read_plane(content, frame))
        expected = None if shown is None else render(path, frame, folder)
        if expected is None:
            continue
        difference = np.abs(shown - expected)
        assert difference.max() <= ALLOWED.get(name, 1), (name, frame, difference.max())
        if frames == 1:
            gray = decode(content)[..., 0] if expected.ndim == 2 else decode(content)
            assert np.abs(gray - shown).max() <= 1
        compared += 1
    return compared


def is_read(path):
    try:
        dicom.count_planes(path.read_bytes())
        dicom.read_plane(path.read_bytes(), 0)
    except ValueError:
        return False
    return True


def test_all_readable_files_of_pydicom(tmp_path):
    paths = list(filter(is_read, list_packaged()))
    assert len(paths) >= 95
    assert sum(compare(path, tmp_path, path.name) for path in paths) >= 80


def test_ct_slices_of_two_makers(tmp_path):
    paths = list_slices()
    if not paths:
        pytest.skip("needs TLMED_TEST_DATA: a folder with ct-contrast-dicom/dicom")
    assert sum(compare(path, tmp_path, path.name) for path in paths) == len(paths) == 100


@pytest.mark.parametrize("name", WINDOWS)
def test_named_windows_of_ct_slices(name, tmp_path):
    paths = list_slices()[::9]
    if not paths:
        pytest.skip("needs TLMED_TEST_DATA: a folder with ct-contrast-dicom/dicom")
    for path in paths:
        command = ["dcmj2pnm", "--write-raw-pnm", "--no-overlays", "--set-window", *map(str, WINDOWS[name])]
        subprocess.run([*command, path, tmp_path / "shown.pnm"], check=True)
        with Image.open(tmp_path / "shown.pnm") as image:
            expected = np.asarray(image).astype(int)
        shown = decode(path.read_bytes(), resolve(name))[..., 0]
        values = dicom.read_plane(path.read_bytes(), 0).values
        assert 0 < shown.mean() < 255
        # dcmtk takes whole Hounsfield units, where a slope gives fractions of them.
        fraction = 0 if (values == np.rint(values)).all() else 255 / WINDOWS[name][1]
        assert np.abs(shown - expected).max() <= 1 + fraction


def make_palette():
    tables = np.random.RandomState(0).randint(0, 256, (3, 256)).astype(np.uint8)
    elements = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        elements[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    return elements


def lut(table, first=0, bits=12, kind="US"):
    return [make_table(table, first, bits, kind)]


MADE = {
    "linear": lambda: write(DEEP, 12, **WINDOW),
    "width 1": lambda: write(DEEP, 12, WindowCenter=2000, WindowWidth=1),
    "width 2": lambda: write(DEEP, 12, WindowCenter=2000, WindowWidth=2),
    "exact": lambda: write(DEEP, 12, VOILUTFunction="LINEAR_EXACT", **WINDOW),
    "exact, narrow": lambda: write(DEEP, 12, VOILUTFunction="LINEAR_EXACT", WindowCenter=2000, WindowWidth=3),
    "sigmoid": lambda: write(DEEP, 12, VOILUTFunction="SIGMOID", **WINDOW),
    "rescaled": lambda: write(SIGNED, 16, RescaleSlope=1, RescaleIntercept=-24, WindowCenter=-10, WindowWidth=400),
    "falling": lambda: write(DEEP, 12, RescaleSlope=-1, RescaleIntercept=0, WindowCenter=-1000, WindowWidth=1400),
    "MONOCHROME1": lambda: write(DEEP, 12, PhotometricInterpretation="MONOCHROME1", **WINDOW),
    "INVERSE": lambda: write(DEEP, 12, PresentationLUTShape="INVERSE", **WINDOW),
    "both": lambda: write(DEEP, 12, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE", **WINDOW),
    "neither": lambda: write(
        DEEP, 12, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY", **WINDOW
    ),
    "VOI LUT": lambda: write(DEEP, 12, VOILUTSequence=lut(TABLE)),
    "VOI LUT, OW": lambda: write(DEEP, 12, VOILUTSequence=lut(TABLE, kind="OW")),
    "VOI LUT, implicit": lambda: write(DEEP, 12, uid.ImplicitVRLittleEndian, VOILUTSequence=lut(TABLE)),
    "VOI LUT, signed": lambda: write(SIGNED, 16, VOILUTSequence=lut(np.arange(2000) * 32, -500, 16)),
    "VOI LUT, rescaled": lambda: write(
        DEEP, 12, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=lut(np.arange(2000) * 32, -500, 16)
    ),
    "Modality LUT": lambda: write(DEEP, 12, ModalityLUTSequence=lut(TABLE[::-1], 0, 16), **WINDOW),
    "angiography": lambda: write(
        DEEP, 12, SOPClassUID="1.2.840.10008.5.1.4.1.1.12.1", ModalityLUTSequence=lut(TABLE[::-1], 0, 16), **WINDOW
    ),
    "8 bits": lambda: write(BYTES),
    "8 bits, signed": lambda: write(BYTES.astype(np.int8)),
    "8 bits, rescaled": lambda: write(BYTES, RescaleSlope=2, RescaleIntercept=-10),
    "4 bits": lambda: write(BYTES // 16, 4),
    "overlay": lambda: write(DEEP | (DEEP << 13), 12, **WINDOW),
    "HighBit": lambda: write(DEEP << 4, 12, HighBit=15, **WINDOW),
    "padding": lambda: write(SIGNED, 16, PixelPaddingValue=-1000, WindowCenter=-800, WindowWidth=1000),
    "32 bits": lambda: write(DEEP.astype(np.uint32) * 1000, 32, WindowCenter=2000000, WindowWidth=1000000),
    "RGB": lambda: write(RGB),
    "RGB, planar": lambda: save(make(RGB, PlanarConfiguration=1)),
    "RGB, 12 bits": lambda: write(RGB.astype(np.uint16) * 16, 12),
    "YBR_FULL": lambda: write(RGB, PhotometricInterpretation="YBR_FULL"),
    "palette": lambda: write(BYTES, **make_palette()),
    "frames": lambda: write(np.stack([DEEP, DEEP[::-1]]), 12, **WINDOW),
}


@pytest.mark.parametrize("name", MADE)
def test_files_made_for_a_rule(name, tmp_path):
    path = tmp_path / "made.dcm"
    path.write_bytes(MADE[name]())
    assert compare(path, tmp_path, name) >= 1
