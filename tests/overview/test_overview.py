"""A first look at images: what is measured against NumPy, what the page holds, and what is refused."""

import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_cli import here
from tests.conftest import SMALL, draw
from tests.data.readers.dicom_files import make, save
from tests.report.test_report import Reader
from tlmed import run as training
from tlmed.augmentation import make_augmentation
from tlmed.data import decode, load, resize
from tlmed.data.known_files import KnownPixels
from tlmed.data.readers import nifti, read_plane
from tlmed.data.readers.plane import Plane
from tlmed.features.views import Views
from tlmed.overview import Look, first_page, make_overview_page, measures_of_images
from tlmed.overview.class_tables import (
    tabulate_kinds,
    tabulate_levels,
    tabulate_sizes,
    tabulate_spans,
    tabulate_stored,
)
from tlmed.overview.drawn_rows import EACH, MOST_SHOWN, draw_examples, draw_measured
from tlmed.overview.label_counts import find_members, tabulate_labels, tabulate_pairs
from tlmed.overview.measures_of_images import find_quantiles, measure, show_stored
from tlmed.overview.pictures_of_stages import VERSIONS, augment_images
from tlmed.recipe import load_recipe, override
from tlmed.sections import Augment, Images

SIZE = (24, 24)


def gray(low, high, shape, seed, kind=np.uint8):
    return np.random.RandomState(seed).randint(low, high, shape).astype(kind)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give two classes: gray images of 8 bits and several sizes; RGB ones, and one of 16 bits."""
    folder = tmp_path_factory.mktemp("look") / "ward"
    for name in "ab":
        (folder / name).mkdir(parents=True)
    for n in range(9):
        Image.fromarray(gray(0, 120, (32, 40 + 8 * (n % 2)), n)).save(folder / "a" / f"{n}.png")
        Image.fromarray(draw(1, n, 32)).save(folder / "b" / f"{n}.png")
    Image.fromarray(gray(1000, 5000, (64, 16), 99, np.uint16)).save(folder / "b" / "deep.png")
    return folder


@pytest.fixture(scope="module")
def images(folder):
    return load(str(folder), SIZE, seed=3)


@pytest.fixture
def measures(images):
    return measure(images, np.arange(len(images.table)))


def look_at(images, augment=None, found=(), **settings):
    settings = Images(images.table.source, image_size=images.image_size, **settings)
    return Look(images, settings, augment or Augment(), 3, found)


def read(page):
    """Return the rows of every table of a page, by the words of its head."""
    tables = re.findall(r"<table>(?:<thead>(.*?)</thead>)?<tbody>(.*?)</tbody>", page, re.S)

    def cells(text):
        return [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", text)]

    return [[cells(head), *map(cells, re.findall(r"<tr>(.*?)</tr>", body))] for head, body in tables]


def test_what_is_measured_equals_numpy(images, measures, folder):
    for place, path in enumerate(images.table.paths):
        values = np.asarray(Image.open(folder / path))
        assert (measures.heights[place], measures.widths[place]) == values.shape[:2]
        assert measures.gray[place] == (values.ndim == 2)
        assert measures.bits[place] == (16 if path == "b/deep.png" else 8)
        assert measures.as_stored[place] == (path != "b/deep.png")
        assert (measures.lowest[place], measures.highest[place]) == (values.min(), values.max())
        # The middle of each of 256 shares; 32 * 40 pixels and the others are divisible by 256.
        expected = np.sort(values, axis=None).reshape(256, -1)
        assert np.array_equal(measures.stored[place], expected[:, expected.shape[1] // 2])
        small = resize(decode((folder / path).read_bytes()), SIZE)
        expected = np.histogram(small, np.arange(257))[0] / small.size
        np.testing.assert_allclose(measures.levels[place], expected, atol=1e-7)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.int32, np.float32])
def test_quantiles_are_sorted_values(kind):
    values = np.random.RandomState(0).randint(0, 200, 2560).astype(kind)
    assert np.array_equal(find_quantiles(values), np.sort(values)[5::10])


def test_tables_of_intensity_equal_numpy(images, measures):
    pixels = images.pixels.take(np.arange(len(images.table)))
    chosen = images.table.labels == 1
    ((name, number, *found),) = tabulate_levels(measures, {"b": chosen}).rows
    assert (name, number) == ("b", "10")
    values = pixels[chosen]
    assert float(found[0]) == pytest.approx(values.mean(), abs=0.051)
    assert float(found[1]) == pytest.approx(values.std(), abs=0.051)
    assert int(found[2]) == np.median(values)
    shares = [float(text.removesuffix(" %")) for text in found[3:]]
    assert shares == pytest.approx([100 * (values == end).mean() for end in (0, 255)], abs=0.51)


def test_values_in_files_are_told_by_percentiles_of_all_pixels(images, measures, folder):
    chosen = images.table.labels == 0
    ((_, _, *found),) = tabulate_stored(measures, {"a": chosen}).rows
    # All images of this class count the same, whatever their size.
    names = [path for path in images.table.paths if path.startswith("a/")]
    values = [np.sort(np.asarray(Image.open(folder / path)), axis=None) for path in names]
    grid = np.concatenate([row[np.linspace(0, row.size - 1, 1000).round().astype(int)] for row in values])
    expected = [grid.min(), *np.percentile(grid, (1, 50, 99)), grid.max()]
    assert [float(text) for text in found] == pytest.approx(expected, abs=1)


def test_sizes_and_kinds_are_counted_by_class(images, measures):
    members = find_members(images.table.labels, images.table.classes)
    assert tabulate_sizes(measures, members).rows == [
        ("32 x 32", "0", "9", "9", "47 %"),
        ("32 x 40", "5", "0", "5", "26 %"),
        ("32 x 48", "4", "0", "4", "21 %"),
        ("64 x 16", "0", "1", "1", "5 %"),
    ]
    rows = tabulate_kinds(measures, members).rows
    assert [row[:4] for row in rows] == [
        ("8 bits, colour", "0", "9", "9"),
        ("8 bits, gray", "9", "0", "9"),
        ("16 bits, gray", "0", "1", "1"),
    ]


def test_spans_of_sizes_are_told(images, measures):
    parts = {name: images.table.labels == label for label, name in enumerate("ab")}
    rows = tabulate_spans(measures, parts).rows
    assert rows == [("a", "9", "32 / 32 / 32", "40 / 40 / 48"), ("b", "10", "32 / 32 / 64", "16 / 32 / 32")]


def test_many_sizes_are_cut_and_many_classes_have_no_columns(measures):
    many = dataclasses.replace(measures, heights=np.arange(19) + 20)
    table = tabulate_sizes(many, find_members(np.arange(19) % 6, "abcdef"))
    assert table.head == ["Height x width", "all", "share"]
    assert len(table.rows) == 10
    assert table.notes == ["9 less common values are not listed."]


def test_histograms_are_those_of_all_pixels_of_a_class(images, measures, folder, monkeypatch):
    drawn = {}
    monkeypatch.setattr(first_page, "draw", lambda figure, alt, caption: drawn.setdefault(caption, figure))
    classes = {name: images.table.labels == label for label, name in enumerate(images.table.classes)}
    first_page._draw_levels(measures, classes, "class")
    first_page._draw_stored(measures, classes, "class")
    # The first class is drawn last, over the others.
    data = {caption: [patch.get_data() for patch in figure.axes[0].patches][::-1] for caption, figure in drawn.items()}
    pixels = images.pixels.take(np.arange(len(images.table)))
    for label, (shares, edges, _) in enumerate(data["Network input"]):
        values = pixels[images.table.labels == label]
        expected = 100 * np.histogram(values, np.arange(0, 257, 4))[0] / values.size
        assert np.array_equal(edges, np.arange(0, 257, 4))
        np.testing.assert_allclose(shares, expected, atol=1e-4)
    for label, (shares, edges, _) in enumerate(data["In the files"]):
        assert (edges[0], edges[-1]) == (0, measures.highest.max())
        paths = [path for path in images.table.paths if path.startswith("ab"[label])]
        files = [np.asarray(Image.open(folder / path)) for path in paths]
        each = [np.histogram(values, edges)[0] / values.size for values in files]
        np.testing.assert_allclose(shares, 100 * np.mean(each, axis=0), atol=0.4)  # 256 values stand for an image
        assert shares.sum() == pytest.approx(100)


def test_the_page_stands_alone_and_names_no_folder_of_this_machine(images, folder):
    page = make_overview_page(look_at(images, found=["A sentence of a plan."]))
    tags = Reader(page).tags
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags}
    assert not re.search(r"https?://|url\(|@import", page)
    assert str(folder) not in page
    assert str(folder.parent.name) not in page
    assert "<h1>Images of ward</h1>" in page
    assert "A sentence of a plan." in page
    pictures = [attributes for tag, attributes in tags if tag == "img"]
    assert len(pictures) == 2 * 2 * EACH + 3  # file and network input; sizes and two histograms
    assert all(attributes["src"].startswith("data:image/") and len(attributes["alt"]) > 10 for attributes in pictures)


def test_the_page_counts_classes_splits_and_groups(folder):
    table = training.reading_images.open_source(str(folder))
    images = load(dataclasses.replace(table, groups=tuple(path[:3] for path in table.paths)), SIZE)
    counts, groups = read(make_overview_page(look_at(images)))[:2]
    assert counts[0] == ["Class", "train", "val", "test", "all"]
    for label, row in enumerate(counts[1:3]):
        own = images.splits[images.table.labels == label]
        expected = [(own == split).sum() for split in ("train", "val", "test")]
        assert row == ["ab"[label], *map(str, expected), str(len(own))]
    own = np.array(images.table.groups)
    expected = [len(set(own[images.splits == split])) for split in ("train", "val", "test")]
    assert groups[-1] == ["all groups", *map(str, expected), str(len(set(own)))]


def test_the_same_seed_gives_the_same_page_and_another_one_others(images):
    augment = Augment(flip="both", rotation=0.1)
    look = look_at(images, augment)
    assert make_overview_page(look) == make_overview_page(look)
    rows = [np.concatenate(list(draw_examples(images, seed).values())).tolist() for seed in range(4)]
    assert len(set(map(tuple, rows))) > 1
    assert (images.splits[rows[0]] == "train").all()


def test_images_of_different_groups_are_drawn_first(images):
    owners = tuple(f"{path[0]}{number // 5}" for number, path in enumerate(images.table.paths))
    grouped = dataclasses.replace(images, table=dataclasses.replace(images.table, groups=owners))
    for seed in range(5):
        for label, rows in enumerate(draw_examples(grouped, seed).values()):
            training_rows = (images.splits == "train") & (images.table.labels == label)
            there = {owners[row] for row in np.flatnonzero(training_rows)}
            assert {owners[row] for row in rows} == there
            assert len(rows) == min(EACH, training_rows.sum())


def test_augmented_pictures_are_the_versions_that_training_makes(folder, tmp_path):
    images = load(str(folder), SIZE, seed=3, known=KnownPixels(tmp_path, SIZE))
    augment, train = Augment(flip="both", rotation=0.2, noise=0.1, views=VERSIONS), images.indices("train")
    views = Views(images.pixels, train, make_augmentation(augment), VERSIONS, seed=3)
    made = views.take(len(images.table) + np.arange(VERSIONS * len(train)))
    shown = augment_images(images.pixels.take(train), augment, seed=3)
    assert np.array_equal(shown.reshape(made.shape), made)
    assert not np.array_equal(shown[0], shown[1])
    page = make_overview_page(look_at(images, augment))
    assert page.count("<small>augmented</small>") == 2 * EACH * VERSIONS
    assert "mirrored along both axes" in page


def test_without_augmentation_the_page_says_so(images):
    page = make_overview_page(look_at(images))
    assert "Augmentation is off" in page
    assert "<small>augmented" not in page


def test_in_the_file_values_of_8_bits_stay_and_others_span_their_range():
    small = np.array([[3, 250]], np.uint8)
    assert np.array_equal(np.asarray(show_stored([Plane(small)])), small)
    assert np.array_equal(np.asarray(show_stored([Plane(small, window=(0, 10))])), small)
    assert np.array_equal(np.asarray(show_stored([Plane(small, inverted=True)])), 255 - small)
    deep = np.array([[-1000, 24, 3095]], np.int16)
    assert np.asarray(show_stored([Plane(deep, 12, window=(0, 1))])).tolist() == [[0, 64, 255]]
    assert np.asarray(show_stored([Plane(np.full((2, 2), 7.5), 16)])).tolist() == [[0, 0], [0, 0]]
    beside = np.asarray(show_stored([Plane(small), Plane(small.T)]))
    assert beside.tolist() == [[3, 250, 3], [0, 0, 250]]


def test_a_hundred_classes_fit_into_a_page_and_it_says_what_is_left_out(tmp_path):
    drawn = []
    for n in range(3):
        drawn.append(io.BytesIO())
        Image.fromarray(gray(0, 256, (240, 240, 3), n)).save(drawn[n], "PNG")
    for label in range(100):
        (tmp_path / f"c{label:03}").mkdir()
        for n, file in enumerate(drawn):
            (tmp_path / f"c{label:03}" / f"{n}.png").write_bytes(file.getvalue())
    images = load(str(tmp_path), (64, 64))
    page = make_overview_page(look_at(images, Augment(noise=0.5)))
    assert len(page) < 5_000_000
    assert page.count('<figure class="strip">') == MOST_SHOWN
    assert "20 classes without pictures" in page
    assert "c080, c081" in page
    assert "<h3>c079</h3>" in page
    assert "<h3>c080</h3>" not in page


def test_of_many_images_a_part_is_measured_and_the_page_says_so(images, monkeypatch):
    monkeypatch.setattr("tlmed.overview.drawn_rows.MOST_MEASURED", 12)
    assert len(draw_measured(19, 0)) == 12
    assert (np.diff(draw_measured(19, 0)) > 0).all()
    assert "Sizes and intensities are those of 12 images" in make_overview_page(look_at(images))


@pytest.mark.parametrize("memory", [2**30, 0])
def test_a_volume_is_decoded_once_for_all_of_its_planes(tmp_path, monkeypatch, memory):
    from tests.data.test_volumes import write_volumes

    if not memory:
        monkeypatch.setattr("tlmed.cache.store.shutil.disk_usage", lambda folder: type("Disk", (), {"free": 0}))
    folder = write_volumes(tmp_path / "data", files=3, classes="ab")
    table = training.reading_images.open_source(str(folder), Images(str(folder), planes="all").layout)
    images = load(table, (16, 16), memory_bytes=memory)
    decoded, plain = [], nifti._read_voxels
    monkeypatch.setattr(nifti, "_read_voxels", lambda *given: decoded.append(given) or plain(*given))
    found = measure(images, np.arange(len(images.table)))
    assert len(found.rows) == len(images.table) > 6
    assert len(decoded) == 6
    page = make_overview_page(look_at(images, planes="all"))
    assert page.count('<figure class="strip">') == 2 * EACH


def test_a_dicom_file_is_shown_by_its_whole_range_and_by_its_window(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for n in range(4):
            pixels = gray(0, 4000, (16, 16), n, np.uint16)
            content = save(make(pixels, 12, WindowCenter=2000, WindowWidth=400, PatientID=f"{name}{n}"))
            (tmp_path / name / f"{n}.dcm").write_bytes(content)
    images = load(str(tmp_path), (16, 16))
    measures = measure(images, np.arange(8))
    assert not measures.as_stored.any()
    planes = [read_plane((tmp_path / path).read_bytes()) for path in images.table.paths]
    assert measures.highest.tolist() == [plane.values.max() for plane in planes]
    page = make_overview_page(look_at(images))
    assert "Values in the files" in page
    assert "train; shown: 1,800 to 2,199, the file&#39;s own window" in page
    assert "12 bits, gray" in page
    table = next(table for table in read(page) if table[0][0] == "Values that are shown")
    assert table[1:] == [["1,800 to 2,199, the file&#39;s own window", "4", "4", "8", "100 %"]]


def test_the_page_says_by_which_window_and_fit_images_were_read(tmp_path):
    for name in "ab":
        (tmp_path / "d" / name).mkdir(parents=True)
        for n in range(9):
            deep = gray(100, 1100, (12, 24), 10 * ord(name) + n, np.uint16)
            Image.fromarray(deep).save(tmp_path / "d" / name / f"{n}.png")
    assert show(tmp_path / "d", "--out", tmp_path / "1", "--set", "data.fit=pad")[0] == 0
    page = (tmp_path / "1" / "data.html").read_text()
    assert "24 x 24 pixels, scaled to fit in, with black at two sides" in page
    low, high = re.search(r"or else (\d+) to ([\d,]+) \(0\.5 to 99\.5 per cent of the training", page).groups()
    assert 100 < int(low) < 110
    assert 1090 < int(high.replace(",", "")) < 1100
    assert f"train; shown: {low} to {high}<" in page
    assert (
        show(tmp_path / "d", "--out", tmp_path / "2", "--set", "data.fit=pad", "--set", "data.window=600,200")[0] == 0
    )
    page = (tmp_path / "2" / "data.html").read_text()
    assert "The window, for values of more than 8 bits: 500 to 699." in page
    levels = next(table for table in read(page) if table[0][-1] == "at 255")
    found = [int(share.removesuffix(" %")) for share in levels[1][-2:]]
    # Half is padding; of values from 100 to 1,099, 40 % are below 500, and 40 % above 699.
    assert found == pytest.approx([50 + 40 / 2, 40 / 2], abs=2)


def test_a_file_that_vanishes_ends_the_look_by_name(tmp_path, folder):
    copied = tmp_path / "data"
    for path in folder.rglob("*.png"):
        (copied / path.parent.name).mkdir(parents=True, exist_ok=True)
        (copied / path.parent.name / path.name).write_bytes(path.read_bytes())
    images = load(str(copied), SIZE)
    (copied / "a" / "3.png").unlink()
    with pytest.raises(measures_of_images.RunFailed, match=r"a/3\.png: .*No such file"):
        measure(images, np.arange(len(images.table)))


def test_a_look_finds_what_a_plan_finds(tmp_path, folder):
    for path in folder.rglob("?.png"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "b" / "again.png").write_bytes((tmp_path / "a" / "1.png").read_bytes())
    recipe = override(load_recipe("fine_tuning"), SMALL, {"data.source": str(tmp_path)})
    images, words = training.look(recipe)
    planned = [line for line in training.preview(recipe)[0] if str(line).startswith("Found")]
    assert [line for line in words if str(line).startswith("Found")] == planned
    assert [f"Found: {sentence}" for sentence in training.list_found(images, "not shown")] == planned
    assert any("again.png" in line for line in planned)


def test_the_positive_class_is_asked_for_as_elsewhere(tmp_path, folder):
    (tmp_path / "ward").mkdir()
    for path in folder.rglob("?.png"):
        name = tmp_path / "ward" / {"a": "abnormal", "b": "normal"}[path.parent.name]
        name.mkdir(exist_ok=True)
        (name / path.name).write_bytes(path.read_bytes())
    assert "sounds like the healthy one" in show(tmp_path / "ward", "--out", tmp_path / "1")[1]
    status, out, err = show(tmp_path / "ward", "--out", tmp_path / "2", "--positive", "abnormal")
    assert (status, err) == (0, "")
    assert "healthy" not in out


def show(*words, cwd="."):
    return here("data", "show", *words, "--set", "data.image_size=24,24", cwd=cwd)


def test_the_command_writes_a_page_for_data_and_for_a_recipe(tmp_path, folder):
    status, out, err = show(folder, "--out", tmp_path / "new" / "look", "--seed", 3)
    assert (status, err) == (0, "")
    assert out.endswith(f"Written: {tmp_path / 'new' / 'look' / 'data.html'}\n")
    page = (tmp_path / "new" / "look" / "data.html").read_text()
    status, _, err = show("feature_extractor", "--data", folder, "--out", tmp_path / "other", "--seed", 3)
    assert (status, err) == (0, "")
    assert (tmp_path / "other" / "data.html").read_text() == page
    recipe = tmp_path / "mine.py"
    recipe.write_text(
        "from tlmed.recipe import *\nrecipe = Recipe(data=Images('ward', split=KFold(3)), backbone='CifarNet', "
        "phases=(Phase('head', thaw=0, epochs=1, learning_rate=1e-3),), augment=Augment(flip='both'), name='Ward 7')\n"
    )
    status, _, err = show(recipe, "--out", tmp_path, cwd=folder.parent)
    assert (status, err) == (0, "")
    page = (tmp_path / "data.html").read_text()
    assert "of 3 folds of a cross-validation one is shown" in page
    assert "<small>augmented</small>" in page
    assert "<h1>Ward 7: images</h1>" in page


def test_nothing_is_written_over_but_an_earlier_page(tmp_path, folder):
    assert show(folder, "--out", tmp_path)[0] == 0
    status, _, err = show(folder, "--out", tmp_path)
    assert status == 2
    assert err.startswith("Error: `--out` must be a new file; --force writes over those that the same command made.")
    assert show(folder, "--out", tmp_path, "--force")[0] == 0
    (tmp_path / "data.html").write_text("mine")
    status, _, err = show(folder, "--out", tmp_path, "--force")
    assert status == 2
    assert "or with --force one that the same command made" in err
    assert (tmp_path / "data.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["feature_extracter"], "Did you mean 'feature_extractor'?"),
        (["wart"], "Did you mean 'ward'?"),
        (["ward/a.csv"], "which does not exist"),
        (["mine.py"], "RECIPE must be a .py file"),
        (["ward", "--data", "ward"], "RECIPE must be a .py file"),
        (["quickstart", "--data", "wart"], "Did you mean 'ward'?"),
        (["ward", "--set", "data.window_size=3"], "is not a field of Images"),
        (["tfds:tlmed_phantom"], "tlmed_phantom"),
    ],
)
def test_what_is_neither_data_nor_a_recipe_is_one_line(tmp_path, folder, words, said):
    status, out, err = show(*words, "--out", tmp_path / "out", cwd=folder.parent)
    assert (status, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "out").exists()


def test_a_place_is_needed_and_must_be_a_folder(tmp_path, folder):
    status, _, err = show(folder)
    assert status == 2
    assert "Missing option '--out'" in err
    (tmp_path / "file").write_text("")
    status, _, err = show(folder, "--out", tmp_path / "file")
    assert status == 2
    assert "must be a folder that can be made and written to" in err
    (tmp_path / "data.html").mkdir()
    status, _, err = show(folder, "--out", tmp_path)
    assert status == 2
    assert "must not have folders where files go" in err


def test_broken_images_are_left_out_on_request_and_listed(tmp_path, folder):
    for path in folder.rglob("*.png"):
        (tmp_path / "d" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / path.parent.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "d" / "a" / "broken.png").write_bytes(b"no image")
    status, _, err = show(tmp_path / "d", "--out", tmp_path)
    assert status == 2
    assert "leave it out with --skip-bad" in err
    assert show(tmp_path / "d", "--out", tmp_path, "--skip-bad")[0] == 0
    assert re.search(r"Left out</h3>\s*<ul><li>a/broken\.png: ", (tmp_path / "data.html").read_text())


@pytest.fixture(scope="module")
def labelled(folder):
    """Give a table of the same images with three labels: some not known, and some images with none or several."""
    lines = ["path,edema,mass,nodule,patient"]
    for n, path in enumerate(sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.png"))):
        lines.append(f"{path},{n % 2},{int(n % 4 == 3)},{'' if n % 5 == 0 else int(n % 3 == 0)},p{n // 2}")
    (folder.parent / "labels.csv").write_text("\n".join(lines).replace("\n", f"\n{folder.name}/") + "\n")
    return folder.parent / "labels.csv"


def test_the_page_of_several_labels_counts_them_and_shows_which_go_together(labelled):
    set_labels = ["--set", "data.label_columns=edema,mass,nodule", "--set", "data.image_size=24,24"]
    out = labelled.parent / "out"
    assert here("data", "show", str(labelled), *set_labels, "--out", str(out))[0] == 0
    page = (out / "data.html").read_text()
    tables = {table[0][0]: table for table in read(page)}
    n = np.arange(19)
    known = n % 5 != 0
    labels = np.stack([n % 2, n % 4 == 3, np.where(known, n % 3 == 0, -1)], axis=1)
    has = labels == 1
    assert "19 images of 3 labels" in page
    counted = next(table for table in read(page) if table[0][1:2] == ["has it"])
    assert [row[1:4] for row in counted[1:]] == [
        [str((own == value).sum()) for value in (1, 0, -1)] for own in labels.T
    ]
    amounts = tables["Labels of an image"]
    assert [row[:2] for row in amounts[1:]] == [
        [str(some), str((has.sum(axis=1) == some).sum())] for some in np.unique(has.sum(axis=1))
    ]
    pairs = tabulate_pairs(labels, ("edema", "mass", "nodule")).rows
    for one in range(3):
        for two in range(3):
            assert str(pairs[one][1 + two]).split()[0] == str((has[:, one] & has[:, two]).sum())
    for name in ("edema", "mass", "nodule", "No Finding", "none known to be there"):
        assert f"<h3>{name}</h3>" in page
    amounts = {row[0]: row[-1] for table in read(page) if "train" in table[0] for row in table[1:]}
    assert amounts["No Finding"] == str((labels == 0).all(axis=1).sum())
    assert amounts["none known to be there"] == str(((labels != 1).all(axis=1) & (labels == -1).any(axis=1)).sum())
    assert re.search(r"/\d\.png: edema\|[^<]*mass, 32 x", page)
    assert "a histogram for each label" in page


def test_of_many_labels_the_pairs_are_listed_that_images_have_most_often():
    labels = np.zeros((9, 30), np.int64)
    labels[:, 4], labels[:5, 7], labels[:2, 29] = 1, 1, 1
    labels[3, 10:20] = 1
    table = tabulate_pairs(labels, [f"l{i}" for i in range(30)])
    assert table.rows[:3] == [("l4, l7", "5"), ("l4, l29", "2"), ("l7, l29", "2")]
    assert len(table.rows) == 20
    assert table.notes == ["Not listed: 48 rarer pairs."]
    never = tabulate_labels(np.full((4, 1), -1), ["edema"]).rows
    assert never == [("edema", "0", "0", "4", "")]
