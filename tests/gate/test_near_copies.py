import dataclasses
import functools
import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage

from tlmed.data.file_facts import FileFacts
from tlmed.data.table import Table
from tlmed.findings import ERROR, NEAR_COPY, WARNING
from tlmed.gate.evidence import Evidence
from tlmed.gate.frame_measures import measure_frames
from tlmed.gate.near_copies import check_alike, check_near_copies, read_pairs
from tlmed.gate.quality import check_quality
from tlmed.gate.sketches import draw_sketches


@functools.cache
def draw_scene(seed, side=128):
    """Return a picture with structure at all scales, as tissue has: noise whose amplitude falls with its frequency."""
    noise = np.random.RandomState(seed).normal(size=(side, side))
    scales = (1.2, 3, 8, 20)
    summed = sum(scale * ndimage.gaussian_filter(noise, scale, mode="wrap") for scale in scales)
    low, high = np.quantile(summed, [0.01, 0.99])
    return Image.fromarray(np.clip(20 + 215 * (summed - low) / (high - low), 0, 255).astype(np.uint8))


def gather_pictures(pictures, splits=None, labels=None, groups=None):
    pixels = [np.asarray(picture.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)) for picture in pictures]
    n = len(pixels)
    labels = np.zeros(n, np.int64) if labels is None else np.array(labels, np.int64)
    paths = tuple(f"image{row}{chr(97 + row % 26)}.png" for row in range(n))
    table = Table("here", paths, labels, ("benign", "malignant"), groups, None, lambda row: b"")
    contents = [one.tobytes() for one in pixels]
    return Evidence(
        table=table,
        splits=np.array(["train"] * n if splits is None else splits),
        split_made=(),
        sha256=tuple(f"{hash(content):x}" for content in contents),
        digests=tuple(contents),
        files=(FileFacts(),) * n,
        sketches=draw_sketches(np.stack(pixels)),
        frames=measure_frames(np.stack(pixels)),
    )


def compress(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=40)
    return Image.open(io.BytesIO(buffer.getvalue()))


def frame(picture):
    framed = Image.new("L", (picture.width + 20, picture.height + 14), 255)
    framed.paste(picture, (12, 5))
    return framed


def annotate(picture):
    marked = picture.copy()
    marked.paste(255, (20, 30, 60, 36))
    marked.paste(255, (80, 90, 84, 120))
    return marked


COPIES = {
    "re-compressed": (compress, ""),
    "resized": (lambda picture: picture.resize((77, 77), Image.Resampling.LANCZOS), ""),
    "brighter": (lambda picture: picture.point(lambda value: round(value * 0.7)), "brightness"),
    "gamma": (lambda picture: picture.point(lambda value: round(255 * (value / 255) ** 1.6)), "brightness"),
    "cropped": (lambda picture: picture.crop((20, 3, 124, 118)), "cut to 82 % of the width and 90 % of the height"),
    "upside down": (lambda picture: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM), "upside down"),
    "mirrored": (lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "mirrored"),
    "turned": (lambda picture: picture.transpose(Image.Transpose.ROTATE_270), "rotated by 90 degrees"),
    "tilted": (lambda picture: picture.rotate(5, Image.Resampling.BICUBIC), "rotated by 5 degrees"),
    "framed": (frame, "cut to"),
    "annotated": (annotate, ""),
    "blurred": (lambda picture: picture.filter(ImageFilter.GaussianBlur(1)), ""),
}


@pytest.mark.parametrize("kind", COPIES)
def test_each_kind_of_copy_is_found_and_named_and_nothing_else_is(kind):
    scenes = [draw_scene(seed) for seed in range(24)]
    change, words = COPIES[kind]
    evidence = gather_pictures([*scenes, change(scenes[5])], ["train"] * 24 + ["test"])
    checked = check_near_copies(evidence)
    (finding,) = checked.findings
    assert finding.files == (evidence.table.paths[5], evidence.table.paths[24])
    assert (finding.kind, finding.level) == (NEAR_COPY, ERROR)
    assert words in finding.text
    assert "train and test" in finding.text
    assert (checked.figures["sets"], checked.figures["images"]) == (1, 2)


