import json

import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.conftest import SMALL
from tests.data.readers.dicom_files import write
from tlmed import inference
from tlmed.data import KnownPixels, divide, load, open_source
from tlmed.data.decode_and_resize import PixelRule, decode_resized
from tlmed.data.recorded import read_rule
from tlmed.errors import InputError
from tlmed.intensity import Intensity, resolve
from tlmed.lock.shape import check_run
from tlmed.recipe import KFold, from_json, load_recipe, override, to_json
from tlmed.reproduce import Request, reproduce
from tlmed.run import preview
from tlmed.run_files import PLAN_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.voice import Voice
from tlmed.whole_files import write_json

OPEN = PixelRule((16, 16), resolve("auto"))


def draw(number, scale=1):
    """Return 12 bits in 16: values of 100 and more, up to about 3,000."""
    rng = np.random.RandomState(number)
    return (rng.gamma(3, 200 + 5 * number, (20, 24)).clip(0, 3900) * scale + 100).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    for number in range(40):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(number)).save(path)
    return tmp_path / "images"


def brute(images, folder, percentiles=(0.5, 99.5)):
    """Return the percentiles of all pixels of the training images."""
    paths = [images.table.paths[row] for row in images.indices("train")]
    pixels = np.stack([np.asarray(Image.open(folder / path)) for path in paths])
    return np.percentile(pixels, percentiles, method="inverted_cdf")


def ends(images):
    return images.pixels.rule.intensity.low, images.pixels.rule.intensity.high


def test_the_range_is_that_of_the_training_images_and_all_images_are_shown_by_it(folder):
    images = load(folder, OPEN)
    np.testing.assert_allclose(ends(images), brute(images, folder), atol=3)
    for row, image in enumerate(images.pixels.take(np.arange(40))):
        content = (folder / images.table.paths[row]).read_bytes()
        np.testing.assert_array_equal(image, decode_resized(content, images.pixels.rule))
    assert images.pixels.tones["levels"].min() > 64


@pytest.mark.parametrize("split", ["val", "test"])
def test_no_other_image_moves_the_range(folder, split):
    before = load(folder, OPEN)
    for row in before.indices(split):
        Image.fromarray(draw(row, scale=9)).save(folder / before.table.paths[row])
    after = load(folder, OPEN)
    assert after.splits.tolist() == before.splits.tolist()
    assert ends(after) == ends(before)
    Image.fromarray(draw(0, scale=9)).save(folder / before.table.paths[before.indices("train")[0]])
    assert ends(load(folder, OPEN)) != ends(before)


@pytest.mark.parametrize("memory_bytes", [0, 10_000, 2**30])
def test_each_fold_has_the_range_and_the_pixels_of_its_own_training_images(folder, memory_bytes):
    first = load(folder, OPEN, KFold(3, fold=1), memory_bytes=memory_bytes)
    shown = first.pixels.take(np.arange(40))
    second = divide(first, KFold(3, fold=2), 0)
    assert ends(first) != ends(second)
    for images in (first, second):
        np.testing.assert_allclose(ends(images), brute(images, folder), atol=3)
    expected = load(folder, OPEN, KFold(3, fold=2))
    np.testing.assert_array_equal(second.pixels.take(np.arange(40)), expected.pixels.take(np.arange(40)))
    np.testing.assert_array_equal(first.pixels.take(np.arange(40)), shown)


def test_facts_of_two_rules_are_never_mixed(folder, tmp_path):
    def look(rule):
        images = load(folder, rule, known=KnownPixels(tmp_path / "cache", rule))
        return images.pixels.take(np.arange(40)), images.pixels.digests, images.pixels.tones

    rules = [PixelRule((16, 16)), OPEN, PixelRule((16, 16), resolve("full")), PixelRule((16, 16), resolve((500, 600)))]
    first = [look(rule) for rule in rules]
    for rule, before in zip(rules, first, strict=True):
        for old, new in zip(before, look(rule), strict=True):
            np.testing.assert_array_equal(old, new)
    assert len({digests for _, digests, _ in first}) == 3  # "full" is what older versions did to such files


