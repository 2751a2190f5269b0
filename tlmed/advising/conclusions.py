"""What follows from an advice: is there anything to learn, what to do next, and how sure all this is."""

import shlex
from collections.abc import Mapping, Sequence

from tlmed.advising.goals import Goal
from tlmed.advising.part_scores import is_above_chance
from tlmed.advising.stories import Story
from tlmed.advising.work import CHANCE
from tlmed.metrics.names import name_inline
from tlmed.metrics.proportions import read_freedom
from tlmed.run_files.advice_files import DROPPED, KEPT, LEARNABLE, NOT_LEARNABLE, STOPPED, UNSURE, UNTRIED
from tlmed.run_files.advice_scores import count_test
from tlmed.tasks import MULTI_LABEL
from tlmed.words import begin_sentence, count, span, thousandths

_WORTH = 0.01  # of AUC: less is not worth collecting images for
_MANY_LABELS = 0.01  # of the images, from which on labels that may be wrong are what to look at next
_OTHER_SIDE = {"sensitivity": "specificity", "specificity": "sensitivity"}
_FEW_VALIDATION, _FEW_OF_CLASS = 100, 10  # patients or images, below which choices by them rest on luck, too
_WIDE = 0.1  # width of an interval from which on more test images are what is needed
_OPPOSITE = "The test images say the opposite of what was learnt"
_NOT_TESTED = "The test images alone do not show that there is anything to learn"
# Degrees of freedom of the interval. With four times as many, it is t_95(4 n) / t_95(n) / 2 as wide: 0.45 to 0.5 of
# what it is from 10 on, 0.41 at 5, and 0.11 at 1, where two patients with many images decide how wide it is.
_LEAST_FREEDOM = 10


def judge_learnable(
    found: Mapping, tested: Mapping, untried: str = "", curve: Mapping | None = None, backbone: str = ""
) -> dict:
    """Return whether there is anything to learn: whether both intervals of the AUC lie above guessing.

    Where the learning curve of the check says another thing, that is said, too, and nothing is denied that it shows.

    Args:
        found: The AUC of what was decided, on development images: `value`, `low`, `high`, `n`.
        tested: That of the answer on test images: `value`, `low`, `high`.
        untried: Whose AUC `found` is, where what was decided was not tried on development images.
        curve: The learning curve; None: there is none.
        backbone: What was decided for.
    """
    verdict = _judge_scores(found, tested, untried)
    if curve is None or (verdict["learnable"] != NOT_LEARNABLE) == _is_curve_above(curve):
        return verdict
    if verdict["learnable"] == NOT_LEARNABLE:
        scores = (
            f"On the development images, the AUC of {untried or 'what was decided for'} is "
            f"{show_score(found)}, which does not lie above 0.5, guessing."
        )
        said = [scores, f"The learning curve lies above it: {_say_curve(curve)}.", _say_why(curve, backbone)]
        return {"learnable": UNSURE, "says": said}
    said = f"The learning curve alone does not show that: {_say_curve(curve)}."
    return {**verdict, "says": [*verdict["says"], said, _say_why(curve, backbone)]}


def _is_curve_above(curve) -> bool:
    return curve["points"][-1]["low"] > CHANCE


def _say_curve(curve) -> str:
    """Say what the learning curve is of, and where it ends."""
    last = curve["points"][-1]
    return (
        f"the {curve['metric']} of a linear head{_say_whose(curve)}, fitted on {last['n']:,} training images and "
        f"tested on other training images, is {show_score({**last, 'value': last['auc']})}"
    )


def _say_why(curve, backbone) -> str:
    """Say why a learning curve and what was decided for may differ; the latter may be such a head, too."""
    said = "The curve is of training images alone, in other folds"
    if curve.get("features") in (None, backbone):
        return f"{said}; where there is little to see, either may find it, or miss it, by luck."
    return (
        f"{said}, and of another network than {backbone}: what one network sees another may miss, and where there is "
        "little to see, either may err by luck."
    )


def warn_of_copies(tested: Mapping, answer: Mapping) -> list[str]:
    """Return that the test images show something only because of copies, in a sentence; nothing where that is not so.

    Args:
        tested: The AUC of all test images.
        answer: What `advice.json` says of the answer.
    """
    if (without := answer.get("without_copies")) is None or not is_above_chance(tested):
        return []
    if not without["n"]:
        return ["Each test image repeats a development image, or its patient has one there: they show nothing new."]
    if is_above_chance(alone := without["metrics"]["auc"]):
        return []
    return [
        f"Only copies make the test images show that there is something to learn: on the {without['n']:,} of them that "
        f"repeat no development image, the AUC is {show_score(alone)}, and 0.5 is guessing."
    ]


