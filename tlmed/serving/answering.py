"""What a run answers for one uploaded image: what `tlmed predict` answers for the same file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.held_files import HeldImages, Limits, read_held
from tlmed.data.readers import find_slice
from tlmed.data.tones import note_tones
from tlmed.errors import InputError
from tlmed.evaluation.pooling import find_telling
from tlmed.inference.finishing import clear_faults
from tlmed.inference.image_notes import describe_flat, join_notes
from tlmed.inference.member_scores import average_scores
from tlmed.inference.panel import Panel
from tlmed.inference.unit_answers import FileAnswers, answer_files
from tlmed.inference.unlike_images import Jury, pool_rounded
from tlmed.novelty import join_judgements
from tlmed.part_names import split_part
from tlmed.serving.explaining import Explanations, Shown
from tlmed.serving.graph_engines import MOST
from tlmed.tasks import MULTI_LABEL, read_task

if TYPE_CHECKING:
    from tlmed.serving.converting import AnyNumber
    from tlmed.serving.graph_engines import GraphEngine

MOST_SAMPLES = 256  # of a file: planes of a volume
_ONE_OF_SERIES = (
    "The file is one plane of a series and is answered alone, where the run learned from whole series: `tlmed predict` "
    "reads those from a folder."
)


@dataclass(frozen=True, eq=False)
class Voter:
    """A network that answers, alone or with others.

    Attributes:
        rule: How it sees images.
        share: Its part of the answer, above 0.
        engine: Runs it: to d features and then class probabilities, or of a hybrid to features. It has a name and a
            version.
        width: How many features there are, d.
        finish: Features to class probabilities; None where the engine gives them.
    """

    rule: PixelRule
    share: float
    engine: "GraphEngine | AnyNumber"
    width: int
    finish: Callable[[np.ndarray], np.ndarray] | None

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return features [n, d] and class probabilities [n, k] of uint8 [n, height, width, 3], n of any size."""
        with clear_faults():
            parts = [self.engine(images[start : start + MOST]) for start in range(0, len(images), MOST)]
        found = np.concatenate(parts)
        features = found[:, : self.width]
        return features, found[:, self.width :] if self.finish is None else self.finish(features)


@dataclass(frozen=True, eq=False)
class Scored:
    """What the networks say of the samples of one image.

    Attributes:
        scores: Class probabilities, float [n, k].
        unusual: How unlike the training images they are, p-values, float [n]; None where the run cannot tell.
    """

    scores: np.ndarray
    unusual: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Decoded:
    """An uploaded image as the networks see it.

    Attributes:
        views: By the rule of each network; all have the same n samples.
        first: By the rule of the first one, whose notes and tones count.
    """

    views: Mapping[PixelRule, HeldImages]
    first: HeldImages

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.first.names)


@dataclass(frozen=True)
class Answer:
    """What a run answers for a file, or for one of its samples where it does not pool their scores.

    Attributes:
        sample: Which part of the file, such as "plane=3"; "" for the whole file.
        prediction: The class; of several labels those that are predicted.
        scores: By class, not calibrated.
        calibrated: Likewise, calibrated.
        note: What is odd about the values of the image; "" for nothing.
        unusual: How unlike the training images it is, a p-value; None where the run cannot tell.
    """

    sample: str
    prediction: str | tuple[str, ...]
    scores: Mapping[str, float]
    calibrated: Mapping[str, float]
    note: str
    unusual: float | None


@dataclass(frozen=True)
class Explained:
    """Where the evidence for a class lies.

    Attributes:
        of: The class.
        sample: Which part of the file is shown.
        shown: The pictures.
    """

    of: str
    sample: str
    shown: Shown


