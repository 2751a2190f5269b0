"""Each rule decides one way on one side of its threshold, and the other way on the other side."""

import re
from dataclasses import replace

import pytest

import tlmed
from tlmed.advising.advice_rules import apply_rules, choose_folds, find_faults, find_preset
from tlmed.advising.development_fingerprint import Fingerprint
from tlmed.advising.epochs_rule import say_epochs
from tlmed.advising.size_rule import ENOUGH, choose_size, estimate_passes
from tlmed.recipe import override
from tlmed.sections.augment_presets import PRESETS
from tlmed.sections.image_attributes import BODY_PARTS, MODALITIES

PLAIN = Fingerprint(
    task="single-label",
    images=600,
    counts={"ill": 200, "well": 400},
    ratio=2.0,
    groups=None,
    images_each=None,
    units=600,
    fewest=200,
    height=256,
    width=256,
    gray=True,
    mean=80.0,
    deviation=50.0,
    detail={64: 0.2, 128: 0.5, 224: 0.9, 320: 1.0},
)
LITTLE, MUCH = ENOUGH - 0.01, ENOUGH


def find_rule(name, found=PLAIN, **options):
    rules = {rule.name: rule for rule in apply_rules(found, **options)}
    return rules.get(name)


@pytest.mark.parametrize(("at_224", "size"), [(MUCH, 224), (LITTLE, 320), (1.0, 224), (0.0, 320)])
def test_where_less_than_half_of_the_detail_is_left_images_are_larger(at_224, size):
    found = replace(PLAIN, detail={128: 0.0, 224: at_224, 320: 1.0})
    assert find_rule("image size", found).settings == {"data.image_size": (size, size)}


def test_small_images_are_enlarged_to_the_size_of_pretraining():
    found = replace(PLAIN, detail={64: 1.0, 128: 1.0, 224: 1.0, 320: 1.0}, height=28, width=28)
    assert find_rule("image size", found).settings == {"data.image_size": (224, 224)}


def test_a_size_must_fit_into_the_budget():
    detail = {128: LITTLE, 224: LITTLE, 320: 1.0}
    for size, smaller in ((320, 224), (224, 128)):
        least = estimate_passes(600, size)
        assert choose_size(detail, 600, least).size == size
        assert choose_size(detail, 600, least - 1).size == smaller
    assert choose_size(detail, 600, 1.0).size == 128
    assert "too long" in choose_size(detail, 600, 1.0).says
    assert "too long" not in choose_size(detail, 600).says


def test_many_images_without_a_budget_have_a_smaller_size():
    detail = {128: LITTLE, 224: MUCH, 320: 1.0}
    assert choose_size(detail, 36_000).size == 224
    assert choose_size(detail, 36_001).size == 128


def test_what_was_asked_for_is_not_decided():
    given = ("data.image_size", "augment.flip", "logit_adjustment")
    found = replace(PLAIN, counts={"a": 200, "b": 100, "c": 20}, ratio=5.0, modality="ct")
    assert [name for rule in apply_rules(found, given=given) for name in rule.settings] == []


@pytest.mark.parametrize(("task", "word"), [("multi-label", "several"), ("ordinal", "grades"), ("single-label", "one")])
def test_the_task_is_said(task, word):
    assert word in find_rule("task", replace(PLAIN, task=task)).says


def test_names_that_are_numbers_may_be_grades():
    assert "ordinal" in find_rule("task", replace(PLAIN, counts={"0": 9, "1": 9, "2": 9})).says
    assert "ordinal" not in find_rule("task", replace(PLAIN, counts={"0": 9, "1": 9})).says
    assert "ordinal" not in find_rule("task", replace(PLAIN, counts={"0": 9, "1": 9, "x": 9})).says


def test_each_modality_has_a_preset_and_the_rule_says_how_to_ask_for_it():
    recipe = tlmed.load_recipe("lp_ft")
    for modality in MODALITIES:
        for part in (*BODY_PARTS, None):
            assert find_preset(modality, part) in PRESETS
        rule = find_rule("augmentation", replace(PLAIN, modality=modality))
        assert rule.settings == {}
        asked = re.findall(r"--set (\S+?)[ `]", rule.says)
        changed = override(recipe, asked)
        assert changed.augment == replace(type(changed.augment).preset(find_preset(modality, None)), views=4)


