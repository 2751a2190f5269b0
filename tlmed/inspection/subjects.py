"""Subjects: the images that are inspected, as a recipe reads them or as a run recorded them."""

from dataclasses import dataclass

from tlmed.data import ImageSet
from tlmed.data.recorded import describe_changes
from tlmed.inference.trained_runs import read_trained, recall_images
from tlmed.recipe import Recipe
from tlmed.run.reading_images import describe_counts, describe_synthetic, examine_images, read_leniently
from tlmed.run_files import SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.words import count, listed


@dataclass(frozen=True, eq=False)
class Subject:
    """Images to inspect.

    Attributes:
        recipe: How they are read, and the network that gives features.
        images: The usable ones, in their splits.
        words: What to say of them, a line each.
        notes: What else was found while they were read, a sentence each.
        undivided: Why they could not be divided into splits; "" if they are.
        run: The run whose images they are; None for those of a recipe.
        moved: Where the images of a run lie now; None: where they lay.
    """

    recipe: Recipe
    images: ImageSet
    words: tuple[str, ...]
    notes: tuple[str, ...] = ()
    undivided: str = ""
    run: RunDir | None = None
    moved: str | None = None

    @property
    def source(self) -> str:
        """The images, or the run whose images they are, as a user named them."""
        return self.images.table.source if self.run is None else str(self.run.path)


def open_subject(recipe: Recipe) -> Subject:
    """Read the images of a recipe, whatever is wrong with them.

    Args:
        recipe: The recipe.

    Raises:
        InputError: There is no image that can be read, or the source cannot be opened.
    """
    images, undivided = read_leniently(recipe)
    if undivided or len(images.table.classes) < 2:
        named = f"{count(len(images.table.classes), 'class')} ({listed(images.table.classes)})"
        counted = f"Images: {len(images.table):,} from {images.table.source}, of {named}; training would refuse them"
        return Subject(recipe, images, (counted,), images.warnings, undivided)
    images = examine_images(recipe, images)
    words = (*describe_synthetic(recipe), describe_counts(recipe, images))
    return Subject(recipe, images, words, images.warnings)


def open_run(run: RunDir, source: str | None = None) -> Subject:
    """Read the images of a complete run, in the splits that it recorded.

    Args:
        run: The run.
        source: Where its images lie now, if they were moved.

    Raises:
        InputError: If the files of the run or its images cannot be read.
    """
    trained = read_trained(run)
    found = recall_images(trained, source or trained.recipe.data.source)
    recorded = sum(row["split"] == "test" for row in SPLITS_CSV.read(run))
    notes = tuple(describe_changes(found, recorded))
    words = (describe_counts(trained.recipe, found.images),)
    return Subject(trained.recipe, found.images, words, notes, run=run, moved=source)