def _judge_scores(found, tested, untried) -> dict:
    shown, is_tested = show_score(tested), is_above_chance(tested)
    if not is_above_chance(found):
        if is_tested:
            return {"learnable": UNSURE, "says": [_say_tested_alone(found, shown, untried)]}
        said = [
            f"Nothing to learn was found: on the development images, the AUC of {untried or 'what was decided for'} is "
            f"{show_score(found)}, and 0.5 is guessing."
        ]
        if found["high"] is not None and found["high"] - found["low"] > 2 * _WIDE:
            said.append(
                f"With so few images ({found['n']:,}), there may be something all the same: the interval is wide."
            )
        return {"learnable": NOT_LEARNABLE, "says": said}
    if not is_tested:
        first = _OPPOSITE if tested.get("high") is not None and tested["high"] < CHANCE else _NOT_TESTED
        whose = f"that of {untried}" if untried else "it"
        said = (
            f"{first}: the AUC is {shown}, and 0.5 is guessing. On the development images {whose} was "
            f"{show_score(found)}."
        )
        return {"learnable": UNSURE, "says": [said]}
    whose = f" (of {untried})" if untried else ""
    both = f"{show_score(found)} on {count(found['n'], 'development image')}{whose} and {shown} on the test images"
    return {"learnable": LEARNABLE, "says": [f"The AUC is {both}; both intervals lie above 0.5, which is guessing."]}


def _say_tested_alone(found, shown, untried) -> str:
    return (
        f"The development images alone do not show that there is anything to learn: the AUC of "
        f"{untried or 'what was decided for'} is {show_score(found)}, and 0.5 is guessing. On "
        f"the test images, that of the answer is {shown}."
    )


def show_score(entry: Mapping) -> str:
    """Return a score with its interval in words.

    >>> show_score({"value": 0.8, "low": 0.7, "high": 0.9}), show_score({"value": 0.8})
    ('0.800 (95 % interval 0.700 to 0.900)', '0.800 (without an interval)')
    """
    value, low, high = (entry.get(part) for part in ("value", "low", "high"))
    if value is None:
        return "not defined"
    bounds = "without an interval" if low is None else f"95 % interval {span(value, low, high)}"
    return f"{thousandths(value)} ({bounds})"


def say_goal(goal: Goal, answer: Mapping) -> list[str]:
    """Return whether the goal was reached, in a sentence; nothing for a goal without a least value.

    Args:
        goal: The goal.
        answer: What `advice.json` says of the answer.
    """
    if goal.least is None:
        return []
    metrics, name = answer["metrics"], name_inline(goal.target)
    entry = metrics.get(goal.target) or {}
    if entry.get("value") is None:
        return [f"The goal {goal.text} could not be judged: the {name} is not defined on the test images."]
    shown = f"{show_score(entry)}{_say_price(goal, metrics)}"
    reached = begin_sentence(_say_reached(f"the goal {goal.text}", entry, goal.least))
    said = [f"{reached}: the {name} is {shown}."]
    without = answer.get("without_copies", {"metrics": {}})
    if (alone := without["metrics"].get(goal.target, {})).get("value") is None:
        return said
    reached = _say_reached("it", alone, goal.least)
    return [*said, f"Without copies of development images, {reached}: {show_score(alone)}."]


def _say_reached(what, entry, least) -> str:
    if entry["low"] is not None and entry["low"] >= least:
        return f"{what} is reached"
    if entry["high"] is not None and entry["high"] < least:
        return f"{what} is not reached"
    return f"whether {what} is reached cannot be told"


def _say_price(goal, metrics) -> str:
    """Say what the other side of a threshold is worth: a sensitivity alone is reached by calling all images ill."""
    other = _OTHER_SIDE.get(goal.target, "")
    entry = metrics.get(other) or {}
    if entry.get("value") is None:
        return ""
    return f"; at that threshold the {other} is {show_score(entry)}"


