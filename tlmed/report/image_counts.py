"""The images of a run: splits, what was left out, warnings."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from tlmed.answer_units import say_least, say_undecided, scored_image, unit_of
from tlmed.evaluation.missing_images import describe_read_units
from tlmed.label_texts import DOUBT, NOTHING, UNDECIDED, split_text
from tlmed.pages.templating import render
from tlmed.report.loaded_files import RunContent
from tlmed.sections.inner_words import say_inner
from tlmed.split_names import INNER, SPLITS, UNUSED
from tlmed.synthetic import is_synthetic as is_drawn
from tlmed.tabulation import Table, numbers, texts
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import begin_sentence, count, percent

_LEFT_OUT = re.compile(r"Left out, as (?P<why>[^:]+): (?P<amount>[\d,]+ (image|file)s?)\b")
MOST_CLASSES = 20  # a table with more classes is folded
_SPLITS = {
    ("train", "val", "test"): "all were made by tlmed",
    ("val",): "train and test were given with the data and tlmed drew val from train",
    (): "all were given with the data",
    (*SPLITS, INNER): "the data give test images, and tlmed divided the others",
}
SHOWN = "as far as files and columns show"  # see "What tlmed cannot see" in docs/data.md
_OLDER = "tlmed drew val; an older version did not record whether train and test were given or drawn, too"


def is_synthetic(content: RunContent) -> bool:
    """Tell whether the images were drawn by tlmed."""
    places = [part.get("data", {}).get("source", "") for part in (content.recipe, content.environment)]
    return any(map(is_drawn, places))


def say_test_apart(metrics: Mapping, copies: str = "") -> str:
    """Return that test images had no part in a choice, or how many of them are known from what it was made on.

    Args:
        metrics: `metrics.json`.
        copies: How many test images repeat others, as the check of the data found (`RunContent.copies`).

    >>> say_test_apart({"split": "test", "n": 140, "without_leaks": {"leaked": 60}})
    'but 60 of 140 test images are known from training or validation'
    >>> say_test_apart({"split": "test", "n": 9, "undecided": 7}).partition("; ")[2]
    'whether they or their patients are known cannot be told for 7 of 9'
    >>> say_test_apart({"split": "test", "n": 9}, "2 of 9 test images repeat an image of val")
    'but 2 of 9 test images repeat an image of val, as the check of the data found'
    """
    if known := "; ".join(filter(None, (count_known(metrics), say_copies(copies)))):
        return f"but {known}"
    return f"{scored_image(metrics)}s had no part in it, {SHOWN}{say_hidden(metrics)}"


def say_copies(copies: str) -> str:
    """Return who found that test images repeat others, after the words for that; "" for none.

    >>> say_copies("2 of 9 test images repeat an image of val")
    '2 of 9 test images repeat an image of val, as the check of the data found'
    """
    return f"{copies}, as the check of the data found" if copies else ""


def say_hidden(metrics: Mapping) -> str:
    """Return of how many images it cannot be told whether a run knows them, after a semicolon; "" for none."""
    if not metrics.get("undecided"):
        return ""
    return f"; whether they or their patients are known cannot be told for {metrics['undecided']:,} of {metrics['n']:,}"


def count_known(metrics: Mapping) -> str:
    """Return how many test images training or validation knows; nothing where it knows none."""
    found = metrics.get("without_leaks")
    if not found:
        return ""
    are = "is" if found["leaked"] == 1 else "are"
    return (
        f"{say_least(metrics)}{found['leaked']:,} of {count(metrics['n'], scored_image(metrics))} {are} known from "
        f"training or validation{say_undecided(metrics)}"
    )


def show_images(content: RunContent) -> Markup:
    """Return images, and groups where there are any, per class and split."""
    data, several = content.environment.get("data", {}), read_task(content.metrics) == MULTI_LABEL
    return show_counts(
        content.splits,
        [say_attributes(content.recipe), say_formats(content.environment)],
        describe_splits(content.environment, content.recipe),
        [(item["path"], item["reason"]) for item in data.get("left_out", [])],
        describe_read_units(content.metrics.get("units", {}), unit_of(content.metrics)),
        None if several else content.metrics["classes"],
        data.get("apart", 0),
    )


def list_left_out(environment: Mapping) -> list[str]:
    """Return how many images were left out for each reason, without their names.

    Args:
        environment: The content of `environment.json`. What reading a source left out (masks, copies, other labels)
            stands among its warnings, as "Left out, as" with the reason, the amount and names; what was left aside of
            the training images, or put aside of the test images, which are listed in `splits.csv`, as a number.

    >>> said = "Left out, as masks of other images: 2 files ('x_mask.png', 'y_mask.png')."
    >>> list_left_out({"warnings": [said], "data": {"left_out": [{"path": "z.png", "reason": "cut short"}]}})
    ['1 image as unreadable', '2 files as masks of other images']
    """
    unreadable = len(environment.get("data", {}).get("left_out", []))
    others = filter(None, map(_LEFT_OUT.match, environment.get("warnings", [])))
    said = [f"{count(unreadable, 'image')} as unreadable"] if unreadable else []
    said += [f"{found['amount']} as {found['why']}" for found in others]
    aside, apart = (environment.get("data", {}).get(name, 0) for name in ("aside", "apart"))
    said += [f"{count(apart, 'test image')} by data.inner"] if apart else []
    return said + ([f"{count(aside, 'training image')} by data.train_share"] if aside else [])


def show_counts(
    rows: Sequence[Mapping],
    about: Iterable[str] = (),
    made: str = "",
    left_out: Iterable[tuple[str, str]] = (),
    lacking: Iterable[str] = (),
    classes: Sequence[str] | None = None,
    apart: int = 0,
) -> Markup:
    """Return how many images, and groups where there are any, are in each class and split.

    Args:
        rows: A mapping for each image: `label`, `split`, and `group`, "" for none.
        about: What `say_attributes` and `say_formats` returned.
        made: Who made the splits, as `describe_splits` says it.
        left_out: Path and reason of every image that is not among the rows.
        lacking: Sentences on units that lack images which are left out.
        classes: In the order in which they are shown. None where an image may have several labels: it then counts for
            each of them.
        apart: How many of the unused images are test images that `data.inner` puts aside.
    """
    several = classes is None
    named = [(_list_labels(row["label"]) if several else [row["label"]], row) for row in rows]
    images = [(label, row["split"], place) for place, (labels, row) in enumerate(named) for label in labels]
    groups = [(label, row["split"], row["group"]) for labels, row in named if row.get("group") for label in labels]
    kind = "label" if several else "class"
    return render(
        "report/images.html",
        about=list(filter(None, about)),
        made=made,
        kind=kind,
        images=_tabulate(images, "all images", kind, classes or ()),
        groups=_tabulate(groups, "all groups", kind, classes or ()) if groups else None,
        shared=count_shared_groups(rows),
        aside=sum(row["split"] == UNUSED for row in rows) - apart,
        apart=apart,
        left_out=[f"{path}: {reason}" for path, reason in left_out],
        lacking=list(lacking),
    )


def _list_labels(text) -> list[str]:
    """Return the labels that an image is known to have, or what it counts as where there is none.

    >>> _list_labels("edema|?mass"), _list_labels("No Finding"), _list_labels("?mass")
    (['edema'], ['No Finding'], ['none known to be there'])
    """
    parts = split_text(text)
    return [part for part in parts if not part.startswith(DOUBT)] or [UNDECIDED if parts else NOTHING]


def say_attributes(recipe: Mapping) -> str:
    """Return how the images were made and what they show, in a sentence; "" where the recipe states nothing.

    Args:
        recipe: The content of `recipe.json`.

    >>> say_attributes({"data": {"modality": "x-ray", "body_part": "chest", "subject": None}})
    'Modality: x-ray; body part: chest, as the recipe states.'
    """
    data = recipe.get("data", {})
    stated = {name: data.get(name) for name in ("modality", "body_part", "subject")}
    said = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in stated.items() if value)
    return f"{begin_sentence(said)}, as the recipe states." if said else ""


def say_formats(environment: Mapping) -> str:
    """Return as what files images were read, and what of these is not used; "" of pictures that are used as they are.

    Args:
        environment: As for `find_made`; older versions did not record it.

    >>> say_formats({"data": {"formats": {"DICOM": {"images": 9, "shown": "by the window of each file"}}}})
    'Formats: 9 DICOM (shown by the window of each file).'
    """
    data = environment.get("data", {})
    formats, unused = data.get("formats", {}), data.get("unused", [])
    if not unused and len(formats) < 2 and not any(found["shown"] for found in formats.values()):
        return ""
    parts = [
        f"{found['images']:,} {name}" + (f" (shown {found['shown']})" if found["shown"] else "")
        for name, found in formats.items()
    ]
    return " ".join([f"Formats: {', '.join(parts)}.", *unused])


def say_seeds(recipe: Mapping) -> str:
    """Return the seed of a run, and those that decided its splits and its validation images where they are others.

    Args:
        recipe: The content of `recipe.json`.

    >>> say_seeds({"seed": 3, "data": {"split_seed": 0}}), say_seeds({"seed": 3, "data": {}})
    ('3; of the splits 0', '3')
    """
    apart = find_split_seed(recipe)
    drawn = recipe.get("data", {}).get("val_seed")
    of_splits = f"; of the splits {apart}" if apart != recipe.get("seed") else ""
    return f"{recipe.get('seed')}{of_splits}" + ("" if drawn is None else f"; of the validation images {drawn}")


def find_split_seed(recipe: Mapping) -> int | None:
    """Return the seed that decided the splits of a run, by its `recipe.json`; older ones have no seed for that alone.

    >>> find_split_seed({"seed": 3, "data": {}})
    3
    """
    own = recipe.get("data", {}).get("split_seed")
    return recipe.get("seed") if own is None else own


def find_made(environment: Mapping, recipe: Mapping) -> tuple[str, ...] | None:
    """Return which splits tlmed made; None where a run of an older version does not say.

    Args:
        environment: The content of `environment.json`.
        recipe: The content of `recipe.json`.

    >>> find_made({"data": {"split": "made", "made": ["val"]}}, {}), find_made({"data": {"split": "made"}}, {})
    (('val',), None)
    """
    data = environment.get("data", {})
    if "made" in data:
        return tuple(data["made"])
    if data.get("split") == "given":
        return ()
    # A KFold, which is a mapping in JSON, refuses data with given splits: tlmed made them all.
    return SPLITS if isinstance(recipe.get("data", {}).get("split"), Mapping) else None


def describe_splits(environment: Mapping, recipe: Mapping) -> str:
    """Return who made the splits, as the end of a sentence in plain text; "" where that was not recorded.

    Args:
        environment: As for `find_made`.
        recipe: As for `find_made`.

    >>> describe_splits({"data": {"split": "given"}}, {})
    'all were given with the data'
    """
    if environment.get("data", {}).get("split") is None:
        return ""
    made, inner = find_made(environment, recipe), recipe.get("data", {}).get("inner")
    return _OLDER if made is None else say_made(made) + say_inner(inner, environment["data"].get("apart", 0))


def say_made(made: tuple[str, ...]) -> str:
    """Return who made the splits: tlmed those that are named, the others came with the data.

    >>> say_made(())
    'all were given with the data'
    """
    return _SPLITS[made]


def count_splits(splits: Sequence[Mapping]) -> str:
    """Return how many images are in each split, and their shares, as counted.

    Args:
        splits: The rows of `splits.csv`.

    >>> count_splits([{"split": "train"}, {"split": "train"}, {"split": "train"}, {"split": "test"}])
    'train 3 images (75 %), test 1 image (25 %)'
    """
    counts = Counter(row["split"] for row in splits)
    return ", ".join(
        f"{name} {count(counts[name], 'image')} ({percent(counts[name] / len(splits))})"
        for name in order_splits(counts)
    )


def order_splits(names: Iterable[str]) -> list[str]:
    """Return the names of splits once each, as they are used: train, val, test, then others.

    >>> order_splits(["test", "train", "extra", "val", "test"])
    ['train', 'val', 'test', 'extra']
    """
    order = {"train": 0, "val": 1, "test": 2}
    return sorted(set(names), key=lambda name: (order.get(name, 3), name))


def count_shared_groups(splits: Sequence[Mapping]) -> int:
    """Return how many groups have images in several splits; `splits` are the rows of `splits.csv`."""
    found = {(row["group"], row["split"]) for row in splits if row.get("group") and row["split"] != UNUSED}
    return sum(number > 1 for number in Counter(group for group, _ in found).values())


def _tabulate(
    found: Iterable[tuple[str, str, object]], whole: str, kind: str, classes: Sequence[str]
) -> tuple[Table, Table]:
    """Return how many different images (or groups) there are of each label in each split, with sums.

    With many classes the first table has only the sums; the classes are in the second, which is folded.
    """
    # A set, so that a group with many images in a split counts once.
    things = set(found)
    splits, parts = order_splits(split for _, split, _ in things), {}
    for label, split, thing in things:
        parts.setdefault(label, set()).add((split, thing))

    def tally(chosen):
        counts = Counter(split for split, _ in chosen)
        return *(f"{counts[split]:,}" for split in splits), f"{len({thing for _, thing in chosen}):,}"

    places = {name: place for place, name in enumerate(classes)}
    names = sorted(parts, key=lambda name: (places.get(name, len(places)), name))
    rows = [(name, *tally(parts[name])) for name in names]
    whole_row = (whole, *tally(set().union(*parts.values())))
    columns = texts(kind.capitalize()) + numbers(*splits, "all")
    apart = len(rows) > MOST_CLASSES
    return Table(columns, [whole_row] if apart else [*rows, whole_row]), Table(columns, rows if apart else ())


def show_warnings(content: RunContent) -> Markup:
    """Return the warnings of all of a run's files."""
    found = [*content.environment.get("warnings", []), *content.plan.get("warnings", [])]
    return render("list.html", items=[*found, *content.metrics.get("warnings", [])])
