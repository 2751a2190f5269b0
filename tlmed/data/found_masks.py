"""Masks that were found among images: which were left out, and which files only look like one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tlmed.words import count, listed

NAMED = 3  # files that a sentence names; it counts the others


@dataclass(frozen=True)
class Masks:
    """What was found among images.

    Attributes:
        of: For each mask the image that it belongs to, by path.
        doubtful: Files that are called masks and do not look like one, by path: they are images.
        alike: Files that look like masks of images whose names they have with one word more, by path: they are used.
    """

    of: Mapping[str, str] = field(default_factory=dict)
    doubtful: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()

    def describe(self) -> tuple[str, ...]:
        """Return what a user should know of them.

        >>> Masks({"x_mask.png": "x.png"}, ()).describe()
        ("Left out, as masks of other images: 1 file ('x_mask.png').",)
        """
        return tuple(sentence for sentence, _ in self.tell())

    def tell(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the same sentences, each with the files that it is about."""
        kinds = {
            "Left out, as masks of other images": tuple(self.of),
            "Used as images, although they are called masks, as they have many grey levels or colours": self.doubtful,
            "Used as images, although they look like masks of images whose names they continue (if they are masks, "
            "remove them)": self.alike,
        }
        return [
            (f"{what}: {count(len(paths), 'file')} ({listed(map(repr, paths), NAMED)}).", paths)
            for what, paths in kinds.items()
            if paths
        ]