def test_images_of_8_bits_are_the_same_whatever_is_measured(images):
    plain, measured = load(images, (16, 16)), load(images, OPEN)
    np.testing.assert_array_equal(plain.pixels.take(np.arange(9)), measured.pixels.take(np.arange(9)))
    assert measured.pixels.rule == PixelRule((16, 16), Intensity())


def test_dicom_files_of_more_than_8_bits_without_a_window_are_shown_by_the_range(tmp_path):
    pytest.importorskip("pydicom")
    for number in range(20):
        path = tmp_path / "ab"[number % 2] / f"{number}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(write(draw(number), 12))
    assert ends(load(tmp_path, OPEN))[1] > 1000
    with pytest.raises(InputError, match=r"20 images of 20 cannot be read.*names no window"):
        load(tmp_path, (16, 16))


def test_images_for_which_no_training_image_measures_a_range_are_named_or_left_out(tmp_path):
    pytest.importorskip("pydicom")
    for number in range(24):
        path = tmp_path / ("train", "val", "test")[number % 3] / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((draw(number) // 16).astype(np.uint8)).save(path)
    (tmp_path / "test" / "a" / "deep").write_bytes(write(draw(0), 12))
    with pytest.raises(InputError, match=r"say by `data.window` what .* for 1 image. Received: 'test/a/deep'"):
        load(tmp_path, OPEN)
    images = load(tmp_path, OPEN, skip_bad=True)
    assert [path for path, _ in images.broken] == ["test/a/deep"]
    assert len(load(tmp_path, PixelRule((16, 16), resolve((40, 400)))).table) == 25


@pytest.mark.parametrize("known", [False, True])
def test_padding_moves_no_range(tmp_path, known):
    pytest.importorskip("pydicom")
    found = []
    for name, padded in (("plain", 0), ("padded", 9)):
        for number in range(20):
            path = tmp_path / name / "ab"[number % 2] / f"{number}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.pad(draw(number).astype(np.int16), padded, constant_values=-2000)
            path.write_bytes(write(pixels, 16, PixelPaddingValue=-2000))
        for _ in range(2 if known else 1):
            facts = KnownPixels(tmp_path / "cache", OPEN) if known else None
            images = load(tmp_path / name, OPEN, known=facts)
            found.append(ends(images))
    assert len(set(found)) == 1
    assert found[0][0] >= 100
    assert images.pixels.take(np.array([0]))[0, 0, 0].tolist() == [0, 0, 0]  # padding is shown as its value says


ALL_8 = "No image has more than 8 bits: they are shown as their files say, and the window ("
MIXED = " 8 bits or fewer, which `data.window` leaves as they are. It decides what the others show"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((40, 400), f"{ALL_8}-160 to 239) changes nothing."),
        ((0, 200, "range"), f"{ALL_8}0 to 200) changes nothing."),
        ((1, 99, "percentile"), f"{ALL_8}percentiles) changes nothing."),
        ("auto", ""),
        ("full", ""),
    ],
)
def test_a_window_for_images_of_8_bits_is_said_to_change_nothing(images, asked, said):
    found = [line for line in load(images, PixelRule((16, 16), resolve(asked))).warnings if "8 bits" in line]
    assert found == [said] * bool(said)


