"""The names of splits: train, val and test, and how data spell them; and of what a run leaves aside."""

SPLITS = ("train", "val", "test")
# Training images that `data.train_share` leaves aside, and test images that `data.inner` does: no data can give it.
UNUSED = "unused"
INNER = "inner"  # of who made splits: tlmed made all of them from the development images of splits that are given
PLACES = (*SPLITS, UNUSED)  # where an image of a run can be
LEARNED = ("train", "val")  # what a network knows: it was trained on these, or chosen by them
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
