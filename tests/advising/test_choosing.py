"""What experience decides: rows of other images alone, however the same images are called and divided."""

from types import SimpleNamespace

import pytest

from tests.advising.experience_rows import make_row
from tlmed.advising import choosing
from tlmed.advising.at_hand import Network
from tlmed.advising.choosing import choose_networks, expect, read_others
from tlmed.advising.experience import SHIPPED, contribute
from tlmed.advising.image_sketches import have_common, sketch_images

IMAGES = [f"image {number}" for number in range(200)]
PRINT = make_row().fingerprint


@pytest.fixture
def work(tmp_path):
    """Give work whose experience is a table of rows of the same images and of others."""
    rows = [make_row(set="mine", sketch=sketch_images(IMAGES)), make_row(set="more", sketch=sketch_images(IMAGES[:90]))]
    rows += [make_row(set="b", sketch=sketch_images(f"other {name}" for name in IMAGES)), make_row(set="c")]
    contribute(tmp_path / "table.csv", rows)
    request = SimpleNamespace(experience=(tmp_path / "table.csv",), networks=("VGG16=none", "LeNet5=digits"))
    base = SimpleNamespace(data=SimpleNamespace(image_size=(64, 64)))
    return SimpleNamespace(request=request, base=base)


def test_rows_of_the_same_images_or_of_a_part_of_them_are_left_out(work):
    rows, own = read_others(work.request, sketch_images(IMAGES))
    assert ([row.set for row in rows], own) == (["b", "c"], 2)
    _, told = choose_networks(work, PRINT, rows, own)
    assert (told["used"], told["rows"], told["own"], told["nearest"]) == (True, 2, 2, ["b", "c"])


def test_where_all_rows_are_of_the_same_images_nothing_is_said_to_follow_from_others(work):
    networks, told = choose_networks(work, PRINT, (), 4)
    assert [network.name for network in networks] == told["order"] == ["VGG16=none", "LeNet5=digits"]
    assert (told["used"], told["own"]) == (False, 4)
    assert expect((), PRINT, "auc", "all-layers", "probe") is None


def test_a_machine_without_weights_of_imagenet_is_told_how_to_get_some_before_anything_is_tried(work, monkeypatch):
    said = []
    work.request.networks, work.screen = (), SimpleNamespace(say=said.append)
    monkeypatch.setattr(choosing, "list_at_hand", lambda size: [Network("LeNet5", "digits/tlmed")])
    _, told = choose_networks(work, PRINT, ())
    assert said == [f"Warning: {told['untaught']}"]
    assert "LeNet5=digits/tlmed knows handwritten digits, a poor start. `pip install" in said[0]
    monkeypatch.setattr(choosing, "list_at_hand", lambda size: [Network("MobileNetV2", "imagenet")])
    assert "untaught" not in choose_networks(work, PRINT, ())[1]


def test_the_table_that_comes_along_counts_for_new_images():
    rows, own = read_others(SimpleNamespace(experience=(SHIPPED,)), sketch_images(IMAGES))
    assert (len(rows) > 100, own) == (True, 0)


@pytest.mark.parametrize(("shared", "same"), [(200, True), (150, True), (100, True), (0, False), (10, False)])
def test_sketches_agree_for_sets_that_share_many_images(shared, same):
    others = [*IMAGES[:shared], *(f"other {number}" for number in range(200 - shared))]
    assert have_common(sketch_images(IMAGES), sketch_images(others)) == same