@pytest.mark.parametrize(
    ("asked", "is_said"), [("auto", True), ((500, 600), True), ((1, 99, "percentile"), True), ("full", False)]
)
def test_images_of_8_bits_among_others_are_named(folder, asked, is_said):
    for number in (0, 7):
        Image.fromarray((draw(number) // 16).astype(np.uint8)).save(folder / "ab"[number % 2] / f"{number}.png")
    found = [line for line in load(folder, PixelRule((16, 16), resolve(asked))).warnings if MIXED in line]
    assert [line.partition(MIXED)[0] for line in found] == ["2 of 40 images (a/0.png, b/7.png) have"] * is_said
    old = load(folder, (16, 16))  # as older versions did: all bits of all
    assert not any(MIXED in line for line in old.warnings)


def test_a_window_in_hounsfield_units_is_refused_for_pictures_in_one_line(folder):
    said = r"40 images of 40 cannot be read.*'a/0.png'.*not in Hounsfield units"
    with pytest.raises(InputError, match=said) as caught:
        load(folder, PixelRule((16, 16), resolve("lung")))
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [("lung", "lung"), ("40,400", (40.0, 400.0)), ("1,99,percentile", (1.0, 99.0, "percentile")), ("auto", "auto")],
)
def test_a_window_is_set_on_the_command_line_and_comes_back_from_a_file(text, value):
    recipe = override(load_recipe("feature_extractor"), [f"data.window={text}", "data.fit=pad"])
    assert (recipe.data.window, recipe.data.fit) == (value, "pad")
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


@pytest.mark.parametrize("text", ["lungs", "40,0", "1,101,percentile", "1,99,percent"])
def test_a_wrong_window_is_one_line(text):
    with pytest.raises(InputError, match=r"`data.window` must be 'auto', 'full', one of 'lung'"):
        override(load_recipe("feature_extractor"), [f"data.window={text}"])


def test_plan_says_window_and_shape(folder):
    recipe = override(load_recipe("feature_extractor"), [*SMALL, f"data.source={folder}", "data.fit=crop"])
    words, plan, _ = preview(recipe)
    low, high = plan["window"]["low"], plan["window"]["high"]
    said = f"{low:,.6g} to {high:,.6g} (0.5 to 99.5 per cent of the training images' values)"
    assert f"Window: a file's own, or else {said}" in words
    assert "Shape: 32 x 32 pixels, scaled to fill it, with two sides cut off" in words


def test_a_run_is_scored_and_repeated_by_the_range_that_it_recorded(folder, tmp_path):
    recipe = override(load_recipe("feature_extractor"), [*SMALL, "data.fit=pad"])
    run = RunDir(tlmed.train(recipe, tmp_path / "run", folder).path)
    rule = read_rule(run)
    assert check_run(run)["data"]["window"] == PLAN_JSON.read(run)["window"]
    assert (rule.fit, rule.intensity.kind, rule.size) == ("pad", "auto", (32, 32))
    before, _ = inference.evaluate(run)
    trained = [row["path"] for row in SPLITS_CSV.read(run) if row["split"] == "train"]
    # Other training images would give another range; the run keeps its own.
    originals = {path: (folder / path).read_bytes() for path in trained}
    for path in trained:
        Image.fromarray(draw(0, scale=9)).save(folder / path)
    after, _ = inference.evaluate(run)
    np.testing.assert_array_equal(after.units.scores, before.units.scores)
    test = after.units.paths[0]
    _, [row], _ = inference.predict(run, [folder / test])
    np.testing.assert_allclose(row[2:4], after.units.scores[0], atol=1e-6)
    Image.fromarray((draw(0) // 16).astype(np.uint8)).save(tmp_path / "8.png")
    said = []
    inference.predict(run, [tmp_path / "8.png"], voice=Voice(warn=said.append))
    assert [line for line in said if line.startswith(ALL_8)]
    for path, content in originals.items():
        (folder / path).write_bytes(content)
    assert not reproduce(Request(run.path, out=tmp_path / "again")).faults
    # A run of an older version recorded no window: all bits are shown.
    plan = PLAN_JSON.read(run)
    del plan["window"]
    write_json(run / "plan.json", plan)
    (run / "lock.json").unlink()
    assert read_rule(run).intensity == Intensity()
    assert len(open_source(str(folder)).paths) == 40
