"""The names of splits: train, val and test, and how data spell them."""

SPLITS = ("train", "val", "test")
# As data say it, in any case. Not "dev": in clinical papers the development set is what a model is trained on.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def name_split(text: str) -> str | None:
    """Return the split that data mean by a text, however it is spelled; None if it names none.

    >>> name_split(" Test "), name_split("validation"), name_split("tset")
    ('test', 'val', None)
    """
    return SPLIT_NAMES.get(text.strip().lower())