def test_images_are_not_changed_by_themselves():
    rule = find_rule("augmentation")
    assert rule.settings == {}
    assert "None" in rule.says
    assert "--set" not in rule.says


def test_decisions_rest_on_all_folds_below_500_units_and_on_one_from_there_on():
    division, folds = choose_folds(499, 200)
    assert (division.k, division.repeats, folds) == (5, 2, (1, 2, 3, 4, 5))
    division, folds = choose_folds(500, 200)
    assert (division.k, division.repeats, folds) == (5, 1, (1,))
    assert choose_folds(499, 3)[0].k == 3
    assert "one of them" in find_rule("decisions", replace(PLAIN, units=500)).says
    assert "10 folds" in find_rule("decisions", replace(PLAIN, units=499)).says
    assert "wide" not in find_rule("decisions", replace(PLAIN, units=100)).says
    assert "wide" in find_rule("decisions", replace(PLAIN, units=99)).says


def test_many_images_of_few_patients_are_few():
    found = replace(PLAIN, images=6000, units=60, groups=60, images_each=100.0)
    assert "10 folds" in find_rule("decisions", found).says


def test_rare_classes_of_several_are_predicted_by_the_shares_of_classes():
    three = replace(PLAIN, counts={"a": 200, "b": 100, "c": 20}, ratio=5.0)
    assert find_rule("class balance", three).settings == {"logit_adjustment": 1.0}
    assert find_rule("class balance", replace(three, ratio=4.9)).settings == {}
    assert find_rule("class balance", replace(PLAIN, ratio=50.0)).settings == {}
    assert find_rule("class balance", replace(three, task="ordinal")).settings == {}
    assert find_rule("class balance", replace(three, task="multi-label")).settings == {}
    assert find_rule("class balance", replace(three, ratio=None)).settings == {}
    assert "5 times" in find_rule("class balance", three).says
    assert "times" not in find_rule("class balance", replace(three, ratio=1.4)).says


def test_patients_are_said_to_be_known_or_not():
    assert "No patients" in find_rule("patients").says
    assert "600 images of 30 patients" in find_rule("patients", replace(PLAIN, groups=30, images_each=20.0)).says


def test_very_many_classes_are_said():
    many = {f"c{number}": 4 + number % 7 for number in range(100)}
    assert "Fewer than 10 images are of c0, c1, c2 and" in find_rule("many classes", replace(PLAIN, counts=many)).says
    assert find_rule("many classes") is None


def test_a_class_must_have_three_units_for_an_advice():
    assert find_faults(replace(PLAIN, fewest=3)) == []
    [fault] = find_faults(replace(PLAIN, fewest=2))
    assert "'ill' with 200 images" in fault
    assert "merge" in fault
    [fault] = find_faults(replace(PLAIN, fewest=2, groups=4))
    assert "patients" in fault
    [fault] = find_faults(replace(PLAIN, fewest=2, task="multi-label"))
    assert "merge" not in fault


def test_every_rule_has_a_source_and_settings_of_a_recipe():
    three = replace(PLAIN, counts={"a": 200, "b": 100, "c": 20}, ratio=5.0, modality="x-ray", body_part="chest")
    rules = apply_rules(three)
    assert all(rule.source and rule.says for rule in rules)
    recipe = tlmed.load_recipe("feature_extractor")
    changed = override(recipe, (), {name: value for rule in rules for name, value in rule.settings.items()})
    assert changed.data.image_size == (224, 224)
    assert changed.logit_adjustment == 1.0
    assert [rule.to_json()["name"] for rule in rules] == [rule.name for rule in rules]


@pytest.mark.parametrize(
    ("images", "batch_size", "most", "fewest"),
    [(85, 32, 16, 16), (400, 32, 16, 14), (663, 32, 16, 8), (663, 64, 16, 16), (1500, 32, 8, 8), (9000, 32, 8, 8)],
)
def test_few_images_are_passed_over_more_often_and_where_time_is_short_less_often(images, batch_size, most, fewest):
    rule = find_rule("epochs", replace(PLAIN, images=images), batch_size=batch_size)
    assert f"passes {most} times" in rule.says
    assert (f"else {fewest} times" in rule.says) == (most != fewest)
    assert f"passes {fewest} times" in say_epochs(images, batch_size, fewest)
