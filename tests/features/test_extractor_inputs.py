"""What `FeatureExtractor` takes beside pictures of 8 bits: windows, shapes, volumes and series, in every format."""

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from skops.io import dumps, loads

from tests.data.readers import dicom_files, nifti_files
from tests.data.test_series import write_series
from tlmed import FeatureExtractor
from tlmed.data.decode_and_resize import PixelRule, decode_resized
from tlmed.data.measured_ranges import measure_range, summarise
from tlmed.data.readers import nifti, picture_files
from tlmed.errors import InputError
from tlmed.intensity import resolve

SIZE = (32, 32)


def make(**parameters):
    # The digits of LeNet5 come with the package, and the network is quick to build.
    return FeatureExtractor("LeNet5", "digits", image_size=SIZE, batch_size=4, **parameters)


def draw(seed, highest=4096, size=40):
    return np.random.RandomState(seed).randint(0, highest, (size, size)).astype(np.uint16)


def write_deep(folder, seeds, highest=4096):
    folder.mkdir(exist_ok=True)
    for seed in seeds:
        Image.fromarray(draw(seed, highest)).save(folder / f"{seed}.png")
    return [folder / f"{seed}.png" for seed in seeds]


@pytest.fixture
def decoded(monkeypatch):
    """Count the volumes and pictures that are decoded."""
    counts = {"volume": 0, "picture": 0}

    def count(kind, work):
        def counted(*arguments):
            counts[kind] += 1
            return work(*arguments)

        return counted

    monkeypatch.setattr(nifti, "_read_voxels", count("volume", nifti._read_voxels))
    monkeypatch.setattr(picture_files, "_to_gray_or_rgb", count("picture", picture_files._to_gray_or_rgb))
    return counts


def test_a_range_is_that_of_the_images_of_fit(tmp_path):
    dark, bright = write_deep(tmp_path / "dark", range(6), 2000), write_deep(tmp_path / "bright", range(6, 9), 60_000)
    extractor = make().fit(dark)
    expected = measure_range([summarise(draw(seed, 2000)) for seed in range(6)], (0.5, 99.5))
    assert extractor.range_ == expected
    intensity = resolve("auto").measured(expected)
    shown = [decode_resized(path.read_bytes(), PixelRule((40, 40), intensity)) for path in (*dark, *bright)]
    np.testing.assert_array_equal(extractor.transform([*dark, *bright]), make().fit(shown).transform(shown))
    assert make().fit(bright).range_ != expected
    assert extractor.range_ == expected
    # The same numbers as arrays.
    arrays = [draw(seed, 2000) for seed in range(6)]
    assert make().fit(arrays).range_ == expected
    np.testing.assert_array_equal(make().fit(arrays).transform(arrays), extractor.transform(dark))


