"""Images of more than 8 bits: what keeps few grey levels is said, and so is a depth that goes with the label."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_images
from tests.test_data_images import LOSSLESS, encode, tiff16
from tlmed import inference
from tlmed.data import KnownPixels, load, read_files
from tlmed.data.depths import describe_depths, describe_levels
from tlmed.data.images import decode_measured, decode_resized, has_depth
from tlmed.recipe import load_recipe, override
from tlmed.run import preview
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
    pixels, found = decode_measured(content, (3, 2))
    assert found == levels
    assert has_depth(content)
    np.testing.assert_array_equal(pixels, decode_resized(content, (3, 2)))


@pytest.mark.parametrize("name", LOSSLESS)
def test_images_of_8_bits_have_no_levels_to_speak_of(name):
    content = LOSSLESS[name][0]
    deep = " 16" in name
    assert has_depth(content) == deep
    assert decode_measured(content, (4, 4))[1] in (range(240, 257) if deep else [0])


def test_content_that_is_no_image_has_no_depth():
    for content in (b"", b"II", b"MM\0*\0", b"\x89PNG\r\n\x1a\n", tiff16(samples(12), 1)[:20], b"text"):
        assert not has_depth(content)


def test_images_are_named_three_and_a_count():
    paths = [f"{i}.png" for i in range(6)]
    (sentence,) = describe_levels(paths, np.array([16, 8, 0, 256, 64, 16]))
    assert sentence.startswith("4 images (0.png, 1.png, 4.png and 1 more) with more than 8 bits keep at most 64 of 256")
    assert describe_levels(paths, np.array([0, 0, 65, 256, 0, 0])) == []


LABELS = np.repeat([0, 1], 20)


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
    found = [s for s in describe_depths([f"{i}" for i in range(40)], LABELS, ("a", "b"), levels) if "can tell" in s]
    assert len(found) == len(told)
    assert all(words in sentence for words, sentence in zip(told, found, strict=True)), found


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
    # Files that an earlier version decoded are known without their levels.
    table = (tmp_path / "cache").rglob("*.txt")
    lines = next(table).read_text().splitlines()
    assert len(lines) - lines.count("") == 18 + 9
    known = KnownPixels(tmp_path / "older", (8, 8))
    for line in lines:
        if len(line.split()) == 3 and len(line.split()[1]) == 64:
            known.add(line.split()[0], bytes.fromhex(line.split()[1]))
    check(load(folder, (8, 8), known=known, memory_bytes=memory_bytes).warnings)


def test_plan_warns(folder):
    settings = (f"data.source={folder}", "backbone=CifarNet", "weights=none", "data.image_size=32,32")
    words, _, _ = preview(override(load_recipe("fine_tuning"), settings))
    check([word for word in words if isinstance(word, str)])


def test_predict_and_evaluate_warn(finished, folder, tmp_path):
    from tlmed.rundir import RunDir

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
    assert files.pixels.levels.tolist() == [16]
    assert len(describe_levels(names, files.pixels.levels)) == 1
