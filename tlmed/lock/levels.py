"""The levels at which two results are compared, and which level can hold in which environment."""

from collections.abc import Sequence

from tlmed.errors import InputError
from tlmed.lock.input_differences import CHANGES, ENVIRONMENT, LIBRARY, Difference
from tlmed.recipe import Recipe
from tlmed.sections import Degrees

BITS, PREDICTIONS, METRICS = LEVELS = ("bits", "predictions", "metrics")
# Scores that differ by less than 0.001 rarely change a label; metrics may differ by half a percentage point.
TOLERANCES = {BITS: 0.0, PREDICTIONS: 1e-3, METRICS: 0.005}


def choose_level(wanted: str | None, differences: Sequence[Difference], recipe: Recipe) -> tuple[str, str]:
    """Return the level at which a result is compared, and why.

    On another processor, or with other threads, sums differ in their last digits. If only a head or a classifier is
    trained, scores differ only there; training many layers amplifies the differences. Measured on the shipped recipes,
    made small, with other kernels: scores of a trained head moved by 1e-5 at most, those of a MobileNetV2 of which all
    layers train by 0.15.

    Args:
        wanted: A level, or None for the strongest that can hold.
        differences: Between the lock's environment and this one.
        recipe: What is trained.

    Raises:
        InputError: If bits are wanted where they cannot be the same.
    """
    found = [difference for difference in differences if difference.kind in (LIBRARY, ENVIRONMENT)]
    if wanted == BITS and not recipe.deterministic:
        raise InputError(
            "`--level` must be 'predictions' or 'metrics' for a recipe with deterministic=False. Received: 'bits'."
        )
    if wanted == BITS and found:
        raise InputError(
            "`--level bits` needs the environment of the lock: elsewhere last digits may differ, and the level must be "
            f"'predictions' or 'metrics'. Received: level='bits' with {'; '.join(map(str, found))}."
        )
    if wanted is not None:
        return wanted, "as asked for"
    if not recipe.deterministic:
        return METRICS, "the recipe has deterministic=False"
    if not found:
        return BITS, "the environment is that of the lock"
    level, why = _find_strongest(found, recipe)
    if any(difference.name == CHANGES for difference in found):
        why = "the run went on in another environment than it began in, so no single one repeats it to the bit"
    return level, why


def _find_strongest(found, recipe) -> tuple[str, str]:
    """Return the strongest level that can hold in another environment, and why."""
    if any(difference.kind == LIBRARY for difference in found):
        return METRICS, "libraries that compute have other versions"
    if _trains_blocks(recipe):
        return METRICS, "on another machine, or with other threads, training blocks amplifies the last digits"
    return PREDICTIONS, "the same versions on another machine, or with other threads"


def _trains_blocks(recipe) -> bool:
    return isinstance(recipe.phases, Degrees) or any(phase.thaw != 0 for phase in recipe.phases)
