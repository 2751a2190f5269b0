"""Volumes as samples: which planes, in which channels, read once, kept together, and refused by name."""

import dataclasses
import threading
import warnings
import weakref

import numpy as np
import pytest

from tests.conftest import write_images
from tests.data.readers.nifti_files import draw, open_canonical, write
from tests.data.test_data_images import GRAY, encode
from tlmed.data import KnownPixels, decode, load, open_source, read_files, resize, volumes
from tlmed.data.opened_volumes import share_while_held
from tlmed.data.readers import nifti
from tlmed.data.readers.stack import make_once
from tlmed.data.recorded import recall, to_rows
from tlmed.data.splits import list_rows
from tlmed.data.volumes import cut_volumes
from tlmed.errors import InputError, RunFailed
from tlmed.part_names import split_part
from tlmed.sections import Images, find_faults
from tlmed.slicing import Slicing
from tlmed.source_layout import Layout

SHAPE = (9, 8, 7)  # to the patient's right, front and head
SIZE = (16, 16)


def write_volumes(folder, files=6, classes="ab", shape=SHAPE):
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for n in range(files):
            content = write(draw(*shape, seed=10 * number + n), compressed=n % 2 == 0)
            (folder / name / f"{n}.nii{'.gz' if n % 2 == 0 else ''}").write_bytes(content)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_volumes(tmp_path / "data")


@pytest.fixture
def decoded(monkeypatch):
    """Count how often voxels are decoded."""
    found, plain = [], nifti._read_voxels

    def read(content, *args):
        found.append(content)
        return plain(content, *args)

    monkeypatch.setattr(nifti, "_read_voxels", read)
    return found


def canonical(folder, path):
    return open_canonical((folder / path).read_bytes()).astype(np.uint8)


def test_each_plane_is_a_sample(folder):
    table = open_source(folder, Layout(slicing=Slicing("all")))
    assert len(table) == 12 * 7
    assert table.paths[:8] == (*(f"a/0.nii.gz#plane={n}" for n in range(7)), "a/1.nii#plane=0")
    for row in (0, 6, 9, 83):
        path, part = split_part(table.paths[row])
        plane = canonical(folder, path)[:, :, int(part.removeprefix("plane="))].T[::-1, ::-1]
        np.testing.assert_array_equal(decode(table.read(row)), np.stack([plane] * 3, axis=-1))


@pytest.mark.parametrize(("axis", "number"), [("sagittal", 0), ("coronal", 1), ("axial", 2)])
def test_planes_along_each_axis_in_three_channels(folder, axis, number):
    table = open_source(folder, Layout(slicing=Slicing(1, axis, "neighbours")))
    values = canonical(folder, "a/0.nii.gz")
    middle = (SHAPE[number] - 1) // 2
    assert table.paths[0] == f"a/0.nii.gz#plane={middle}"
    planes = [values.take(index, number).T[::-1, ::-1] for index in (middle - 1, middle, middle + 1)]
    np.testing.assert_array_equal(decode(table.read(0)), np.stack(planes, axis=-1))


def test_at_the_ends_a_plane_is_its_own_neighbour(folder):
    table, values = (
        open_source(folder, Layout(slicing=Slicing("all", channels="neighbours"))),
        canonical(folder, "a/0.nii.gz"),
    )
    for row, indices in {0: (0, 0, 1), 6: (5, 6, 6)}.items():
        planes = [values[:, :, index].T[::-1, ::-1] for index in indices]
        np.testing.assert_array_equal(decode(table.read(row)), np.stack(planes, axis=-1))


def test_views_are_the_three_middle_planes_at_one_size(folder):
    images = load(open_source(folder, Layout(slicing=Slicing(channels="views"))), SIZE)
    assert images.table.paths[0] == "a/0.nii.gz#views"
    assert len(images.table) == 12
    values = canonical(folder, "a/0.nii.gz")
    planes = [values[:, :, 3], values[:, 3], values[4]]  # axial, coronal, sagittal
    views = [resize(np.stack([plane.T[::-1, ::-1]] * 3, axis=-1), SIZE)[..., 0] for plane in planes]
    np.testing.assert_array_equal(images.pixels.take(np.array([0]))[0], np.stack(views, axis=-1))