def list_next(story: Story) -> list[dict]:
    """Return what to do next, the most useful first.

    Args:
        story: The advice with its answer and verdict.
    """
    gate, answer = story.gate, story.answer
    said = []
    if amount := len(gate["shortcuts"]):
        which, them, are = ("shortcut", "it", "it is") if amount == 1 else (f"{amount:,} shortcuts", "them", "they are")
        text = (
            f"Look at the {which} that the check found before anything else: a network can use {them} in place of the "
            f"finding, and would fail where {are} missing."
        )
        said.append({"what": "shortcut", "says": text})
    if untaught := story.experience.get("untaught"):
        said.append({"what": "networks", "says": untaught})
    labels = gate["kinds"].get("label", 0)
    if labels > _MANY_LABELS * story.data["development"]:
        text = (
            f"Look at the {count(labels, 'image')} whose label may be wrong ({gate['page']}): wrong labels cost most."
        )
        said.append({"what": "labels", "says": text})
    said += _say_images(story.curve, answer, story.parts)
    said += _say_computing(_list_tried(story.steps))
    if story.verdict["learnable"] != NOT_LEARNABLE:
        command = f"tlmed evaluate {shlex.quote(str(story.request.folder / answer['path']))} --data OTHER"
        text = (
            f"Try the answer on images of another scanner or hospital: `{command}` says how it does there. Nothing in "
            "these images can."
        )
        said.append({"what": "scanner", "says": text})
    return said


def _say_images(curve, answer, parts) -> list[dict]:
    said = []
    if curve is not None and curve["points"][-1]["low"] <= CHANCE:
        now = curve["points"][-1]
        said.append(
            {
                "what": "images",
                "says": "Whether more images would help, the learning curve cannot tell: a linear head"
                f"{_say_whose(curve)} is not above guessing yet (AUC {thousandths(now['auc'])}, 95 % interval "
                f"{span(now['auc'], now['low'], now['high'])}).",
            }
        )
    elif curve is not None:
        now, later = curve["points"][-1], curve["forecast"][0]
        kind = "images" if answer["groups"] is None else "patients"
        interval = f"90 % interval {span(later['auc'], later['low'], later['high'])}"
        expected = (
            f"{thousandths(later['auc'])} for a linear head{_say_whose(curve)} with {later['times']} times as many "
            f"{kind} ({interval}), now {thousandths(now['auc'])}"
        )
        above = _find_score_above(answer, now)
        already = "" if above is None else f" and is above this already (AUC {thousandths(above)})"
        further = f" The answer was trained further than such a head{already}: it may gain more or less."
        text = f"{_say_help(now, later, above is not None)}: the learning curve expects an AUC of {expected}."
        said.append({"what": "images", "says": f"{text}{further if answer.get('trained') else ''}"})
    if answer["low"] is None:
        text = f"More test images are needed: with {count_test(answer)} no interval says how sure this is."
        said.append({"what": "images", "says": text})
    elif answer["high"] - answer["low"] > _WIDE:
        said.append({"what": "images", "says": _say_width(answer, parts)})
    return said


def _find_score_above(answer, now) -> float | None:
    """Return the AUC of an answer that was trained further than the learning curve's head and is above it; or None."""
    found = answer.get("metrics", {}).get("auc", {}).get("value")
    return found if answer.get("trained") and found is not None and found > now["auc"] else None


def _say_help(now, later, is_above) -> str:
    """Say whether more images help: for sure only where the interval of what is expected allows nothing else.

    The curve is that of a head: where the answer is above it already, it promises nothing of the answer.
    """
    if later["high"] - now["auc"] < _WORTH and not is_above:
        return "More images of the same kind would add little"
    if later["low"] > now["auc"] and later["auc"] - now["auc"] >= _WORTH and not is_above:
        return "More images would help"
    return "More images may help, or add little"


def _say_width(answer, parts) -> str:
    """Say what would make the interval of the answer narrower; by how much only where that is known."""
    kind, units = ("image", answer["n"]) if answer["groups"] is None else ("patient", answer["groups"])
    methods = [answer.get("method"), *(part["test"]["method"] for part in parts)]
    freedoms = [freedom for freedom in map(read_freedom, methods) if freedom is not None]
    halved = ""
    if min([units, *freedoms]) >= _LEAST_FREEDOM and answer["low"] > 0 and answer["high"] < 1:
        halved = f", and four times as many {kind}s would about halve it"
    return (
        f"More test {kind}s would make the answer surer: with {count_test(answer)}, the interval is "
        f"{answer['high'] - answer['low']:.2f} wide{halved}."
    )


def _say_whose(curve) -> str:
    return f" on the features of {curve['features']}" if curve.get("features") else ""


def _list_tried(steps) -> list[Mapping]:
    return [each for step in steps for each in step["tried"]]


