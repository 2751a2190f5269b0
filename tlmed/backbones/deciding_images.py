"""Images that decide between candidates although the weights of a candidate were trained on them."""

from collections.abc import Iterable

import numpy as np

from tlmed.backbones.ancestry import find_known, leave_out_published
from tlmed.data import ImageSet
from tlmed.data.learned import recognise_images
from tlmed.split_names import LEARNED
from tlmed.words import count


def say_taught(weights: str | Iterable[str], backbone: str | Iterable[str], images: ImageSet) -> list[str]:
    """Return a sentence for each run behind some weights that was trained on images from which validation is drawn.

    They are development images: validation images, or other parts that judge, are drawn from these. Scores of such
    images say what weights remember, so that they cannot choose between these weights and others. Images that only
    validated the run are left out: they chose among its epochs, as they choose among those of a candidate.

    Args:
        weights: As in a recipe.
        backbone: The recipe's.
        images: The images; those in train and val are the development images.
    """
    known, _ = find_known(leave_out_published(weights, backbone), images.table.identifiers)
    deciding = np.isin(images.splits, LEARNED)
    found = {
        run: int((deciding & recognise_images([it.without_validation()], images.sha256, images.table.own_groups)).sum())
        for run, it in known.items()
    }
    return [
        f"{run} was trained on {amount:,} of the {count(int(deciding.sum()), 'development image')} (all but the test "
        "images), or on others of their groups"
        for run, amount in found.items()
        if amount
    ]