def test_planes_in_the_middle_and_each_third():
    assert list(Slicing(3).choose(7)) == [2, 3, 4]
    assert list(Slicing(2).choose(7)) == [2, 3]
    assert list(Slicing(9).choose(7)) == list(range(7))
    assert list(Slicing("every 3").choose(7)) == [0, 3, 6]
    assert list(Slicing("every 4").choose(7)) == [1, 5]
    assert list(Slicing("every 9").choose(7)) == [3]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"planes": 0}, "`planes` must be 'all', 'every k', a whole number of 1 or more"),
        ({"planes": "every 0"}, "`planes` must be"),
        ({"planes": "some"}, "`planes` must be"),
        ({"planes": True}, "`planes` must be"),
        ({"axis": "z"}, "`axis` must be one of 'sagittal', 'coronal', 'axial'"),
        ({"planes": 1, "channels": "views"}, "`planes` must be None with channels='views'"),
        ({"channels": "neighbours"}, "`planes` must say which planes are samples where"),
        ({"axis": "coronal"}, "`planes` must say which planes are samples where"),
    ],
)
def test_fields_that_mean_nothing_are_refused(fields, fault):
    [found] = find_faults(Images("data", **fields))
    assert found.startswith(fault)


def test_without_a_choice_volumes_are_refused_in_one_reason(folder):
    with pytest.raises(InputError, match="12 images of 12 cannot be read") as caught:
        load(folder, SIZE)
    assert str(caught.value).count("it is a volume; a recipe says which planes are samples") == 1


def test_a_volume_is_decoded_once_however_many_samples_it_has(folder, decoded):
    images = load(open_source(folder, Layout(slicing=Slicing("all"))), SIZE)
    assert len(decoded) == 12
    images.pixels.take(np.arange(84))
    assert len(decoded) == 12


def test_a_volume_whose_pixels_are_known_is_decoded_once_when_they_are_needed(folder, decoded, tmp_path):
    table = open_source(folder, Layout(slicing=Slicing("all")))
    first = load(table, SIZE, known=KnownPixels(tmp_path / "cache", SIZE))
    decoded.clear()
    images = load(table, SIZE, known=KnownPixels(tmp_path / "cache", SIZE))
    assert decoded == []
    shuffled = np.random.RandomState(0).permutation(84)
    found = np.concatenate([images.pixels.take(shuffled[start : start + 12]) for start in range(0, 84, 12)])
    assert len(decoded) == 12
    np.testing.assert_array_equal(found, first.pixels.take(shuffled))