def _say_computing(tried) -> list[dict]:
    unscored = [each for each in tried if each["decision"] in (UNTRIED, STOPPED) or each["score"] is None]
    late = [each for each in unscored if "budget" in each["reason"]]
    if late:
        trusted = [each["name"] for each in late if each["decision"] == KEPT]
        others = [each["name"] for each in late if each["decision"] != KEPT]
        said = []
        if others:
            names = ", ".join(others)
            said.append(f"A larger --budget, in another --out, would try what this one had no time for: {names}.")
        said += [
            f"The answer, {name}, was trained without a trial; a larger --budget, in another --out, would allow one."
            for name in trusted
        ]
        return [{"what": "computing", "says": " ".join(said)}]
    gains = [each for each in tried if each["gain"] is not None and each["gain"]["value"] is not None]
    if gains and gains[-1]["decision"] == DROPPED:
        text = (
            f"More computing is not expected to help: the last that was tried, {gains[-1]['name']}, was not better by "
            "more than its noise."
        )
        return [{"what": "computing", "says": text}]
    return []


def say_sure(steps: Sequence[Mapping], found: Mapping, answer: Mapping, untried: str = "") -> list[str]:
    """Return how sure the answer is: what its score rests on, and what it does not say.

    Args:
        steps: What was tried.
        found: The score of what was decided, on development images.
        answer: What `advice.json` says of the answer.
        untried: Whose score `found` is, where what was decided was not tried on development images.
    """
    compared = [each for each in _list_tried(steps) if each["score"] is not None]
    score = f"{name_inline(found['metric'])} {thousandths(found['value'])}"
    said = [f"The score of the answer rests on {count_test(answer)}.", *_say_alone(answer), *_say_folds(answer)]
    if untried:
        return [
            *said,
            f"What was decided was not tried on the development images: the budget had no time for it. {untried} had "
            f"{score} there; that what was decided is better was found on other images, and is not known of these.",
        ]
    if len(compared) == 1:
        return [*said, f"One option was tried; on the development images it had {score}."]
    copied = ", but may be too high because some of them repeat development images" if answer.get("copies") else ""
    return [
        *said,
        f"{count(len(compared), 'option')} were compared on the development images. The score there of the one that "
        f"was chosen ({score}) took part in the choice, so that luck may have made it too high; that on the test "
        f"images did not{copied}.",
        "An option takes the place of a simpler one only if it is better by more than one standard error of their "
        "difference, or, of all layers and of adapters, if what was measured and other images together let "
        "expect a gain. A smaller true gain can be missed.",
    ]


def _say_alone(answer) -> list[str]:
    """Return what the first of several networks scores alone, which nobody should choose by."""
    alone = answer.get("alone") or {}
    if alone.get("value") is None:
        return []
    return [
        f"The first network alone, in `run/`, has {name_inline(answer['metric'])} {thousandths(alone['value'])} on the "
        "same test images. That several answer was decided before; whoever now takes the better one of these chooses "
        "by the test images, which then no longer test it."
    ]


def _say_folds(answer) -> list[str]:
    """Say of what the scores on development images are where networks of folds answer, too."""
    if "members" not in answer:
        return []
    return [
        f"Of the {answer['members']:,} networks that answer, one was trained on all development images, and each other "
        "one on a part of them. Scores on development images are of one network alone: together they are expected to "
        "do better, and only the test images show how they do."
    ]


def say_validation(data: Mapping, tried: int | None = None, are_several: bool = False) -> list[str]:
    """Return what few validation images do to the choice; nothing where there are many.

    Args:
        data: What `advice.json` says of the images.
        tried: How many validation images chose in a fold of what was tried; None: not known.
        are_several: Whether networks of folds answer, too, whose images choose the threshold.
    """
    found = data["validation"]
    if found["units"] >= _FEW_VALIDATION and found["fewest"] >= _FEW_OF_CLASS:
        return []
    kind, of = ("patient", f" of {count(found['units'], 'patient')}") if found["grouped"] else ("image", "")
    there = "" if tried is None else f"; in each fold of what was tried there were {tried:,}"
    has_none = are_several or (data["task"] != MULTI_LABEL and data["positive"] is None)
    threshold = "" if has_none else ", and the threshold"
    return [
        f"There are only {count(found['images'], 'validation image')}{of}, and {count(found['fewest'], kind)} of "
        f"{found['rarest']!r} among them{there}. Within each training they choose which "
        f"epoch and phase is kept{threshold}: other ones might choose otherwise. No score here is of images that chose "
        "within the same training, but which option did best depends a little on this luck, too."
    ]
