"""The page of a first look at images, in a single file."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from tlmed.data import ImageSet
from tlmed.data.decode_and_resize import as_rule
from tlmed.fitting_in import describe_fit
from tlmed.intensity import FILE
from tlmed.label_vectors import write_labels
from tlmed.overview.class_tables import (
    tabulate_kinds,
    tabulate_levels,
    tabulate_shown,
    tabulate_sizes,
    tabulate_spans,
    tabulate_stored,
)
from tlmed.overview.drawn_rows import EACH, draw_examples, draw_measured
from tlmed.overview.histogram_plots import BINS, MOST_COLOURED, draw_histograms, draw_sizes
from tlmed.overview.label_counts import find_members, tabulate_amounts, tabulate_labels, tabulate_pairs
from tlmed.overview.measures_of_images import LEVELS, Measures, measure
from tlmed.overview.pictures_of_stages import show_stages
from tlmed.pages.figures import Picture, draw
from tlmed.pages.templating import make_page, render
from tlmed.report.image_counts import MOST_CLASSES, order_splits, say_attributes, say_made, show_counts
from tlmed.sections import Augment, Images, KFold
from tlmed.sections.augment_words import say_augmentation
from tlmed.sections.inner_words import say_inner
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
        RunFailed: An image changed while it was read.
    """
    table = look.images.table
    measures = measure(look.images, draw_measured(len(table), look.seed))
    members = find_members(table.labels[measures.rows], table.classes)
    lead = render(
        "overview/lead.html",
        images=len(table),
        classes=count(len(table.classes), _name_class(table)),
        measured=len(measures.rows),
        synthetic=describe_source(look.settings.source),
        seed=look.seed,
    )
    sections = {
        "Warnings": render("list.html", items=look.found) if look.found else Markup(),
        "Images": _count(look),
        "Labels": _show_labels(table),
        "Before and after": _show_stages(look),
        "Sizes": _show_sizes(look, measures, members),
        "Intensity": _show_intensity(look, measures, members),
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
    labels = write_labels(table.labels, table.classes)
    rows = [
        {"label": label, "split": split, "group": group}
        for label, split, group in zip(labels, images.splits.tolist(), groups, strict=True)
    ]
    made = say_made(images.split_made)
    if isinstance(settings.split, KFold):
        made = f"{made}; of {count(settings.split.folds, 'fold')} of a cross-validation one is shown"
    fields = dataclasses.asdict(settings)
    made += say_inner(fields["inner"], images.apart)
    classes = None if table.is_multi else table.classes
    about = [say_attributes({"data": fields})]
    return show_counts(rows, about, made, images.broken, classes=classes, apart=images.apart)


def _show_labels(table) -> Markup:
    """Return how often labels are there and go together; nothing where an image has one class."""
    if not table.is_multi:
        return Markup()
    labels, names = table.labels, table.classes
    return render(
        "overview/labels.html",
        labels=tabulate_labels(labels, names),
        amounts=tabulate_amounts(labels),
        pairs=tabulate_pairs(labels, names),
    )


def _name_class(table) -> str:
    return "label" if table.is_multi else "class"


def _show_stages(look) -> Markup:
    table, chosen = look.images.table, draw_examples(look.images, look.seed)
    # Once each: an image may stand below several of its labels.
    rows = np.array(list(dict.fromkeys(np.concatenate(list(chosen.values())).tolist())))
    strips = show_stages(look.images, rows, look.augment, look.seed)
    left_out = [name for name in find_members(table.labels, table.classes) if name not in chosen]
    rule = as_rule(look.images.pixels.rule)
    return render(
        "overview/stages.html",
        fit=describe_fit(rule.fit, rule.size, rule.spacing),
        window=rule.intensity.describe(),
        of_file=rule.intensity.kind == FILE,
        augmentation=say_augmentation(dataclasses.asdict(look.augment)),
        each=EACH,
        kind=_name_class(table),
        left_out=left_out,
        strips={name: [strips[row] for row in own.tolist()] for name, own in chosen.items() if len(own)},
    )


def _show_sizes(look, measures: Measures, members) -> Markup:
    several = len(set(zip(measures.heights.tolist(), measures.widths.tolist(), strict=True))) > 1
    shown, _ = _list_parts(look, measures, members)
    return render(
        "overview/sizes.html",
        sizes=tabulate_sizes(measures, members),
        kinds=tabulate_kinds(measures, members),
        picture=_draw_sizes(measures, members, _name_class(look.images.table)) if several else None,
        spans=tabulate_spans(measures, shown) if several else None,
    )


def _draw_sizes(measures: Measures, members, kind) -> Picture:
    figure = draw_sizes(measures.heights, measures.widths, members)
    said = f"Height against width of each image, by {kind}. The table below has the smallest and the largest."
    return draw(figure, said, "Height and width")


def _list_parts(look, measures: Measures, members) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the parts that a table has rows for, and the classes; many classes stand in a table of their own."""
    splits = look.images.splits[measures.rows]
    classes = {name: own for name, own in members.items() if own.any()}
    whole = {"all images": np.ones(len(splits), bool)} if len(classes) > MOST_CLASSES else classes
    return whole | {f"split {name}": splits == name for name in order_splits(splits.tolist())}, classes


def _show_intensity(look, measures: Measures, members) -> Markup:
    shown, classes = _list_parts(look, measures, members)
    kind = _name_class(look.images.table)
    stored = None if measures.as_stored.all() else tabulate_stored(measures, shown)
    return render(
        "overview/intensity.html",
        got=_draw_levels(measures, classes, kind),
        levels=tabulate_levels(measures, shown),
        ranges=tabulate_shown(measures, members) if any(measures.shown) else None,
        stored=stored,
        held=_draw_stored(measures, classes, kind) if stored else None,
        classes=tabulate_levels(measures, classes) if len(classes) > MOST_CLASSES else None,
        kind=kind,
        coloured=MOST_COLOURED if len(classes) > MOST_COLOURED else 0,
    )


def _draw_levels(measures: Measures, classes: Mapping[str, np.ndarray], kind: str) -> Picture:
    shares = {
        name: measures.levels[chosen].mean(axis=0).reshape(-1, _EVERY).sum(axis=1) for name, chosen in classes.items()
    }
    figure = draw_histograms(np.arange(0, LEVELS + 1, _EVERY), shares, "level, from 0 (black) to 255 (white)")
    return draw(figure, _describe("Levels of the pixels of network input", kind), "Network input")


def _draw_stored(measures: Measures, classes: Mapping[str, np.ndarray], kind: str) -> Picture:
    edges = np.linspace(measures.lowest.min(), measures.highest.max(), BINS + 1)
    shares = {
        name: np.histogram(measures.stored[chosen], edges)[0] / measures.stored[chosen].size
        for name, chosen in classes.items()
    }
    unit = "Hounsfield units" if measures.hounsfield.all() else "value"
    figure = draw_histograms(edges, shares, f"{unit} in the file")
    return draw(figure, _describe("Values of the pixels in their files", kind), "In the files")


def _describe(what: str, kind: str) -> str:
    return f"{what}: a histogram for each {kind}, on a logarithmic scale. The table below has the numbers."