def test_a_range_stays_with_clones_pickles_and_folds(tmp_path):
    paths = np.array(list(map(str, write_deep(tmp_path, range(6), 2000) + write_deep(tmp_path, range(6, 12), 4000))))
    extractor = make(window=(1, 99, "percentile")).fit(paths)
    assert not hasattr(clone(extractor), "range_")
    assert clone(extractor).get_params() == extractor.get_params()
    features = extractor.transform(paths)
    joblib.dump(extractor, tmp_path / "extractor.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "extractor.joblib").transform(paths), features)
    own = ["tlmed.features.extractor.FeatureExtractor"]
    again = loads(dumps(extractor), trusted=own)
    assert again.range_ == extractor.range_
    np.testing.assert_array_equal(again.transform(paths), features)
    with pytest.raises(InputError, match="`window` must be what it was when the extractor was fitted"):
        again.set_params(window="full").transform(paths)
    ranges = []

    class Watched(FeatureExtractor):
        def fit(self, X, y=None):
            super().fit(X, y)
            ranges.append((self.range_, sorted(X)))
            return self

    watched = Watched(**extractor.get_params())
    labels = [0] * 6 + [1] * 6
    scores = cross_val_score(make_pipeline(watched, LogisticRegression()), paths, labels, cv=3, error_score="raise")
    assert len(scores) == 3
    for found, used in ranges:
        assert len(used) == 8
        assert found == make(window=(1, 99, "percentile")).fit(used).range_


@pytest.mark.parametrize("window", ["auto", "full", "lung", (40, 400), (-100, 300, "range"), [0, 90, "percentile"]])
@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
def test_windows_and_shapes_are_those_of_a_run(tmp_path, window, resize):
    pixels = np.random.RandomState(0).randint(0, 2000, (20, 33)).astype(np.int16)
    own = {} if window in ("auto", "full") else {"WindowCenter": 900, "WindowWidth": 100}
    content = dicom_files.write(pixels, 12, Modality="CT", RescaleIntercept=-1000, RescaleSlope=1, **own)
    (tmp_path / "scan").write_bytes(content)
    extractor = make(window=window, resize=resize).fit([tmp_path / "scan"])
    asked = resolve(tuple(window) if isinstance(window, list) else window)
    measured = measure_range([summarise(pixels - 1000.0)], asked.percentiles) if asked.is_open else None
    rule = PixelRule(SIZE, asked.measured(measured) if asked.is_open else asked, resize)
    assert extractor.range_ == measured
    shown = decode_resized(content, rule)[None]
    np.testing.assert_array_equal(extractor.transform([tmp_path / "scan"]), make().fit(shown).transform(shown))


def test_a_volume_has_one_row_the_mean_of_its_planes(tmp_path, decoded):
    paths = [tmp_path / f"{seed}.nii.gz" for seed in range(3)]
    for seed, path in enumerate(paths):
        path.write_bytes(nifti_files.write(nifti_files.draw(9, 8, 7 + seed, seed=seed), compressed=True))
    rows = make(planes="all").fit_transform(paths)
    assert decoded["volume"] == 2 * 3  # once by `fit`, which looks for values of more than 8 bits
    named = [[f"{path}#plane={plane}" for plane in range(7 + seed)] for seed, path in enumerate(paths)]
    means = [make().fit_transform(names).mean(axis=0, dtype=float) for names in named]
    np.testing.assert_allclose(rows, means, rtol=1e-6)
    # A row does not depend on the others, nor on where batches begin.
    np.testing.assert_array_equal(make(planes="all").fit(paths).transform(paths[1:]), rows[1:])
    three = make(planes=3, axis="coronal").fit_transform(paths[:1])
    names = [f"{paths[0]}#plane={plane}" for plane in (2, 3, 4)]
    np.testing.assert_allclose(three[0], make(axis="coronal").fit_transform(names).mean(axis=0), rtol=1e-6)
    # A picture among volumes is one plane.
    Image.fromarray(draw(0).astype("uint8")).save(tmp_path / "x.png")
    mixed = make(planes="all").fit_transform([tmp_path / "x.png", paths[0]])
    np.testing.assert_array_equal(mixed, [make().fit_transform([tmp_path / "x.png"])[0], rows[0]])


def test_a_folder_that_holds_one_series_is_a_volume(tmp_path):
    values = write_series(tmp_path / "one" / "deep", planes=5, series="1")
    (tmp_path / "one" / "notes.txt").write_text("no image")
    rows = make(planes="all").fit_transform([str(tmp_path / "one")])
    np.testing.assert_allclose(rows[0], make().fit_transform(list(values)).mean(axis=0), rtol=1e-6)
    views = make(channels="views").fit_transform([tmp_path / "one", f"{tmp_path / 'one'}#views"])
    np.testing.assert_array_equal(views[0], views[1])
    named = make().fit_transform([f"{tmp_path / 'one'}#plane={plane}" for plane in range(5)])
    np.testing.assert_allclose(named.mean(axis=0), rows[0], rtol=1e-6)
    (tmp_path / "one" / "deep" / "IM0").unlink()  # which is in the middle
    with pytest.warns(UserWarning, match="Planes are missing in 1 of 1 series"):
        make(planes="all").fit_transform([tmp_path / "one"])
    with pytest.raises(InputError, match="it has 4 planes, and not a plane 5"):
        make().fit_transform([f"{tmp_path / 'one'}#plane=4"])
    write_series(tmp_path / "one" / "more", planes=4, series="2")
    (tmp_path / "none").mkdir()
    faults = {
        "one": "it must hold one series or volume, and holds .*deep, .*more",
        "none": "it must hold one series or volume, and holds no image",
        "no such": "Every path of `X` must be a file, or a folder with a series",
    }
    for name, fault in faults.items():
        with pytest.raises(InputError, match=fault):
            make(planes="all").fit([tmp_path / name]).transform([tmp_path / name])
    with pytest.raises(InputError, match="it is a folder: `planes`, or channels='views', says what"):
        make().fit_transform([tmp_path / "one"])


def test_arrays_are_volumes_where_planes_are_asked_for():
    volumes = np.random.RandomState(0).randint(0, 256, (2, 5, 40, 41), np.uint8)
    rows = make(planes="all").fit_transform(volumes)
    np.testing.assert_allclose(rows[1], make().fit_transform(list(volumes[1])).mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(make(planes="all").fit_transform(list(volumes)), rows)
    np.testing.assert_array_equal(
        make(planes=1).fit_transform(volumes), make().fit_transform([volume[2] for volume in volumes])
    )
    with pytest.raises(InputError, match="of a volume, `planes` says which become features"):
        make().fit(volumes)


@pytest.mark.parametrize("window", [(40, 400), (-100, 300, "range"), (1, 99, "percentile")])
@pytest.mark.parametrize("kind", ["float32", "int16", "int64"])
def test_a_window_shows_arrays_and_files_of_any_numbers(tmp_path, window, kind):
    values = np.random.RandomState(0).normal(0, 200, (3, 40, 41)).astype(kind)
    rows = make(window=window).fit_transform(list(values))
    for number, image in enumerate(values):
        np.save(tmp_path / f"{number}.npy", image)
    files = [tmp_path / f"{number}.npy" for number in range(3)]
    np.testing.assert_array_equal(make(window=window).fit_transform(files), rows)
    np.testing.assert_array_equal(make(window=window).fit_transform(values[..., None]), rows)
    asked, measured = resolve(window), make(window=window).fit(files).range_
    rule = PixelRule(SIZE, asked.measured(measured) if asked.is_open else asked)
    assert (measured is None) != asked.is_open
    shown = np.stack([decode_resized(image, rule) for image in values])
    np.testing.assert_array_equal(make().fit_transform(shown), rows)
    whole = make(window=window, planes="all").fit_transform(values[None])
    np.testing.assert_allclose(whole[0], rows.mean(axis=0), rtol=1e-5)
    with pytest.raises(InputError, match="from 0 to 255 unless `window` says what is black and white"):
        make().fit(list(values))


def test_values_that_no_window_shows_are_refused():
    values = np.random.RandomState(0).normal(0, 200, (2, 40, 40))
    for images, window, fault in (
        (np.where(values > 400, np.nan, values), (40, 400), "image 0: .* are NaN, infinite or too large"),
        (values, "lung", "image 0: its values are not in Hounsfield units"),
        (np.stack([values] * 3, -1), (40, 400), "image 0: colours of type float64 have no defined range"),
    ):
        with pytest.raises(InputError, match=fault):
            make(window=window).fit(list(images)).transform(list(images))


def test_files_of_every_kind_give_a_row_or_a_reason(tmp_path):
    gray = draw(0, 256).astype(np.uint8)
    for name in ("a.png", "a.bmp", "a.tif", "a.gif"):
        Image.fromarray(gray).save(tmp_path / name)
    (tmp_path / "IM0").write_bytes(dicom_files.write(gray))
    (tmp_path / "a.nii").write_bytes(nifti_files.write(np.ascontiguousarray(gray[::-1, ::-1].T)[..., None]))
    np.save(tmp_path / "a.npy", gray)
    names = ["a.png", "a.bmp", "a.tif", "a.gif", "IM0", "a.nii", "a.npy"]
    rows = make().fit_transform([tmp_path / name for name in names])
    np.testing.assert_array_equal(rows, np.repeat(make().fit_transform([gray]), len(names), axis=0))
    Image.fromarray(gray).save(tmp_path / "a.jpg", quality=100)
    assert make().fit_transform([tmp_path / "a.jpg"]).shape == rows[:1].shape
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "slide.svs", np.zeros((64, 64, 3), np.uint8), tile=(32, 32))
    with pytest.raises(InputError, match=r"'.*svs': it is a slide, and no tile of it: write its tiles as PNG"):
        make().fit_transform([tmp_path / "slide.svs"])


def test_fit_decodes_no_picture_of_8_bits(tmp_path, decoded):
    Image.fromarray(draw(0, 256).astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(draw(0, 256).astype(np.uint8)).save(tmp_path / "a.jpg")
    extractor = make().fit([tmp_path / "a.png", tmp_path / "a.jpg"])
    assert decoded["picture"] == 0
    assert extractor.range_ is None
    extractor.transform([tmp_path / "a.png", tmp_path / "a.jpg"])
    assert decoded["picture"] == 2


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"window": "lungs"}, "`window` must be 'auto', 'full'"),
        ({"window": 40}, "`window` must be"),
        ({"window": (40, 400, 3)}, "`window` must be"),
        ({"window": (40,)}, "`window` must be"),
        ({"resize": "shrink"}, "`resize` must be one of 'stretch', 'pad', 'crop'"),
        ({"planes": 0}, "`planes` must be 'all', 'every k'"),
        ({"planes": 1.5}, "`planes` must be 'all', 'every k'"),
        ({"planes": 1, "channels": "views"}, "`planes` must be None with channels='views'"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(parameters, said):
    with pytest.raises(InputError, match=said):
        make(**parameters).fit(np.zeros((2, 32, 32, 3), np.uint8))


def test_a_named_plane_beside_views_is_refused(tmp_path):
    (tmp_path / "a.nii").write_bytes(nifti_files.write(nifti_files.draw(9, 8, 7)))
    with pytest.raises(InputError, match="it names a plane, and channels='views' shows three others"):
        make(channels="views").fit_transform([f"{tmp_path / 'a.nii'}#plane=3"])
