"""Images that cannot be read and masks are findings, with their files and levels."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_images
from tlmed.data import load
from tlmed.findings import ERROR, MASK, UNREADABLE, WARNING
from tlmed.gate.file_findings import check_files

SIZE = (24, 24)


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "images", 8, ("ill", "well"))


def test_sound_images_are_no_finding(folder):
    checked = check_files(load(folder, SIZE))
    assert checked.findings == ()
    assert checked.figures == {"unreadable": 0, "masks_left_out": 0, "masks_perhaps_used": 0}


def test_images_that_cannot_be_read_are_errors_unless_somebody_leaves_them_out(folder):
    for number in (1, 2):
        (folder / f"ill/ill ({number}).png").write_bytes(b"\x89PNG\r\n\x1a\n")
    whole = (folder / "well/well (3).png").read_bytes()
    (folder / "well/well (3).png").write_bytes(whole[: len(whole) // 2])
    images = load(folder, SIZE, skip_bad=True)
    checked = check_files(images)
    assert [(found.kind, found.level, found.files) for found in checked.findings] == [
        (UNREADABLE, ERROR, ("ill/ill (1).png", "ill/ill (2).png")),
        (UNREADABLE, ERROR, ("well/well (3).png",)),
    ]
    assert checked.findings[0].text.startswith("2 images cannot be read (")
    assert checked.findings[0].text.endswith("): 'ill/ill (1).png', 'ill/ill (2).png'.")
    assert "--skip-bad" in checked.findings[1].cure
    assert checked.figures["unreadable"] == 3
    accepted = check_files(images, accepted=True).findings
    assert [found.level for found in accepted] == [WARNING] * 2
    assert accepted[1].text.endswith("'well/well (3).png'. It is left out.")


def test_masks_are_warnings_whether_they_were_left_out_or_look_like_one(folder):
    drawn = np.zeros(SIZE, np.uint8)
    drawn[5:15, 8:20] = 255
    Image.fromarray(drawn).save(folder / "ill/ill (0)_mask.png")
    Image.fromarray(drawn).save(folder / "well/other.png")  # two colours, and the name of no other image
    Image.open(folder / "well/well (1).png").save(folder / "well/well (2)_mask.png")  # called one, and looks like none
    images = load(folder, SIZE)
    checked = check_files(images)
    assert [(found.kind, found.level, found.files) for found in checked.findings] == [
        (MASK, WARNING, ("ill/ill (0)_mask.png",)),
        (MASK, WARNING, ("well/well (2)_mask.png",)),
        (MASK, WARNING, ("well/other.png",)),
    ]
    assert checked.figures == {"unreadable": 0, "masks_left_out": 1, "masks_perhaps_used": 2}
    # In the same words as where the images are read.
    assert {found.text for found in checked.findings} <= set(images.warnings)
    assert "ill/ill (0)_mask.png" not in images.table.paths


def test_masks_of_a_table_are_found_too(folder):
    drawn = np.zeros(SIZE, np.uint8)
    drawn[5:15, 8:20] = 255
    Image.fromarray(drawn).save(folder / "ill/ill (0)_mask.png")
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.glob("*/*.png"))]
    lines = ["path,label", *(f"{path},{path.split('/')[0]}" for path in paths)]
    (folder / "list.csv").write_text("\n".join(lines))
    [found] = check_files(load(folder / "list.csv", SIZE)).findings
    assert (found.kind, found.files) == (MASK, ("ill/ill (0)_mask.png",))
