"""What an answer is for: an image, a file or a group; how scores are pooled; and the words of metrics for it."""

import re
from collections.abc import Mapping, Sequence

IMAGE, FILE, GROUP = "image", "file", "group"
POOLED_BY = (FILE, GROUP)
POOLS = ("mean", "max", "top3")  # how the scores of samples become one: `tlmed.evaluation.pooling`
# Names of classes stand in quotes, and are left as they are.
_WORDS = re.compile(r"""(?<!\w)'[^']*'|"[^"]*"|`[^`]*`|\b([Ii])mage(s?)\b""")
_TEXTS = ("method", "note", "reason")


def unit_of(result: Mapping) -> str:
    """Return what `metrics.json` counts; versions that pooled nothing did not say.

    >>> unit_of({"unit": "file"}), unit_of({})
    ('file', 'image')
    """
    return result.get("unit", IMAGE)


def name_rows(content, unit: str):
    """Return a part of `metrics.json` with texts that name its unit, where they speak of images.

    Metrics are computed from rows, which they call images.

    >>> name_rows({"auc": {"value": 0.5, "note": "No image is of class 'image'."}}, "file")
    {'auc': {'value': 0.5, 'note': "No file is of class 'image'."}}
    >>> name_rows({"method": "Fisher's scale, 20 images' influences"}, "group")
    {'method': "Fisher's scale, 20 groups' influences"}
    """
    if unit == IMAGE or not isinstance(content, Mapping):
        return content
    return {
        key: _WORDS.sub(lambda found: _name(found, unit), part)
        if key in _TEXTS and isinstance(part, str)
        else name_rows(part, unit)
        for key, part in content.items()
    }


def _name(found, unit) -> str:
    if found[1] is None:  # a quoted name
        return found[0]
    return (unit.capitalize() if found[1] == "I" else unit) + found[2]


def name_scored(result: Mapping) -> str:
    """Return which images were scored: those of a split, or all that an evaluation was given.

    >>> name_scored({"split": "test", "evaluated": {"predictions": "a.csv", "not_scored": {}}})
    'all images'
    """
    return f"all {unit_of(result)}s" if is_whole(result) else f"the {result['split']} split"


def say_where(result: Mapping) -> str:
    """Return the beginning of a sentence on scores: of which images they are, or that they are means over folds.

    >>> say_where({"split": "test"}), say_where({"split": "test", "folds": []})
    ('On the test split', 'On average over the folds')
    """
    return "On average over the folds" if "folds" in result else f"On {name_scored(result)}"


def scored_image(result: Mapping) -> str:
    """Return what one of the images that were scored, or of the files or groups that they make up, is called.

    >>> scored_image({"split": "test"}), scored_image({"split": "test", "evaluated": {"data": "ward/"}})
    ('test image', 'image')
    """
    return unit_of(result) if is_whole(result) else f"{result['split']} {unit_of(result)}"


def say_least(result: Mapping) -> str:
    """Return the word before the number of known images where more may be known; "" where it is exact.

    >>> say_least({"undecided": 3}), say_least({})
    ('at least ', '')
    """
    return "at least " if result.get("undecided") else ""


def name_left_out(result: Mapping) -> str:
    """Return what scores without known images leave out, where a word must do.

    >>> name_left_out({"undecided": 3}), name_left_out({})
    ('known leaks', 'leaks')
    """
    return "known leaks" if result.get("undecided") else "leaks"


def say_undecided(result: Mapping) -> str:
    """Return for how many further images it is not known whether training knows them, in brackets; "" for none.

    >>> say_undecided({"undecided": 3}), say_undecided({})
    (' (of 3 more this cannot be told)', '')
    """
    return f" (of {result['undecided']:,} more this cannot be told)" if result.get("undecided") else ""


def say_all_undecided(result: Mapping) -> str:
    """Return a sentence where no image is known, and of some it cannot be told; "" elsewhere.

    >>> say_all_undecided({"split": "test", "n": 9, "undecided": 1})
    'Whether training or validation knows 1 of 9 test images, or their patients, cannot be told.'
    """
    if not result.get("undecided") or result.get("without_leaks"):
        return ""
    whose = f"{result['undecided']:,} of {result['n']:,} {scored_image(result)}{'s' * (result['n'] != 1)}"
    return f"Whether training or validation knows {whose}, or their patients, cannot be told."


def is_whole(result: Mapping) -> bool:
    """Tell whether all images of a source were scored, which are no split of it."""
    evaluated = result.get("evaluated")
    return evaluated is not None and not (evaluated.get("not_scored") or evaluated.get("split"))


def describe_majority(answers: Sequence[str], unit: str) -> str:
    """Return what the majority class is a baseline of.

    Args:
        answers: The class that it gives; several where the most frequent one differs between folds.
        unit: What has one answer, an "image", a "file" or a "group".

    >>> describe_majority(["well"], "group")
    "Always 'well': no class is more frequent in the training groups; its scores are the shares of the classes."
    """
    whose = f"the training {unit}s" if len(answers) == 1 else f"each fold's training {unit}s"
    always = f"Always {say_answers(answers)}: no class is more frequent in {whose}"
    return f"{always}; its scores are the shares of the classes."


def describe_shares(answers: Sequence[str], unit: str) -> str:
    """Return what the majority class is a baseline of where an image may have several labels.

    >>> describe_shares(["edema"], "image")
    "Always 'edema': the labels that most training images have; its scores are the shares of the labels."
    """
    whose = f"training {unit}s" if len(answers) == 1 else f"of each fold's training {unit}s"
    return f"Always {say_answers(answers)}: the labels that most {whose} have; its scores are the shares of the labels."


def say_answers(answers: Sequence[str]) -> str:
    """Return the classes that a baseline gives, in words.

    >>> say_answers(["well", "ill"])
    "'well' or 'ill'"
    """
    return " or ".join(map(repr, answers))