def test_pictures_that_share_their_coarse_structure_are_no_copies():
    shared = ndimage.gaussian_filter(np.asarray(draw_scene(99), np.float32), 6)
    alike = []
    for seed in range(30):
        own = np.asarray(draw_scene(seed), np.float32)
        detail = own - ndimage.gaussian_filter(own, 6)
        alike.append(Image.fromarray(np.clip(shared + detail, 0, 255).astype(np.uint8)))
    checked = check_near_copies(gather_pictures(alike))
    assert checked.findings == ()
    assert checked.figures["candidates"] > 0


def test_copies_with_two_labels_are_an_error_and_come_first():
    scenes = [draw_scene(seed) for seed in range(10)]
    evidence = gather_pictures([*scenes, compress(scenes[0]), compress(scenes[1])], labels=[0] * 11 + [1])
    two, one = check_near_copies(evidence).findings
    assert (two.level, one.level) == (ERROR, WARNING)
    assert "benign and malignant" in two.text
    assert two.files == (evidence.table.paths[1], evidence.table.paths[11])


def test_copies_within_a_group_and_split_are_summed_up_in_one_warning():
    scenes = [draw_scene(seed) for seed in range(10)]
    groups = (*(f"P{row}" for row in range(10)), "P0", "P1")
    evidence = gather_pictures([*scenes, compress(scenes[0]), compress(scenes[1])], groups=groups)
    (finding,) = check_near_copies(evidence).findings
    assert finding.level == WARNING
    assert "4 images" in finding.text
    assert "2 sets" in finding.text


def test_identical_images_are_left_to_another_check_but_belong_to_the_sets_of_their_copies():
    scenes = [draw_scene(seed) for seed in range(6)]
    evidence = gather_pictures([*scenes, scenes[0], compress(scenes[0])], ["train"] * 6 + ["test", "train"])
    same = dataclasses.replace(evidence, sha256=evidence.sha256)
    (finding,) = check_near_copies(same).findings
    assert finding.files == tuple(evidence.table.paths[row] for row in (0, 6, 7))
    assert finding.level == ERROR
    assert check_near_copies(gather_pictures([*scenes, scenes[0]])).findings == ()


def test_thousands_of_equal_sketches_are_one_set_and_cost_little():
    scenes = [draw_scene(seed) for seed in range(3)]
    evidence = gather_pictures([*scenes, compress(scenes[0])])
    rows = np.r_[np.arange(4), np.zeros(3000, int)]
    many = dataclasses.replace(
        gather_pictures([scenes[0]]),
        table=evidence.table.take(rows),
        splits=evidence.splits[rows],
        sha256=tuple(map(str, range(len(rows)))),
        digests=None,
        sketches=evidence.sketches[rows],
        frames=evidence.frames[rows],
    )
    checked = check_near_copies(many)
    assert checked.figures["sets"] == 1
    assert checked.figures["images"] == 3002
    assert checked.figures["candidates"] <= 6


@pytest.mark.parametrize("n", [1, 2])
def test_one_image_and_uniform_images_are_said_not_to_be_checked(n):
    flat = [Image.new("L", (64, 64), 100 + 50 * row) for row in range(n)]
    checked = check_near_copies(gather_pictures(flat))
    assert checked.findings == ()
    assert len(checked.unchecked) == 1
    assert checked.unchecked[0].startswith(f"{n} image")
    assert "nearly of one gray level" in checked.unchecked[0]
    assert check_near_copies(gather_pictures([draw_scene(0)])).findings == ()


def test_dark_pictures_of_equal_pixels_join_no_set_and_are_counted_as_the_check_of_quality_does():
    # Two pictures show a scene each, and two more nothing but the same speck.
    speck = Image.new("L", (64, 64))
    speck.putpixel((30, 30), 40)
    evidence = dataclasses.replace(
        gather_pictures([draw_scene(1), speck, speck, draw_scene(2)]), sha256=("a", "b", "c", "d")
    )
    checked = check_near_copies(evidence)
    assert checked.findings == ()
    assert checked.unchecked[0].startswith("2 images are nearly of one gray level")
    assert check_quality(evidence).figures["uniform"] == 2


