"""The job that every step of a run is given: the recipe, where to write, and the options of the command."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras

from tlmed.intensity import Intensity
from tlmed.recipe import Recipe, RecipeFile
from tlmed.run.clock import Clock
from tlmed.rundir import RunDir
from tlmed.voice import Voice


@dataclass(frozen=True)
class Job:
    """One run to be made: what does not change from its first step to its last.

    Attributes:
        recipe: What is trained, on which images.
        run: Where this process writes.
        voice: Where to tell what happens.
        clock: Takes the time of each stage.
        own: A network of the user's own instead of the recipe's backbone.
        skip_bad: Leave out images that cannot be read.
        strict: Refuse data with leaks between splits or with one image under two labels.
        fresh: Start over where a run is already.
        recipe_file: The file that the recipe is from; None for one made in Python.
        window: If this run repeats another: what was black and white there. None: as the recipe asks.
        report: Write the page.
        choices: If this run repeats another: `cache` of the other one's plan, by phase. None: as this machine suggests.
    """

    recipe: Recipe
    run: RunDir
    voice: Voice
    clock: Clock = field(default_factory=Clock)
    own: keras.Model | None = None
    skip_bad: bool = False
    strict: bool = False
    fresh: bool = False
    report: bool = True
    recipe_file: RecipeFile | None = None
    choices: Mapping[str, dict] | None = None
    window: Intensity | None = None
