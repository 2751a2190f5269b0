"""Units: images that must stay together, and how they are divided, by class and without regard to size."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tlmed.columns import spell
from tlmed.seeds import derive
from tlmed.split_names import SPLITS


def join_units(groups: Sequence[str] | None, sha256: Sequence[str]) -> np.ndarray:
    """Number the units that must stay together: images joined by group or content, directly or through others.

    Groups whose names differ only in spelling stay together too: they may be one patient's.

    Args:
        groups: The group of every image, or None.
        sha256: The digest of every image's content.

    Returns:
        int64, the unit of every image; units are numbered by their first image.

    >>> join_units(["a", "a", "b", "c"], ["1", "2", "2", "3"]).tolist()
    [0, 0, 0, 1]
    """
    parent = list(range(len(sha256)))

    def root(node: int) -> int:
        while parent[node] != node:
            # Union-find with path halving.
            parent[node] = node = parent[parent[node]]
        return node

    for keys in (sha256, spell_all(groups)):
        first: dict[str, int] = {}
        for node, key in enumerate(keys):
            one, other = root(first.setdefault(key, node)), root(node)
            parent[max(one, other)] = min(one, other)
    number: dict[int, int] = {}
    return np.array([number.setdefault(root(node), len(number)) for node in range(len(parent))], np.int64)


def find_repeated(keys: Sequence[str]) -> list[list[int]]:
    """Return the rows of every key that occurs more than once."""
    rows = defaultdict(list)
    for row, key in enumerate(keys):
        rows[key].append(row)
    return [same for same in rows.values() if len(same) > 1]


def list_present(splits: np.ndarray) -> list[str]:
    """Return which of train, val and test occur, in this order."""
    present = set(splits.tolist())
    return [split for split in SPLITS if split in present]


def spell_all(groups: Sequence[str] | None) -> list[str]:
    """Return the groups, those that differ only in spelling by one name; none for None."""
    spelled = {name: spell(name) for name in set(groups or ())}
    return [spelled[name] for name in groups or ()]


def split_units(
    labels: np.ndarray, units: np.ndarray, fractions: Sequence[float], seed: int, classes: int
) -> np.ndarray:
    """Divide units so that every class comes near to its fractions, and so that size does not decide.

    Units of several images are drawn first: each comes into a part with the probability of its fraction, whatever its
    size. (If the larger ones simply filled the parts in turn, the largest part would get them all: training would hold
    the patients with many images, and the test those with one.) Single images then go one by one, in an order drawn
    from the seed, to the part that lacks most of their class. As soon as a class has only as many units left as there
    are parts without it, they go there, so that no part lacks a class that has enough units. Where there are single
    images only, each class ends within 1 of its fractions, except for a class of 3 images: 1, 1 and 1 of 0.70, 0.15
    and 0.15.

    A unit with more images than a part is to hold goes to a part that has room for it, or to the largest.

    Args:
        labels: int, the class of every image.
        units: int, the unit of every image, numbered from 0.
        fractions: The parts' sizes; a part of size 0 gets nothing.
        seed: The run's seed.
        classes: The number of classes.

    Returns:
        int64, the part of every image.

    >>> split_units(np.zeros(4, int), np.arange(4), (0.5, 0.5), seed=0, classes=1).tolist()
    [0, 0, 1, 1]
    """
    holdings = _holdings(labels, units)
    random = np.random.RandomState(derive(seed, "split"))
    order = random.permutation(len(holdings)).tolist()
    sizes = np.bincount(labels, minlength=classes).tolist()
    # First, because single images can afterwards fill each part to its size.
    several = [unit for unit in order if sum(holdings[unit].values()) > 1]
    part_of = _draw_several(holdings, several, sizes, fractions, random) if several else {}
    lacks = [[size * fraction for fraction in fractions] for size in sizes]
    lacks_all = [len(labels) * fraction for fraction in fractions]
    empty = [{part for part, fraction in enumerate(fractions) if fraction > 0} for _ in sizes]
    left = [0] * classes
    for held in holdings:
        for label in held:
            left[label] += 1
    for unit in [*several, *(unit for unit in order if unit not in part_of)]:
        held = holdings[unit]
        if unit not in part_of:
            part_of[unit] = _choose(held, lacks, lacks_all, empty, left, sizes, fractions)
        part = part_of[unit]
        for label, images in held.items():
            lacks[label][part] -= images
            lacks_all[part] -= images
            empty[label].discard(part)
            left[label] -= 1
    return np.array([part_of[unit] for unit in range(len(holdings))], np.int64)[units]


def _draw_several(holdings, several, sizes, fractions, random) -> dict[int, int]:
    """Return the part of each unit of several images, drawn so that its size has no influence.

    The units are dealt to small shares of equal size, class by class and the larger ones first, each to the share that
    holds fewest images of its classes; which part a share belongs to is drawn. As any rotation of the shares is as
    likely as any other, each unit has the same chances (systematic sampling; Cochran, Sampling Techniques, 1977,
    chapter 8).
    """
    amounts = {unit: sum(holdings[unit].values()) for unit in several}
    part_of, lacks = _place_large(amounts, [fraction * sum(sizes) for fraction in fractions])
    rest = [unit for unit in several if unit not in part_of]
    owners = _share_out([max(lack, 0) for lack in lacks], random) if rest else np.zeros(1, int)
    filled, filled_all = np.zeros((len(sizes), len(owners))), np.zeros(len(owners))
    for unit in sorted(rest, key=lambda unit: (sorted(holdings[unit]), -amounts[unit])):
        full = sum(images * filled[label] / sizes[label] for label, images in holdings[unit].items())
        # `lexsort` sorts by its last key first: classes, then images in all.
        share = int(np.lexsort((filled_all, full))[0])
        part_of[unit] = int(owners[share])
        for label, images in holdings[unit].items():
            filled[label, share] += images
            filled_all[share] += images
    _reach_every_part(part_of, holdings, [part for part, fraction in enumerate(fractions) if fraction > 0], random)
    return part_of


def _place_large(amounts: dict[int, int], rooms: Sequence[float]) -> tuple[dict[int, int], list[float]]:
    """Return the part of each unit that is larger than the smallest part, and how many images each part lacks then.

    Parts of equal size, as the folds of a cross-validation, have no better place for such a unit than any other.
    """
    part_of, lacks, held = {}, list(rooms), {room for room in rooms if room > 0}
    large = [unit for unit in amounts if len(held) > 1 and amounts[unit] > min(held)]
    for unit in sorted(large, key=lambda unit: -amounts[unit]):
        fitting = [part for part, room in enumerate(rooms) if room >= amounts[unit]]
        part_of[unit] = max(fitting, key=lambda part: lacks[part]) if fitting else int(np.argmax(rooms))
        lacks[part_of[unit]] -= amounts[unit]
    return part_of, lacks


def _share_out(parts: Sequence[float], random: np.random.RandomState) -> np.ndarray:
    """Return the part that each of some equal shares belongs to: in number by the part's size, and evenly spread.

    Args:
        parts: The parts' sizes, of any sum.
        random: Draws where the first share begins.

    Returns:
        int [shares], at most about 1,000 of them; sizes are rounded to thousandths of the whole.
    """
    thousandths = [max(1, round(size / sum(parts) * 1000)) if size > 0 else 0 for size in parts]
    weights = np.array(thousandths) // np.gcd.reduce(thousandths)
    given, owners = np.zeros(len(weights)), []
    for position in range(weights.sum()):
        part = int(np.argmax(np.where(given < weights, weights * (position + 1) / weights.sum() - given, -np.inf)))
        owners.append(part)
        given[part] += 1
    return np.roll(owners, random.randint(len(owners)))


def _reach_every_part(part_of: dict[int, int], holdings, parts: Sequence[int], random) -> None:
    """Move units of several images to parts that lack a class, where it has too few single images to go there.

    Which of a class's units moves is drawn; none is taken from a part that it would leave without a class.
    """
    singles = defaultdict(int)
    held_by = defaultdict(list)
    for unit, held in enumerate(holdings):
        for label in held:
            if unit in part_of:
                held_by[label].append(unit)
            else:
                singles[label] += 1
    there = defaultdict(int)
    for unit, part in part_of.items():
        for label in holdings[unit]:
            there[label, part] += 1
    for label, units in sorted(held_by.items()):
        absent = [part for part in parts if not there[label, part]]
        for part in random.permutation(absent)[: max(0, len(absent) - singles[label])]:
            movable = [unit for unit in units if all(there[other, part_of[unit]] > 1 for other in holdings[unit])]
            if not movable:
                break
            unit = movable[random.randint(len(movable))]
            for other in holdings[unit]:
                there[other, part_of[unit]] -= 1
                there[other, part] += 1
            part_of[unit] = int(part)


def _holdings(labels: np.ndarray, units: np.ndarray) -> list[dict[int, int]]:
    """Return for every unit how many images of which class it holds."""
    holdings: list[dict[int, int]] = [{} for _ in range(int(units.max(initial=-1)) + 1)]
    for label, unit in zip(labels.tolist(), units.tolist(), strict=True):
        holdings[unit][label] = holdings[unit].get(label, 0) + 1
    return holdings


def _choose(held, lacks, lacks_all, empty, left, sizes, fractions) -> int:
    """Return the part for one unit.

    The gain is how much the squared distance from the targets shrinks, each class counted by its size (the
    term that does not depend on the part is left out). Ties go to the part that lacks most images in all.
    """
    urgent = [label for label in held if empty[label] and left[label] <= len(empty[label])]
    allowed = set().union(*(empty[label] for label in urgent)) if urgent else range(len(fractions))
    return max(
        (part for part in allowed if fractions[part] > 0),
        key=lambda part: (
            sum(part in empty[label] for label in urgent),
            sum(images * lacks[label][part] / sizes[label] for label, images in held.items()),
            lacks_all[part],
            -part,
        ),
    )
