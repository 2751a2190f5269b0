from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.advice_report.pasted_commands import parse_command
from tlmed.advising.at_hand import Network, say_untaught
from tlmed.advising.conclusions import judge_learnable, list_next, say_goal, say_sure, say_validation, warn_of_copies
from tlmed.advising.goals import read_goal


def bounds(value, low, high, n=100):
    return {"value": value, "low": low, "high": high, "n": n}


def tried(name, decision="kept", gain=None, reason="", score=0.8):
    shown = None if score is None else {"metric": "auc", "value": score, "low": 0.7, "high": 0.9}
    gained = None if gain is None else {"over": "probe", "value": gain, "noise": 0.01}
    return {"name": name, "decision": decision, "reason": reason, "score": shown, "gain": gained}


STEPS = [{"step": "probes", "tried": [tried("probe")]}]
GATE = {"shortcuts": [], "kinds": {}, "page": "check.html"}
ANSWER = {"metric": "auc", "value": 0.9, "low": 0.87, "high": 0.93, "n": 400, "groups": None, "path": "run"}


def find_next(
    steps=STEPS, gate=GATE, curve=None, answer=ANSWER, learnable="yes", folder="out", tested=(), experience=None
):
    """Return what a story with these parts says is to be done next."""
    parts = {"steps": steps, "gate": gate, "curve": curve, "answer": answer, "data": {"development": 500}}
    verdict, request = {"learnable": learnable}, SimpleNamespace(folder=Path(folder))
    parts |= {"parts": tested, "experience": experience or {"used": False}}
    return list_next(SimpleNamespace(**parts, verdict=verdict, request=request))


@pytest.mark.parametrize(
    ("found", "test", "verdict"),
    [
        (bounds(0.52, 0.45, 0.59), bounds(0.5, 0.4, 0.6), "no"),
        (bounds(0.52, 0.45, 0.59), bounds(0.7, 0.6, 0.8), "unsure"),
        (bounds(0.8, None, None), {}, "no"),
        (bounds(0.8, 0.5, 0.9), bounds(0.7, 0.5, 0.8), "no"),
        (bounds(0.78, 0.42, 1.0), bounds(0.98, 0.8, 1.0), "unsure"),
        (bounds(0.7, 0.6, 0.8), bounds(0.6, 0.45, 0.75), "unsure"),
        (bounds(0.7, 0.6, 0.8), {}, "unsure"),
        (bounds(0.7, 0.6, 0.8), bounds(0.7, 0.51, 0.8), "yes"),
    ],
)
def test_something_is_learnable_only_if_development_and_test_images_both_show_it(found, test, verdict):
    judged = judge_learnable(found, test)
    assert judged["learnable"] == verdict
    assert ("both intervals lie above" in judged["says"][0]) == (verdict == "yes")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.95, 0.99, "is reached"), (0.80, 0.94, "is not reached"), (0.80, 0.97, "cannot be told")],
)
def test_a_goal_is_reached_if_the_whole_interval_reaches_it(low, high, said):
    metrics = {"sensitivity": {"value": 0.9, "low": low, "high": high}}
    (sentence,) = say_goal(read_goal("sensitivity>=0.95"), {"metrics": metrics})
    assert said in sentence


def test_a_goal_of_one_side_says_what_the_other_is_worth():
    found = {"sensitivity": bounds(1.0, 0.9, 1.0), "specificity": bounds(0.067, 0.01, 0.3)}
    (sentence,) = say_goal(read_goal("sensitivity>=0.8"), {"metrics": found})
    assert sentence.endswith("; at that threshold the specificity is 0.067 (95 % interval 0.010 to 0.300).")
    assert (
        "at that threshold the sensitivity is 1.000" in say_goal(read_goal("specificity>=0.9"), {"metrics": found})[0]
    )
    found["auc"] = bounds(0.9, 0.8, 0.95)
    assert "threshold" not in say_goal(read_goal("auc>=0.9"), {"metrics": found})[0]


def test_a_goal_without_a_least_value_needs_no_sentence_and_one_that_is_not_measured_says_so():
    assert say_goal(read_goal("auc"), {"metrics": {"auc": bounds(0.9, 0.8, 0.95)}}) == []
    assert "could not be judged" in say_goal(read_goal("auc>=0.9"), {"metrics": {}})[0]


