"""Shortcuts as a person is told of them: those that go together in one finding, what it means, and what to do."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tlmed.findings import ERROR, SHORTCUT, WARNING, Finding
from tlmed.gate.evidence import Evidence
from tlmed.gate.nuisances import BRIGHTNESS, COLUMN, FILE, FRAME_PART, HEADER, NAME, Nuisance
from tlmed.gate.significance import Significance
from tlmed.words import count, join_names

LEVEL = 0.05  # of p after correction
LEAST = 0.6  # of an area; a smaller one is in the figures only
_ENTIRE = 0.98  # an area from which the class follows entirely, or nearly
_ALIKE = 0.5  # correlation of scores from which two shortcuts are one
_SHOWN = 3  # images of each side that a finding names
_ONE = (FRAME_PART, NAME, BRIGHTNESS)  # what is told of these is one finding, whatever goes with what
_NAMED = 12  # things beside the strongest that a sentence names
_DIFFERS = "in another hospital, or with another device"
_MEANING = {
    "made": (
        "This is no finding: a network can learn it instead of the finding, and its scores then do not hold "
        f"{_DIFFERS}."
    ),
    "framed": (
        "Unless the finding itself reaches the border, a network can learn the frame instead of it, and its scores "
        f"then do not hold {_DIFFERS}."
    ),
    "shown": (
        "This may be the disease itself, as a pneumonia is white, or only the way in which images were made: the "
        "figures cannot tell these apart."
    ),
    "named": (
        "No network sees a name, but classes that are named apart were probably collected or exported apart, and may "
        "differ in other things that are no finding."
    ),
    "listed": (
        "If it is neither a cause nor a sign of the finding, a network can learn what goes with it, and its scores "
        "then do not hold where that is different."
    ),
    "same": "It may be the label in other words, or a finer one: is it known only after the diagnosis?",
}
_CURE = {
    FILE: "Get all classes from each source, or save all images in one way (size, format, depth) from the originals.",
    HEADER: "Get all classes from each device, compare them within one, and report scores for each.",
    FRAME_PART: "Look at borders and corners of images of all classes; crop or cover them in all images alike.",
    BRIGHTNESS: "Look at images of all classes side by side.",
    NAME: "Find out where the images of each class come from, and look at what else differs.",
    COLUMN: "Take as many images of each class from each of its values, or report scores for each value.",
}
# Of more than 8 bits; what has less was made gray levels by somebody else, perhaps by several windows.
_WINDOW = " Show all by the same window (`data.window`)."
_BYTE = 8
_SAME_CURE = "If so, all is well: leave it out of what predicts. If not, treat it as a shortcut."


@dataclass(frozen=True, eq=False)
class Battery:
    """All tests of some images.

    Attributes:
        nuisances: What is tested.
        answers: int8 [n, m] of 1, 0 and -1 (unknown).
        score: A test and a column of answers to the score of each image by other folds, [n].
        names: What each column asks for.
        is_multi: Whether the columns are labels, of which an image may have several.
    """

    nuisances: tuple[Nuisance, ...]
    answers: np.ndarray
    score: Callable[[int, int], np.ndarray]
    names: tuple[str, ...]
    is_multi: bool = False

    @property
    def has_mean(self) -> bool:
        """Whether the first question is the mean over three classes or more, and the others are each of them."""
        return not self.is_multi and len(self.names) > 1


@dataclass(frozen=True, eq=False)
class _Told:
    """Tests that go together, the strongest first, of one question, and the score of the strongest."""

    tests: list[int]
    question: int
    column: int
    score: np.ndarray


def tell_shortcuts(evidence: Evidence, battery: Battery, found: Significance) -> tuple[Finding, ...]:
    """Return a finding for each shortcut, the worst first.

    Args:
        evidence: Of the images that were tested.
        battery: The tests.
        found: What came of them: for each test the questions that `Battery` says.
    """
    told = [_tell(evidence, battery, found, one) for one in _join(battery, found)]
    return tuple(sorted(told, key=lambda finding: finding.level != ERROR))


def _join(battery: Battery, found: Significance) -> list[_Told]:
    """Put tests beside the strongest of those that go with them."""
    leaders: list[_Told] = []
    for test, question in _list_strong(battery, found):
        nuisance = battery.nuisances[test]
        column = _find_column(battery, found, test, question)
        for leader in leaders:
            areas = found.areas[[test, leader.tests[0]], question]
            if leader.question == question and _goes_with(nuisance, battery.nuisances[leader.tests[0]], areas):
                whole = nuisance.family in _ONE
                if whole or _correlate(leader.score, battery.score(test, leader.column)) >= _ALIKE:
                    leader.tests.append(test)
                    break
        else:
            leaders.append(_Told([test], question, column, battery.score(test, column)))
    return leaders


def _list_strong(battery: Battery, found: Significance) -> list[list[int]]:
    """Return tests and questions that stand out, the strongest first; of classes, the mean or the clearest one."""
    strong = (found.corrected <= LEVEL) & (found.areas >= LEAST)
    if battery.has_mean:
        best = np.where(strong, found.areas, 0)[:, 1:].argmax(axis=1) + 1
        single = ~strong[:, 0] & strong.any(axis=1)
        strong[:, 1:] = False
        strong[np.flatnonzero(single), best[single]] = True
    return sorted(np.argwhere(strong).tolist(), key=lambda place: -found.areas[tuple(place)])


def _find_column(battery: Battery, found: Significance, test: int, question: int) -> int:
    if not battery.has_mean:
        return question
    return question - 1 if question else int(found.areas[test, 1:].argmax())


def _find_kind(nuisance: Nuisance) -> str:
    if nuisance.family == NAME:
        return "named"
    if nuisance.family == COLUMN or (nuisance.family == HEADER and not nuisance.certain):
        return "listed"
    if nuisance.family == FRAME_PART:
        return "framed"
    return "made" if nuisance.certain else "shown"


def _goes_with(one: Nuisance, other: Nuisance, areas: np.ndarray) -> bool:
    """Tell whether one sentence may tell of both; what may be the label in other words is asked about by itself."""
    if (one.family == COLUMN) != (other.family == COLUMN) or _find_kind(one) != _find_kind(other):
        return False
    return one.family != COLUMN or len({bool(area >= _ENTIRE) for area in areas}) == 1


def _correlate(one: np.ndarray, other: np.ndarray) -> float:
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _tell(evidence: Evidence, battery: Battery, found: Significance, told: _Told) -> Finding:
    members = [battery.nuisances[test] for test in told.tests]
    areas = found.areas[told.tests, told.question]
    first, kind = members[0], _find_kind(members[0])
    known = int((battery.answers[:, told.column] >= 0).sum())
    text = (
        f"{_name_question(battery, told)} follows from the {first.name}: AUC {areas[0]:.2f}"
        f"{_name_best(battery, found, told)}, p = {found.corrected[told.tests[0], told.question]:.3f} after correction "
        f"over {count(len(battery.nuisances), 'test')}, {count(known, 'image')}."
    )
    if others := [f"the {each.name} ({area:.2f})" for each, area in zip(members[1:], areas[1:], strict=True)]:
        rest = len(others) - _NAMED
        text += f" The same holds for {join_names([*others[:_NAMED], f'{rest:,} more'] if rest > 0 else others)}."
    is_same = first.family == COLUMN and areas[0] >= _ENTIRE
    is_entire = any(each.hard and area >= _ENTIRE for each, area in zip(members, areas, strict=True))
    return Finding(
        SHORTCUT,
        f"{text} {_MEANING['same' if is_same else kind]}",
        _pick_files(evidence, battery, told),
        ERROR if is_entire else WARNING,
        _SAME_CURE if is_same else _find_cure(evidence, COLUMN if kind == "listed" else first.family, battery.is_multi),
    )


def _find_cure(evidence, family, is_multi) -> str:
    """Return what can be done; of labels, images with and without them are what classes are to others."""
    cure = _CURE[family]
    if is_multi:
        cure = cure.replace("all classes", "images with and without the label", 1).replace("images of images", "images")
        cure = cure.replace("of each class", "with and without the label")
    deep = family == BRIGHTNESS and any(file.bits > _BYTE for file in evidence.files)
    return cure + _WINDOW * deep


def _name_question(battery: Battery, told: _Told) -> str:
    if battery.is_multi:
        return f"Whether an image has the label {battery.names[told.column]!r}"
    if battery.has_mean and told.question:
        return f"Whether an image is of class {battery.names[told.column]!r}"
    return "The class"


def _name_best(battery: Battery, found: Significance, told: _Told) -> str:
    """Return of a mean over which classes it is, and which is told best; "" for other areas."""
    if not battery.has_mean or told.question:
        return ""
    best = found.areas[told.tests[0], 1:].max()
    return f" (mean over {len(battery.names)} classes; {battery.names[told.column]!r} {best:.2f})"


def _pick_files(evidence: Evidence, battery: Battery, told: _Told) -> tuple[str, ...]:
    """Return the images that show it best: of those with the label the highest scores, of others the lowest."""
    answer = battery.answers[:, told.column]
    order = np.argsort(told.score, kind="stable")
    with_label = [row for row in order[::-1] if answer[row] == 1][:_SHOWN]
    without = [row for row in order if answer[row] == 0][:_SHOWN]
    return tuple(evidence.table.paths[row] for row in (*with_label, *without))
