"""Divide images again that are divided already: other validation images, or a share of those of train."""

from collections.abc import Sequence

from tlmed.data.pipeline import ImageSet, put_into
from tlmed.data.splits import count_folds
from tlmed.data.training_share import leave_aside
from tlmed.data.validation_draws import draw_validation, refuse_given
from tlmed.sections import KFold


def redraw(images: ImageSet, split: Sequence[float] | KFold, val_seed: int | None) -> ImageSet:
    """Return the same images with other ones of those that are not tested as validation images; none is read again.

    Args:
        images: The images, as `load` or `divide` return them.
        split: As for `divide`.
        val_seed: Decides which; None: they stay as they are.

    Raises:
        InputError: The source gives validation images of its own, or a class has too few images.
    """
    if val_seed is None:
        return images
    refuse_given(images.split_made, val_seed, images.table.source)
    splits = draw_validation(images.table, images.sha256, images.splits, split, val_seed)
    return put_into(images, splits, images.split_made, isinstance(split, KFold))


def thin(images: ImageSet, split: Sequence[float] | KFold, seed: int, share: float) -> ImageSet:
    """Return the same images with a share of those in train; the others are unused. No image is read again.

    Args:
        images: The images, as `divide` returns them.
        split: As for `divide`. Before the first fold of a cross-validation, the share is checked in all of them.
        seed: As for `divide`.
        share: Above 0, up to 1.

    Raises:
        InputError: The share leaves no training image of a class.
    """
    if share == 1:
        return images
    is_fold = isinstance(split, KFold)
    if is_fold and split.fold == 1:
        count_folds(images.table, images.sha256, split, seed, share)
    splits = leave_aside(images.table, images.sha256, images.splits, share, seed)
    return put_into(images, splits, images.split_made, is_fold)
