"""A finished run, as far as reading its images again needs it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tlmed.cache import cache_folder
from tlmed.data import KnownPixels, open_source
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.recorded import Recalled, read_made, read_rule, recall
from tlmed.errors import InputError
from tlmed.recipe import Recipe, from_json
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.source_layout import Layout
from tlmed.tasks import MULTI_LABEL, read_task


@dataclass(frozen=True)
class Trained:
    """A run, as far as reading and scoring its images needs it.

    Attributes:
        run: The run.
        recipe: Its recipe.
        classes: Its classes, in order.
        rule: How its images became pixels.
        task: What it answers, of `tlmed.tasks`.
    """

    run: RunDir
    recipe: Recipe
    classes: Sequence[str]
    rule: PixelRule
    task: str

    @property
    def layout(self) -> Layout:
        """Return how it read its source: whether images may have several labels, and which, whatever a source holds."""
        several = self.task == MULTI_LABEL
        vocabulary = tuple(self.classes) if several else None
        return replace(self.recipe.layout, several=several, vocabulary=vocabulary)

    @property
    def known(self) -> KnownPixels | None:
        """Return where pixels are kept that were decoded before; None where the recipe switched the store off."""
        return KnownPixels(cache_folder(), self.rule) if self.recipe.cache != "off" else None


def read_trained(run: RunDir) -> Trained:
    """Return what the files of a complete run say of it.

    Raises:
        InputError: If one cannot be read.
    """
    old = METRICS_JSON.read(run)
    return Trained(run, from_json(RECIPE_JSON.read(run)), old["classes"], read_rule(run), read_task(old))


def recall_images(trained: Trained, source: str, option: str = "--data PLACE") -> Recalled:
    """Return the images of a run as they are now, in the splits that it recorded.

    Args:
        trained: The run.
        source: Where its images lie.
        option: What says on the command line where they lie now.

    Raises:
        InputError: If they cannot be read there.
    """
    data = ENVIRONMENT_JSON.read(trained.run, "data.left_out")["data"]
    left_out = [entry["path"] for entry in data["left_out"]]
    recorded = SPLITS_CSV.read(trained.run)
    try:
        table = open_source(source, trained.layout)
        found = recall(table, trained.rule, recorded, trained.classes, left_out, trained.known, read_made(data))
    except InputError as error:
        if source != trained.recipe.data.source:  # it was said already
            raise
        hint = f"If the images of RUN were moved, say where they are now with `{option}`."
        raise InputError([*error.faults, hint]) from error
    return replace(found, images=replace(found.images, apart=data.get("apart", 0)))
