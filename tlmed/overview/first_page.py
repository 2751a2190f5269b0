"""The page of a first look at images, in a single file."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from tlmed.data import ImageSet
from tlmed.data.decode_and_resize import as_rule
from tlmed.errors import InputError
from tlmed.fitting_in import describe_fit
from tlmed.intensity import FILE
from tlmed.overview.class_tables import (
    tabulate_kinds,
    tabulate_levels,
    tabulate_shown,
    tabulate_sizes,
    tabulate_spans,
    tabulate_stored,
)
from tlmed.overview.drawn_rows import EACH, MOST_SHOWN, draw_examples, draw_measured
from tlmed.overview.histogram_plots import BINS, MOST_COLOURED, draw_histograms, draw_sizes
from tlmed.overview.measures_of_images import LEVELS, Measures, measure
from tlmed.overview.pictures_of_stages import show_stages
from tlmed.pages.figures import Picture, draw
from tlmed.pages.templating import make_page, render
from tlmed.report.image_counts import MOST_CLASSES, order_splits, say_attributes, say_made, show_counts
from tlmed.sections import Augment, Images, KFold
from tlmed.sections.augment_words import say_augmentation
from tlmed.source_forms import is_path
from tlmed.synthetic import describe_source
from tlmed.words import count

_EVERY = 4  # levels in a bin of a histogram


@dataclass(frozen=True, eq=False)
class Look:
    """What is looked at.

    Attributes:
        images: In their splits.
        settings: How they are read and divided.
        augment: How training changes them.
        seed: The run's seed, which draws what is shown.
        found: Sentences on what is wrong.
        name: The title of the recipe; None for the name of the source.
    """

    images: ImageSet
    settings: Images
    augment: Augment
    seed: int
    found: Sequence[str]
    name: str | None = None


def make_overview_page(look: Look) -> str:
    """Return the whole page as HTML.

    Raises:
        InputError: Images have several labels.
        RunFailed: An image changed while it was read.
    """
    table = look.images.table
    if table.is_multi:
        raise InputError(f"`data show` is for one class per image only. Received: {table.source}, of several labels.")
    measures = measure(look.images, draw_measured(len(table), look.seed))
    labels = table.labels[measures.rows]
    lead = render(
        "overview/lead.html",
        images=len(table),
        classes=len(table.classes),
        measured=len(measures.rows),
        synthetic=describe_source(look.settings.source),
        seed=look.seed,
    )
    sections = {
        "Warnings": render("list.html", items=look.found) if look.found else Markup(),
        "Images": _count(look),
        "Before and after": _show_stages(look),
        "Sizes": _show_sizes(look, measures, labels),
        "Intensity": _show_intensity(look, measures, labels),
    }
    source = f"Images of {name_source(look.settings.source)}"
    return make_page(f"{look.name}: images" if look.name else source, lead, sections)


def name_source(source: str) -> str:
    """Return what a page calls a source: a path by its last name, as the folders above it are nobody's business.

    >>> name_source("/home/ada/xrays/"), name_source("tfds:tlmed_phantoms")
    ('xrays', 'tfds:tlmed_phantoms')
    """
    return Path(source).expanduser().resolve().name if is_path(source) else source


def _count(look) -> Markup:
    images, settings, table = look.images, look.settings, look.images.table
    groups = table.groups or ("",) * len(table)
    rows = [
        {"label": table.classes[label], "split": split, "group": group}
        for label, split, group in zip(table.labels.tolist(), images.splits.tolist(), groups, strict=True)
    ]
    made = say_made(images.split_made)
    if isinstance(settings.split, KFold):
        made = f"{made}; of {count(settings.split.folds, 'fold')} of a cross-validation one is shown"
    return show_counts(rows, say_attributes({"data": dataclasses.asdict(settings)}), made, images.broken)


def _show_stages(look) -> Markup:
    classes = look.images.table.classes
    chosen = draw_examples(look.images, look.seed)
    strips = show_stages(look.images, np.concatenate(chosen), look.augment, look.seed)
    rule = as_rule(look.images.pixels.rule)
    return render(
        "overview/stages.html",
        fit=describe_fit(rule.fit, rule.size, rule.spacing),
        window=rule.intensity.describe(),
        of_file=rule.intensity.kind == FILE,
        augmentation=say_augmentation(dataclasses.asdict(look.augment)),
        each=EACH,
        left_out=classes[MOST_SHOWN:],
        strips={name: [strips[row] for row in rows] for name, rows in zip(classes, chosen, strict=True) if len(rows)},
    )


def _show_sizes(look, measures: Measures, labels) -> Markup:
    classes = look.images.table.classes
    several = len(set(zip(measures.heights.tolist(), measures.widths.tolist(), strict=True))) > 1
    shown, _ = _list_parts(look, measures, labels)
    return render(
        "overview/sizes.html",
        sizes=tabulate_sizes(measures, labels, classes),
        kinds=tabulate_kinds(measures, labels, classes),
        picture=_draw_sizes(measures, labels, classes) if several else None,
        spans=tabulate_spans(measures, shown) if several else None,
    )


def _draw_sizes(measures: Measures, labels, classes) -> Picture:
    figure = draw_sizes(measures.heights, measures.widths, labels, classes)
    said = "Height against width of each image, by class. The table below has the smallest and the largest."
    return draw(figure, said, "Height and width")


def _list_parts(look, measures: Measures, labels) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the parts that a table has rows for, and the classes; many classes stand in a table of their own."""
    splits = look.images.splits[measures.rows]
    names = enumerate(look.images.table.classes)
    classes = {name: labels == label for label, name in names if (labels == label).any()}
    whole = {"all images": np.ones(len(labels), bool)} if len(classes) > MOST_CLASSES else classes
    return whole | {f"split {name}": splits == name for name in order_splits(splits.tolist())}, classes