def curve(now=0.80, later=0.84, low=0.79, high=0.95, half=0.1):
    """Return a learning curve that ends at `now`, and expects `later` between `low` and `high`."""
    points = [{"n": 100, "auc": now, "low": now - half, "high": now + half}]
    forecast = [{"times": 2, "n": 200, "auc": later, "low": low, "high": high}]
    return {"metric": "AUC", "features": "MobileNetV2", "points": points, "forecast": forecast}


@pytest.mark.parametrize(
    ("later", "low", "high", "said"),
    [
        (0.85, 0.81, 0.9, "More images would help"),
        (0.85, 0.78, 0.9, "More images may help, or add little"),
        (0.805, 0.801, 0.82, "More images may help, or add little"),
        (0.802, 0.79, 0.809, "would add little"),
    ],
)
def test_more_images_are_promised_to_help_only_where_the_whole_interval_says_so(later, low, high, said):
    steps = find_next(curve=curve(later=later, low=low, high=high))
    assert [each["what"] for each in steps] == ["images", "scanner"]
    assert said in steps[0]["says"]
    assert "2 times as many images" in steps[0]["says"]


def test_no_head_s_learning_curve_promises_a_gain_of_an_answer_that_is_above_it():
    likely = curve(later=0.85, low=0.81, high=0.9)  # from 0.80
    for value, trained, said in ((0.84, True, "may help"), (0.84, False, "would help"), (0.79, True, "would help")):
        answer = {**ANSWER, "trained": trained, "metrics": {"auc": bounds(value, 0.7, 0.9)}}
        says = find_next(curve=likely, answer=answer)[0]["says"]
        assert says.startswith(f"More images {said}"), value
        assert ("is above this already (AUC 0.840): it may gain" in says) == (said == "may help")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {"n": 60},
            "More test images would make the answer surer: with 60 test images, the interval is 0.20 wide, and f",
        ),
        (
            {"n": 60, "groups": 25},
            "with 60 test images of 25 patients, the interval is 0.20 wide, and four times as many p",
        ),
        ({"n": 60, "groups": 6}, "More test patients would make the answer surer: with 60 test images of 6 patients"),
        ({"n": 60, "groups": 6}, "the interval is 0.20 wide."),
        ({"n": 9}, "with 9 test images, the interval is 0.20 wide."),
        ({"n": 60, "high": 1.0}, "wide."),
        # 28 patients of whom two have nearly all images of a class
        ({"n": 122, "groups": 28, "method": "DeLong of 28 groups, t with 1 df"}, "the interval is 0.20 wide."),
        ({"n": 122, "groups": 28, "method": "DeLong of 28 groups, t with 12 df"}, "wide, and four times as many p"),
    ],
)
def test_what_halves_an_interval_is_counted_in_patients_and_said_only_of_many(answer, said):
    steps = find_next(answer={**ANSWER, "low": 0.75, "high": 0.95, **answer})
    assert said in steps[0]["says"]
    rare = {"name": "rare", "test": {"method": "DeLong of 28 groups, t with 2 df"}}  # of a mean over labels
    steps = find_next(answer={**ANSWER, "low": 0.75, "high": 0.95, **answer}, tested=[rare])
    assert "halve it" not in steps[0]["says"]


def test_where_no_network_knows_photographs_the_next_step_is_to_get_one():
    said = say_untaught([Network("LeNet5", "digits/tlmed")])
    steps = find_next(experience={"used": True, "untaught": said})
    assert steps[0] == {"what": "networks", "says": said}
    assert "`pip install 'tlmed[offline]'`" in said
    assert "networks" not in [step["what"] for step in find_next()]


