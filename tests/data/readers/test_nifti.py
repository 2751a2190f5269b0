"""NIfTI volumes: slices equal nibabel's own canonical arrays; what cannot be read is named before it takes memory."""

import gzip
import os
import resource
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.data.readers.nifti_files import OBLIQUE, draw, nibabel, open_canonical, write
from tlmed.data.kinds import HEAD
from tlmed.data.readers import count_planes, find_reader, find_remarks, is_image, nifti, read_plane
from tlmed.data.readers.nifti import is_nifti, open_stack
from tlmed.slicing import AXES

UNREAD = {
    **dict.fromkeys(("4d", "nifti2", "dconn", "functional"), "dimensions, with [0-9]+ volumes"),
    "resampled": "153 of its 1,071 voxels are NaN",
}
PACKAGED = sorted((Path(nibabel.__file__).parent / "tests" / "data").glob("*.nii*"))
HIPPOCAMPUS = sorted(Path(os.environ.get("TLMED_TEST_DATA", "")).glob("hippocampus-nifti/images/*"))
VALUES = draw(6, 5, 4)
FILES = {
    "uint8": write(VALUES),
    "int8": write((VALUES.astype(int) - 100).astype(np.int8)),
    "int16": write(VALUES.astype(np.int16) - 100),
    "uint16": write(VALUES.astype(np.uint16) * 300),
    "int32": write(VALUES.astype(np.int32) * 70_000),
    "float32": write(VALUES / np.float32(7)),
    "float64": write(VALUES / 7),
    "big endian": write(VALUES.astype(">i2")),
    "scaled": write(VALUES.astype(np.int16), scl_slope=0.25, scl_inter=-1024),
    "scaled floats": write(VALUES.astype(np.float32), scl_slope=3, scl_inter=1),
    "slope of 0": write(VALUES, scl_slope=0, scl_inter=5),
    "compressed": write(VALUES, compressed=True),
    "NIfTI-2": write(VALUES.astype(np.int16), kind="2"),
    "oblique": write(VALUES, OBLIQUE),
    "left to right": write(VALUES, np.diag([-1, -1, 1, 1])),
    "oblique, compressed": write(VALUES, OBLIQUE, compressed=True),
    "one volume of a series": write(VALUES[..., None]),
    "without orientation": write(VALUES, qform_code=0, sform_code=0),
    "by quaternion": write(VALUES, OBLIQUE, sform_code=0, qform_code=1),
}


def check_against_nibabel(content):
    stack, expected = open_stack(content), open_canonical(content)
    expected = expected.reshape(expected.shape[:3])
    assert tuple(stack.counts.values()) == expected.shape
    for number, axis in enumerate(AXES):
        for index in range(expected.shape[number]):
            plane = stack.read(axis, index)
            found = expected.take(index, number)
            # Shown with the patient's right or front at the left, and head or front at the top.
            np.testing.assert_allclose(plane.values, found.T[::-1, ::-1], rtol=2e-6, atol=1e-6)
            assert (plane.bits, plane.window, plane.inverted) == (8 * plane.values.itemsize, None, False)


@pytest.mark.parametrize("name", FILES)
def test_planes_are_those_of_nibabel(name):
    assert is_nifti(FILES[name][:HEAD])
    assert find_reader(FILES[name]).name == "NIfTI"
    check_against_nibabel(FILES[name])


@pytest.mark.parametrize("file", PACKAGED, ids=lambda file: file.name)
def test_files_of_nibabels_own_package_are_read_alike_or_refused_with_a_reason(file):
    content = file.read_bytes()
    assert is_nifti(content[:HEAD])
    if reason := next((why for part, why in UNREAD.items() if part in file.name), None):
        with pytest.raises(ValueError, match=reason):
            open_stack(content).read("axial", 0)
    else:
        check_against_nibabel(content)


@pytest.mark.slow
@pytest.mark.skipif(not HIPPOCAMPUS, reason="needs TLMED_TEST_DATA: a folder with hippocampus-nifti/images")
def test_real_volumes_are_read_alike():
    assert len(HIPPOCAMPUS) > 100
    for file in HIPPOCAMPUS:
        check_against_nibabel(file.read_bytes())


def test_whole_numbers_stay_exact_and_bytes_stay_bytes():
    assert open_stack(FILES["uint8"]).read("axial", 0).values.dtype == np.uint8
    wide = np.array([[[2**31 - 1, 2**31 - 2], [1, 0]], [[5, 6], [7, 8]]], np.int32)
    plane = open_stack(write(wide)).read("axial", 0).values
    assert plane.dtype == np.int32
    assert 2**31 - 1 in plane


def test_the_range_of_the_bits_is_known_where_there_is_one():
    wholes = {name: open_stack(content).read("axial", 0).whole for name, content in FILES.items()}
    assert wholes["uint8"] is wholes["float32"] is wholes["scaled floats"] is None
    assert wholes["int16"] == wholes["big endian"] == (-(2**15), 2**15 - 1)
    assert wholes["uint16"] == (0, 2**16 - 1)
    assert wholes["scaled"] == (-(2**13) - 1024, (2**15 - 1) / 4 - 1024)


