"""Samples that are parts of a file: their pixels, their digests, and that those of a file stay together."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from tests.data.test_data_images import COLOUR, GRAY, encode
from tlmed.data import decode, load
from tlmed.data.decode_and_resize import TONES, decode_resized, examine
from tlmed.data.extras import find_extras
from tlmed.data.file_samples import Sample, expand, find_owners
from tlmed.data.learned import list_learned, recognise_images
from tlmed.data.parts import Part
from tlmed.data.readers.plane import Plane
from tlmed.data.table import Table
from tlmed.part_names import join_part, split_part
from tlmed.pseudonyms import are_patients, is_file_group


def make_part(*values, name="plane=0", file="a", bits=8, window=None):
    planes = tuple(Plane(value, bits, window) for value in values)
    return Part(name, lambda: hashlib.sha256(file.encode()).hexdigest(), lambda: planes, lambda: "picture")


def test_one_plane_is_shown_as_a_file_with_it_is():
    for pixels in (GRAY, COLOUR):
        part, file = make_part(pixels), encode(pixels, "PNG")
        np.testing.assert_array_equal(decode(part), decode(file))
        np.testing.assert_array_equal(decode_resized(part, (7, 5)), decode_resized(file, (7, 5)))
        assert examine(part, (7, 5)).tones == examine(file, (7, 5)).tones


def test_three_planes_are_red_green_and_blue():
    planes = [GRAY, 255 - GRAY, GRAY // 2]
    part = make_part(*planes)
    np.testing.assert_array_equal(decode(part), np.stack(planes, axis=-1))
    resized = [decode_resized(encode(plane, "PNG"), (7, 5))[..., 0] for plane in planes]
    np.testing.assert_array_equal(decode_resized(part, (7, 5)), np.stack(resized, axis=-1))


def test_three_planes_may_have_different_sizes():
    part = make_part(np.zeros((4, 6), np.uint8), np.full((8, 3), 255, np.uint8), np.full((2, 2), 9, np.uint8))
    expected = np.broadcast_to(np.uint8([0, 255, 9]), (8, 6, 3))
    np.testing.assert_array_equal(decode(part), expected)
    np.testing.assert_array_equal(decode_resized(part, (8, 6)), expected)


def test_each_plane_has_its_window_and_the_most_of_each_measure_counts():
    deep = np.array([[0.0, 50.0, 100.0]], np.float32)
    part = Part(
        "p",
        str,
        lambda: (Plane(deep, 16, (0, 100)), Plane(deep, 16, (50, 60)), Plane(deep, 16, (0, 1000))),
        lambda: "picture",
    )
    found = examine(part, (1, 3))
    pixels, tones = found.pixels, found.tones
    assert pixels[0].tolist() == [[0, 0, 0], [128, 0, 13], [255, 255, 26]]
    assert tones == np.array((256, 255, 3), TONES)


def test_coloured_planes_are_no_channels():
    with pytest.raises(ValueError, match="its planes have colours"):
        decode_resized(make_part(COLOUR, COLOUR, COLOUR), (4, 4))


def test_the_digest_is_of_the_file_and_of_what_it_shows():
    black = np.zeros((2, 2), np.uint8)
    parts = [make_part(black, name=name, file=file) for file in "ab" for name in ("axial plane=0", "axial plane=1")]
    assert len({part.digest for part in parts}) == 4
    assert make_part(black).digest == make_part(GRAY).digest  # of a copy of the file
    file = hashlib.sha256(b"a").hexdigest()
    assert make_part(black).digest == file[:32] + hashlib.sha256(f"{file} plane=0".encode()).hexdigest()[:32]


def test_what_a_file_remarks_is_said_of_its_parts():
    part = Part("p", str, lambda: (Plane(GRAY),), lambda: "picture", lambda: frozenset(["{images} {hold} overlays."]))
    assert find_extras(part) == {"{images} {hold} overlays."}
    assert find_extras(make_part(GRAY)) == frozenset()


@pytest.mark.parametrize("path", ["scan.nii.gz#plane=12", "study/series#views", "slide.svs#x=0,y=1024", "a#1#plane=0"])
def test_a_path_says_which_part_of_which_file_a_sample_is(path):
    file, part = split_part(path)
    assert part
    assert join_part(file, part) == path


@pytest.mark.parametrize("path", ["scan.nii.gz", "scan#1.png", "x#plane=12.png", "#", "x#views/a.png"])
def test_other_paths_are_files(path):
    assert split_part(path) == (path, "")


def make_table(samples, files, groups=None, splits=None):
    """Return a table of files with some samples each, whose pixels are random."""
    random = np.random.RandomState(0)
    labels = np.arange(files) % 2
    whole = Table(
        "data", tuple(f"{n:02}.nii" for n in range(files)), labels, ("a", "b"), groups, splits, lambda row: b""
    )
    made = [
        Sample(join_part(whole.paths[row], f"plane={n}"), row, lambda part=part: part)
        for row in range(files)
        for n in range(samples)
        for part in [make_part(random.randint(0, 256, (8, 8), np.uint8), name=str(n), file=str(row))]
    ]
    return expand(whole, made)


@pytest.mark.parametrize("seed", range(3))
def test_samples_of_a_file_stay_in_one_split_where_no_patient_is_known(seed):
    images = load(make_table(5, 20), (16, 16), seed=seed)
    for rows in find_owners(images.table.paths):
        assert len(rows) == 5
        assert len(set(images.splits[list(rows)])) == len({images.table.labels[row] for row in rows}) == 1
    assert len(set(images.splits)) == 3
    assert all(map(is_file_group, images.table.groups))
    assert not are_patients(images.table.groups, False)
    assert sum("samples of a file count as one group" in warning for warning in images.warnings) == 1


def test_samples_have_the_patient_of_their_file_where_one_is_known():
    groups = tuple(f"p{n // 2}" for n in range(20))
    images = load(make_table(3, 20, groups), (16, 16))
    assert images.table.groups == tuple(group for group in groups for _ in range(3))
    assert not any("samples of a file count as one group" in warning for warning in images.warnings)


def test_the_name_of_a_file_in_another_source_is_not_the_same_patient():
    table = make_table(2, 4)
    assert not set(table.own_groups) & set(table.groups)


def test_files_with_one_sample_each_are_no_groups():
    assert make_table(1, 4).groups is None


def test_files_without_parts_are_a_table_as_before():
    whole = Table("data", ("a", "b"), np.arange(2), ("a", "b"), None, None, [b"1", b"2"].__getitem__)
    table = expand(whole, [Sample(path, row, lambda row=row: whole.read(row)) for row, path in enumerate(whole.paths)])
    assert (table.groups, table.notes, table.paths, table.read(1)) == (None, (), ("a", "b"), b"2")


def test_a_broken_part_is_named_with_its_reason():
    table = make_table(1, 12)

    def fail():
        raise ValueError("it is cut off")

    def read(row):
        return Part("p", lambda: "0" * 64, fail, lambda: "picture") if row == 3 else table.read(row)

    images = load(replace(table, read=read), (16, 16), skip_bad=True)
    assert images.broken == (("03.nii#plane=0", "it is cut off"),)


def test_a_file_that_a_run_learned_from_is_recognised_however_it_is_cut():
    learned = [make_part(GRAY, name=f"axial plane={index} repeat").digest for index in (3, 4)]
    known = list_learned([{"sha256": digest, "group": "file:a", "split": "train"} for digest in learned])
    views, whole = make_part(GRAY, name="views").digest, hashlib.sha256(b"a").hexdigest()
    other = make_part(GRAY, name="views", file="b").digest
    assert recognise_images([known], [views, whole, other], None).tolist() == [True, True, False]
    assert recognise_images([known.without_validation()], [views], ("file:x",)).tolist() == [True]