def test_a_goal_and_a_verdict_that_only_copies_of_development_images_reach_say_so():
    answer = {"metrics": {"auc": bounds(0.95, 0.92, 0.98)}}
    copied = {**answer, "without_copies": {"leaked": 40, "n": 30, "metrics": {"auc": bounds(0.6, 0.45, 0.75)}}}
    assert say_goal(read_goal("auc>=0.9"), copied)[1] == (
        "Without copies of development images, it is not reached: 0.600 (95 % interval 0.450 to 0.750)."
    )
    assert len(say_goal(read_goal("auc>=0.9"), answer)) == 1
    (said,) = warn_of_copies(answer["metrics"]["auc"], copied)
    assert "on the 30 of them that repeat no development image, the AUC is 0.600 (95 %" in said
    none_left = {**answer, "without_copies": {"leaked": 70, "n": 0, "metrics": {}}}
    assert (
        "Each test image repeats a development image, or its patient"
        in warn_of_copies(answer["metrics"]["auc"], none_left)[0]
    )
    good = {**answer, "without_copies": {"leaked": 9, "n": 61, "metrics": {"auc": bounds(0.9, 0.8, 0.97)}}}
    assert warn_of_copies(answer["metrics"]["auc"], good) == warn_of_copies(answer["metrics"]["auc"], answer) == []
    assert warn_of_copies(bounds(0.6, 0.4, 0.8), copied) == []  # which the verdict says


def test_a_verdict_and_a_learning_curve_that_differ_are_both_said():
    nothing, something, test = bounds(0.52, 0.45, 0.59), bounds(0.7, 0.6, 0.8), bounds(0.7, 0.6, 0.8)
    missed = bounds(0.55, 0.45, 0.65)
    risen, flat = curve(half=0.05), curve(now=0.55)
    assert (
        "of another network than LeNet5: what"
        in judge_learnable(nothing, missed, curve=risen, backbone="LeNet5")["says"][2]
    )
    judged = judge_learnable(nothing, missed, curve=risen, backbone="MobileNetV2")
    assert judged["learnable"] == "unsure"
    assert "another network" not in judged["says"][2]
    assert "0.520 (95 % interval 0.450 to 0.590), which does not lie above 0.5" in judged["says"][0]
    assert (
        "the AUC of a linear head on the features of MobileNetV2, fitted on 100 training images and tested on other "
        "training images, is 0.800 (95 % interval 0.750 to 0.850)" in judged["says"][1]
    )
    assert "The curve is of training images alone, in other folds; where there is little" in judged["says"][2]
    judged = judge_learnable(something, test, curve=flat)
    assert judged["learnable"] == "yes"
    assert "is 0.550 (95 % interval 0.450 to 0.650)" in judged["says"][1]
    assert "in other folds" in judged["says"][2]
    assert judge_learnable(nothing, missed, curve=flat) == judge_learnable(nothing, missed)
    assert judge_learnable(something, test, curve=risen) == judge_learnable(something, test)


def test_a_curve_at_guessing_advises_no_images():
    (first, _) = find_next(curve=curve(now=0.55))
    assert "cannot tell: a linear head on the features of MobileNetV2 is not above guessing yet" in first["says"]


def test_a_shortcut_comes_first_then_labels():
    gate = {"shortcuts": ["black border"], "kinds": {"label": 20}, "page": "check.html"}
    assert [each["what"] for each in find_next(gate=gate)] == ["shortcut", "labels", "scanner"]
    assert "Look at the shortcut that" in find_next(gate=gate)[0]["says"]
    said = find_next(gate=gate | {"shortcuts": ["black border", "brightness"]})[0]["says"]
    assert said.startswith("Look at the 2 shortcuts that the check found before anything else: a network can use them")
    gate = {"shortcuts": [], "kinds": {"label": 5}, "page": "check.html"}
    assert [each["what"] for each in find_next(gate=gate)] == ["scanner"]


def test_more_computing_is_advised_only_where_the_budget_left_something_out():
    late = [*STEPS, {"step": "thawing", "tried": [tried("thaw1", "not tried", reason="1 s of the budget", score=None)]}]
    said = {each["what"]: each["says"] for each in find_next(late)}
    assert "A larger --budget" in said["computing"]
    whole = tried("whole", "kept", reason="the budget has time for its training alone", score=None)
    said = {each["what"]: each["says"] for each in find_next([*STEPS, {"step": "w", "tried": [whole]}])}
    alone = "The answer, whole, was trained without a trial; a larger --budget, in another --out, would allow one."
    assert said["computing"] == alone
    late[-1]["tried"].append(whole)
    (both,) = (each["says"] for each in find_next(late) if each["what"] == "computing")
    assert (both.endswith(f" {alone}"), "had no time for: thaw1. " in both) == (True, True)
    flat = [*STEPS, {"step": "thawing", "tried": [tried("thaw1", "dropped", gain=0.001)]}]
    said = {each["what"]: each["says"] for each in find_next(flat)}
    assert "not expected to help" in said["computing"]
    risen = [*STEPS, {"step": "thawing", "tried": [tried("thaw1", "kept", gain=0.05)]}]
    assert "computing" not in {each["what"] for each in find_next(risen)}


