"""What the header of an image file shows that is not used as it is stored: further pages, and colours for printing."""

from collections.abc import Sequence

from tlmed.data.parts import Content, Part
from tlmed.data.readers import count_planes, find_remarks
from tlmed.errors import InputError
from tlmed.words import count, listed

NAMED = 3
CUT = "{images} {hold} more than fits into a picture of data.image_size at data.spacing: the rest is cut off."
PAGES = "{images} {hold} several pages or frames: only the first is used."


def find_extras(content: Content, is_cut: bool = False) -> frozenset[str]:
    """Return a sentence for each thing of an image that is not used as it is stored, without decoding it.

    Args:
        content: As for `decode`.
        is_cut: As in `Examined`.

    Returns:
        Sentences with the fields `{images}` and `{hold}`: `CUT`, `PAGES`, and what the reader of the file remarks.

    >>> sorted(find_extras(b""))
    []
    """
    cut = frozenset([CUT] if is_cut else [])
    try:
        if isinstance(content, Part):
            return cut | content.remarks()
        return cut | find_remarks(content).union([PAGES] if count_planes(content) > 1 else [])
    except InputError:
        raise
    except ValueError:
        return cut  # decoding the image names this fault


def describe_extras(paths: Sequence[str], extras: Sequence[frozenset[str]]) -> list[str]:
    """Return each sentence once, with three names and a count of the images that it is about.

    Args:
        paths: Of the images.
        extras: What `find_extras` found for each; marks without the field `{images}` are passed over.

    >>> describe_extras(["a.tif", "b.tif"], [frozenset([PAGES]), frozenset()])
    ['1 image (a.tif) holds several pages or frames: only the first is used.']
    """
    found = []
    for sentence, rows in _find_rows(extras).items():
        images = f"{count(len(rows), 'image')} ({listed((paths[row] for row in rows), NAMED)})"
        found.append(sentence.format(images=images, hold="holds" if len(rows) == 1 else "hold"))
    return found


def count_extras(extras: Sequence[frozenset[str]]) -> list[str]:
    """Return each sentence once, with a count of the images that it is about and without their names.

    Args:
        extras: As for `describe_extras`.

    >>> count_extras([frozenset([PAGES]), frozenset([PAGES])])
    ['2 images hold several pages or frames: only the first is used.']
    """
    amounts = {sentence: len(rows) for sentence, rows in _find_rows(extras).items()}
    return [
        sentence.format(images=count(amount, "image"), hold="holds" if amount == 1 else "hold")
        for sentence, amount in amounts.items()
    ]


def _find_rows(extras) -> dict[str, list[int]]:
    """Return the rows that each sentence is about; marks without the field `{images}` are none."""
    found = {}
    for row, sentences in enumerate(extras):
        for sentence in sentences:
            found.setdefault(sentence, []).append(row)
    return {sentence: found[sentence] for sentence in sorted(found) if "{images}" in sentence}
