"""Nothing of the texts in pictures, NIfTI files and slides reaches a run, its pages, the cache or the screen.

DICOM headers have `test_private_headers`.
"""

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from tests.conftest import SMALL
from tests.run.test_private_headers import DAY, HOUR, MARK, PRIVATE_BYTES, cache, find_private, run  # noqa: F401
from tlmed.part_names import split_part
from tlmed.run_files import SPLITS_CSV
from tlmed.rundir import RunDir

pytestmark = pytest.mark.usefixtures("empty_figures")

TEXT = f"{MARK} {DAY}01 {HOUR}"
GPS, EXIF, USER_COMMENT, OWNER = 0x8825, 0x8769, 0x9286, 0xA430


def fill_exif():
    """Return EXIF with a private value in each tag for texts, for Windows' own in UTF-16, and in the nested ones."""
    made = Image.Exif()
    for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298):
        made[tag] = TEXT
    for tag in (0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F):
        made[tag] = TEXT.encode("utf-16-le")
    made.get_ifd(GPS)[29] = TEXT
    made.get_ifd(EXIF).update({USER_COMMENT: TEXT.encode(), OWNER: TEXT})
    return made


def draw(number, label, size=40):
    return np.random.RandomState(number).randint(0, 100 + 150 * label, (size, size)).astype(np.uint8)


def write_png(file, image):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Patient", TEXT)
    texts.add_text("Comment", TEXT * 9, zip=True)
    texts.add_itxt("Title", TEXT, tkey=TEXT)
    image.save(file, "PNG", pnginfo=texts, exif=fill_exif())


def write_tiff(file, image):
    tags = {270: TEXT, 315: TEXT, 305: TEXT, 700: f"<x:xmpmeta>{TEXT}</x:xmpmeta>".encode(), 33432: TEXT}
    image.save(file, "TIFF", tiffinfo=tags, save_all=True, append_images=[image])


def write_nifti(file, image):
    made = nibabel.Nifti1Image(np.asarray(image).astype(np.int16)[..., None].repeat(3, 2), np.eye(4))
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        made.header[field] = MARK.encode()
    for code in (2, 4, 6, 16):  # DICOM, XML of AFNI, a comment, XCEDE
        made.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, f"{TEXT} {code}".encode()))
    nibabel.save(made, file)


def write_floats(file, image):
    values = np.asarray(image).astype(np.float32) * 16
    tifffile.imwrite(file, values, description=TEXT, software=TEXT, metadata=None, extratags=[(315, 2, 0, TEXT, True)])


WRITERS = {
    "png": write_png,
    "jpg": lambda file, image: image.save(file, "JPEG", exif=fill_exif(), comment=TEXT.encode()),
    "tif": write_tiff,
    "gif": lambda file, image: image.convert("P").save(file, "GIF", comment=TEXT.encode()),
    "deep.png": lambda file, image: write_png(file, Image.fromarray(np.asarray(image).astype(np.uint16) * 16)),
    "float.tif": write_floats,
    "nii": write_nifti,
    "nii.gz": write_nifti,
}


def write_all(folder):
    """Write two classes of 30 files of all kinds; then cut one of each kind off, and damage one in its texts."""
    for number in range(2 * 30):
        label, kind = number % 2, list(WRITERS)[number // 2 % len(WRITERS)]
        path = folder / "ab"[label] / f"{number}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[kind](path, Image.fromarray(draw(number, label)))
    broken = [folder / "a" / f"{2 * place}.{kind}" for place, kind in enumerate(WRITERS)]
    for path in broken:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
    for place, kind in enumerate(WRITERS):
        path = folder / "b" / f"{2 * place + 1}.{kind}"
        path.write_bytes(path.read_bytes().replace(MARK.encode(), MARK.encode() + b"Q\0", 1))
    return folder


def work(data, out, settings):
    """Do what a user does with a run, and return all that is printed."""
    settings = [word for setting in (*SMALL, "examples=2", *settings) for word in ("--set", setting)]
    return "".join(
        [
            run("train", "feature_extractor", "--data", data, "--out", out / "run", "--skip-bad", *settings),
            run("evaluate", out / "run", "--data", data, "--skip-bad", "--out", out / "again"),
            run("evaluate", "--predictions", out / "run" / "predictions.csv", "--out", out / "scored"),
            run("predict", out / "run", data, "--skip-bad", "--out", out / "a.csv", "--explain", out / "pictures"),
            run("export", out / "run", "--format", "card", "--out", out / "card.md"),
            run("data", "show", data, "--skip-bad", "--out", out / "look", *settings),
        ]
    )


def find_printed(text, caplog):
    return [secret for secret in PRIVATE_BYTES if secret.decode() in text + caplog.text]


def test_nothing_of_the_texts_of_pictures_and_volumes_is_kept_or_printed(tmp_path, cache, caplog):  # noqa: F811
    data, out = write_all(tmp_path / "data"), tmp_path / "out"
    assert {path.suffix for path in data.rglob("*.*") if MARK.encode() in path.read_bytes()} >= {".png", ".jpg", ".nii"}
    printed = work(data, out, ["data.planes=1"])
    assert "cannot be read" in printed
    used = {split_part(row["path"])[0].split(".", 1)[1] for row in SPLITS_CSV.read(RunDir(out / "run"))}
    assert used == set(WRITERS)
    assert find_private(out) == []
    assert find_private(cache) == []
    assert find_printed(printed, caplog) == []


def test_nothing_of_the_texts_of_slides_is_kept_or_printed(tmp_path, cache, caplog):  # noqa: F811
    data, out = tmp_path / "data", tmp_path / "out"
    for number in range(20):
        label, path = number % 2, data / "ab"[number % 2] / f"{number}.svs"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.stack([draw(number, label, 128), draw(number + 50, label, 128), draw(number + 90, 1, 128)], -1)
        with tifffile.TiffWriter(path) as writer:
            about = f"Aperio Image Library v10\r\n128x128 (64x64) JPEG|MPP = 0.5|Filename = {TEXT}|User = {MARK}"
            writer.write(pixels, description=about, metadata=None, tile=(64, 64), photometric="rgb")
            for kind, subfile in {"label": 1, "macro": 9}.items():
                said = f"Aperio {MARK}\r\n{kind} 128x128"
                writer.write(pixels, description=said, metadata=None, photometric="rgb", subfiletype=subfile)
    printed = work(data, out, ["data.tile=64", "data.tissue=0", "data.tiles=2"])
    assert find_private(out) == []
    assert find_private(cache) == []
    assert find_printed(printed, caplog) == []


@pytest.mark.parametrize("kind", WRITERS)
def test_texts_would_be_found(tmp_path, kind):
    WRITERS[kind](tmp_path / f"x.{kind}", Image.fromarray(draw(0, 1)))
    content = (tmp_path / f"x.{kind}").read_bytes()
    assert MARK.encode() in content or kind == "nii.gz"
