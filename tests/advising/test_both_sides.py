import pytest

from tlmed.advising.both_sides import say_apart, say_difference, say_parts_apart, weigh_parts
from tlmed.advising.part_scores import join_parts, measure_difference


def bounds(value, low, high):
    return {"value": value, "low": low, "high": high}


HIGH, MILD, SWAPPED = bounds(0.961, 0.914, 1.0), bounds(0.866, 0.773, 0.925), bounds(0.134, 0.07, 0.241)
CLOSE = bounds(0.93, 0.85, 0.97)


def say(found, tested, drawn=False, untried=""):
    return say_apart(found, tested, measure_difference(found, tested, bool(untried)), drawn, untried)


@pytest.mark.parametrize(
    ("found", "tested", "first"),
    [
        (HIGH, SWAPPED, "Development and test images contradict each other"),
        (HIGH, MILD, "Development and test images differ by more than chance explains"),
        (MILD, bounds(0.98, 0.95, 0.99), "Development and test images contradict each other"),
        (HIGH, CLOSE, None),
        (HIGH, bounds(0.5, None, None), None),
    ],
)
def test_scores_that_differ_beyond_chance_are_said_to_contradict_each_other(found, tested, first):
    said = say(found, tested)
    assert [sentence.startswith(first) for sentence in said[:1]] == [True] * (first is not None)
    assert ("may be a part of it" in " ".join(said)) == (first is not None and tested["value"] > found["value"])


def test_what_a_contradiction_may_mean_depends_on_who_made_the_test_split_and_on_its_side():
    given, drawn = " ".join(say(HIGH, SWAPPED)), " ".join(say(HIGH, SWAPPED, drawn=True))
    assert "another scanner or hospital" in given
    assert "their AUC does not depend on it" in given
    assert "drawn at random from the same images" in drawn
    assert "another scanner or hospital" not in drawn
    assert ["are swapped" in text for text in (given, drawn, " ".join(say(HIGH, MILD)))] == [True, True, False]


def test_a_better_answer_than_what_was_tried_in_its_place_is_no_contradiction():
    assert say(MILD, bounds(0.98, 0.95, 0.99), untried="probe-A") == []
    assert "(of probe-A, as the answer itself was not tried there)" in say(HIGH, MILD, untried="probe-A")[0]
    lost = measure_difference(HIGH, MILD)
    assert measure_difference(MILD, HIGH, is_better=True) is None
    (said,) = say_difference(None, "probe-A")
    assert "scores of probe-A alone, which is another network than the answer" in said
    assert measure_difference(HIGH, MILD, is_better=True) == lost
    assert say_difference(lost, "probe-A")[0].endswith("although the first is that of probe-A.")
    (part,) = join_parts({"mass": MILD}, {"mass": HIGH}, is_better=True)
    assert part["difference"] is None


def test_how_well_both_agree_belongs_to_how_sure_an_advice_is():
    (agree,), (apart,) = (say_difference(measure_difference(HIGH, other)) for other in (CLOSE, MILD))
    assert "0.031 (95 % interval" in agree
    assert "no more than chance explains" in agree
    assert "0.095 (95 % interval 0.020 to 0.196): more than chance explains" in apart
    assert say_difference(None) == []


def make_parts(**scores):
    return join_parts(*({name: pair[side] for name, pair in scores.items()} for side in (0, 1)))


GOOD, NOISE = (bounds(0.97, 0.93, 1.0), CLOSE), (bounds(0.58, 0.4, 0.76), bounds(0.379, 0.175, 0.637))
YES = {"learnable": "yes", "says": ["The AUC is 0.79."]}


def test_a_label_of_which_nothing_is_learnt_is_named_whatever_the_mean_says():
    (warning,) = weigh_parts(YES, make_parts(mass=GOOD, noise=NOISE), "multi-label")["warnings"]
    assert warning.startswith("For 1 of 2 labels nothing is shown to be learnt, whatever the AUC of all says: 'noise'")
    assert "0.379 (95 % interval 0.175 to 0.637) on test images" in warning
    assert "mass" not in warning
    assert "(of probe-VGG16)" not in warning
    (of_probe,) = weigh_parts(YES, make_parts(mass=GOOD, noise=NOISE), "multi-label", "probe-VGG16")["warnings"]
    assert "on development images (of probe-VGG16), 0.379 (95 %" in of_probe
    assert weigh_parts(YES, make_parts(mass=GOOD, dark=GOOD), "multi-label") == YES
    assert weigh_parts(YES, [], "single-label") == YES
    many = {f"class {number}": NOISE for number in range(30)}
    (warning,) = weigh_parts(YES, make_parts(**many), "single-label")["warnings"]
    assert "'class 4' (AUC" in warning
    assert "and 25 more" in warning


def test_nothing_is_denied_that_one_label_shows():
    no = {"learnable": "no", "says": ["Nothing to learn was found: ..."]}
    found = weigh_parts(no, make_parts(mass=GOOD, noise=NOISE), "multi-label")
    assert found["learnable"] == "unsure"
    assert found["says"][1].startswith(
        "The AUC of all hides that for 1 of 2 labels both intervals lie above 0.5: 'mass'"
    )
    assert weigh_parts(no, make_parts(noise=NOISE), "multi-label") == no


def test_a_label_that_is_swapped_in_the_test_split_is_named_though_the_mean_hides_it():
    (said,) = say_parts_apart(make_parts(mass=GOOD, edema=(HIGH, SWAPPED)), "multi-label")
    assert "for 1 of 2 labels: 'edema' (AUC 0.961" in said
    assert say_parts_apart(make_parts(mass=GOOD, noise=NOISE), "multi-label") == []
