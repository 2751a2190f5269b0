"""Units that lack some of their images, which are gone or cannot be read: their answers rest on fewer."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from tlmed.evaluation.pooling import Pooling
from tlmed.words import count


def count_units(
    pooling: Pooling, paths: Sequence[str], groups: Sequence[str] | None, scored: Collection[str]
) -> dict[str, int]:
    """Return how many units some samples make up, how many have scored ones, and how many of these lack others.

    Args:
        pooling: How samples become units.
        paths: All samples that there should be.
        groups: Their groups, "" for none; None if there are none.
        scored: Those of the samples that are scored.

    >>> count_units(Pooling("mean"), ["a#plane=1", "a#plane=2", "b#plane=1", "c"], None, {"a#plane=1", "c"})
    {'listed': 3, 'scored': 2, 'on_fewer_images': 1}
    """
    names = pooling.name(paths, groups)
    whole = Counter(names)
    kept = Counter(name for name, path in zip(names, paths, strict=True) if path in scored)
    fewer = sum(number < whole[name] for name, number in kept.items())
    return {"listed": len(whole), "scored": len(kept), "on_fewer_images": fewer}


def describe_units(amounts: Mapping[str, int], unit: str, where: str) -> list[str]:
    """Say so where answers rest on fewer images than there should be, or units have none.

    Args:
        amounts: From `count_units`.
        unit: What a unit is.
        where: Where all images are, after "than".

    >>> describe_units({"listed": 3, "scored": 2, "on_fewer_images": 1}, "file", "in the run")
    ['The answers of 1 of 2 files rest on fewer images than in the run.', '1 of 3 files has no image that is scored.']
    """
    return [*_say_fewer(amounts, unit, where), *_say_gone(amounts, unit, "scored")]


def _say_fewer(amounts, unit, where) -> list[str]:
    if not (fewer := amounts["on_fewer_images"]):
        return []
    return [f"The answers of {fewer:,} of {count(amounts['scored'], unit)} rest on fewer images than {where}."]


def _say_gone(amounts, unit, done) -> list[str]:
    if not (gone := amounts["listed"] - amounts[done]):
        return []
    return [f"{gone:,} of {count(amounts['listed'], unit)} {'has' if gone == 1 else 'have'} no image that is {done}."]


def count_read_units(
    pooling: Pooling,
    paths: Sequence[str],
    groups: Sequence[str] | None,
    broken: Collection[str],
    tested: Collection[str],
) -> dict[str, int]:
    """Return how many units a source lists, how many have an image that was read, and how many tested ones lack some.

    Args:
        pooling: How samples become units.
        paths: All samples of the source.
        groups: Their groups, "" for none; None if there are none.
        broken: Those of the samples that cannot be read.
        tested: Those of the samples that are test images.

    Returns:
        `listed`, `read`, `scored` and `on_fewer_images`; {} where nothing is pooled or no unit lacks an image.

    >>> paths = ["a#plane=1", "a#plane=2", "b#plane=1", "c#plane=1"]
    >>> count_read_units(Pooling("mean"), paths, None, {"a#plane=2", "b#plane=1"}, {"a#plane=1"})
    {'listed': 3, 'read': 2, 'scored': 1, 'on_fewer_images': 1}
    """
    owners = list(zip(pooling.name(paths, groups), paths, strict=True))
    scored = {unit for unit, path in owners if path in tested}
    fewer = len(scored & {unit for unit, path in owners if path in broken})
    listed, read = len({unit for unit, _ in owners}), len({unit for unit, path in owners if path not in broken})
    if not pooling.how or not (fewer or listed > read):
        return {}
    return {"listed": listed, "read": read, "scored": len(scored), "on_fewer_images": fewer}


def describe_read_units(amounts: Mapping[str, int], unit: str) -> list[str]:
    """Say so where answers of a training rest on fewer images than the source lists, or units have none.

    Args:
        amounts: From `count_read_units`.
        unit: What a unit is.

    >>> describe_read_units({"listed": 41, "read": 40, "scored": 9, "on_fewer_images": 0}, "group")
    ['1 of 41 groups has no image that is read.']
    """
    if not amounts:
        return []
    return [*_say_fewer(amounts, unit, "the source lists"), *_say_gone(amounts, unit, "read")]
