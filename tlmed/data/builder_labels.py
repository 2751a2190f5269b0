"""The labels of a TensorFlow data set: a class of each image, a sequence of labels, or a feature of 0 and 1 of each."""

import tlmed.tensorflow_start

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow_datasets as tfds

from tlmed.errors import InputError, did_you_mean
from tlmed.label_cells import join_cells
from tlmed.label_texts import NOTHING, SEPARATOR, is_nothing
from tlmed.source_layout import Layout
from tlmed.words import listed

_NAMED = 3
_USUAL = ("label", "labels")


@dataclass(frozen=True)
class BuilderLabels:
    """Which features of a data set say the labels of an image.

    Attributes:
        features: Their names: one, or one for each label.
        classes: What the numbers of a single feature stand for; none where each feature is a label.
        several: The names of the labels, where an image may have several; None elsewhere.
        uncertain: What -1 means in a feature of a label.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...] = ()
    several: tuple[str, ...] | None = None
    uncertain: str = "ignore"

    def name(self, source: str, paths: Sequence[str], found: Sequence[Sequence[Sequence[int]]]) -> list[str]:
        """Return the text of the label, or of the labels, of each image.

        Args:
            source: What the data set is called.
            paths: Of the images.
            found: For each image the numbers that each of the features holds.

        Raises:
            InputError: Numbers stand for no label.
        """
        if not self.classes:
            return self._join(source, paths, found)
        numbers = [values for (values,) in found]
        _check_numbers(source, numbers, len(self.classes))
        if not self.several:
            return [self.classes[values[0]] for values in numbers]
        if twice := [path for path, values in zip(paths, numbers, strict=True) if len(set(values)) < len(values)]:
            raise InputError(
                f"The feature {self.features[0]!r} must name each label of an image once; where its numbers are states "
                "of labels, write a table with a column of 0 and 1 for each. "
                f"Received: data={source}, with a name more than once for {listed(twice, _NAMED)}."
            )
        return [SEPARATOR.join(self.classes[value] for value in values) or NOTHING for values in numbers]

    def _join(self, source, paths, found) -> list[str]:
        pairs = [
            join_cells({name: _write(own) for name, own in zip(self.features, values, strict=True)}, self.uncertain)
            for values in found
        ]
        if odd := [f"{cells} ({path})" for path, (_, cells) in zip(paths, pairs, strict=True) if cells]:
            raise InputError(
                "A feature that is a label must hold 0, 1 or -1 (uncertain), or nothing (not known). "
                f"Received: data={source}, {listed(odd, _NAMED)}."
            )
        return [text for text, _ in pairs]


def _write(values) -> str:
    return str(values[0]) if values else ""


def _check_numbers(source, numbers, classes) -> None:
    # TFDS writes -1 for an image without a label.
    unlabelled = sum(any(value < 0 for value in values) for values in numbers)
    if unlabelled:
        raise InputError(
            f"Every image must have a label. Received: data={source}, where {unlabelled} of {len(numbers)} have none."
        )
    if (most := max((value for values in numbers for value in values), default=0)) >= classes:
        raise InputError(
            f"A label must be a number below {classes}, that of the classes. Received: data={source}, label={most}."
        )


def choose_labels(features: Mapping[str, tfds.features.FeatureConnector], layout: Layout, source: str) -> BuilderLabels:
    """Return the features that say the labels of an image: those that the user names, or the only one, or the usual.

    Args:
        features: Of the data set, by name.
        layout: What the user says of them.
        source: What the data set is called.

    Raises:
        InputError: There are none.
    """
    if layout.label_columns:
        return _take_columns(features, layout, source)
    sequences = {name: kind.feature for name, kind in features.items() if _is_sequence(kind)}
    name = choose_feature(features, _USUAL[:1], tfds.features.ClassLabel)
    if name not in _USUAL and (several := choose_feature(sequences, _USUAL, tfds.features.ClassLabel)):
        names = tuple(sequences[several].names)
        return BuilderLabels((several,), names, tuple(name for name in names if not is_nothing(name)))
    if name is None:
        raise InputError(
            "A data set must have one feature of class labels, or one called 'label'; of several labels, "
            "`data.label_columns` names a feature of 0 and 1 for each. "
            f"Received: data={source} with {name_features(features)}."
        )
    return BuilderLabels((name,), tuple(features[name].names))


def _is_sequence(kind) -> bool:
    return isinstance(kind, tfds.features.Sequence) and isinstance(kind.feature, tfds.features.ClassLabel)


def _take_columns(features, layout, source) -> BuilderLabels:
    allowed = [name for name, kind in features.items() if _is_zero_or_one(kind)]
    if strange := [name for name in layout.label_columns if name not in allowed]:
        raise InputError(
            f"`data.label_columns` must name features of 0 and 1.{did_you_mean(strange[0], allowed)} "
            f"Received: {listed(map(repr, strange))}, for data={source} with {name_features(features)}."
        )
    names = layout.label_columns
    return BuilderLabels(names, several=names, uncertain=layout.uncertain)


def _is_zero_or_one(kind) -> bool:
    """Tell whether a feature can be a label; what 0 and 1 of class labels mean is in their names."""
    return not isinstance(kind, tfds.features.ClassLabel) and (is_number(kind, np.integer) or is_number(kind, np.bool_))


def is_number(kind: tfds.features.FeatureConnector, of: type) -> bool:
    """Tell whether a feature is one number of a NumPy kind."""
    return isinstance(kind, tfds.features.Tensor) and kind.shape == () and np.issubdtype(kind.np_dtype, of)


def choose_feature(features: Mapping, usual: Sequence[str], kind: type) -> str | None:
    """Return the feature of a kind: the one with a usual name, or the only one; None where there is neither."""
    names = [name for name, feature in features.items() if isinstance(feature, kind)]
    named = [name for name in usual if name in names]
    return named[0] if named else names[0] if len(names) == 1 else None


def name_features(features: Mapping[str, tfds.features.FeatureConnector]) -> str:
    """Return the names of features with their kinds, as words."""
    return listed(f"{name} ({type(feature).__name__})" for name, feature in features.items()) or "no features"
