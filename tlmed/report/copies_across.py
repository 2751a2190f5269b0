"""Images in several partitions, in the words of a checklist: by their digests, and by the check of the data."""

from collections.abc import Mapping, Sequence

from tlmed.findings import IDENTICAL, NEAR_COPY
from tlmed.run_files.check_summary import CheckSummary, say_repeated
from tlmed.run_files.kept_findings import KeptFindings
from tlmed.split_names import UNUSED
from tlmed.words import count, join_names

NOT_SOUGHT = "pictures that were saved anew were not looked for"
_SETS = {IDENTICAL: "of identical images", NEAR_COPY: "of near-copies"}


def say_identical(splits: Sequence[Mapping[str, str]], unit: str) -> str:
    """Return how many digests are in several partitions.

    Args:
        splits: The rows of `splits.csv`.
        unit: What identical images have in common, each "byte" of a file or each "pixel" of an array.

    >>> rows = [{"sha256": "a", "split": "train"}, {"sha256": "a", "split": "test"}]
    >>> say_identical(rows, "byte"), say_identical(rows, "pixel")
    ('1 byte-identical file in several partitions', 'Images of equal pixels: 1 set in several partitions')
    """
    where: dict[str, set[str]] = {}
    for row in (row for row in splits if row["split"] != UNUSED):
        where.setdefault(row["sha256"], set()).add(row["split"])
    shared = sum(len(names) > 1 for names in where.values())
    if unit == "pixel":
        found = f"{count(shared, 'set')} in several partitions" if shared else "none in two partitions"
        return f"Images of equal pixels: {found}"
    if shared:
        return f"{count(shared, 'byte-identical file')} in several partitions"
    return "Files: no byte-identical ones in two partitions"


def say_found_copies(kept: KeptFindings | None, summary: CheckSummary | None) -> str:
    """Return what the check found of copies across partitions; "" where no check was kept.

    Args:
        kept: What the check found.
        summary: The same in numbers.
    """
    if kept is None:
        return ""
    sets = [f"{count(kept.crossing[kind], 'set')} {words}" for kind, words in _SETS.items() if kept.crossing[kind]]
    sought = kept.sought_near_copies
    if not sets:
        return "the check of the data found no near-copies in two partitions" if sought else NOT_SOUGHT
    repeated = say_repeated(summary)
    found = f"the check of the data found {join_names(sets)} in several partitions{repeated and ': '}{repeated}"
    return found if sought else f"{found}; {NOT_SOUGHT}"
