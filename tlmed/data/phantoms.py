"""Synthetic breast-ultrasound phantoms: drawn, never measured, of no use for any statement about patients.

`draw` (of `ultrasound`) draws one image; `tlmed_phantoms` is a TensorFlow Datasets (TFDS) builder over it, without a
download:

    tfds.load("tlmed_phantoms/images=1000,size=64,seed=0", split="train")

With `several_labels=True` an image has a lesion or none, and a lesion may be irregular, have a shadow, or both.
"""

import tlmed.tensorflow_start

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tlmed.data.ultrasound import FINDINGS, LABELS, SIZE, check_numbers, draw
from tlmed.seeds import derive

IMAGES = 600
DESCRIPTION = """
SYNTHETIC breast-ultrasound phantoms, drawn by formulas: no patient, no scanner, nothing to learn of them.
Smooth oval lesions (benign), irregular spiculated ones (malignant) and plain tissue (normal), with several
images per synthetic patient; or lesions whose outline and shadow are drawn independently of each other. For tests,
demonstrations and scaling runs without a download.
"""


@dataclasses.dataclass(frozen=True)
class View:
    """One image of the data set: whose it is, which of that patient's, and of which class."""

    patient: int
    image: int
    label: str

    @property
    def name(self) -> str:
        """The image's id, the same in every set of the same seed."""
        return f"synthetic_{self.patient:06d}_{self.image}"


def enrol(images: int, seed: int, labels: Sequence[str] = LABELS) -> Iterator[View]:
    """List the first `images` images of the endless data set of `seed`.

    Patients come in threes, one of each class in random order, with 2 to 4 images each (or as many at a time as there
    are labels); the last patient may be cut short. A longer list begins with the shorter one.

    Args:
        images: How many, 1 or more.
        seed: The data set's seed, 0 or more.
        labels: What there is to see, one for each patient.

    Yields:
        The images in order, patient by patient.

    >>> [view.image for view in enrol(6, seed=0)]
    [0, 1, 2, 3, 0, 1]
    """
    return itertools.islice(_enrol_all(seed, labels), images)


def _enrol_all(seed: int, labels: Sequence[str]) -> Iterator[View]:
    for trio in itertools.count():
        random = np.random.RandomState(derive(seed, "phantoms", "trio", trio))
        counts = random.randint(2, 5, len(labels))
        for place, index in enumerate(random.permutation(len(labels))):
            patient = len(labels) * trio + place
            yield from (View(patient, image, labels[index]) for image in range(counts[place]))


@dataclasses.dataclass(eq=False)
class PhantomConfig(tfds.core.BuilderConfig):
    """Which phantoms: how many, of what side, of which seed, with which labels. TFDS keeps a folder for each."""

    images: int = IMAGES
    size: int = SIZE
    seed: int = 0
    labels: tuple[str, ...] = LABELS


class TlmedPhantoms(tfds.core.GeneratorBasedBuilder):
    """Draw synthetic breast-ultrasound phantoms of three classes, or of three labels; nothing is downloaded.

    Args:
        images: How many images, 1 or more.
        size: Their side in pixels, 16..2048.
        seed: Decides every image; the same seed gives the same images whatever their number.
        several_labels: Whether an image may have several labels, of `FINDINGS`, instead of one class.
        config: Must be left out; the arguments above decide it.
        **where: `data_dir`, `version`: see `tfds.core.DatasetBuilder`.

    Raises:
        ValueError: An argument is not a whole number or out of range.
    """

    # Raise the version with every change of a pixel, so that folders prepared by the old code are not used.
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Three classes; 2 to 4 images a patient."}
    # Where TFDS looks for the checksums of downloads, of which there are none. TFDS 4.9.10
    # would find it out by importing importlib_resources, which it does not install.
    code_path = None

    def __init__(
        self,
        *,
        images: int = IMAGES,
        size: int = SIZE,
        seed: int = 0,
        several_labels: bool = False,
        config: None = None,
        **where: object,
    ):
        """Check the arguments and name the folder that holds this set, and no other."""
        if config is not None:
            raise ValueError(
                "tlmed_phantoms takes `images`, `size` and `seed`, as in tlmed_phantoms/images=600,size=128. "
                f"Received: config={config!r}."
            )
        check_numbers(images=images, size=size, seed=seed)
        if not isinstance(several_labels, bool):
            raise ValueError(f"`several_labels` must be True or False. Received: several_labels={several_labels!r}.")
        name = f"images{images}_size{size}_seed{seed}{'_several_labels' if several_labels else ''}"
        description = f"{images} synthetic images of {size} x {size} pixels, seed {seed}."
        labels = FINDINGS if several_labels else LABELS
        config = PhantomConfig(name=name, description=description, images=images, size=size, seed=seed, labels=labels)
        super().__init__(config=config, **where)
        # The arguments that unpickling passes to this method again.
        told = {"images": images, "size": size, "seed": seed, "several_labels": several_labels}
        self._original_state = {**told, **where}

    def download_and_prepare(self, **options: object) -> None:
        """Draw the set unless its folder exists; if another process was faster, use the folder of that process."""
        try:
            super().download_and_prepare(**options)
        except OSError:
            # Moving a finished folder into place fails if one is there already: then that one is complete.
            if not self.is_prepared():
                raise
            self.info.read_from_directory(self.data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        side = self.builder_config.size
        return tfds.core.DatasetInfo(
            builder=self,
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(side, side, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=self.builder_config.labels),
                    "patient": tfds.features.Text(),
                    "image_id": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
            license="Apache-2.0",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict]]:
        config = self.builder_config
        for index, view in enumerate(enrol(config.images, config.seed, config.labels)):
            # TFDS writes records in the order of their keys, and beyond a gigabyte sorts them on disk, in
            # 1000 buckets of equal parts of the 128-bit keys. Keys spread over that range use all the
            # buckets; small ones would all go to the first, which is then read whole.
            yield (
                (index << 128) // config.images,
                {
                    "image": draw(view.label, config.seed, view.patient, view.image, config.size),
                    "label": view.label,
                    "patient": f"synthetic_{view.patient:06d}",
                    "image_id": view.name,
                },
            )