def test_the_same_evidence_gives_the_same_findings():
    scenes = [draw_scene(seed) for seed in range(12)]
    evidence = gather_pictures([*scenes, compress(scenes[3]), scenes[4].rotate(3)])
    assert check_near_copies(evidence).figures == check_near_copies(evidence).figures
    assert check_near_copies(evidence).findings == check_near_copies(evidence).findings


def describe_alike(pictures, alike, **facts):
    """Return evidence of pictures with drawn features, those of `alike` nearly equal."""
    features = np.random.RandomState(0).normal(size=(len(pictures), 40)).astype(np.float32)
    for one, other in alike:
        features[other] = features[one] + 0.05 * features[other]
    return dataclasses.replace(gather_pictures(pictures, **facts), features=features)


def test_features_bring_copies_together_that_pixels_did_not_and_pixels_decide():
    scenes = [draw_scene(seed) for seed in range(30)]
    cropped = scenes[0].crop((20, 3, 124, 118))
    mirrored = scenes[1].transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    splits = ["train"] * 30 + ["test"] * 2
    # 5 and 6 are alike to the network, and show other pictures.
    evidence = describe_alike([*scenes, cropped, mirrored], [(0, 30), (1, 31), (5, 6)], splits=splits)
    checked = check_alike(evidence)
    assert {finding.files for finding in checked.findings} == {
        ("image0a.png", "image30e.png"),
        ("image1b.png", "image31f.png"),
    }
    assert {finding.level for finding in checked.findings} == {ERROR}
    (found,) = [finding.text for finding in checked.findings if "image1b.png" in finding.files]
    assert "one mirrored" in found
    assert "in train and test" in found


def test_what_was_found_before_is_not_told_again_and_a_set_that_grows_is_told_whole():
    scenes = [draw_scene(seed) for seed in range(30)]
    copies = [compress(scenes[0]), scenes[0].crop((20, 3, 124, 118))]
    evidence = describe_alike([*scenes, *copies], [(0, 30), (0, 31)], labels=[0] * 31 + [1])
    before = check_near_copies(evidence)
    pairs = read_pairs(evidence, before)
    assert {file for pair in pairs for file in pair.files} == {"image0a.png", "image30e.png", "image31f.png"}
    assert check_alike(dataclasses.replace(evidence, copies=pairs)).findings == ()
    # Had the first check not seen the crop, the second names all three, for their labels differ.
    seen = tuple(pair for pair in pairs if "image31f.png" not in pair.files)
    seen = seen or read_pairs(evidence, check_near_copies(describe_alike([*scenes, copies[0]], [])))
    grown = check_alike(dataclasses.replace(evidence, copies=seen))
    (finding,) = grown.findings
    assert finding.files == ("image0a.png", "image30e.png", "image31f.png")
    assert "Their labels differ: benign and malignant." in finding.text
    assert [pair["files"][1] for pair in grown.figures["pairs"]] == ["image31f.png"]


def test_without_features_it_is_said_that_no_copies_were_looked_for_by_them():
    evidence = gather_pictures([draw_scene(seed) for seed in range(3)])
    checked = check_alike(dataclasses.replace(evidence, lacking="no weights are at hand"))
    assert checked.unchecked == ("Copies were not looked for among images of like features: no weights are at hand.",)
    assert check_alike(dataclasses.replace(evidence, features=np.ones((3, 4), np.float32))).findings == ()
    one = dataclasses.replace(gather_pictures([draw_scene(0)]), features=np.ones((1, 4), np.float32))
    assert check_alike(one).findings == ()


def save(picture, quality):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue()))


@pytest.mark.parametrize("others", [8, 60])
def test_many_copies_of_one_picture_are_one_set(others):
    random = np.random.RandomState(0)
    scenes, copies = [draw_scene(seed) for seed in range(others)], []
    for quality in range(40, 100):
        gain = random.uniform(0.7, 1)
        copies.append(save(draw_scene(0), quality).point([round(value * gain) for value in range(256)]))
    checked = check_near_copies(gather_pictures([*scenes, *copies]))
    assert checked.figures["sets"] == 1
    assert checked.figures["images"] == 61
