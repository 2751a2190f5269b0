"""Findings about faulty images, by kind, and how many of them a screen shows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tlmed.errors import one_line

AMOUNT, KNOWN, NAMES, CHOOSING = "amount", "known", "names", "known-validation"
TWO_LABELS, IDENTICAL, GROUP = "two-labels", "identical", "group-crosses"
PATIENT = "patient"  # one patient, perhaps, under several names, or named in files only; and in one split
NEAR_COPY, SHORTCUT, LABEL, OUTLIER, UNREADABLE, MASK = (
    "near-copy",
    "shortcut",
    "label",
    "outlier",
    "unreadable",
    "mask",
)
ERROR, WARNING = "error", "warning"
MOST = 10  # findings on screen, unless there are more kinds of them


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with images.

    Attributes:
        kind: The kind of fault, such as `TWO_LABELS`.
        text: A sentence that names the images.
        files: The paths of the images concerned, as a table has them; of a pair, both.
        level: `ERROR` if scores or labels cannot be trusted because of it; `WARNING` if somebody should look.
        cure: A sentence that says what to do; "" where the text says it.
    """

    kind: str
    text: str
    files: tuple[str, ...] = ()
    level: str = ERROR
    cure: str = ""


def shorten(findings: Iterable[Finding], where: str, most: int = MOST) -> list[str]:
    """Return the sentences of findings, kind by kind, each in one line: the first of a kind, and more if there is room.

    Args:
        findings: In the order in which kinds are to stand.
        where: Where the others are found, as words after "is" or "are".
        most: Sentences in all, unless there are more kinds.

    >>> shorten([Finding(GROUP, "P1 is in train and test."), Finding(GROUP, "P2 is, too.")], "not shown")
    ['P1 is in train and test.', 'P2 is, too.']
    """
    kinds = defaultdict(list)
    for finding in findings:
        kinds[finding.kind].append(one_line(finding.text))
    sizes = list(map(len, kinds.values()))
    # The same limit for each kind: the largest that keeps all kinds together within as many sentences.
    each = next((some for some in range(most, 1, -1) if sum(min(some, size) for size in sizes) <= most), 1)
    return [sentence for texts in kinds.values() for sentence in _cut(texts, each, where)]


def _cut(texts: Sequence[str], most: int, where: str) -> list[str]:
    rest = len(texts) - most
    if rest <= 0:
        return list(texts)
    these, are = "this one" if most == 1 else "these", "is" if rest == 1 else "are"
    return [*texts[:most], f"{rest:,} more like {these} {are} {where}."]
