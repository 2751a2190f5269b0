"""What a user says of a source: which columns mean what, which labels make up which class, which planes are samples."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tlmed.columns import BY_NAME, Grouping
from tlmed.slicing import WHOLE, Slicing, Tiling

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
ROLES = ("path", "label", "split")  # of a table's columns, beside the one for groups


@dataclass(frozen=True)
class Layout:
    """How a source is to be read.

    Attributes:
        grouping: How groups are found.
        path: The column with the paths of images; None: the one with a usual name.
        label: The column with their labels; None: as for `path`.
        split: The column with given splits; None: the one called `split`, if there is one.
        delimiter: What separates columns; None: what the header shows.
        classes: For each class the labels that make it up; None: each label is a class.
        slicing: How files with several planes become samples.
        order: The classes in order; None: in that of `order_classes`.
        label_columns: The columns that hold 0 or 1 for one label each, where an image may have several.
        uncertain: What -1 means there: "ignore", "positive" or "negative".
        several: Whether an image may have several labels; None: as its labels look.
        vocabulary: The labels of a run, where an image may have several.
        elsewhere: Whether this is said of another source, which may lack such columns or labels; where it does, its
            own usual names are taken.
    """

    grouping: Grouping = BY_NAME
    path: str | None = None
    label: str | None = None
    split: str | None = None
    delimiter: str | None = None
    classes: Mapping[str, tuple[str, ...]] | None = None
    slicing: Slicing | Tiling = WHOLE
    order: tuple[str, ...] | None = None
    label_columns: tuple[str, ...] | None = None
    uncertain: str = "ignore"
    several: bool | None = None
    vocabulary: tuple[str, ...] | None = None
    elsewhere: bool = False

    def name_class(self, label: str) -> str | None:
        """Return the class that a label belongs to; None if it belongs to none.

        Another source may have the classes already, under their own names.

        >>> layout = Layout(classes={"ill": ("1", "2")})
        >>> layout.name_class("2"), layout.name_class("ill"), layout.for_another(True).name_class("ill")
        ('ill', None, 'ill')
        """
        if self.classes is None:
            return label
        found = next((name for name, labels in self.classes.items() if label in labels), None)
        return label if found is None and self.elsewhere and label in self.classes else found

    def for_another(self, alike: bool) -> "Layout":
        """Return what holds for another source.

        Args:
            alike: Whether it is of the same form, so that it may have the same columns.
        """
        if alike:
            return replace(self, elsewhere=True)
        settled = {"order": self.order, "several": self.several, "vocabulary": self.vocabulary}
        return Layout(self.grouping, classes=self.classes, slicing=self.slicing, **settled, elsewhere=True)

    def list_columns(self) -> dict[str, str]:
        """Return the columns that the user named, by what they mean."""
        return {role: name for role in ROLES if (name := getattr(self, role)) is not None}


AS_FOUND = Layout()
