"""Test images that are copies of others: they add no information, and intervals do not know it."""

from collections.abc import Mapping

from tlmed.evaluation.pooling import Pooled
from tlmed.pseudonyms import names_owner


def count_copies(pooled: Pooled, split: str, sha256: Mapping[str, str]) -> dict[str, int]:
    """Return how many units of a split repeat another one that does not belong to the same group.

    Copies in one group do no harm, because intervals are by groups.

    Args:
        pooled: Samples and units; each sample is a unit where nothing is pooled.
        split: Whose units are counted.
        sha256: The digest of each sample by its path; copies of a file have the same samples, with equal digests.

    Returns:
        `copies`, as `metrics.json` has it; {} where there are none.
    """
    content: dict[int, set[str]] = {}
    for path, unit in zip(pooled.samples.paths, pooled.members.tolist(), strict=True):
        content.setdefault(unit, set()).add(sha256[path])
    units, owners = pooled.units, {}
    for unit, digests in content.items():
        if units.splits[unit] == split:
            group = units.groups[unit] if units.groups is not None else ""
            owners.setdefault(frozenset(digests), set()).add(group if names_owner(group) else unit)
    copies = sum(len(found) - 1 for found in owners.values())
    return {"copies": copies} if copies else {}