def test_threads_that_need_the_same_volume_decode_it_once(folder, decoded, tmp_path):
    table = open_source(folder, Layout(slicing=Slicing("all")))
    load(table, SIZE, known=KnownPixels(tmp_path / "cache", SIZE))
    decoded.clear()
    images = load(table, SIZE, known=KnownPixels(tmp_path / "cache", SIZE))
    threads = [threading.Thread(target=images.pixels.take, args=(np.arange(n, 84, 4),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decoded) == 12


def test_without_room_for_pixels_each_batch_decodes_a_volume_once(folder, decoded):
    images = load(open_source(folder, Layout(slicing=Slicing("all"))), SIZE)
    pixels = dataclasses.replace(images.pixels, kept=None)
    decoded.clear()
    rows = np.random.RandomState(0).permutation(84)[:30]
    np.testing.assert_array_equal(pixels.take(rows), images.pixels.take(rows))
    assert len(decoded) == len({split_part(images.table.paths[row])[0] for row in rows})


def test_no_volume_is_held_once_its_samples_are_read(folder, monkeypatch):
    held, plain = [], volumes.open_file

    def watch(read):
        found = plain(read)
        held.append(weakref.ref(found))
        return found

    monkeypatch.setattr(volumes, "open_file", watch)
    load(open_source(folder, Layout(slicing=Slicing("all"))), SIZE)
    assert len(held) == 12
    assert [ref for ref in held if ref() is not None] == []


def test_a_broken_volume_is_decoded_once_too(folder, decoded):
    (folder / "a" / "1.nii").write_bytes(write(draw(*SHAPE))[:-1])
    images = load(open_source(folder, Layout(slicing=Slicing("all"))), SIZE, skip_bad=True)
    assert len(decoded) == 12
    assert {path for path, _ in images.broken} == {f"a/1.nii#plane={n}" for n in range(7)}
    assert {reason for _, reason in images.broken} == {"it is cut off"}


def test_samples_of_a_volume_are_in_one_split(folder):
    images = load(open_source(folder, Layout(slicing=Slicing("every 2"))), SIZE)
    for name in {split_part(path)[0] for path in images.table.paths}:
        assert len({split for path, split in zip(images.table.paths, images.splits, strict=True) if name in path}) == 1
    assert images.table.groups[0] == "file:a/0.nii.gz"
    assert any("samples of a file count as one group" in sentence for sentence in images.warnings)


def test_copies_of_a_volume_are_copies_plane_by_plane(folder):
    (folder / "a" / "copy.nii").write_bytes((folder / "a" / "1.nii").read_bytes())
    images = load(open_source(folder, Layout(slicing=Slicing(3))), SIZE)
    rows = {
        name: [row for row, path in enumerate(images.table.paths) if path.startswith(name)]
        for name in ("a/copy.nii", "a/1.nii")
    }
    copies, originals = ([images.sha256[row] for row in found] for found in rows.values())
    assert copies == originals
    assert len(set(copies)) == 3
    assert len({images.splits[row] for found in rows.values() for row in found}) == 1
    assert any("3 images of the data repeat another one" in sentence for sentence in images.warnings)


def test_black_planes_of_two_patients_are_no_copies(tmp_path):
    for number in range(8):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        values = draw(*SHAPE, seed=number)
        values[:, :, 0] = 0
        (tmp_path / "ab"[number % 2] / f"{number}.nii").write_bytes(write(values))
    images = load(open_source(tmp_path, Layout(slicing=Slicing("all"))), SIZE)
    assert len(set(images.sha256)) == len(images.sha256) == 56


def test_another_axis_is_another_sample(folder):
    digests = [
        load(open_source(folder, Layout(slicing=slicing)), SIZE).sha256[0]
        for slicing in (Slicing("all"), Slicing("all", "coronal"), Slicing("all", channels="neighbours"))
    ]
    assert len(set(digests)) == 3


def test_volumes_of_a_csv_have_its_patients_and_columns(folder, tmp_path):
    files = sorted(folder.rglob("*.nii*"))
    named = [f"data/{file.relative_to(folder)},{file.parent.name}" for file in files]
    rows = [f"{name},p{n // 2},{'mf'[n % 2]}" for n, name in enumerate(named)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,patient,sex", *rows]))
    table = open_source(tmp_path / "list.csv", Layout(slicing=Slicing(2)))
    assert table.paths[:2] == ("data/a/0.nii.gz#plane=2", "data/a/0.nii.gz#plane=3")
    assert table.groups[:4] == ("p0",) * 4
    assert table.traits["sex"][:4] == ("m", "m", "f", "f")


def test_pictures_stay_as_they_are(tmp_path):
    write_images(tmp_path, 3)
    table, plain = open_source(tmp_path, Layout(slicing=Slicing(3))), open_source(tmp_path)
    assert table.paths == plain.paths
    assert [table.read(row) for row in range(3)] == [plain.read(row) for row in range(3)]
    assert table.groups is None
    assert table.notes == ("No file holds several planes: `data.planes` and `data.channels` change nothing.",)


def test_pages_are_planes_and_have_no_views(tmp_path, folder):
    from PIL import Image

    pages = [Image.fromarray(np.full((5, 6), 40 * n, np.uint8)) for n in range(4)]
    pages[0].save(folder / "a" / "pages.tif", save_all=True, append_images=pages[1:])
    (folder / "a" / "one.png").write_bytes(encode(GRAY, "PNG"))
    table = open_source(folder, Layout(slicing=Slicing(2)))
    rows = [row for row, path in enumerate(table.paths) if "pages" in path]
    assert [table.paths[row] for row in rows] == ["a/pages.tif#plane=1", "a/pages.tif#plane=2"]
    assert [decode(table.read(row)).max() for row in rows] == [40, 80]
    assert "a/one.png" in table.paths
    broken = dict(load(open_source(folder, Layout(slicing=Slicing(channels="views"))), SIZE, skip_bad=True).broken)
    assert broken == {"a/pages.tif#views": "it has no coronal or sagittal planes, because its orientation is not known"}


def test_a_volume_one_plane_thick_is_cut_in_its_own_way_only(folder):
    (folder / "a" / "thin.nii").write_bytes(write(draw(8, 9, 1)))
    assert "a/thin.nii" in open_source(folder, Layout(slicing=Slicing(3))).paths
    broken = dict(load(open_source(folder, Layout(slicing=Slicing(3, "coronal"))), SIZE, skip_bad=True).broken)
    assert broken == {"a/thin.nii#plane=0": "it has no coronal planes, because it is one plane thick"}


def test_a_faulty_volume_is_named_as_a_file(folder):
    (folder / "a" / "4d.nii").write_bytes(write(draw(3, 3, 3, 3)))
    broken = dict(load(open_source(folder, Layout(slicing=Slicing(3))), SIZE, skip_bad=True).broken)
    assert list(broken) == ["a/4d.nii"]
    assert broken["a/4d.nii"].startswith("it has 4 dimensions")


def test_a_volume_that_vanishes_ends_the_run_by_name(folder):
    images = load(open_source(folder, Layout(slicing=Slicing("all"))), SIZE)
    pixels = dataclasses.replace(images.pixels, kept=None)
    (folder / "a" / "0.nii.gz").unlink()
    with pytest.raises(RunFailed, match=r"Received: '.*' \(No such file"):
        pixels.take(np.arange(3))


def test_a_volume_that_changes_is_noticed_by_its_pixels(folder, tmp_path):
    images = load(
        open_source(folder, Layout(slicing=Slicing("all"))), SIZE, known=KnownPixels(tmp_path / "cache", SIZE)
    )
    pixels = dataclasses.replace(images.pixels, kept=None)
    (folder / "a" / "1.nii").write_bytes(write(draw(*SHAPE, seed=99)))
    with pytest.raises(RunFailed, match=r"Received: '.*', which has other pixels now"):
        pixels.take(np.arange(7, 14))


def test_a_run_finds_its_samples_again(folder):
    slicing = Slicing("every 2")
    images = load(open_source(folder, Layout(slicing=slicing)), SIZE)
    assert list_rows(images.table, images.splits, images.sha256)[0][0] == "a/0.nii.gz#plane=0"
    found = recall(open_source(folder, Layout(slicing=slicing)), SIZE, to_rows(images), ("a", "b"))
    assert found.same.all()
    assert found.changes.name() == []
    (folder / "a" / "0.nii.gz").write_bytes(write(draw(*SHAPE, seed=77)))
    assert recall(open_source(folder, Layout(slicing=slicing)), SIZE, to_rows(images), ("a", "b")).changes.name() == [
        "4 changed: " + ", ".join(f"a/0.nii.gz#plane={n} (sha256)" for n in (0, 2, 4)) + " and 1 more"
    ]


def test_loose_volumes_give_a_row_per_sample(folder):
    names, files, _ = read_files([folder / "a" / "0.nii.gz", folder / "b"], SIZE, slicing=Slicing(2))
    assert names[:2] == [f"{folder}/a/0.nii.gz#plane={n}" for n in (2, 3)]
    assert len(names) == 14
    assert files.notes == ("7 volumes give 14 samples: axial planes.",)
    assert next(iter(files.batches(14))).shape == (14, *SIZE, 3)


def test_objects_are_shared_while_somebody_holds_one():
    class Held:
        pass

    made = []

    def make(key):
        made.append(key)
        return Held()

    get = share_while_held(make)
    first = get(1)
    assert get(1) is first
    assert get(2) is not first
    del first
    get(1)
    assert made == [1, 2, 1]


def test_what_is_made_once_keeps_its_fault():
    calls = []

    def fail():
        calls.append(1)
        raise ValueError("it is cut off")

    get = make_once(fail)
    for _ in range(3):
        with pytest.raises(ValueError, match="it is cut off"):
            get()
    assert calls == [1]


def test_a_table_without_a_choice_stays_the_same_object(folder):
    table = open_source(folder)
    assert cut_volumes(table, Slicing()) is table


def test_volumes_of_medmnist_are_cut_along_each_axis(tmp_path):
    volumes = {split: draw(n, 5, 6, 7, seed=n) for split, n in {"train": 8, "val": 4, "test": 6}.items()}
    labels = {split: np.arange(len(found))[:, None] % 2 for split, found in volumes.items()}
    arrays = {f"{split}_images": found for split, found in volumes.items()}
    np.savez(tmp_path / "a3d.npz", **arrays, **{f"{split}_labels": found for split, found in labels.items()})
    for number, axis in enumerate(("axial", "coronal", "sagittal")):
        table = open_source(tmp_path / "a3d.npz", Layout(slicing=Slicing("all", axis)))
        assert len(table) == 18 * (5, 6, 7)[number]
        assert table.paths[0] == "test/0#plane=0"
        np.testing.assert_array_equal(decode(table.read(1))[..., 0], volumes["test"][0].take(1, number))
    images = load(open_source(tmp_path / "a3d.npz", Layout(slicing=Slicing(channels="views"))), SIZE)
    assert len(images.table) == 18
    assert len(set(images.sha256)) == 18
    with pytest.raises(InputError, match=r"18 images of 18 cannot be read.*it is a volume; a recipe says which planes"):
        load(tmp_path / "a3d.npz", SIZE)


def test_features_of_volumes_are_of_the_planes_that_a_path_or_a_parameter_names(folder):
    from tlmed import FeatureExtractor

    def extract(paths, **parameters):
        extractor = FeatureExtractor("LeNet5", weights="none", image_size=(32, 32), batch_size=2, **parameters)
        return extractor.fit_transform([str(path) for path in paths])

    file = folder / "a" / "0.nii.gz"
    middle, views = extract([file], planes=1), extract([file], channels="views")
    named = extract([f"{file}#plane=3", f"{file}#plane=4", f"{file}#views"])
    np.testing.assert_allclose(named[[0, 2]], np.concatenate([middle, views]), rtol=1e-5, atol=1e-6)
    assert not np.allclose(named[0], named[1])
    coronal = extract([f"{file}#plane=3"], axis="coronal")
    assert not np.allclose(coronal, named[0])
    with pytest.raises(InputError, match="it is a volume; `planes`, or channels='views', says what"):
        extract([file])
    with pytest.raises(InputError, match="Every path of `X` must be a file"):
        extract([f"{file}x#plane=3"])
    with pytest.raises(InputError, match="it has 7 planes, and not a plane 8"):
        extract([f"{file}#plane=7"])


def test_masks_of_volumes_are_left_out_by_name_and_content(folder):
    mask = (draw(*SHAPE, seed=3) > 150).astype(np.uint8)
    for name in ("0_seg.nii.gz", "1_mask.nii"):
        (folder / "a" / name).write_bytes(write(mask, compressed=name.endswith("gz")))
    (folder / "b" / "1_seg.nii").write_bytes(write(draw(*SHAPE, seed=5)))  # it is only called one
    table = open_source(folder, Layout(slicing=Slicing(1)))
    files = {split_part(path)[0] for path in table.paths}
    assert not files & {"a/0_seg.nii.gz", "a/1_mask.nii"}
    assert "b/1_seg.nii" in files
    assert any("Left out, as masks of other images: 2 files" in note for note in table.notes)


@pytest.mark.parametrize("size", [0.0, 1e200, np.inf])
def test_an_axis_that_is_no_length_is_not_called_slanted(size):
    nibabel = pytest.importorskip("nibabel")
    header = nibabel.Nifti1Header()
    header.get_best_affine = lambda: np.diag([size, 1.0, 1.0, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not nifti._is_slanted(header)


def test_a_header_whose_axes_cannot_be_read_is_not_called_slanted():
    nibabel = pytest.importorskip("nibabel")
    header = nibabel.Nifti1Header()
    header["qform_code"], header["pixdim"] = 1, 3  # a sign that is neither 1 nor -1
    assert not nifti._is_slanted(header)
