"""The images of a run: splits, what was left out, warnings."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tlmed.evaluation.page import bullets, fold, table, text
from tlmed.report.content import Content
from tlmed.report.glossary import explain
from tlmed.synthetic import is_synthetic as is_drawn
from tlmed.words import count

MOST_CLASSES = 20  # that a table shows without a click
_MADE = {"made": "were made by tlmed", "given": "were given with the data"}


def is_synthetic(content: Content) -> bool:
    """Tell whether the images were drawn by tlmed."""
    places = [part.get("data", {}).get("source", "") for part in (content.recipe, content.environment)]
    return any(map(is_drawn, places))


def show_images(content: Content) -> str:
    """Return images, and groups where there are any, per class and split as HTML."""
    data = content.environment.get("data", {})
    left_out = [f"{text(item['path'])}: {text(item['reason'])}" for item in data.get("left_out", [])]
    more = f"<h3>Left out</h3>{bullets(left_out)}" if left_out else ""
    images = _tabulate(
        [(row["label"], row["split"], number) for number, row in enumerate(content.splits)], "all images"
    )
    groups = [(row["label"], row["split"], row["group"]) for row in content.splits if row.get("group")]
    grouped = f"<h3>Groups</h3>{_say_groups(content.splits)}{_tabulate(groups, 'all groups')}" if groups else ""
    made = _MADE.get(data.get("split"))
    said = f"<p>The {explain('split', 'splits')} {made}.</p>" if made else ""
    return f"{said}{images}{grouped}{more}"


def order_splits(names: Iterable[str]) -> list[str]:
    """Return the names of splits once each, as they are used: train, val, test, then others.

    >>> order_splits(["test", "train", "extra", "val", "test"])
    ['train', 'val', 'test', 'extra']
    """
    order = {"train": 0, "val": 1, "test": 2}
    return sorted(set(names), key=lambda name: (order.get(name, 3), name))


def count_shared_groups(splits: Sequence[Mapping]) -> int:
    """Return how many groups have images in several splits; `splits` are the rows of `splits.csv`."""
    found = {(row["group"], row["split"]) for row in splits if row.get("group")}
    return sum(number > 1 for number in Counter(group for group, _ in found).values())


def _say_groups(splits) -> str:
    shared = count_shared_groups(splits)
    if shared:
        found = f"{count(shared, 'group')} with images in several splits: those images are not new to the network."
        return f'<p class="notice">{found}</p>'
    return "<p>No group has images in two splits. One with images of several classes counts in each of them.</p>"


def _tabulate(found: Iterable[tuple[str, str, object]], whole: str) -> str:
    """Return how many different things of each label, split and number there are, with sums."""
    things = set(found)
    splits, parts = order_splits(split for _, split, _ in things), {}
    for label, split, thing in things:
        parts.setdefault(label, set()).add((split, thing))

    def tally(chosen):
        counts = Counter(split for split, _ in chosen)
        return *(f"{counts[split]:,}" for split in splits), f"{len({thing for _, thing in chosen}):,}"

    rows = [(text(label), *tally(parts[label])) for label in sorted(parts)]
    whole_row = (whole, *tally(set().union(*parts.values())))
    return _fold_long(("Class", *map(text, splits), "all"), rows, whole_row)


def _fold_long(head, rows, whole) -> str:
    """Return a table; of many classes the sum alone, and the classes folded below it."""
    if len(rows) <= MOST_CLASSES:
        return table(head, [*rows, whole])
    return table(head, [whole]) + fold(f"Each of {count(len(rows), 'class')}", table(head, rows))


def show_warnings(content: Content) -> str:
    """Return the warnings of all of a run's files as a list of HTML."""
    found = [*content.environment.get("warnings", []), *content.plan.get("warnings", [])]
    return bullets(map(text, [*found, *content.metrics.get("warnings", [])]))
