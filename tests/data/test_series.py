"""DICOM series and files of several frames: sorted by where they lie, read once, and refused by name."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.data.readers.dicom_files import make, save
from tests.data.readers.nifti_files import draw
from tlmed.data import decode, load, open_source, read_files
from tlmed.data.decode_and_resize import decode_resized
from tlmed.data.readers import dicom
from tlmed.data.readers.orientation import Place, arrange
from tlmed.data.readers.stack import cut
from tlmed.errors import InputError, RunFailed
from tlmed.intensity import resolve
from tlmed.slicing import AXES, Slicing, Tiling
from tlmed.source_layout import Layout

pydicom = pytest.importorskip("pydicom", reason="needs pydicom: pip install '.[dicom]'")
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402

SIZE = (16, 16)
# Directions of columns and of rows, to the patient's left, back and head.
AXIAL, CORONAL, SAGITTAL = (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)
OBLIQUE = (0.98, 0.199, 0, -0.199, 0.98, 0)
SECRET = "1.2.840.99.7"


def make_slice(pixels, height, across=AXIAL, series="1", **elements):
    """Return the content of one plane; `height` is its distance along the normal."""
    normal = np.cross(across[:3], across[3:])
    bits = elements.pop("bits", None)
    elements = {"PatientID": "Jane", "StudyInstanceUID": f"{SECRET}.0", **elements}
    place = elements.pop("ImagePositionPatient", [float(number) for number in normal * height])
    return save(
        make(
            pixels,
            bits,
            SeriesInstanceUID=f"{SECRET}.{series}",
            ImageOrientationPatient=list(across),
            ImagePositionPatient=place,
            PixelSpacing=[2, 1],
            **elements,
        )
    )


def write_series(folder, planes=6, name="IM{}", seed=0, step=3.0, shape=(7, 9), **elements):
    """Write planes in a shuffled order of files; return the pixels in the order of heights."""
    folder.mkdir(parents=True, exist_ok=True)
    values = draw(planes, *shape, seed=seed)
    for number, plane in enumerate(np.random.RandomState(1).permutation(planes)):
        (folder / name.format(number)).write_bytes(make_slice(values[plane], step * plane, **elements))
    return values


def write_list(folder, labels):
    """Write a CSV of all files below a folder, with the label of each folder."""
    rows = [
        f"{file.relative_to(folder).as_posix()},{labels[file.parent.name]}"
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix != ".csv"
    ]
    (folder / "list.csv").write_text("\n".join(["path,label", *rows]))
    return folder / "list.csv"


@pytest.fixture
def study(tmp_path):
    """Give a CSV of two series of 6 planes, in folders of their own, and the pixels of each."""
    pixels = {name: write_series(tmp_path / name, seed=seed, series=name[-1]) for seed, name in enumerate(("s1", "s2"))}
    return write_list(tmp_path, {"s1": "a", "s2": "b"}), pixels


def open_with(source, *slicing, **fields):
    return open_source(source, Layout(slicing=Slicing(*slicing, **fields)))


@pytest.fixture
def counted(monkeypatch):
    """Count how often frames are decoded."""
    found, plain = [], dicom.decode
    monkeypatch.setattr(dicom, "decode", lambda *args: found.append(args) or plain(*args))
    return found


def test_planes_of_a_series_are_sorted_by_where_they_lie(study):
    source, pixels = study
    table = open_with(source, "all")
    assert table.paths == tuple(f"s{n}#plane={index}" for n in (1, 2) for index in range(6))
    for row in range(12):
        # The rows and columns of an axial plane are shown as they are stored.
        expected = pixels[table.paths[row][:2]][row % 6]
        np.testing.assert_array_equal(decode(table.read(row))[..., 0], expected)
    assert [table.classes[label] for label in table.labels] == ["a"] * 6 + ["b"] * 6


@pytest.mark.parametrize(("across", "axis"), [(AXIAL, "axial"), (CORONAL, "coronal"), (SAGITTAL, "sagittal")])
def test_a_series_is_cut_along_each_axis(tmp_path, across, axis):
    values = write_series(tmp_path / "s1", across=across)
    write_series(tmp_path / "s2", across=across, series="2")
    source = write_list(tmp_path, {"s1": "a", "s2": "b"})
    # The directions as DICOM defines them, to the patient's right, front and head.
    columns, rows = np.array(across).reshape(2, 3) * [-1, -1, 1]
    normal = np.cross(columns, rows)
    axes = [int(np.abs(direction).argmax()) for direction in (normal, rows, columns)]
    signs = [int(direction[number]) for direction, number in zip((normal, rows, columns), axes, strict=True)]
    grid = values[:: signs[0], :: signs[1], :: signs[2]].transpose(np.argsort(axes))
    for number, name in enumerate(AXES):
        table = open_with(source, "all", name)
        assert len(table) == 2 * grid.shape[number]
        for index in range(grid.shape[number]):
            np.testing.assert_array_equal(decode(table.read(index))[..., 0], cut(grid, name, index))
    assert dicom_axis(across) == axis


def dicom_axis(across):
    return arrange([Place(across, (0, 0, 0), (2, 2))]).axis


@pytest.mark.parametrize("axis", AXES)
def test_padding_of_a_series_is_turned_with_its_values(tmp_path, axis):
    value = int(draw(6, 7, 9)[2, 3, 4])
    write_series(tmp_path / "a", PixelPaddingValue=value)
    write_series(tmp_path / "b", seed=1, series="2")
    table = open_with(write_list(tmp_path, {"a": "ill", "b": "well"}), "all", axis)
    planes = [table.read(row).read()[0] for row in range(6)]
    hidden = [plane.values == value for plane in planes]
    assert np.any(hidden)
    for plane, where in zip(planes, hidden, strict=True):
        np.testing.assert_array_equal(np.zeros_like(where) if plane.padding is None else plane.padding, where)


def test_an_oblique_series_is_turned_by_right_angles_only(tmp_path):
    values = write_series(tmp_path / "s1", across=OBLIQUE)
    write_series(tmp_path / "s2", across=OBLIQUE, series="2")
    table = open_with(write_list(tmp_path, {"s1": "a", "s2": "b"}), "all")
    np.testing.assert_array_equal(decode(table.read(4))[..., 0], values[4])


def test_planes_across_a_tilted_series_are_refused_and_its_own_are_read(tmp_path):
    tilted = (1, 0, 0, 0, 0.966, -0.259)  # by 15 degrees
    for name, series in (("s1", "1"), ("s2", "2")):
        for number in range(6):
            content = make_slice(
                draw(7, 9, seed=number), 0, across=tilted, series=series, ImagePositionPatient=[0, 0, 5.0 * number]
            )
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{number}").write_bytes(content)
    source = write_list(tmp_path, {"s1": "a", "s2": "b"})
    assert len(load(open_with(source, "all"), SIZE, split=None).sha256) == 12
    for fields in ({"planes": "all", "axis": "sagittal"}, {"channels": "views"}):
        with pytest.raises(InputError, match=r"lie beside each other, as with a tilted gantry.*only axial planes"):
            load(open_with(source, **fields), SIZE, None)


def test_views_and_neighbours_of_a_series(study):
    source, pixels = study
    values = pixels["s1"]
    view = decode_resized(open_with(source, channels="views").read(0), (7, 9))
    np.testing.assert_array_equal(view[..., 0], values[2])
    near = decode(open_with(source, "all", channels="neighbours").read(0))
    np.testing.assert_array_equal(near, np.stack([values[0], values[0], values[1]], axis=-1))


@pytest.mark.parametrize("slicing", [Slicing("all"), Slicing("all", channels="neighbours"), Slicing("all", "coronal")])
def test_each_file_is_decoded_once(study, counted, slicing):
    images = load(open_source(study[0], Layout(slicing=slicing)), SIZE, split=None)
    assert len(images.table) == (14 if slicing.axis == "coronal" else 12)
    assert len(counted) == 12


def test_samples_of_a_series_stay_together_and_have_its_patient(tmp_path):
    for name in "ab":
        for number in range(6):
            write_series(
                tmp_path / name,
                planes=3,
                name=f"{number}-{{}}.dcm",
                seed=number,
                series=f"{ord(name)}.{number}",
                PatientID=f"{name}{number // 2}",
            )
    images = load(open_with(tmp_path, "all"), SIZE)
    assert len(images.table) == 36
    assert len(set(images.table.groups)) == 6
    for group in set(images.table.groups):
        rows = [row for row, name in enumerate(images.table.groups) if name == group]
        assert len({images.splits[row] for row in rows}) == 1
    # Several series in a folder are called by their first files.
    assert images.table.paths[0] == "a/0-0.dcm#plane=0"
    assert not any(SECRET in text for text in (*images.table.paths, *images.table.groups, *images.warnings))


def test_without_a_choice_each_file_is_an_image(study):
    assert len(open_source(study[0])) == 12


def test_a_plane_has_the_digest_of_its_file_in_whatever_series_it_is(study, tmp_path):
    first = load(open_with(study[0], "all"), SIZE, split=None)
    (tmp_path / "s1" / "IM0").unlink()
    again = load(open_with(write_list(tmp_path, {"s1": "a", "s2": "b"}), "all"), SIZE, split=None)
    assert len(again.sha256) == 11
    assert set(again.sha256) < set(first.sha256)


def test_where_all_planes_decide_a_range_all_files_decide_the_digest(study, tmp_path):
    table = open_with(study[0], "all", together=True)
    values = study[1]["s1"]
    low, high = np.percentile(values, (1, 99))
    for row in range(6):
        expected = np.clip((values[row] - low) * 255 / (high - low), 0, 255)
        shown = decode(table.read(row), resolve((1, 99, "file")))[..., 0]
        np.testing.assert_allclose(shown, expected, atol=3)
    first = load(table, SIZE, split=None)
    (tmp_path / "s1" / "IM0").unlink()
    again = load(open_with(write_list(tmp_path, {"s1": "a", "s2": "b"}), "all", together=True), SIZE, split=None)
    assert len(set(again.sha256)) == 11
    assert set(first.sha256[6:]) == set(again.sha256) & set(first.sha256)


def test_a_missing_plane_is_named_and_other_planes_are_not_computed_across_it(study, tmp_path):
    for file in (tmp_path / "s1").iterdir():
        if pydicom.dcmread(file).ImagePositionPatient[2] == 9:
            file.unlink()
    source = write_list(tmp_path, {"s1": "a", "s2": "b"})
    table = open_with(source, "all")
    assert len(table) == 11
    [said] = [note for note in table.notes if "missing" in note]
    assert said.startswith("Planes are missing in 1 of 2 series: between 's1/IM")
    broken = dict(load(open_with(source, "all", "coronal"), SIZE, None, skip_bad=True).broken)
    assert set(broken.values()) == {"its planes are not evenly spaced, so that only axial planes can be read"}
    assert {path.partition("#")[0] for path in broken} == {"s1"}


def test_a_file_that_is_there_twice_counts_once_and_is_named(study, tmp_path):
    (tmp_path / "s1" / "copy").write_bytes((tmp_path / "s1" / "IM3").read_bytes())
    table = open_with(write_list(tmp_path, {"s1": "a", "s2": "b"}), "all")
    assert len(table) == 12
    assert "Left out, as copies of other files of their series: 1 file ('s1/copy')." in table.notes


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"height": 3.0}, r"lie at the same place in the patient \(1 such pair\): the series holds several volumes"),
        ({"across": CORONAL}, "it is a series of 7 files, and its planes have several orientations"),
        ({"shape": (8, 9)}, "it is a series of 7 files, and its planes have several sizes"),
        ({"PixelSpacing": [1, 1]}, "it is a series of 7 files, and the pixels of its planes have several sizes"),
        ({"ImagePositionPatient": None}, "some files of the series do not say where they lie in the patient"),
        ({"across": (1, 0, 0, 1, 0, 0)}, "several orientations"),
    ],
)
def test_series_that_are_no_volume_are_refused_by_name(study, tmp_path, change, reason):
    change = dict(change)
    shape, spacing = change.pop("shape", (7, 9)), change.pop("PixelSpacing", None)
    content = make_slice(draw(*shape, seed=50), **{"height": 30.0, **change})
    if spacing:
        made = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
        made.PixelSpacing = spacing
        content = save(made)
    (tmp_path / "s1" / "odd").write_bytes(content)
    table = open_with(write_list(tmp_path, {"s1": "a", "s2": "b"}), "all")
    assert table.paths[0] == "s1"
    images = load(table, SIZE, None, skip_bad=True)
    [(path, why)] = images.broken
    assert path == "s1"
    assert re.search(reason, why)
    assert SECRET not in why
    assert len(images.table) == 6


@pytest.mark.parametrize("same", [True, False])
def test_planes_across_a_series_have_its_window_only_if_all_files_have_it(tmp_path, same):
    for name in ("s1", "s2"):
        (tmp_path / name).mkdir()
        for height in range(4):
            content = make_slice(
                draw(7, 9, seed=height, kind=np.uint16),
                height,
                series=name[-1],
                bits=12,
                WindowCenter=100 + (0 if same else height),
                WindowWidth=50,
            )
            (tmp_path / name / str(height)).write_bytes(content)
    table = open_with(write_list(tmp_path, {"s1": "a", "s2": "b"}), "all", "coronal")
    [plane] = table.read(0).read()
    assert plane.window == ((75, 124) if same else None)
    assert plane.whole == (0, 4095)


def test_files_of_one_series_under_two_labels_are_refused(tmp_path):
    write_series(tmp_path / "s1")
    write_series(tmp_path / "s2", seed=1)
    with pytest.raises(InputError, match="All files of a series must have the same label") as caught:
        open_with(write_list(tmp_path, {"s1": "a", "s2": "b"}), "all")
    assert SECRET not in str(caught.value)


def test_files_without_a_place_are_images_by_themselves(tmp_path):
    for number in range(6):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        content = save(make(draw(7, 9, seed=number), SeriesInstanceUID=SECRET, PatientID=str(number)))
        (tmp_path / "ab"[number % 2] / f"{number}.dcm").write_bytes(content)
    table = open_with(tmp_path, "all")
    assert len(table) == 6
    assert not any("#" in path for path in table.paths)


def test_a_file_that_vanishes_ends_the_run_by_name(study, tmp_path):
    images = load(open_with(study[0], "all"), SIZE, split=None)
    (tmp_path / "s1" / "IM2").unlink()
    with pytest.raises(RunFailed, match=r"Received: 's1#plane=\d' \(No such file"):
        replace(images.pixels, kept=None).take(np.arange(6))


def test_predict_of_a_study_gives_rows_by_series(study, tmp_path):
    names, _, _ = read_files([tmp_path / "s1", tmp_path / "s2"], SIZE, slicing=Slicing(channels="views"))
    assert names == [f"{tmp_path}/s1#views", f"{tmp_path}/s2#views"]


def list_folders(folder, *rows, header="path,label"):
    (folder / "folders.csv").write_text("\n".join([header, *rows]))
    return folder / "folders.csv"


@pytest.fixture
def folders(tmp_path):
    """Give a folder of two class folders with a series each."""
    for seed, name in enumerate(("a/s1", "b/s2")):
        write_series(tmp_path / "data" / name, seed=seed, series=name[-1])
    return tmp_path / "data"


@pytest.mark.parametrize("slicing", [("all",), (3, "coronal"), (None, "axial", "views"), (2, "axial", "neighbours")])
def test_a_row_that_names_a_folder_is_a_volume_as_in_a_class_folder(folders, slicing):
    in_classes = open_with(folders, *slicing)
    listed = open_with(list_folders(folders, "a/s1,a", "b/s2/,b"), *slicing)
    assert listed.paths == in_classes.paths
    assert listed.labels.tolist() == in_classes.labels.tolist()
    for row in range(len(listed)):
        ours, theirs = listed.read(row), in_classes.read(row)
        assert ours.digest == theirs.digest
        np.testing.assert_array_equal(decode(ours), decode(theirs))


def test_a_row_that_names_a_folder_gives_its_volume_patient_split_and_traits(folders):
    write_series(folders / "c" / "deep" / "er", seed=2, series="3")
    for name in ("notes.txt", ".hidden"):
        (folders / "a" / "s1" / name).write_text("none")
    rows = ("a/s1,a,p1,train,north", "b/s2,b,p2,train,south", "c,b,p3,test,north")
    table = open_with(list_folders(folders, *rows, header="path,label,patient,split,site"), 2)
    assert table.paths == tuple(f"{name}#plane={plane}" for name in ("a/s1", "b/s2", "c") for plane in (2, 3))
    assert table.groups == ("p1", "p1", "p2", "p2", "p3", "p3")
    assert table.splits == ("train",) * 4 + ("test",) * 2
    assert table.traits["site"] == ("north", "north", "south", "south", "north", "north")
    assert (table.skipped, table.hidden) == (("a/s1/notes.txt",), ("a/s1/.hidden",))
    assert set(open_with(list_folders(folders, "a/s1,a", "b/s2,b"), 2).groups) == {"file:a/s1/IM0", "file:b/s2/IM0"}


def test_copies_of_a_series_in_two_listed_folders_are_two_volumes(folders):
    shutil.copytree(folders / "a" / "s1", folders / "a" / "again")
    table = open_with(list_folders(folders, "a/s1,a", "a/again,a", "b/s2,b"), "all")
    assert len(table) == 18
    assert len({table.read(row).digest for row in range(18)}) == 12


def spoil_with_another_series(folder):
    write_series(folder, name="other{}", seed=5, series="9")


def spoil_with_a_picture(folder):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "x.png")


def take_places(folder):
    for number in range(6):
        (folder / f"IM{number}").write_bytes(save(make(draw(4, 5), SeriesInstanceUID="1.2.8")))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (spoil_with_another_series, "it holds 2 series ('a/s1/IM0', 'a/s1/other0'); give each a folder and a row"),
        (spoil_with_a_picture, "'a/s1/x.png' in it is no plane of a series"),
        (take_places, "its files do not say where they lie in the patient"),
    ],
)
def test_a_listed_folder_that_is_no_volume_is_refused_by_name(folders, change, reason):
    change(folders / "a" / "s1")
    write_series(folders / "a" / "s3", seed=3, series="3")
    source = list_folders(folders, "a/s1,a", "a/s3,a", "b/s2,b", "b/s2b,b")
    write_series(folders / "b" / "s2b", seed=4, series="4")
    layout = Layout(slicing=Slicing(2))
    with pytest.raises(InputError) as caught:
        load(open_source(source, layout), SIZE, split=None)
    (fault,) = caught.value.faults
    assert f"Received: 'a/s1' ({reason}" in fault
    images = load(open_source(source, layout), SIZE, split=None, skip_bad=True)
    assert [path for path, _ in images.broken] == ["a/s1"]
    assert len(images.table) == 6


def test_a_damaged_file_of_a_listed_folder_is_named_as_in_a_class_folder(folders):
    (folders / "a" / "s1" / "IM3").write_bytes((folders / "a" / "s1" / "IM3").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"1 image of 12 .*Received: 'a/s1#plane=\d' \("):
        load(open_with(list_folders(folders, "a/s1,a", "b/s2,b"), "all"), SIZE, split=None)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (("a/s1,a", "b/gone,b"), "A path must name a file that exists, or a folder, relative to"),
        (("a/s1,a", "b/empty,b"), "the files of a DICOM series. Received: 'b/empty' with no file (line 3)"),
        (("a/s1,a", "b/texts,b"), "Received: 'b/texts' with 1 not an image (b/texts/x.txt) (line 3)"),
        (("a/s1,a", "b/s2,b", "b/s2/IM0,b"), "in a folder that another row names. Received: 'b/s2/IM0' (line 4)"),
        (("a/s1,a", "b/s2,b", "b,b"), "in a folder that another row names. Received: 'b/s2' (line 3)"),
        (("a/s1,a", "b/s2,b", "b/s2/,b"), "A path must occur only once. Received: 'b/s2' (lines 3, 4)"),
        (("a/s1,a", "../data/b,b"), "must be relative to the CSV's folder and stay inside it"),
    ],
)
def test_a_folder_that_cannot_be_listed_is_one_line(folders, rows, said):
    (folders / "b" / "empty").mkdir()
    (folders / "b" / "texts").mkdir()
    (folders / "b" / "texts" / "x.txt").write_text("none")
    with pytest.raises(InputError) as caught:
        open_with(list_folders(folders, *rows), "all")
    assert len(caught.value.faults) == 1
    assert said in caught.value.faults[0]


def test_a_listed_folder_needs_a_choice_of_planes(folders):
    source = list_folders(folders, "a/s1,a", "b/s2,b")
    for slicing in (Slicing(), Tiling(64)):
        with pytest.raises(
            InputError, match=r"is one volume, a series of DICOM files; a recipe says.*with 'a/s1', 'b/s2'"
        ):
            open_source(source, Layout(slicing=slicing))


def make_frames(values, heights=None, **elements):
    """Return the content of an enhanced file, with a place for each frame."""
    made = make(values, PixelSpacing=[2, 1], **elements)
    if heights is not None:
        orientation = Dataset()
        orientation.ImageOrientationPatient = list(AXIAL)
        shared = Dataset()
        shared.PlaneOrientationSequence = Sequence([orientation])
        made.SharedFunctionalGroupsSequence = Sequence([shared])
        groups = []
        for height in heights:
            place, group = Dataset(), Dataset()
            place.ImagePositionPatient = [0, 0, height]
            group.PlanePositionSequence = Sequence([place])
            groups.append(group)
        made.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return save(made)


def write_frames(folder, **files):
    for name, content in files.items():
        for label in "ab":
            (folder / label).mkdir(exist_ok=True)
            (folder / label / f"{name}.dcm").write_bytes(content)
    return folder


def test_frames_are_planes_in_the_order_of_where_they_lie(tmp_path):
    values = draw(4, 7, 9)
    table = open_with(write_frames(tmp_path, scan=make_frames(values, [6, 0, 9, 3])), "all")
    assert table.paths[:4] == tuple(f"a/scan.dcm#plane={n}" for n in range(4))
    for row, frame in enumerate((1, 3, 0, 2)):
        np.testing.assert_array_equal(decode(table.read(row))[..., 0], values[frame])
    coronal = open_with(tmp_path, 1, "coronal")
    np.testing.assert_array_equal(decode(coronal.read(0))[..., 0], values[[2, 0, 3, 1], 3])


def test_frames_without_a_place_are_planes_in_the_order_of_the_file(tmp_path):
    values = draw(4, 7, 9)
    table = open_with(write_frames(tmp_path, loop=make_frames(values)), "all")
    for row in range(4):
        np.testing.assert_array_equal(decode(table.read(row))[..., 0], values[row])
    with pytest.raises(InputError, match="it has no coronal planes, because its orientation is not known"):
        load(open_with(tmp_path, "all", "coronal"), SIZE, None)


def test_frames_at_one_place_of_several_are_refused(tmp_path):
    write_frames(tmp_path, phases=make_frames(draw(4, 7, 9), [0, 3, 0, 3]), one=make_frames(draw(2, 7, 9), [0, 3]))
    broken = dict(load(open_with(tmp_path, "all"), SIZE, None, skip_bad=True).broken)
    assert set(broken) == {"a/phases.dcm", "b/phases.dcm"}


def test_all_frames_of_a_file_are_read_from_one_header(tmp_path, monkeypatch):
    found, plain = [], dicom.read_header
    monkeypatch.setattr(dicom, "read_header", lambda *args, **more: found.append(more) or plain(*args, **more))
    write_frames(tmp_path, scan=make_frames(draw(20, 7, 9), range(20)))
    table = open_with(tmp_path, "all")
    found.clear()
    images = load(table, SIZE, None)
    assert len(images.table) == 40
    assert sum(more.get("pixels", True) for more in found) == 2
