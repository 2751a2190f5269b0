"""The text that stands for the several labels of one image, in tables of images and of a run: `edema|?mass`."""

from collections.abc import Mapping, Sequence

POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1  # a label that an image has, has not, or that is not known
NOTHING = "No Finding"  # of no label, as in the lists of ChestX-ray14
UNDECIDED = "none known to be there"  # in counts: no label is known to be there, but not all are known
SEPARATOR, DOUBT = "|", "?"


def is_nothing(text: str) -> bool:
    """Tell whether a text says that an image has no label.

    >>> is_nothing("No finding"), is_nothing("edema")
    (True, False)
    """
    return text.strip().casefold() == NOTHING.casefold()


def write_vector(vector: Sequence[int], names: Sequence[str]) -> str:
    """Return the text of a vector: the labels that an image has, and with a question mark those that are not known.

    Args:
        vector: 1, 0 or -1 for each label.
        names: Of the labels.

    >>> write_vector([1, 0, -1], ["edema", "effusion", "mass"]), write_vector([0, 0, 0], ["edema", "effusion", "mass"])
    ('edema|?mass', 'No Finding')
    """
    named = [
        f"{DOUBT if value == UNKNOWN else ''}{name}"
        for value, name in zip(vector, names, strict=True)
        if value != NEGATIVE
    ]
    return SEPARATOR.join(named) or NOTHING


def split_text(text: str) -> list[str]:
    """Return the labels that a text names, each once, with the question marks of those that are not known.

    >>> split_text("Edema| Effusion"), split_text("no finding")
    (['Edema', 'Effusion'], [])
    """
    parts = dict.fromkeys(part.strip() for part in text.split(SEPARATOR))
    return [part for part in parts if not is_nothing(part)]


def read_vector(text: str, places: Mapping[str, int]) -> list[int]:
    """Return the vector that a text stands for: the reverse of `write_vector`.

    Args:
        text: Names of labels with `|` between them.
        places: The place of each label in the vector, from 0.

    Raises:
        KeyError: The text names another label.

    >>> read_vector("edema|?mass", {"edema": 0, "effusion": 1, "mass": 2})
    [1, 0, -1]
    """
    vector = [NEGATIVE] * len(places)
    for part in split_text(text):
        name = part.removeprefix(DOUBT)
        vector[places[name]] = POSITIVE if part == name else UNKNOWN
    return vector