@pytest.mark.parametrize(("shear", "slanted"), [(0, False), (0.01, False), (0.3, True)])
def test_axes_that_are_not_at_right_angles_are_remarked(shear, slanted):
    affine = np.array([[1, 0, 0, 0], [0, 1, 3 * shear, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
    said = [sentence for sentence in find_remarks(write(draw(4, 5, 6), affine)) if "not at right angles" in sentence]
    assert len(said) == slanted


def test_spacing_is_that_between_rows_and_between_columns():
    stack = open_stack(write(VALUES, np.diag([1, 2, 3, 1])))
    spacings = {axis: stack.read(axis, 0).spacing for axis in AXES}
    assert spacings == {"axial": (2, 1), "coronal": (3, 1), "sagittal": (3, 2)}


def test_the_view_is_that_of_radiologists():
    values = np.zeros((3, 3, 3), np.uint8)
    values[2, 1, 1] = 1  # right
    values[1, 2, 1] = 2  # front
    values[1, 1, 2] = 3  # head
    stack = open_stack(write(values))
    shown = {axis: stack.read(axis, 1).values.tolist() for axis in AXES}
    assert shown["axial"] == [[0, 2, 0], [1, 0, 0], [0, 0, 0]]
    assert shown["coronal"] == [[0, 3, 0], [1, 0, 0], [0, 0, 0]]
    assert shown["sagittal"] == [[0, 3, 0], [2, 0, 0], [0, 0, 0]]


def test_a_volume_one_plane_thick_is_an_image():
    content = write(VALUES[:, :, :1])
    assert count_planes(content) == 1
    np.testing.assert_array_equal(read_plane(content).values, VALUES[:, :, 0].T[::-1, ::-1])
    assert count_planes(write(VALUES[:, 0])) == 1


def test_of_a_volume_somebody_has_to_choose_planes():
    assert count_planes(FILES["uint8"]) == 4
    with pytest.raises(ValueError, match=r"^it is a volume; a recipe says which planes are samples: "):
        read_plane(FILES["uint8"])


def test_a_plane_that_is_not_there_is_refused():
    for index in (-1, 4):
        with pytest.raises(ValueError, match="it has 4 planes, and not a plane"):
            open_stack(FILES["uint8"]).read("axial", index)


def test_that_a_volume_has_no_orientation_is_remarked():
    assert any("left and right" in sentence for sentence in find_remarks(FILES["without orientation"]))
    assert find_remarks(FILES["uint8"]) == frozenset()


NAN, INFINITE = VALUES.astype(np.float32), VALUES.astype(np.float64)
NAN[0, 0, 0], INFINITE[1:3, 0, 0] = np.nan, [np.inf, 1e300]
WHOLE = write(draw(9, 8, 20), compressed=True)
REFUSED = {
    "cut off": (FILES["int16"][:-1], "it is cut off"),
    "cut off after the header": (FILES["int16"][:352], "it is cut off"),
    "header cut off": (FILES["int16"][:347], "it is no readable"),
    "compressed, cut off": (WHOLE[:-12], "it is cut off"),
    "compressed, wrong sum": (WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:], "its compression is damaged"),
    "compressed, damaged": (WHOLE[:-60] + bytes(30) + WHOLE[-30:], "its compression is damaged|it is cut off"),
    "NaN": (write(NAN), "1 of its 120 voxels are NaN, infinite or too large"),
    "infinite": (write(INFINITE), "2 of its 120 voxels are NaN, infinite or too large"),
    "scaled beyond numbers": (write(NAN[1:], scl_slope=1e38), "voxels are NaN, infinite or too large"),
    "infinite slope": (write(VALUES, scl_slope=np.inf), "its slope or intercept is infinite"),
    "4D": (write(draw(3, 4, 5, 6)), "it has 4 dimensions, with 6 volumes; save each one"),
    "5D": (write(draw(3, 4, 5, 1, 2)), "with 2 volumes; save each one"),
    "colours": (write(np.zeros((3, 4, 5), [(name, "u1") for name in "RGB"])), "as colours are not"),
    "complex": (write(VALUES.astype(np.complex64)), "as colours are not"),
    "unknown type": (write(VALUES, datatype=7), "the type of its voxels is not known"),
    "huge": (write(VALUES, kind="2", dim=[3, 100_000, 100_000, 1, 1, 1, 1, 1]), "it has more than 400,000,000 voxels"),
    "long": (write(VALUES, kind="2", dim=[3, 70_000, 2, 2, 1, 1, 1, 1]), "a side of more than 65,535 pixels"),
    "more than numbers": (write(VALUES, kind="2", dim=[3, 2**40, 2**40, 2**40, 1, 1, 1, 1]), "more than 400,000,000"),
    "no voxels": (write(VALUES, dim=[3, 6, 0, 4, 1, 1, 1, 1]), "a side has no voxels"),
    "negative side": (write(VALUES, dim=[3, 6, -5, 4, 1, 1, 1, 1]), "a side has no voxels"),
    "no dimensions": (write(VALUES, dim=[0, 6, 5, 4, 1, 1, 1, 1]), "1 to 7 dimensions"),
    "far away": (write(VALUES, vox_offset=2**27), "more than 16,777,216 bytes stand before its voxels"),
    "within the header": (write(VALUES, vox_offset=12), "its header is damaged"),
    "nowhere": (write(VALUES, vox_offset=np.nan), "its header is damaged"),
    "no orientation at all": (write(VALUES, srow_x=np.zeros(4)), "its orientation is damaged"),
    "infinite orientation": (write(VALUES, srow_x=[np.inf, 0, 0, 0]), "its orientation is damaged"),
    "odd quaternion": (write(VALUES, sform_code=0, qform_code=1, quatern_b=3), "its orientation is damaged"),
    "pair": (write(VALUES, magic=b"ni1"), "pair of files (.hdr and .img); save both as one .nii"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named(name):
    content, reason = REFUSED[name]
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_plane(content) if find_reader(content) is None else open_stack(content).read("axial", 0)
    assert any(part in str(caught.value) for part in reason.split("|"))
    assert "\n" not in str(caught.value)


def test_a_bomb_takes_no_memory():
    """A header of a small volume before a gigabyte of zeros; and one that promises 4 GB to a small file."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(FILES["uint8"])
    for _ in range(64):
        bomb += packer.compress(bytes(2**24))
    bomb += packer.flush()
    greedy = write(VALUES, kind="2", compressed=True, dim=[3, 2000, 2000, 99, 1, 1, 1, 1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.testing.assert_array_equal(open_stack(bomb).read("axial", 0).values, VALUES[:, :, 0].T[::-1, ::-1])
    with pytest.raises(ValueError, match="it is cut off"):
        open_stack(greedy).read("axial", 0)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 2**28


def test_nothing_but_header_and_voxels_is_read(monkeypatch):
    """Extensions may hold anything, DICOM among it, and nibabel would hand it on."""
    extension = struct.pack("<ii", 32, 2) + b"not DICOM, and not to be read"[:24]
    plain = FILES["uint8"]
    content = plain[:348] + b"\1\0\0\0" + extension + plain[352:]
    header = nibabel.Nifti1Header(content[:348])
    header["vox_offset"] = 352 + 32
    content = header.binaryblock + content[348:]

    def refuse(*args, **kwargs):
        raise AssertionError("an extension was read")

    monkeypatch.setattr(nibabel.nifti1.Nifti1Extensions, "from_fileobj", refuse)
    np.testing.assert_array_equal(open_stack(content).read("axial", 0).values, VALUES[:, :, 0].T[::-1, ::-1])


def test_reasons_and_planes_hold_no_text_of_the_header():
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        content = write(NAN, **{name: "Jane Doe"})
        with pytest.raises(ValueError, match="NaN") as caught:
            open_stack(content).read("axial", 0)
        assert "Jane" not in str(caught.value)


def test_files_are_known_by_their_ending_or_by_what_they_hold(tmp_path):
    for name, content in {"a.nii": b"", "a.NII.GZ": b"", "scan": FILES["uint8"], "scan2": FILES["compressed"]}.items():
        (tmp_path / name).write_bytes(content)
        assert is_image(tmp_path / name)
    for name, content in {
        "a.tar.gz": gzip.compress(bytes(1000)),
        "b": gzip.compress(bytes(1000)),
        "c": gzip.compress(FILES["uint8"][:300]),
        "a.hdr": write(VALUES, magic=b"ni1")[:348],
        "a.img": VALUES.tobytes(),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert not is_image(tmp_path / name)


def test_a_header_of_random_texts_is_known_when_it_is_compressed():
    """`HEAD` bytes of a compressed file must hold its header, however little of it can be compressed."""
    random = np.random.RandomState(1)
    for _ in range(20):
        content = write(draw(9, 9, 9, seed=2), descrip=random.bytes(80), aux_file=random.bytes(24))
        assert is_nifti(gzip.compress(content, 1)[:HEAD])


def test_the_installed_version_is_part_of_the_name_of_what_is_known():
    assert nifti.NIFTI.version() == f"nibabel-{nibabel.__version__}"


@pytest.mark.parametrize("packed", [False, True])
def test_memory_does_not_grow_with_the_bits_of_voxels(packed, monkeypatch):
    monkeypatch.setattr(nifti, "_PART", 2**16)
    content = write(np.arange(128**3, dtype=np.float64).reshape(128, 128, 128))
    content = gzip.compress(content, 1) if packed else content
    stack = open_stack(content)
    tracemalloc.start()
    try:
        plane = stack.read("axial", 5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert plane.values.dtype == np.float32
    assert peak < 1.3 * 4 * 128**3  # bytes: as float32, and not the 8 of each voxel in the file
