"""Tables of an advice: what was tried in a step, what the data are, and the steps in short."""

from collections.abc import Iterator, Mapping, Sequence

from tlmed.advice_report.advice_record import AdviceRecord, Candidate, find_best
from tlmed.advice_report.advice_sentences import say_ends, say_gain
from tlmed.metrics.names import name_inline
from tlmed.pages.amounts import flatten, interval_of, join, number
from tlmed.pages.entries import list_notes, show_cell
from tlmed.pages.glossary import explain
from tlmed.run_files.advice_files import KEPT
from tlmed.sections.image_attributes import name_images
from tlmed.tabulation import STRONG, Table, numbers, say, texts
from tlmed.words import begin_sentence, count, name_start, percent, shorten

_NONE = "-"
_LONGEST = 160  # characters of the settings of a candidate
_FACTS = {
    "task": "task",
    "images": "development images",
    "counts": "images of each class",
    "classes": "classes",
    "ratio": "images of the most frequent class for each of the rarest",
    "height": "height of a typical image, in pixels",
    "width": "width of a typical image, in pixels",
    "groups": "groups",
    "images_each": "images of a group, median",
    "units": "groups, and images that are in none",
    "fewest": "the same of the rarest class; of several labels, of all images",
    "gray": "gray",
    "mean": "mean gray level, 0 to 255",
    "deviation": "standard deviation of the gray levels of an image",
    "features": "network whose features describe the images, here and in the learning curve",
    "intrinsic_dimension": "intrinsic dimension of the features",
    "nearest_neighbour_auc": "AUC of the nearest image of another group",
    "detail": "detail that an image keeps when it is made smaller",
    "modality": "modality",
}


def tabulate_step(candidates: Sequence[Candidate]) -> Table:
    """Return what was tried in one step, a row for each, with its score, its gain, its cost and what was decided.

    Args:
        candidates: Of the step; at least one.
    """
    metrics = list(dict.fromkeys(name_inline(one.score["metric"]) for one in candidates if one.score))
    score = " or ".join(metrics) or "Score"
    head = (*texts("Name"), *numbers(score, say("Gain (", explain("noise", "noise"), ")"), "Run seconds", "At minute"))
    columns, rows = (*head, *texts("Decision", "Reason")), [_list_candidate(one) for one in candidates]
    # Where nothing of a step was tried, all its numbers would be dashes.
    shown = [place for place in range(len(columns)) if any(row[place] != _NONE for row in rows)]
    return Table([columns[place] for place in shown], [[row[place] for place in shown] for row in rows])


def _list_candidate(one) -> tuple:
    entry, gain = one.entry, say_gain(one)
    return (
        say(one.name, below=tuple(_describe(entry))),
        show_cell({"low": None, "high": None, **one.score}) if one.score else _NONE,
        say(gain[0], below=tuple(gain[1:])) if gain else _NONE,
        _number(entry.get("seconds"), 1),
        _number(entry.get("ended"), 60),
        say(entry["decision"], mark=STRONG) if entry["decision"] == KEPT else entry["decision"],
        entry["reason"],
    )


def _number(value, unit) -> str:
    return _NONE if value is None else f"{value / unit:,.1f}"


def _describe(entry) -> Iterator[str]:
    """Yield what a candidate is made of, as far as its name does not say it."""
    backbone, weights = join(entry.get("backbone")), entry.get("weights")
    if weights is not None:
        name = "" if not backbone or backbone in entry["name"] else f"{backbone}, "
        yield f"{name}{name_start(weights)}"
    settings = dict(entry.get("settings", {}))
    if said := settings.pop("changes", ""):  # words, and no field of a recipe
        yield shorten(str(said), _LONGEST)
    if settings:
        yield shorten(" ".join(list_settings(settings)), _LONGEST)


def list_settings(settings: Mapping[str, object]) -> list[str]:
    """Return the settings of a recipe as `--set` takes them.

    >>> list_settings({"data.image_size": [128, 128]})
    ['data.image_size=128,128']
    """
    return [f"{name}={value}".replace(", ", ",") for name, value in flatten(settings)]


