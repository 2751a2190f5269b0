"""What a fold of `data.inner` is, in words."""

from collections.abc import Mapping

from tlmed.words import count


def say_inner(inner: Mapping | None, apart: int) -> str:
    """Return which images are put aside, and which fold is the test split, after a semicolon; "" without an inner fold.

    Args:
        inner: The field `data.inner` of a recipe, as JSON holds it.
        apart: How many test images are put aside.

    >>> say_inner({"k": 5, "repeats": 1, "val": 0.15, "fold": 2}, 117)
    '; 117 test images are put aside, and test is fold 2 of 5 of the others'
    >>> say_inner(None, 0)
    ''
    """
    if inner is None:
        return ""
    are = "is" if apart == 1 else "are"
    of = f"fold {inner['fold']} of {inner['k'] * inner['repeats']} of the others"
    return f"; {count(apart, 'test image')} {are} put aside, and test is {of}"
