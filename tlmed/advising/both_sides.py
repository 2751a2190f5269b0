"""Whether development and test images say the same, and what a mean over labels or classes hides."""

from collections.abc import Mapping, Sequence

from tlmed.advice_report import PARTS
from tlmed.advising.conclusions import show_score
from tlmed.advising.work import CHANCE
from tlmed.run_files.advice_files import LEARNABLE, UNSURE
from tlmed.words import count, listed

_LEVEL = 0.05  # of the test that two AUCs differ
_NAMED = 5  # parts in a sentence
_GIVEN = (
    "The test split was given, so look for what sets it apart: labels that were given otherwise, another scanner or "
    "hospital, other patients. How frequent each of two classes is cannot be the reason: their AUC does not depend on "
    "it."
)
_DRAWN = (
    "The test images were drawn at random from the same images, so that other labels or another scanner are no "
    "reason: chance, or a few patients unlike the others, may be."
)
_MORE = "The answer was trained on more images than what was tried, which may be a part of it."
_SWAPPED = (
    "An AUC below 0.5 by more than chance means that the classes are told apart and called the other way round: look "
    "whether the labels of the test images are swapped."
)


def is_apart(difference: Mapping | None) -> bool:
    """Tell whether two AUCs differ by more than chance."""
    return difference is not None and difference["p"] < _LEVEL


def say_apart(found: Mapping, tested: Mapping, difference: Mapping | None, drawn: bool, untried: str = "") -> list[str]:
    """Return how development and test images contradict each other, and what that may mean; nothing where they do not.

    Args:
        found: The AUC on development images.
        tested: That of the answer on test images.
        difference: The first less the second.
        drawn: Whether tlmed drew the test images from all.
        untried: Whose AUC `found` is, where what was decided was not tried on development images.
    """
    if not is_apart(difference):
        return []
    whose = f" (of {untried}, as the answer itself was not tried there)" if untried else ""
    both = f"the AUC is {show_score(found)} on development images{whose} and {show_score(tested)} on test images"
    if found["low"] > tested["high"] or found["high"] < tested["low"]:
        said = [
            f"Development and test images contradict each other: {both}; the 95 % intervals have nothing in common."
        ]
    else:
        said = [
            f"Development and test images differ by more than chance explains: {both}; the difference is "
            f"{show_score(difference)}."
        ]
    said.append(_DRAWN if drawn else _GIVEN)
    if tested["high"] < CHANCE:
        said.append(_SWAPPED)
    return said if difference["value"] > 0 else [*said, _MORE]


def say_parts_apart(parts: Sequence[Mapping], task: str) -> list[str]:
    """Return of which labels, classes or cuts the two contradict each other, in a sentence; nothing where they do not.

    Args:
        parts: As `advice.json` says them.
        task: Of `tlmed.tasks`.
    """
    apart = [each for each in parts if is_apart(each["difference"])]
    if not apart:
        return []
    return [
        f"Development and test images differ by more than chance explains for {_count_some(apart, parts, task)}: "
        f"{_list(apart)}."
    ]


def say_difference(difference: Mapping | None, untried: str = "") -> list[str]:
    """Return how well the two agree, for how sure an advice is; nothing where that is not known.

    Args:
        difference: As `measure_difference` returns it.
        untried: Likewise, whose AUC on development images there is.
    """
    if difference is None:
        return [_say_other(untried)] if untried else []
    beyond = "more" if is_apart(difference) else "no more"
    said = f"The AUC on development images less that on test images is {show_score(difference)}: {beyond} than "
    return [f"{said}chance explains{f', although the first is that of {untried}' if untried else ''}."]


def _say_other(untried) -> str:
    return (
        f"On development images there are scores of {untried} alone, which is another network than the answer: how "
        "these differ from the scores on test images says nothing of the images."
    )


def weigh_parts(verdict: Mapping, parts: Sequence[Mapping], task: str, untried: str = "") -> dict:
    """Return a verdict that covers no label, class or cut of which nothing is shown, and hides none of which it is.

    Args:
        verdict: What the mean over all says.
        parts: As `advice.json` says them.
        task: Of `tlmed.tasks`.
        untried: Whose their AUCs on development images are, where what was decided was not tried there.
    """
    shown, hidden = ([each for each in parts if each["shown"] is is_shown] for is_shown in (True, False))
    if verdict["learnable"] == LEARNABLE and hidden:
        warning = (
            f"For {_count_some(hidden, parts, task)} nothing is shown to be learnt, whatever the AUC of all says: "
            f"{_list(hidden, untried)}. Only where both intervals lie above 0.5, guessing, is it shown."
        )
        return {**verdict, "warnings": [warning]}
    if verdict["learnable"] != LEARNABLE and shown:
        covered = f"The AUC of all hides that for {_count_some(shown, parts, task)} both intervals lie above 0.5"
        said = f"{covered}: {_list(shown, untried)}."
        return {**verdict, "learnable": UNSURE, "says": [*verdict["says"], said]}
    return dict(verdict)


def _count_some(some, parts, task) -> str:
    return f"{len(some):,} of {count(len(parts), PARTS[task])}"


def _list(parts, untried="") -> str:
    return listed((_say_both(part, untried) for part in parts), _NAMED)


def _say_both(part, untried) -> str:
    development, test = (show_score(part[name]) for name in ("development", "test"))
    whose = f" (of {untried})" if untried else ""
    return f"{part['name']!r} (AUC {development} on development images{whose}, {test} on test images)"
