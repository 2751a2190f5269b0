"""Numbers, names and lists as pages say them, in plain text."""

from collections.abc import Iterable, Mapping

from tlmed.words import join_names, span, thousandths

EMPTY = "says nothing"  # the mark of an interval that holds every value
_MOST_NAMES = 12  # names in a sentence at most


def number(value: float | None) -> str:
    """Return a number with three decimals, more near 0 and 1, or "undefined" for None.

    >>> number(0.81249), number(0.000225), number(None)
    ('0.812', '0.00022', 'undefined')
    """
    return "undefined" if value is None else thousandths(value)


def interval_of(entry: Mapping, estimate: str = "value") -> str:
    """Return a metric's interval, marked where it says nothing; nothing where there is none.

    Args:
        entry: With `low`, `high` and the estimate.
        estimate: The name of that.

    >>> interval_of({"auc": 0.6, "low": 0.5, "high": 0.75}, "auc"), interval_of({"value": 0.7, "low": 0, "high": 1})
    ('0.500 to 0.750', '0.000 to 1.000, which says nothing')
    """
    if entry["low"] is None:
        return ""
    return span(entry[estimate], entry["low"], entry["high"]) + (f", which {EMPTY}" if says_nothing(entry) else "")


def says_nothing(entry: Mapping) -> bool:
    """Tell whether an interval, rounded to three decimals, reaches from 0, or from -1, to 1: then it excludes no value.

    A metric without an upper end, such as log loss, may reach beyond 1; its interval still says something.

    >>> [says_nothing({"low": low, "high": 1.0}) for low in (0.0, -1.0, -0.571, 0.1)]
    [True, True, False, False]
    """
    if entry["low"] is None:
        return False
    low, high = (round(entry[end], 3) for end in ("low", "high"))
    return low in (0, -1) and high == 1


def say_apart(metrics: Mapping) -> str:
    """Say in what scores of training differ from the result's: their threshold, and that they are of single images.

    Args:
        metrics: `metrics.json`.

    >>> say_apart({"threshold": 0.312}), say_apart({"threshold": None})
    ("Accuracy here is at a threshold of 0.5; the result's accuracy is at its own threshold, 0.312.", '')
    >>> say_apart({"threshold": None, "unit": "file", "pool": "mean"})
    "Scores here are of single images; the result's are of files."
    """
    threshold, said = metrics.get("threshold"), []
    if threshold not in (None, 0.5):
        own = f"the result's accuracy is at its own threshold, {number(threshold)}"
        said.append(f"Accuracy here is at a threshold of 0.5; {own}.")
    if "pool" in metrics:
        said.append(f"Scores here are of single images; the result's are of {metrics['unit']}s.")
    return " ".join(said)


def join(parts: object) -> str:
    """Return the value of a field, or its several values, as plain text.

    >>> join("VGG16"), join(["MobileNetV2", "LeNet5"])
    ('VGG16', 'MobileNetV2 + LeNet5')
    """
    return " + ".join(map(str, parts)) if isinstance(parts, list) else "" if parts is None else str(parts)


def name_run(recipe: Mapping, name: str, of: str = "") -> str:
    """Return backbone and directory of a run, as plain text; the arguments are those of `title_run`."""
    return f"{join(recipe.get('backbone', 'Run'))}{of}: {name}"


def title_run(recipe: Mapping, name: str, of: str = "") -> str:
    """Return what to call a run, as plain text: its own title, or its backbone and directory.

    Args:
        recipe: `recipe.json`; the run of one fold says which one.
        name: The run directory's name.
        of: What follows the name where the run is more than one network.

    >>> title_run({"backbone": "VGG16"}, "first"), title_run({"backbone": "VGG16", "name": "Ward 7"}, "first")
    ('VGG16: first', 'Ward 7')
    """
    if not recipe.get("name"):
        return name_run(recipe, name, of)
    split = recipe.get("data", {}).get("split")
    fold = split.get("fold") if isinstance(split, dict) else None
    return f"{recipe['name']}{of}" + (f", fold {fold}" if fold is not None else "")


def enumerate_names(names: Iterable[object]) -> str:
    """Return names as a sentence lists them, in plain text; of many the first ones.

    >>> enumerate_names(["benign", "malignant", "normal"])
    'benign, malignant and normal'
    """
    names = [str(name) for name in names]
    rest = len(names) - _MOST_NAMES
    return join_names(names if rest <= 0 else [*names[:_MOST_NAMES], f"{rest:,} more"])


def duration(seconds: float) -> str:
    """Return seconds as people say them.

    >>> duration(3.25), duration(59.97), duration(75), duration(1800), duration(7380)
    ('3.2 s', '1 min', '1 min 15 s', '30 min', '2 h 3 min')
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def flatten(content: Mapping, path: str = "") -> Iterable[tuple[str, object]]:
    """Yield nested content as dotted keys with plain values.

    >>> dict(flatten({"weights": [{"name": "a"}, {"name": "b"}], "seeds": [1, 2]}))
    {'weights.0.name': 'a', 'weights.1.name': 'b', 'seeds': '1, 2'}
    """
    for key, value in content.items():
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            yield from flatten(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", ", ".join(map(str, value)) if isinstance(value, list) else value
