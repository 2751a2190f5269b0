"""The rules of a recipe whose head is solved: it must be one linear layer on features that stay as they are."""

import dataclasses

from tlmed.sections import Augment, Degrees, Dense, Phase
from tlmed.sections.training import AUTO_L2, LBFGS, WHERE_POSSIBLE, list_optimizer_fields


def find_solver_faults(recipe) -> list[str]:
    """Return one sentence if a phase asks for a solver that the recipe's other fields rule out."""
    phases = recipe.phases if isinstance(recipe.phases, tuple) else ()
    solved = [phase for phase in phases if isinstance(phase, Phase) and phase.solver == LBFGS]
    broken = _find_obstacles(recipe)
    if not solved or not broken:
        return []
    return [
        "`solver` must be None unless the head is one linear layer with the cross-entropy, on features that stay as "
        f"they are. Received: solver={solved[0].solver!r} in phase {solved[0].name!r} with {'; '.join(broken)}."
    ]


def _find_obstacles(recipe) -> list[str]:
    """Return which fields of a recipe rule a solver out; none where they are faulty themselves."""
    head, augment = recipe.head, recipe.augment
    if not isinstance(head, Dense) or not isinstance(augment, Augment):
        return []
    changing = augment.changes_images and not augment.views
    rules = (
        (f"units={head.units!r} in the head", head.units != ()),
        (f"dropout={head.dropout!r} in the head", head.dropout != 0),
        (f"loss={head.loss!r} in the head", head.loss != "cross-entropy"),
        (f"ordinal={head.ordinal!r} in the head", head.ordinal is not None),
        ("augmentation anew in each epoch (`augment.views` makes versions once)", changing),
        (f"sampling={recipe.sampling!r} (class_weight='balanced' balances too)", recipe.sampling != "none"),
    )
    return [words for words, holds in rules if holds]


def settle_solvers(recipe) -> tuple[Phase, ...] | Degrees:
    """Return the phases of a recipe with `solver="auto"` settled: solved, or trained where something asks for that."""
    if isinstance(recipe.phases, Degrees):
        return recipe.phases
    return tuple(_settle(recipe, phase) for phase in recipe.phases)


def _settle(recipe, phase) -> Phase:
    if phase.solver != WHERE_POSSIBLE:
        return phase
    if _list_reasons(recipe, phase):
        return dataclasses.replace(phase, solver=None, l2=AUTO_L2)
    return dataclasses.replace(phase, solver=LBFGS)


def _list_reasons(recipe, phase) -> list[str]:
    own = (("thaw", phase.thaw, 0), ("optimizer", phase.optimizer, "adam"))
    return [
        *(f"{name}={value!r}" for name, value, usual in own if value != usual),
        *list_optimizer_fields(phase),
        *_find_obstacles(recipe),
    ]


def say_trained(recipe) -> list[str]:
    """Say of each head that could be solved, as far as its phase is concerned, why it is trained."""
    phases = recipe.phases if isinstance(recipe.phases, tuple) else ()
    asked = [phase for phase in phases if phase.solver == WHERE_POSSIBLE and phase.thaw == 0]
    return [
        f"{phase.name}: the head is trained and not solved, because of {'; '.join(reasons)}"
        for phase in asked
        if (reasons := _list_reasons(recipe, phase))
    ]
