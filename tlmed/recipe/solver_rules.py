"""The rules of a recipe whose head is solved: it must be one linear layer on features that stay as they are."""

from tlmed.sections import Augment, Dense, Phase
from tlmed.sections.training import LBFGS


def find_solver_faults(recipe) -> list[str]:
    """Return one sentence if a phase asks for a solver that the recipe's other fields rule out."""
    phases = recipe.phases if isinstance(recipe.phases, tuple) else ()
    solved = [phase for phase in phases if isinstance(phase, Phase) and phase.solver == LBFGS]  # others are faults
    head, augment = recipe.head, recipe.augment
    if not solved or not isinstance(head, Dense) or not isinstance(augment, Augment):
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
    broken = [words for words, holds in rules if holds]
    if not broken:
        return []
    return [
        "`solver` must be None unless the head is one linear layer with the cross-entropy, on features that stay as "
        f"they are. Received: solver={solved[0].solver!r} in phase {solved[0].name!r} with {'; '.join(broken)}."
    ]
