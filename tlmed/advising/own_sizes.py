"""A sample of images at their own size, before any is reduced."""

from collections.abc import Iterator, Sequence

import numpy as np

from tlmed.data import ImageSet, decode
from tlmed.data.reading import READ_ERRORS
from tlmed.errors import CHANGED, RunFailed
from tlmed.part_names import split_part
from tlmed.seeds import derive

MOST_IMAGES, MOST_PIXELS = 200, 3 * 10**7
FEWEST = 16  # images that are read whatever their size
MOST_FILES = 20  # with several samples each: a volume is read as a whole for each of its planes


def choose_sample(paths: Sequence[str], seed: int) -> list[int]:
    """Return the places of at most 200 images, drawn at random; of files with several samples, at most 20 files.

    Args:
        paths: Of the images; samples of a file are named as `tlmed.part_names` does.
        seed: Decides which.

    >>> len(choose_sample([f"{number}.png" for number in range(1000)], seed=0))
    200
    >>> planes = [f"{scan}.nii#plane={plane}" for scan in range(50) for plane in range(30)]
    >>> len({planes[place].partition("#")[0] for place in choose_sample(planes, seed=0)})
    20
    """
    order = np.random.RandomState(derive(seed, "own sizes")).permutation(len(paths)).tolist()
    files = {place: split_part(paths[place]) for place in order}
    whole = [place for place in order if not files[place][1]]
    parts = [place for place in order if files[place][1]]
    chosen = dict.fromkeys(files[place][0] for place in parts)
    few = set(list(chosen)[:MOST_FILES])
    return [*whole, *(place for place in parts if files[place][0] in few)][:MOST_IMAGES]


def read_own_sizes(images: ImageSet, rows: Sequence[int], seed: int) -> Iterator[np.ndarray]:
    """Yield a sample of images at their own size, shown with the window that training shows them with.

    Large images are fewer: after 30 million pixels none is read, unless fewer than 16 were.

    Args:
        images: The images; a range that is to be measured has been.
        rows: Those of which a sample is drawn.
        seed: Decides which.

    Returns:
        uint8 [height, width, 3] each.

    Raises:
        RunFailed: An image cannot be read any more.
    """
    read, intensity = 0, images.pixels.rule.intensity
    for number, place in enumerate(choose_sample([images.table.paths[row] for row in rows], seed)):
        if number >= FEWEST and read > MOST_PIXELS:
            return
        row = int(rows[place])
        try:
            image = decode(images.table.read(row), intensity)
        except READ_ERRORS as error:
            raise RunFailed(f"{CHANGED} Received: '{images.table.paths[row]}' ({error}).") from error
        read += image.shape[0] * image.shape[1]
        yield image
