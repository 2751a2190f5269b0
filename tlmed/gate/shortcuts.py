"""Shortcuts: how well the class follows from what is not the finding, before a network learns it."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from tlmed.gate.association import Bins, Linear, find_rates
from tlmed.gate.checked import Checked
from tlmed.gate.evidence import Evidence, leave_out_closed, take_rows
from tlmed.gate.grouped_folds import deal_folds, find_owners
from tlmed.gate.nuisances import FILE, FRAME_PART, HEADER, Nuisance, list_nuisances, read_orders
from tlmed.gate.significance import Significance, find_significance
from tlmed.gate.told_shortcuts import Battery, tell_shortcuts
from tlmed.seeds import derive

FOLDS = 5
MOST_IMAGES = 10_000  # more are sampled
MOST_CLASSES = 20  # those with most images are asked for
_MOST, _FEWER = 499, 199  # permutations
_LARGE = 100_000  # images times classes, from which fewer permutations are made
_OWNERS, _EACH = 12, 4  # patients, or images that stand alone: in all, and of a class at least
_SUBGROUPS = 20  # values of a column that are counted
_FRAME = "outer frame of a small picture, by a linear model"
_HEADER = "file and header as a whole, by a linear model"
_LEVEL = 1.0  # of 255: a pixel of the frame that varies less is not enlarged
_MADE, _SEVERAL = (FILE, HEADER), 3  # from so many facts of them on a model is made of all


def check_shortcuts(evidence: Evidence) -> Checked:
    """Find what tells the class of an image without showing the finding.

    Tested are facts of files and headers, words and numbers in file names, brightness, borders, corners, marks, a
    linear model on the outer frame, and further columns of a table. Each has a cross-validated area under the ROC
    curve; folds keep patients and copies together; p-values are by permutation of labels between patients, corrected
    over all tests.

    Args:
        evidence: Of n images, of which closed ones are left out. More than `MOST_IMAGES` are sampled, which is said.

    Returns:
        Errors where classes lie in different kinds of files or come from different devices entirely; warnings for all
        else that is significant and has an area of 0.6 or more. Figures: all tests, and counts of classes by the
        values of further columns.
    """
    evidence = leave_out_closed(evidence)
    figures = {"subgroups": _count_subgroups(evidence)}
    random = np.random.RandomState(derive(evidence.seed, "gate", "shortcuts"))
    evidence, said = _sample(evidence, random)
    answers, names, more = _ask(evidence)
    said += more
    owners = find_owners(evidence) if len(evidence) else np.zeros(0, int)
    if reason := _find_obstacle(evidence, answers, owners):
        return Checked("shortcuts", (), {**figures, "tests": []}, (*said, reason))
    # Products of small matrices: threads that wait for each other take several times as long, where cores are busy.
    with threadpool_limits(1):
        battery, found = _test(evidence, answers, names, owners, random)
    figures |= {
        "images": len(evidence),
        "owners": int(owners.max()) + 1,
        "permutations": found.permutations,
        "tests": _list_tests(battery, found),
    }
    return Checked("shortcuts", tell_shortcuts(evidence, battery, found), figures, tuple(said))


def _sample(evidence: Evidence, random: np.random.RandomState) -> tuple[Evidence, list[str]]:
    if len(evidence) <= MOST_IMAGES:
        return evidence, []
    owners = find_owners(evidence)
    order = random.permutation(owners.max() + 1)
    within = np.cumsum(np.bincount(owners)[order]) <= MOST_IMAGES
    within[0] = True  # one patient may have more images than that
    rows = np.flatnonzero(np.isin(owners, order[within]))
    said = f"Shortcuts were looked for in {len(rows):,} of {len(evidence):,} images, patients whole, drawn at random."
    return take_rows(evidence, rows), [said]


def _ask(evidence: Evidence) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Return the answers, int8 [n, m] of 1, 0 and -1, what each column asks for, and what is left out."""
    table = evidence.table
    if table.is_multi:
        return table.labels.astype(np.int8), tuple(table.classes), []
    sizes = np.bincount(table.labels, minlength=len(table.classes))
    present = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    asked = np.sort(present[:MOST_CLASSES])
    said = []
    if len(present) > MOST_CLASSES:
        said = [f"Shortcuts to {MOST_CLASSES} of {len(present):,} classes were looked for: those with most images."]
    if len(asked) == 2:
        asked = asked[1:]  # one class is what the other is not
    return (table.labels[:, None] == asked).astype(np.int8), tuple(table.classes[number] for number in asked), said