def _show_intensity(look, measures: Measures, labels) -> Markup:
    shown, classes = _list_parts(look, measures, labels)
    stored = None if measures.as_stored.all() else tabulate_stored(measures, shown)
    return render(
        "overview/intensity.html",
        got=_draw_levels(measures, classes),
        levels=tabulate_levels(measures, shown),
        ranges=tabulate_shown(measures, labels, look.images.table.classes) if any(measures.shown) else None,
        stored=stored,
        held=_draw_stored(measures, classes) if stored else None,
        classes=tabulate_levels(measures, classes) if len(classes) > MOST_CLASSES else None,
        coloured=MOST_COLOURED if len(classes) > MOST_COLOURED else 0,
    )


def _draw_levels(measures: Measures, classes: Mapping[str, np.ndarray]) -> Picture:
    shares = {
        name: measures.levels[chosen].mean(axis=0).reshape(-1, _EVERY).sum(axis=1) for name, chosen in classes.items()
    }
    figure = draw_histograms(np.arange(0, LEVELS + 1, _EVERY), shares, "level, from 0 (black) to 255 (white)")
    return draw(figure, _describe("Levels of the pixels of network input"), "Network input")


def _draw_stored(measures: Measures, classes: Mapping[str, np.ndarray]) -> Picture:
    edges = np.linspace(measures.lowest.min(), measures.highest.max(), BINS + 1)
    shares = {
        name: np.histogram(measures.stored[chosen], edges)[0] / measures.stored[chosen].size
        for name, chosen in classes.items()
    }
    unit = "Hounsfield units" if measures.hounsfield.all() else "value"
    figure = draw_histograms(edges, shares, f"{unit} in the file")
    return draw(figure, _describe("Values of the pixels in their files"), "In the files")


def _describe(what: str) -> str:
    return f"{what}: a histogram for each class, on a logarithmic scale. The table below has the numbers."
