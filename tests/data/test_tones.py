"""What values images hold: few grey levels, a single colour, all but black, and what of it goes with the label."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_images
from tests.data.test_data_images import LOSSLESS, encode, tiff16
from tlmed import inference
from tlmed.data import KnownPixels, load, read_files
from tlmed.data.class_shares import Classed
from tlmed.data.decode_and_resize import TONES, decode_resized, examine
from tlmed.data.tones import describe_tones, measure_usual, note_tones
from tlmed.errors import InputError
from tlmed.recipe import load_recipe, override
from tlmed.run import preview
from tlmed.rundir import RunDir
from tlmed.voice import Voice

RANDOM = np.random.RandomState(0)


def samples(bits, shape=(30, 20)):
    """Return values that use all of so many bits."""
    found = RANDOM.randint(0, 2**bits, shape).astype(np.uint16)
    found[:15, :10], found[15:, 10:] = 0, 2**bits - 1
    return found


@pytest.mark.parametrize(("bits", "levels"), [(12, 16), (14, 64), (15, 128), (16, 256), (8, 1)])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "array", "white is zero"])
def test_levels_are_counted_before_the_image_is_resized(bits, levels, form):
    values = samples(bits)
    forms = {"array": lambda: values, "white is zero": lambda: tiff16(values, 0)}
    content = forms.get(form, lambda: encode(values, form))()
    found = examine(content, (3, 2))
    pixels, tones = found.pixels, found.tones
    assert tones["levels"] == levels
    assert tones["brightest"] == (255 if form == "white is zero" else levels - 1)
    np.testing.assert_array_equal(pixels, decode_resized(content, (3, 2)))


@pytest.mark.parametrize("name", LOSSLESS)
def test_images_of_8_bits_have_no_levels_to_speak_of(name):
    content = LOSSLESS[name][0]
    assert examine(content, (4, 4)).tones["levels"] in (range(240, 257) if " 16" in name else [0])


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "array"])
@pytest.mark.parametrize(
    ("image", "brightest", "used"),
    [
        (np.arange(48).reshape(6, 8) * 4, 188, 48),
        (np.arange(48).reshape(6, 8) // 3, 15, 16),
        (np.full((6, 8), 7), 7, 1),
        (np.full((6, 8, 3), [9, 0, 200]), 200, 1),
        (np.arange(144).reshape(6, 8, 3) // [1, 36, 144], 141, 48),
    ],
)
def test_values_are_counted_by_channel(form, image, brightest, used):
    pixels = image.astype("uint8")
    tones = examine(pixels if form == "array" else encode(pixels, form), (2, 2)).tones
    assert (tones["brightest"], tones["used"]) == (brightest, used)


def make_tones(*rows):
    """Return tones of images of which `rows` say levels, brightest and used."""
    return np.array([*rows], TONES)


def with_levels(levels):
    return make_tones(*((level, 255, 200) for level in levels))


def test_images_are_named_three_and_a_count():
    paths = [f"{i}.png" for i in range(6)]
    (sentence,) = describe_tones(paths, with_levels([16, 8, 0, 256, 64, 16]))
    assert sentence.startswith("4 images (0.png, 1.png, 4.png and 1 more) with more than 8 bits keep at most 64 of 256")
    assert describe_tones(paths, with_levels([0, 0, 65, 256, 0, 0])) == []
    assert describe_tones(paths, None) == []


WELL, PLAIN, BINARY, DIM, DEEP = (0, 255, 200), (0, 90, 1), (0, 1, 2), (0, 15, 16), (16, 15, 16)
WHITE = (1, 255, 1)  # as values above what is shown


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([WELL] * 6, []),
        ([WELL, PLAIN, WELL], ["1 of 3 images (1.png) is shown in a single colour: there is nothing to see in it."]),
        ([(0, 0, 1)], ["1 of 1 image (0.png) is shown in a single colour"]),
        (
            [WELL] * 2 + [BINARY] * 4,
            [
                "4 of 6 images (2.png, 3.png, 4.png and 1 more) hold nothing above 1 of 255, which is all but black: "
                "numbers from 0 to 1 are to be multiplied by 255, and masks are to be left out."
            ],
        ),
        ([WELL, BINARY, DIM], ["2 of 3 images (1.png, 2.png) hold nothing above 15 of 255, which is all but black: s"]),
        ([WELL, DIM], ["1 of 2 images (1.png) holds nothing above 15 of 255, which is all but black: scale it to the"]),
        ([WELL, (0, 16, 17)], []),
        (
            [PLAIN, BINARY],
            ["1 of 2 images (0.png) is shown in a", "1 of 2 images (1.png) holds nothing above 1 of"],
        ),
        (
            [DEEP, DEEP, (64, 63, 64)],
            [
                "3 images (0.png, 1.png, 2.png) with more than 8 bits keep at most 64 of 256 grey levels, because "
                "their values use a small part of what is shown between black and white, as data of 12 bits do where "
                "16 are shown, or lie outside of it. `data.window` of the recipe says what is shown; for files "
                "that have scales of their own, as in MRI: data.window=0.5,99.5,file (2 of 3 all but black)."
            ],
        ),
        (
            [DEEP, WHITE, WHITE],
            ["3 images (0.png, 1.png, 2.png) with", "2 of 3 images (1.png, 2.png) are shown in a single colour"],
        ),
        ([DEEP, WELL], ["1 image (0.png) with more than 8 bits keeps at most 16 of 256"]),
    ],
)
def test_a_single_colour_and_darkness_are_counted_and_named(rows, told):
    found = describe_tones([f"{i}.png" for i in range(len(rows))], make_tones(*rows))
    assert len(found) == len(told), found
    assert all(sentence.startswith(words) for sentence, words in zip(found, told, strict=True)), found


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([WHITE], "(1 of 1 all white)."),
        ([DEEP, WHITE, WHITE, (30, 255, 30)], "(1 of 4 all but black, 2 of 4 all white)."),
        ([(16, 100, 16)], "data.window=0.5,99.5,file."),
    ],
)
def test_images_that_are_wholly_above_what_is_shown_are_counted(rows, told):
    assert describe_tones([f"{i}.png" for i in range(len(rows))], make_tones(*rows))[0].endswith(told)


LABELS = np.repeat([0, 1], 20)
CLASSED = Classed(LABELS, ("a", "b"), np.arange(40))


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        (
            np.where(LABELS, 16, 0),
            ["keep at most 64 of 256 grey levels are 0 of 20 in class 'a', 20 of 20 in class 'b'"],
        ),
        (np.where(LABELS, 256, 0), ["with more than 8 bits are 0 of 20 in class 'a', 20 of 20 in class 'b'"]),
        (np.where(LABELS, 16, 256), ["keep at most 64 of 256 grey levels are 0 of 20 in class 'a', 20 of 20"]),
        (np.where(np.arange(40) % 2, 16, 0), []),
        (np.full(40, 16), []),
        (np.where(np.arange(40) < 2, 256, 0), []),
    ],
)
def test_a_depth_that_goes_with_the_label_is_told(levels, told):
    said = describe_tones([f"{i}" for i in range(40)], with_levels(levels), CLASSED)
    found = [sentence for sentence in said if "can tell" in sentence]
    assert len(found) == len(told)
    assert all(words in sentence for words, sentence in zip(told, found, strict=True)), found


USUAL = {"fewest": 180, "most": 256}


@pytest.mark.parametrize(
    ("row", "usual", "note"),
    [
        (WELL, USUAL, ""),
        ((0, 255, 91), USUAL, ""),
        ((0, 255, 90), USUAL, "values unlike those of training"),
        ((0, 255, 90), None, ""),
        ((256, 255, 16), USUAL, "values unlike those of training"),
        (PLAIN, USUAL, "a single colour"),
        (BINARY, USUAL, "all but black"),
        (DEEP, USUAL, "all but black"),
        ((64, 63, 64), USUAL, "few grey levels"),
        ((64, 90, 1), USUAL, "a single colour"),
        ((0, 255, 32), {"fewest": 2, "most": 16}, "values unlike those of training"),
        ((0, 255, 31), {"fewest": 2, "most": 16}, ""),
        (DIM, {"fewest": 2, "most": 16}, "all but black"),
    ],
)
def test_values_are_compared_with_those_of_the_training_images(row, usual, note):
    assert note_tones(make_tones(row, WELL), usual)[0] == note
    said = describe_tones(["x.png"], make_tones(row), usual=usual)
    assert any("where nearly all training images" in sentence for sentence in said) == note.startswith("values")


def test_one_per_cent_of_the_training_images_on_each_side_is_not_usual():
    assert measure_usual(make_tones(*((0, 255, used) for used in (1, *[90] * 198, 256)))) == {"fewest": 90, "most": 90}
    assert measure_usual(make_tones((0, 255, 7))) == {"fewest": 7, "most": 7}


def test_predict_and_evaluate_say_what_is_odd_in_an_image(finished, tmp_path):
    run, told = RunDir(finished.path), []
    usual = run.json("environment.json")["data"]["values"]
    assert 10 < usual["fewest"] <= usual["most"] <= 256
    folder = write_images(tmp_path / "images", 5)
    first, second, third, *_ = sorted(folder.rglob("*.png"))
    Image.fromarray(np.full((40, 40), 90, "uint8")).save(first)
    Image.fromarray(RANDOM.randint(0, 2, (40, 40)).astype("uint8")).save(second)
    Image.fromarray(RANDOM.randint(0, 4, (40, 40)).astype("uint8") * 85).save(third)
    header, rows, _ = inference.predict(run, [folder], voice=Voice(warn=told.append))
    assert header[-1] == "image_note"
    notes = {row[0]: row[-1] for row in rows if row[-1]}
    assert notes == {
        str(first): "a single colour",
        str(second): "all but black",
        str(third): "values unlike those of training",
    }
    assert len(told) == 3
    assert all(said.startswith(f"1 of 15 images ({path}) ") for said, path in zip(told, notes, strict=True)), told
    assert f"has 4 different values, where nearly all training images of the run have {usual['fewest']} to" in told[2]
    _, result = inference.evaluate(run, str(folder))
    said = [sentence for sentence in result["evaluated"]["warnings"] if sentence.startswith("1 of 15 images")]
    files = [path.relative_to(folder) for path in (first, second, third)]
    assert len(said) == 3
    assert all(f"({path}) " in sentence for sentence, path in zip(said, files, strict=True)), said


def test_a_run_that_recorded_no_values_compares_none(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished.path, run)
    (run / "lock.json").unlink()
    environment = json.loads((run / "environment.json").read_text())
    del environment["data"]["values"]
    (run / "environment.json").write_text(json.dumps(environment))
    Image.fromarray(RANDOM.randint(0, 4, (40, 40)).astype("uint8") * 85).save(tmp_path / "x.png")
    _, rows, _ = inference.predict(RunDir(run), [tmp_path / "x.png"])
    assert rows[0][-1] == ""
    environment["data"]["values"] = {"fewest": "few"}
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(InputError, match=r"`environment\.json` of a run must be as .*: no `data\.values\.most`"):
        inference.predict(RunDir(run), [tmp_path / "x.png"])


@pytest.mark.parametrize(("deep", "told"), [([6, 3], False), ([10, 0], True)])
def test_images_of_a_patient_are_not_independent(tmp_path, deep, told):
    # 20 patients with 8 images each: 48 of 80 against 24 of 80 images, but 6 of 10 against 3 of 10 patients.
    rows = ["path,label,patient"]
    for patient in range(20):
        own = samples(16) if patient // 2 < deep[patient % 2] else samples(8).astype("uint8")
        for i in range(8):
            path = tmp_path / f"{patient} {i}.png"
            Image.fromarray(np.roll(own, i)).save(path)
            rows.append(f"{path.name},{'ab'[patient % 2]},p{patient}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    found = [said for said in load(tmp_path / "labels.csv", (8, 8)).warnings if "can tell the" in said]
    assert [f"{8 * deep[0]} of 80 in class 'a', {8 * deep[1]} of 80 in class 'b'" in said for said in found] == [
        True
    ] * told


@pytest.mark.parametrize("row", [PLAIN, BINARY, DIM])
def test_values_that_go_with_the_label_are_told(row):
    paths = [f"{i}" for i in range(40)]
    (said,) = describe_tones(paths, make_tones(*([WELL] * 20 + [row] * 20)), CLASSED)
    assert "They are 0 of 20 in class 'a', 20 of 20 in class 'b': a network can tell the classes by that." in said
    (said,) = describe_tones(paths, make_tones(*[WELL, row] * 20), CLASSED)
    assert "class" not in said


def test_half_of_the_files_hold_0_and_1_only(tmp_path):
    noise = RANDOM.randint(0, 256, (18, 40, 40)).astype("uint8")
    for i, image in enumerate(noise):
        place = tmp_path / "ab"[i % 2] / f"{i}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(image > 127 if i < 2 else image // 128 if i < 10 else image).save(place)
    (said,) = (said for said in load(tmp_path, (8, 8)).warnings if "black" in said)
    assert said.startswith("8 of 18 images (a/2.png, a/4.png, a/6.png and 5 more) hold nothing above 1 of 255")
    for grey, image in enumerate((tmp_path / "b").iterdir()):
        Image.fromarray(np.full((40, 40), grey, "uint8")).save(image)
    (said,) = (said for said in load(tmp_path, (8, 8)).warnings if "single colour" in said)
    assert said.endswith("They are 0 of 9 in class 'a', 9 of 9 in class 'b': a network can tell the classes by that.")


@pytest.fixture
def folder(tmp_path):
    """Give a folder in which the images of one class have 12 bits in files of 16."""
    folder = write_images(tmp_path / "images", 9, ("a", "b"))
    for path in (folder / "b").iterdir():
        Image.fromarray(samples(12)).save(path)
    return folder


TOLD = (
    "9 images (b/b (0).png, b/b (1).png, b/b (2).png and 6 more) with more than 8 bits keep at most 16",
    "can tell the",
)


def check(sentences):
    found = [sentence for sentence in sentences if "more than 8 bits" in sentence or "can tell" in sentence]
    assert len(found) == 2
    assert all(words in sentence for words, sentence in zip(TOLD, found, strict=True)), found


@pytest.mark.parametrize("memory_bytes", [0, 2**30])
def test_a_source_is_warned_of_whatever_is_known_of_it(folder, tmp_path, memory_bytes):
    check(load(folder, (8, 8), memory_bytes=memory_bytes).warnings)
    for _ in range(2):
        known = KnownPixels(tmp_path / "cache", (8, 8))
        check(load(folder, (8, 8), known=known, memory_bytes=memory_bytes).warnings)
    # Files that an earlier version decoded are known without their tones.
    table = (tmp_path / "cache").rglob("*.txt")
    lines = next(table).read_text().splitlines()
    assert len(lines) - lines.count("") == 18 + 18
    known = KnownPixels(tmp_path / "older", (8, 8))
    for line in lines:
        if len(line.split()) == 3 and len(line.split()[1]) == 64:
            known.add(line.split()[0], bytes.fromhex(line.split()[1]))
    check(load(folder, (8, 8), known=known, memory_bytes=memory_bytes).warnings)


def test_plan_warns(folder):
    settings = (f"data.source={folder}", "backbone=CifarNet", "weights=none", "data.image_size=32,32")
    words, _, _ = preview(override(load_recipe("fine_tuning"), [*settings, "data.window=full"]))
    check([word for word in words if isinstance(word, str)])
    # The range of the training images uses all levels; that one class was stored in another way is told all the same.
    words, _, _ = preview(override(load_recipe("fine_tuning"), settings))
    assert [TOLD[1] in word for word in words if isinstance(word, str) and "more than 8 bits are" in word] == [True]
    assert not any(TOLD[0] in word for word in words if isinstance(word, str))


def test_predict_and_evaluate_warn(finished, folder, tmp_path):
    run = RunDir(finished.path)
    told = []
    voice = Voice(warn=told.append)
    inference.predict(run, [folder], voice=voice)
    assert [TOLD[0].replace("b/b", f"{folder}/b/b") in sentence for sentence in told] == [True]
    for i, name in enumerate(("a", "b")):
        (folder / name).rename(folder / ("benign", "malignant")[i])
    write_images(tmp_path / "other", 3)
    (tmp_path / "other" / "normal").rename(folder / "normal")
    told.clear()
    _, result = inference.evaluate(run, str(folder), voice=voice)
    found = [sentence for sentence in result["evaluated"]["warnings"] if "8 bits" in sentence or "can tell" in sentence]
    assert len(found) == 2
    assert set(found) <= set(told)
    assert "9 of 9 in class 'malignant'" in found[1]


def test_files_without_labels(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(samples(12)).save(buffer, "PNG")
    (tmp_path / "x.png").write_bytes(buffer.getvalue())
    names, files, _ = read_files([tmp_path], (8, 8))
    assert files.pixels.tones["levels"].tolist() == [16]
    assert len(describe_tones(names, files.pixels.tones)) == 1
