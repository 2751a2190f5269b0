"""Which parts of files become samples: planes of a volume and what their colours show, or tiles of a slide."""

import re
from dataclasses import dataclass

AXES = ("sagittal", "coronal", "axial")  # planes across the axes from left, back and below to right, front and above
REPEAT, NEIGHBOURS, VIEWS = CHANNELS = ("repeat", "neighbours", "views")
ALL = "all"
_EVERY = re.compile(r"every ([1-9][0-9]{0,5})")


def are_planes(planes: int | str) -> bool:
    """Tell whether a value says which planes are samples.

    >>> are_planes("all"), are_planes("every 3"), are_planes(5), are_planes(0), are_planes("some")
    (True, True, True, False, False)
    """
    if isinstance(planes, int):
        return planes >= 1
    return planes == ALL or _EVERY.fullmatch(planes) is not None


@dataclass(frozen=True)
class Slicing:
    """How files with several planes become samples.

    Attributes:
        planes: "all"; "every k"; a number: so many in the middle. None: no plane is chosen.
        axis: One of `AXES`.
        channels: "repeat": a plane is a sample. "neighbours": a plane is green, the one before it red, the one after it
            blue. "views": the middle axial plane is red, the coronal one green, the sagittal one blue: one sample.
        together: Whether the pixels of a plane depend on the values of all planes of its volume.
    """

    planes: int | str | None = None
    axis: str = "axial"
    channels: str = REPEAT
    together: bool = False

    @property
    def wanted(self) -> bool:
        """Whether files with several planes become samples."""
        return self.planes is not None or self.channels == VIEWS

    def find_conflicts(self, path: str) -> list[str]:
        """Return a sentence for each field that has no meaning beside the others.

        Args:
            path: What stands before the names of fields in a sentence.

        >>> Slicing(3, channels="views").find_conflicts("data.")[0].partition(" Received")[0]
        "`data.planes` must be None with channels='views', which shows the middle planes."
        """
        faults = []
        if self.channels == VIEWS and self.planes is not None:
            faults.append(
                f"`{path}planes` must be None with channels='views', which shows the middle planes. "
                f"Received: planes={self.planes!r}."
            )
        if self.planes is None and (self.channels == NEIGHBOURS or self.axis != WHOLE.axis):
            faults.append(
                f"`{path}planes` must say which planes are samples where `axis` or `channels='neighbours'` is set. "
                f"Received: planes=None with axis={self.axis!r}, channels={self.channels!r}."
            )
        return faults

    def choose(self, count: int) -> range:
        """Return which of some planes are samples, from 0; where some are left out, as many at both ends.

        >>> slicings = [Slicing(planes) for planes in ("all", "every 3", 3, 20)]
        >>> [list(slicing.choose(8)) for slicing in slicings[1:3]], [len(each.choose(8)) for each in slicings]
        ([[0, 3, 6], [2, 3, 4]], [8, 3, 3, 8])
        """
        if self.planes == ALL:
            return range(count)
        if isinstance(self.planes, int):
            taken = min(self.planes, count)
            return range((count - taken) // 2, (count - taken) // 2 + taken)
        step = int(_EVERY.fullmatch(self.planes)[1])
        return range((count - 1) % step // 2, count, step)


WHOLE = Slicing()


@dataclass(frozen=True)
class Tiling:
    """How slides and other large pictures are cut into square tiles, each of which is a sample.

    Attributes:
        size: Width and height of a tile, in pixels of `mpp` micrometres.
        mpp: Micrometres per pixel; None: the pixels of the file, whatever they measure.
        most: The most tiles that a file gives, drawn at random; None: all.
        tissue: The share of a tile that must be tissue; 0: any tile is taken.
        seed: Decides which tiles are drawn.
    """

    size: int
    mpp: float | None = 0.5
    most: int | None = 50
    tissue: float = 0.5
    seed: int = 0