@dataclass(frozen=True, eq=False)
class ServedRun:
    """A run whose networks are in memory and compiled; its files are read no more, but for what explains answers.

    Attributes:
        panel: What answers.
        voters: The networks with a share.
        jury: What they know of their training images.
        explanations: Show where the evidence lies; the only part that may still have to be loaded.
        limits: What of an upload is decoded.
        usual: How many values training images usually have; None where the run did not record it.
    """

    panel: Panel
    voters: tuple[Voter, ...]
    jury: Jury
    explanations: Explanations
    limits: Limits
    usual: Mapping[str, int] | None

    @property
    def classes(self) -> Sequence[str]:
        """Return the names of the classes, or of the labels, in order."""
        return self.panel.metrics["classes"]

    @property
    def task(self) -> str:
        """Return what is asked, of `tlmed.tasks`."""
        return read_task(self.panel.metrics)

    @property
    def engine(self) -> str:
        """Return what runs the networks, with its version."""
        return " and ".join(dict.fromkeys(f"{voter.engine.name} {voter.engine.version}" for voter in self.voters))

    @property
    def is_multi(self) -> bool:
        """Tell whether an image may have several labels."""
        return self.task == MULTI_LABEL

    def decode(self, content: bytes, name: str) -> Decoded:
        """Read an image as training images are read, with the same refusals.

        Raises:
            ValueError: As `read_held`; the message is a short reason.
            InputError: Likewise.
        """
        rules = dict.fromkeys([self.panel.first.rule, *(voter.rule for voter in self.voters)])
        slicing = self.panel.recipe.data.slicing
        views = {rule: read_held(content, name, rule, slicing, self.limits) for rule in rules}
        first = views[self.panel.first.rule]
        notes = [*first.notes, *describe_flat(first.names, self.panel.recipe.data.channels, "The file")]
        if slicing.wanted and len(first.names) == 1 and find_slice(content) is not None:
            notes.append(_ONE_OF_SERIES)
        return Decoded(views, replace(first, notes=tuple(notes)))

    def score(self, images: Sequence[Decoded]) -> list[Scored]:
        """Return what the networks say of the samples of each image, all computed together."""
        found = [voter(np.concatenate([image.views[voter.rule].pixels for image in images])) for voter in self.voters]
        if len(found) > 1:
            shares = np.array([voter.share for voter in self.voters])
            scores = average_scores(np.stack([own for _, own in found]).astype(float), shares[:, None])
        else:
            scores = found[0][1]
        if not np.isfinite(scores).all():
            raise InputError("The network of RUN must give finite scores. Received: NaN or infinity for an image.")
        ends = np.cumsum([len(image) for image in images])[:-1]
        unusual = [None] * len(images) if self.jury.reason else np.split(self._judge(found), ends)
        return [Scored(*pair) for pair in zip(np.split(scores, ends), unusual, strict=True)]

    def _judge(self, found) -> np.ndarray:
        knowing = zip(self.jury.known.values(), found, strict=True)
        return join_judgements([known.judge(own) for known, (own, _) in knowing], list(self.jury.shares.values()))

    def answer(self, image: Decoded, scored: Scored) -> tuple[list[Answer], FileAnswers]:
        """Return what the run answers for an image, by its threshold or its rule, and the same as numbers.

        Args:
            image: As it was decoded.
            scored: What the networks said of it.
        """
        found = answer_files(self.panel, image.first.names, scored.scores)
        notes = join_notes(note_tones(image.first.tones, self.usual), image.first.names, found.members)
        units = [None] * len(notes)
        if scored.unusual is not None:
            units = pool_rounded(self.jury, scored.unusual, found.members).tolist()
        return [self._say(found, row, *pair) for row, pair in enumerate(zip(notes, units, strict=True))], found

    def _say(self, found, row, note, unusual) -> Answer:
        chosen, classes = found.chosen[row], self.classes
        named = tuple(name for name, has in zip(classes, chosen, strict=True) if has) if self.is_multi else ""
        tables = [
            dict(zip(classes, np.asarray(table[row], float).tolist(), strict=True))
            for table in (found.scores, found.calibrated)
        ]
        predicted = named if self.is_multi else classes[chosen]
        return Answer(split_part(found.names[row])[1], predicted, *tables, note, unusual)

    def explain(self, image: Decoded, scored: Scored, found: FileAnswers, of: str | None = None) -> Explained:
        """Show where the evidence for a class lies, in the sample that speaks most for it.

        Args:
            image: As it was decoded.
            scored: What the networks said of it.
            found: From `answer`; of several units the first one is explained.
            of: The class; None: the predicted one, or of several labels the one furthest above its threshold.

        Raises:
            InputError: Several networks answer together, or the network allows no explanation.
        """
        label = self._choose(found) if of is None else list(self.classes).index(of)
        row = int(find_telling(scored.scores, found.members, np.full(len(found.names), label))[0])
        shown = self.explanations.show(image.views[self.panel.first.rule].pixels[row], label)
        return Explained(self.classes[label], split_part(image.first.names[row])[1], shown)

    def _choose(self, found) -> int:
        if not self.is_multi:
            return int(found.chosen[0])
        return int(np.argmax(found.scores[0] - np.array(self.panel.decision.thresholds)))