def tabulate_parts(parts: Sequence[Mapping], kind: str) -> Table:
    """Return the AUC of each label, class or cut, a row for each, on development and on test images.

    Args:
        parts: Those of `advice.json`; at least one.
        kind: What they are.
    """
    rows = [
        (
            each["name"],
            show_cell({"low": None, "high": None, **each["development"]}),
            show_cell(each["test"]),
            _show_difference(each["difference"]),
            "yes" if each["shown"] else say("no", mark=STRONG),
        )
        for each in parts
    ]
    columns = numbers("AUC, development images", "AUC, test images", "Difference")
    shown = texts("Both above 0.5")
    return Table(
        (*texts(begin_sentence(kind)), *columns, *shown),
        rows,
        list_notes((each["name"], each["test"]) for each in parts),
    )


def _show_difference(difference) -> object:
    if difference is None:
        return _NONE
    p = f"p = {difference['p']:.2g}"
    return say(number(difference["value"]), below=(interval_of(difference), p))


def say_scores(candidates: Sequence[Candidate]) -> list[str]:
    """Return of how many images the scores are, and how their intervals were made; each once."""
    said = []
    for score in (one.score for one in candidates if one.score):
        of = f"Scores of {count(score['n'], 'development image')}" if "n" in score else "Scores of development images"
        folds = f" ({count(score['folds'], 'fold')})" if score.get("folds") else ""
        method = f"; 95 % intervals: {score['method']}" if score.get("method") else ""
        said.append(f"{of}, each by a network that was not trained on it{folds}{method}.")
    return list(dict.fromkeys(said))


def tabulate_facts(facts: Mapping[str, object]) -> Table:
    """Return what the images are, a row for each fact.

    Args:
        facts: The fingerprint of `advice.json`.
    """
    rows = [(_FACTS.get(name, name.replace("_", " ")), _say_fact(name, value)) for name, value in facts.items()]
    return Table(texts("Fact", "Value"), rows)


def _say_fact(name, value) -> str:
    if name == "detail" and isinstance(value, Mapping):
        return ", ".join(f"{size} pixels: {percent(share)}" for size, share in value.items()) or "unknown"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} ({amount})" for key, amount in value.items()) or "unknown"
    if name == "modality" and value is not None:
        return name_images(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value) if name.endswith("auc") else f"{value:.4g}"
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def tabulate_curve(curve: Mapping) -> Table:
    """Return the points of a learning curve, measured and forecast, and the law that was fitted.

    Args:
        curve: That of `advice.json`; it has at least one point.
    """
    rows = [
        (f"{point['n']:,}", number(point["auc"]), interval_of(point, "auc"), kind)
        for kind in ("measured", "forecast")
        for point in curve["points" if kind == "measured" else kind]
    ]
    fit = curve["fit"]
    law = f"Fitted: {fit['a']:.3g} - {fit['b']:.3g} n^-{fit['c']:.3g}, where n is the number of training images."
    columns = (*texts("Training images"), *numbers(curve["metric"], "Interval"), *texts("How"))
    return Table(columns, rows, footnote=law)


def tabulate_course(record: AdviceRecord) -> Table:
    """Return the steps in short, a row for each, for a terminal: narrow enough for 80 columns."""
    rows, candidates = [], record.candidates
    for step in record.content["steps"]:
        own = [one for one in candidates if one.step == step["step"]]
        # What the step ended with may have been replaced in a later one.
        best = find_best(own) or next((one for one in reversed(own) if one.is_trusted or one.was_replaced), None)
        name, score = (best.entry["name"], best.score) if best else ("nothing", None)
        shown = f"{number(score['value'])}{say_ends(score)}" if score else "not scored" if best else _NONE
        rows.append((step["step"], name, shown, _number(step.get("seconds"), 1)))
    metric = name_inline(record.content["goal"]["metric"])
    return Table((*texts("step", "kept", f"{metric} (95 %)"), *numbers("seconds")), rows)