def test_an_answer_is_tried_elsewhere_by_a_command_that_works_and_only_if_there_is_one():
    said = find_next(folder="Ann's advice")[-1]["says"]
    command = said.partition("`")[2].partition("`")[0]
    assert parse_command(command)["run"] == "Ann's advice/run"
    assert find_next(learnable="no") == []


def test_how_many_were_compared_is_said_for_one_and_for_several():
    found = {"metric": "auc", "value": 0.8}
    one = say_sure(STEPS, found, ANSWER)
    two = say_sure([*STEPS, {"step": "thawing", "tried": [tried("thaw1")]}], found, ANSWER)
    assert "One option was tried" in " ".join(one)
    assert "2 options were compared" in " ".join(two)
    copied = say_sure([*STEPS, {"step": "thawing", "tried": [tried("thaw1")]}], found, {**ANSWER, "copies": ["1 of 9"]})
    assert "took part in the choice, so that luck may have made it too high; that on the test images did not." in two[1]
    assert "did not, but may be too high because some of them repeat development images." in copied[1]


def test_of_what_was_not_tried_no_score_is_claimed():
    found = bounds(0.8, 0.7, 0.9)
    together = say_sure(STEPS, {"metric": "auc", "value": 0.8}, {**ANSWER, "alone": {"value": 0.9512}})
    assert "The first network alone, in `run/`, has AUC 0.951 on the same test images." in together[1]
    sure = " ".join(say_sure(STEPS, {"metric": "auc", "value": 0.8}, ANSWER, "thaw2-A"))
    assert "What was decided was not tried" in sure
    assert "thaw2-A had AUC 0.800" in sure
    verdict = judge_learnable(found, bounds(0.85, 0.75, 0.95), "thaw2-A")
    assert "on 100 development images (of thaw2-A) and" in verdict["says"][0]
    assert "that of thaw2-A was" in judge_learnable(found, bounds(0.6, 0.4, 0.8), "thaw2-A")["says"][0]
    (said,) = judge_learnable(bounds(0.5, 0.4, 0.6), found, "thaw2-A")["says"]
    assert "the AUC of thaw2-A is 0.500" in said
    assert "that of the answer is" in said


@pytest.mark.parametrize(
    ("units", "fewest", "grouped", "said"),
    [
        (40, 12, False, "only 400 validation images, and 12 images of 'ill' among them"),
        (40, 12, True, "only 400 validation images of 40 patients, and 12 patients of 'ill' among them"),
        (300, 1, False, "1 image of 'ill' among them"),
        (300, 10, False, ""),
    ],
)
def test_few_validation_images_are_said_with_what_they_choose(units, fewest, grouped, said):
    found = {"images": 400, "units": units, "rarest": "ill", "fewest": fewest, "grouped": grouped}
    sentences = say_validation({"task": "single-label", "positive": "ill", "validation": found})
    assert [said in sentence and "and the threshold" in sentence for sentence in sentences] == [True] * bool(said)
    several = say_validation({"task": "single-label", "positive": "ill", "validation": found}, are_several=True)
    assert ("threshold" in str(sentences), "threshold" in str(several)) == (bool(sentences), False)
    assert "threshold" not in str(say_validation({"task": "ordinal", "positive": None, "validation": found}))


def test_how_few_validation_images_chose_in_what_was_tried_is_the_number_that_was_counted():
    found = {"images": 15, "units": 15, "rarest": "ill", "fewest": 7, "grouped": False}
    data = {"task": "single-label", "positive": "ill", "validation": found}
    (said,) = say_validation(data, 33)
    assert (
        "only 15 validation images, and 7 images of 'ill' among them; in each fold of what was tried there were 33."
        in said
    )
    assert "tried there" not in say_validation(data)[0]


def test_what_more_images_bring_to_a_head_is_not_said_of_a_network_that_was_trained_further():
    plain, further = (find_next(curve=curve(), answer={**ANSWER, "trained": trained})[0] for trained in (False, True))
    assert "was trained further than such a head" in further["says"]
    assert further["says"].startswith(plain["says"])
