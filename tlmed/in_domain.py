"""The table of published weights that were trained on medical images, which users fetch themselves.

What it takes for further ones is one entry in `IN_DOMAIN`: files in the layout of `keras.applications` without its top,
and how their authors prepared images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# Keras's `imagenet_utils.preprocess_input` in its default mode: BGR, minus the mean of ImageNet's pixels in 0..255.
_BGR_MEAN = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class InDomain:
    """Published weights of several backbones, trained on the same medical images.

    Args:
        name: What `weights` begins with: `NAME:PATH`, a file or a folder of files. Also the recorded graph's name.
        title: As its authors call it.
        files: For each backbone in `BACKBONES`, words of which one is in the name of its file, in any case.
        scale: With `offset` and `flip`: what is done to raw RGB in 0..255, `scale * x + offset` for each channel in the
            order in which the network sees them.
        offset: One summand for each channel.
        flip: Whether the network sees BGR.
        preparation: The same in words.
        place: Where the files come from.
        licence: As its authors state it for the weights, None if they state none.
    """

    name: str
    title: str
    files: Mapping[str, tuple[str, ...]]
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    flip: bool
    preparation: str
    place: str
    licence: str | None


IN_DOMAIN = (
    InDomain(
        name="radimagenet",
        title="RadImageNet",  # Mei et al., Radiology: Artificial Intelligence 4 (2022) e210315
        files=MappingProxyType(
            {
                "ResNet50": ("ResNet50",),
                "InceptionV3": ("InceptionV3",),
                "InceptionResNetV2": ("IRV2", "InceptionResNetV2"),
                "DenseNet121": ("DenseNet121",),
            }
        ),
        # github.com/BMEII-AI/RadImageNet, breast/breast_train.py at a12fb760, lines 16, 148 to 149 and 157:
        # `ImageDataGenerator(rescale=1./255, preprocessing_function=preprocess_input)`, which rescales last. The same
        # stands in acl_train.py and pneumonia_train.py. How images were prepared in pretraining is not published.
        scale=(1 / 255, 1 / 255, 1 / 255),
        offset=tuple(-mean / 255 for mean in _BGR_MEAN),
        flip=True,
        preparation="BGR minus the mean of ImageNet, divided by 255, as in its authors' Keras scripts",
        place="https://github.com/BMEII-AI/RadImageNet",
        licence=None,
    ),
)


def find(weights: str) -> InDomain | None:
    """Return the entry that the name of weights begins with; None if there is none.

    >>> find("radimagenet:models/").title, find("imagenet")
    ('RadImageNet', None)
    """
    prefix, colon, _ = weights.partition(":")
    return next((entry for entry in IN_DOMAIN if colon and entry.name == prefix), None)
