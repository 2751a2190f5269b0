"""Divide images again that are divided already, as a recipe asks: an inner fold, other validation images, a share."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tlmed.data.inner_folds import check_share, divide_inner, name_made
from tlmed.data.pipeline import ImageSet, put_into
from tlmed.data.splits import count_folds
from tlmed.data.table import Table
from tlmed.data.training_share import leave_aside
from tlmed.data.validation_draws import draw_validation, refuse_given
from tlmed.sections import Images, KFold


def redivide(images: ImageSet, settings: Images, seed: int) -> ImageSet:
    """Return the same images, divided again as a recipe asks; no image is read again.

    Args:
        images: The images, as `load` or `divide` return them.
        settings: The recipe's section on data.
        seed: As for `divide`.

    Raises:
        InputError: As `divide_again`.
    """
    if settings.inner is None and settings.val_seed is None and settings.train_share == 1:
        return images
    splits, made = divide_again(images.table, images.sha256, (images.splits, images.split_made), settings, seed)
    found = put_into(images, splits, made, isinstance(settings.split, KFold))
    return found if settings.inner is None else dataclasses.replace(found, apart=len(images.indices("test")))


def divide_again(
    table: Table, sha256: Sequence[str], divided: tuple[np.ndarray, tuple[str, ...]], settings: Images, seed: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return splits, and who made them, after what a recipe asks besides its split, one after the other.

    First `inner` puts the test images aside and divides the others; then `val_seed` draws other validation images among
    those that are not tested; then `train_share` leaves training images aside.

    Args:
        table: Usable images only.
        sha256: The digest of every image's content.
        divided: The split of every image, and which of them tlmed made, as `assign_splits` returns them.
        settings: The recipe's section on data.
        seed: Decides the splits.

    Raises:
        InputError: A class has too few images; validation images shall be drawn where the source gives them; or the
            share leaves no training image of a class. Before the first fold, this is checked in all folds.
    """
    (splits, made), scheme, share = divided, settings.split, settings.train_share
    if settings.inner is not None:
        splits, made, scheme = (
            divide_inner(table, sha256, splits, settings.inner, seed),
            name_made(table),
            settings.inner,
        )
    if isinstance(scheme, KFold) and scheme.fold == 1 and share < 1:
        if settings.inner is None:
            count_folds(table, sha256, scheme, seed, share)
        else:
            check_share(table, sha256, splits, scheme, seed, share)
    if settings.val_seed is not None:
        refuse_given(made, settings.val_seed, table.source)
        splits = draw_validation(table, sha256, splits, scheme, settings.val_seed)
    return leave_aside(table, sha256, splits, share, seed), made
