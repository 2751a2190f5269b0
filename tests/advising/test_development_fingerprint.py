"""The fingerprint of development images has the numbers of these images, and none of a test image."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.gate.made_evidence import make_evidence
from tlmed.advising.development_fingerprint import (
    Fingerprint,
    count_units,
    describe_development,
    find_development,
    find_word,
    is_coloured,
)
from tlmed.advising.own_sizes import FEWEST, choose_sample, read_own_sizes
from tlmed.data import load, open_source
from tlmed.data.file_facts import FileFacts
from tlmed.gate.copy_sets import DescribedPair
from tlmed.gate.data_fingerprint import describe_data
from tlmed.gate.evidence import gather, take_rows
from tlmed.recipe import override
from tlmed.sections.image_attributes import BODY_PARTS, MODALITIES

SIZES = {"train": 60, "val": 50, "test": 90}  # the sides of images of each split
COUNTS = {"train": (9, 6), "val": (3, 2), "test": (4, 4)}


def write_images(folder, seed, splits=tuple(SIZES)):
    """Write pictures into `split/class`, gray, another side for each split."""
    random = np.random.RandomState(seed)
    for split in splits:
        for label, amount in zip("ab", COUNTS[split], strict=True):
            place = folder / split / label
            place.mkdir(parents=True, exist_ok=True)
            for number in range(amount):
                small = random.randint(0, 256, (6, 6)).astype(np.uint8)
                side = SIZES[split]
                Image.fromarray(small).resize((side, side + 10), Image.Resampling.BICUBIC).save(place / f"{number}.png")
    return folder


def read(folder):
    images = load(open_source(folder), (32, 32))
    features = np.random.RandomState(0).normal(size=(len(images.splits), 8))
    features += images.pixels.take(np.arange(len(images.splits))).mean(axis=(1, 2))[:, :1] / 50
    return images, replace(gather(images), features=features.astype(np.float32))


@pytest.fixture(scope="module")
def recipe():
    return tlmed.load_recipe("feature_extractor")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"), seed=0)


def test_numbers_are_those_of_train_and_val(folder, recipe):
    images, evidence = read(folder)
    found = describe_development(recipe, images, evidence)
    assert Fingerprint.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.images == 20
    assert found.counts == {"a": 12, "b": 8}
    assert found.classes == 2
    assert found.ratio == 1.5
    assert (found.groups, found.images_each) == (None, None)
    assert (found.units, found.fewest) == (20, 8)
    assert (found.width, found.height) == (60, 70)
    assert found.task == "single-label"
    assert found.gray
    assert (found.modality, found.body_part) == (None, None)
    pixels = images.pixels.take(find_development(images)).mean(axis=-1).reshape(20, -1)
    assert found.mean == pytest.approx(pixels.mean(), abs=0.1)
    assert found.deviation == pytest.approx(pixels.std(axis=1).mean(), abs=0.1)
    assert found.detail[64] > 0.9
    assert found.detail[320] == 1.0
    assert found.intrinsic_dimension is not None
    assert 0 <= found.nearest_neighbour_auc <= 1


def test_other_test_images_change_nothing(folder, recipe, tmp_path):
    found = describe_development(recipe, *read(folder))
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    shutil.rmtree(other / "test")
    write_images(other, seed=1, splits=("test",))
    for place in (other / "test").glob("*/*.png"):
        picture = np.array(Image.open(place))
        Image.fromarray(np.repeat(np.stack([picture, 255 - picture, picture], axis=-1), 3, axis=0)).save(place)
    images, evidence = read(other)
    # Features of the test images differ, too; those of the others are the same.
    assert describe_development(recipe, images, evidence) == found


def test_another_training_image_changes_something(folder, recipe, tmp_path):
    found = describe_development(recipe, *read(folder))
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    Image.new("L", (20, 20)).save(other / "train" / "a" / "0.png")
    changed = describe_development(recipe, *read(other))
    assert changed.mean < found.mean - 1
    assert changed.nearest_neighbour_auc != found.nearest_neighbour_auc


def test_without_evidence_there_are_no_numbers_of_features(folder, recipe):
    images, _ = read(folder)
    found = describe_development(recipe, images)
    assert (found.intrinsic_dimension, found.nearest_neighbour_auc) == (None, None)
    assert found.to_json()["detail"].keys() == {"64", "128", "224", "320"}


def test_what_the_recipe_says_counts_before_headers(folder, recipe):
    images, evidence = read(folder)
    told = replace(evidence, files=tuple(replace(facts, tags={"modality": "MR"}) for facts in evidence.files))
    assert describe_development(recipe, images, told).modality == "mri"
    asked = override(recipe, ["data.modality=ct", "data.body_part=chest"])
    found = describe_development(asked, images, told)
    assert (found.modality, found.body_part) == ("ct", "chest")


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["DX"] * 10, "x-ray"),
        (["CT"] * 9 + ["MR"], "ct"),
        (["CT"] * 8 + ["MR"] * 2, None),
        (["John Smith"] * 10, None),
        ([""] * 10, None),
        (["PT"] * 10, "pet"),
    ],
)
def test_a_word_is_found_where_nearly_all_headers_mean_it(texts, found):
    assert find_word([FileFacts(tags={"modality": text}) for text in texts], "modality", MODALITIES) == found


def test_body_parts_are_dicoms_words():
    assert find_word([FileFacts(tags={"body part": "LYMPH_NODE"})] * 3, "body part", BODY_PARTS) == "lymph node"
    assert find_word([FileFacts(tags={"body part": "THORAX"})] * 3, "body part", BODY_PARTS) == "chest"
    assert find_word([], "body part", BODY_PARTS) is None


def test_a_coloured_mark_does_not_make_a_gray_image_coloured():
    image = np.full((100, 100, 3), 90, np.uint8)
    image[:5, :10, 0] = 255
    assert not is_coloured(image)
    image[:50, :, 0] = 255
    assert is_coloured(image)


def test_groups_are_counted_and_are_the_units():
    labels, groups = [0, 0, 0, 0, 1, 1], ("p", "p", "q", "r", "s", "s")
    evidence = make_evidence("abcdef", labels, groups)
    from tlmed.advising.development_fingerprint import _count_fewest, _count_groups, _find_units

    assert _count_groups(evidence.table.groups) == (4, 1.5)
    assert _count_fewest(evidence, _find_units(evidence)) == 1


def test_rows_of_evidence_keep_pairs_whose_images_stay():
    pairs = tuple(DescribedPair(rows, ("x", "y"), 1.0, ()) for rows in ((1, 3), (0, 1)))
    evidence = replace(make_evidence("abcd", [0, 1, 0, 1]), copies=pairs)
    found = take_rows(evidence, [1, 3, 2])
    assert found.table.paths == ("b", "d", "c")
    assert [pair.rows for pair in found.copies] == [(0, 1)]
    assert describe_data(found).figures["classes"] == {"ill": 1, "well": 2}


def test_large_images_are_fewer_but_sixteen(folder, monkeypatch):
    images, _ = read(folder)
    rows = find_development(images)
    assert len(list(read_own_sizes(images, rows, seed=0))) == 20
    monkeypatch.setattr("tlmed.advising.own_sizes.MOST_PIXELS", 100)
    found = list(read_own_sizes(images, rows, seed=0))
    assert len(found) == FEWEST
    assert {image.shape for image in found} <= {(70, 60, 3), (60, 50, 3)}


def test_the_sample_depends_on_the_seed_alone():
    names = [f"{number}.png" for number in range(500)]
    assert choose_sample(names, 0) == choose_sample(names, 0) != choose_sample(names, 1)


def test_of_several_labels_each_is_counted_and_all_units_are_the_fewest(tmp_path, recipe):
    random = np.random.RandomState(0)
    lines = ["path,label,split"]
    for number in range(12):
        Image.fromarray(random.randint(0, 256, (20, 20)).astype(np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'edema|mass' if number % 3 else 'edema'},{'test' if number > 8 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    images = load(open_source(tmp_path / "labels.csv"), (32, 32), seed=1)
    found = describe_development(recipe, images)
    assert found.task == "multi-label"
    assert found.counts == {"edema": 9, "mass": 6}
    assert (found.units, found.fewest) == (9, 9)


def test_patients_count_once_and_test_images_not_at_all():
    images = SimpleNamespace(
        splits=np.array(["train", "train", "val", "train", "test", "train"]),
        table=SimpleNamespace(groups=["a", "a", "b", "", "c", ""]),
        sha256=["1", "2", "3", "4", "5", "4"],
    )
    assert count_units(images) == 3
    images.splits = np.array(["test"] * 6)
    assert count_units(images) == 0