def _find_obstacle(evidence: Evidence, answers: np.ndarray, owners: np.ndarray) -> str:
    """Return why nothing can be tested; "" if something can."""
    amount = len(np.unique(owners))
    who = "patients or images that stand alone" if evidence.table.groups is not None else "different images"
    if amount < _OWNERS:
        return f"Shortcuts were not looked for: that takes {_OWNERS} {who} or more, and there are {amount}."
    for column in answers.T:
        if min(len(np.unique(owners[column == answer])) for answer in (0, 1)) >= _EACH:
            return ""
    return f"Shortcuts were not looked for: that takes two classes with {_EACH} {who} or more."


def _test(
    evidence: Evidence, answers: np.ndarray, names: tuple[str, ...], owners: np.ndarray, random: np.random.RandomState
) -> tuple[Battery, Significance]:
    folds = deal_folds(np.zeros(len(owners), int), owners, FOLDS, random)  # labels must not decide folds: they move
    nuisances = list_nuisances(evidence, owners)
    bins = Bins([each.bins for each in nuisances], folds)
    linear = [
        (named, Linear(values, folds, random, least))
        for named, values, least in _list_linear(evidence, nuisances, owners)
    ]
    ones, zeros = bins.count(answers)
    rates = find_rates(ones, zeros)

    def score(test: int, column: int) -> np.ndarray:
        if test >= len(nuisances):
            return linear[test - len(nuisances)][1].score(answers[:, [column]])[:, 0]
        return rates[test, nuisances[test].bins, folds, column]

    battery = Battery((*nuisances, *(named for named, _ in linear)), answers, score, names, evidence.table.is_multi)

    def measure(rows: np.ndarray) -> np.ndarray:
        taken = answers[rows.T].reshape(len(answers), -1)  # [n, m * columns]
        areas = np.concatenate([bins.measure(taken), *(model.measure(taken)[None] for _, model in linear)])
        areas = np.swapaxes(areas.reshape(len(areas), len(rows), answers.shape[1]), 1, 2)
        return np.concatenate([areas.mean(axis=1, keepdims=True), areas], axis=1) if battery.has_mean else areas

    most = _MOST if answers.size <= _LARGE else _FEWER
    return battery, find_significance(measure, owners, most, random)


def _list_linear(
    evidence: Evidence, nuisances: Sequence[Nuisance], owners: np.ndarray
) -> Iterator[tuple[Nuisance, np.ndarray, float]]:
    """Yield what linear models look at: a name, numbers [n, d], and the deviation below which they are not enlarged."""
    unbinned = np.zeros(len(evidence), int)
    ring = evidence.frames["ring"]
    if (ring != ring[:1]).any():
        yield Nuisance(_FRAME, FRAME_PART, unbinned), ring, _LEVEL
    parts = [each.bins[:, None] == np.unique(each.bins) for each in nuisances if each.certain and each.family in _MADE]
    if len(parts) >= _SEVERAL and any(each.family == HEADER for each in nuisances):
        values = np.concatenate(parts, axis=1)
        yield Nuisance(_HEADER, HEADER, unbinned), values, 1 / np.sqrt(len(evidence))
    for nuisance, values in read_orders(evidence, owners):
        yield nuisance, values, 1 / np.sqrt(len(evidence))


def _list_tests(battery: Battery, found: Significance) -> list[dict]:
    known = (battery.answers >= 0).sum(axis=0)
    rows = []
    for test, nuisance in enumerate(battery.nuisances):
        areas, corrected = found.areas[test].round(4).tolist(), found.corrected[test].round(5).tolist()
        for place in range(len(battery.names) if battery.is_multi else 1):
            row = {"name": nuisance.name, "family": nuisance.family}
            if battery.is_multi:
                row["label"] = battery.names[place]
            row |= {"auc": areas[place], "p": round(float(found.p[test, place]), 5), "p_corrected": corrected[place]}
            if battery.has_mean:
                row["auc_of_classes"] = dict(zip(battery.names, areas[1:], strict=True))
                row["p_corrected_of_classes"] = dict(zip(battery.names, corrected[1:], strict=True))
            rows.append({**row, "images": int(known[place])})
    return sorted(rows, key=lambda row: (row["p_corrected"], -row["auc"]))


def _count_subgroups(evidence: Evidence) -> dict[str, dict[str, dict[str, int]]]:
    """Return how many images of each class, or with each label, have each value of the columns with few values."""
    table = evidence.table
    holds = [(name, table.has(number)) for number, name in enumerate(table.classes)]
    found = {}
    for column, texts in table.traits.items():
        values = sorted(Counter(texts))
        if len(values) > _SUBGROUPS:
            continue
        rows = {value: np.array([text == value for text in texts], bool) for value in values}
        found[column] = {value: {name: int((rows[value] & held).sum()) for name, held in holds} for value in values}
    return found
