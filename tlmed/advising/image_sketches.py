"""Sketches of sets of images, by which a table of experience is known to be of the same images, and nothing else.

It is minwise hashing with b bits (Li & König, b-bit minwise hashing, WWW 2010): of each of 64 random orders of all
images, four bits of the first image's number are kept. Two sets agree in about as large a share of the digits as they
have of their images in common; a sixteenth of the others agree by chance. Of a single image they tell next to nothing:
one of a set of n images agrees in 4 + 60 / n digits on average, and any other in 4, give or take 2.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

DIGITS = 64
# Of sets without a common image, fewer than one pair in 100,000 agree in as many; of those that share a quarter of all
# their images, four in five do.
_LEAST = 16


def sketch_images(digests: Iterable[str]) -> str:
    """Return the sketch of some images, 64 digits from 0 to f.

    Args:
        digests: Of the content of each image; one or more.

    >>> len(sketch_images(["a", "b"])), sketch_images(["a", "b"]) == sketch_images(["b", "a", "b"])
    (64, True)
    """
    least = np.full(DIGITS, np.iinfo(np.uint64).max, np.uint64)
    for digest in set(digests):
        places = np.frombuffer(hashlib.shake_256(digest.encode()).digest(8 * DIGITS), "<u8")
        np.minimum(least, places, out=least)
    return "".join(f"{place % 16:x}" for place in least.tolist())


def have_common(first: str | None, second: str | None) -> bool:
    """Tell whether two sets of images are the same, or have about a quarter of all their images in common.

    Args:
        first: The sketch of a set; None: not known.
        second: That of another.

    >>> ours = [str(number) for number in range(100)]
    >>> theirs = [str(number) for number in range(100, 200)]
    >>> have_common(sketch_images(ours), sketch_images(ours[:60])), have_common(sketch_images(ours), None)
    (True, False)
    >>> have_common(sketch_images(ours), sketch_images(theirs))
    False
    """
    return bool(first and second) and sum(one == other for one, other in zip(first, second, strict=True)) >= _LEAST
