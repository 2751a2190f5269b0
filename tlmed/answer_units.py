"""What an answer is for: an image, a file or a group; how scores are pooled; and the words of metrics for it."""

import re
from collections.abc import Mapping

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
