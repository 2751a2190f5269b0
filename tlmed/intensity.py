"""What of an image's values is black and what is white: the forms that a recipe asks in, and what a run used."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from tlmed.errors import InputError

AUTO, FULL, WINDOW, PERCENTILE, FILE = KINDS = ("auto", "full", "window", "percentile", "file")
RANGE = "range"  # a recipe's word for the two ends of a window
HOUNSFIELD = "HU"
# Centre and width in Hounsfield units, by https://radiopaedia.org/articles/windowing-ct; there "soft-tissue" is that of
# the abdomen, and "bone" that of the spine.
WINDOWS = {
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "soft-tissue": (50, 400),
    "bone": (400, 1800),
    "brain": (40, 80),
    "liver": (30, 150),
}
USUAL = (0.5, 99.5)  # percentiles that "auto" measures
FORMS = (
    f"'auto', 'full', one of {', '.join(map(repr, WINDOWS))}, (center, width) with a width above 1, "
    "(low, high, 'range'), (low, high, 'percentile') or (low, high, 'file')"
)
_OWN = "a file's own, or else "
Asked = str | tuple[float, float] | tuple[float, float, str]


def is_window(asked: Asked) -> bool:
    """Tell whether a recipe may ask for this.

    >>> [is_window(asked) for asked in ("lung", (40, 400), (1, 99, "percentile"), (0, 1, "range"), (40, 1), "lungs")]
    [True, True, True, True, False, False]
    """
    if isinstance(asked, str):
        return asked in (AUTO, FULL, *WINDOWS)
    first, second, *word = asked
    if not (math.isfinite(first) and math.isfinite(second)):
        return False
    if not word:
        return second > 1
    return first < second and (word == [RANGE] or (word in ([PERCENTILE], [FILE]) and first >= 0 and second <= 100))


@dataclass(frozen=True)
class Intensity:
    """How values become 0..255.

    Images of 8 bits or fewer, and colours, are shown as their files say, whatever this is; with a `unit` they are
    refused if they have another one. Only "file" is for gray values of 8 bits, too, if they are no pictures: files of
    one set, MRI above all, may have scales of their own at any depth.

    Attributes:
        kind: "auto": a file's own window, or else `low` and `high`; without these all bits are shown, if the file says
            that they are meant to be (PNG, TIFF). "full": all bits. "window": `low` and `high`, whatever a file says.
            "percentile": the same, measured. "file": percentiles of the file itself; of a volume, of all its planes.
        low: What is black, in units of the values; None: not known, or not needed.
        high: What is white.
        unit: "HU": only for values in Hounsfield units; "": for any.
        percentiles: By which `low` and `high` are measured on training images, or for "file" on each file; None: they
            are not.
    """

    kind: str = AUTO
    low: float | None = None
    high: float | None = None
    unit: str = ""
    percentiles: tuple[float, float] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a range is still to be measured."""
        return self.kind != FILE and self.percentiles is not None and self.low is None

    @property
    def key(self) -> str:
        """All of it that decides pixels, as text; "" where nothing but the files does."""
        if self.kind == FILE:
            return f"{self.kind} {self.percentiles!r}"
        return "" if self == Intensity() else f"{self.kind} {self.low!r} {self.high!r} {self.unit}"

    def describe(self) -> str:
        """Return it in words.

        >>> resolve("lung").describe()
        '-1,350 to 149 Hounsfield units'
        >>> resolve("auto").measured((12.0, 3871.0)).describe()
        "a file's own, or else 12 to 3,871 (0.5 to 99.5 per cent of the training images' values)"
        """
        if self.kind == FULL:
            return "all bits of a file"
        if self.kind == FILE:
            return f"{_join(self.percentiles)} per cent of the values of each file, of a volume together"
        if self.low is None:
            return f"{_OWN}all of its bits"
        ends = say_ends(self.low, self.high)
        unit = " Hounsfield units" if self.unit == HOUNSFIELD else ""
        of = f" ({_join(self.percentiles)} per cent of the training images' values)" if self.percentiles else ""
        return f"{_OWN if self.kind == AUTO else ''}{ends}{unit}{of}"

    def measured(self, ends: tuple[float, float] | None) -> "Intensity":
        """Return it with the range that was measured; None: no training image has values that need one."""
        if ends is None:
            return dataclasses.replace(self, percentiles=None)
        return dataclasses.replace(self, low=float(ends[0]), high=float(ends[1]))

    def within(self, ends: tuple[float, float]) -> "Intensity":
        """Return what "file" stands for in a file that has these percentiles."""
        return dataclasses.replace(self, low=float(ends[0]), high=float(ends[1]))


def resolve(asked: Asked) -> Intensity:
    """Return what a recipe asks for; a range that is to be measured is still open.

    A window is that of DICOM's LINEAR function (PS3.3, C.11.2.1.2.1), as viewers show it.

    >>> resolve((40, 400))
    Intensity(kind='window', low=-160.0, high=239.0, unit='', percentiles=None)
    """
    if asked == FULL:
        return Intensity(FULL)
    if asked == AUTO:
        return Intensity(AUTO, percentiles=USUAL)
    if isinstance(asked, str):
        return Intensity(WINDOW, *find_ends(*WINDOWS[asked]), HOUNSFIELD)
    first, second, *word = asked
    if word in ([PERCENTILE], [FILE]):
        return Intensity(word[0], percentiles=(float(first), float(second)))
    return Intensity(WINDOW, *((float(first), float(second)) if word else find_ends(first, second)))


def find_ends(center: float, width: float) -> tuple[float, float]:
    """Return the values that a window shows as black and as white.

    From c - 0.5 - (w - 1) / 2 to c - 0.5 + (w - 1) / 2, for a width above 1.
    """
    return float(center - width / 2), float(center + width / 2 - 1)


def to_json(intensity: Intensity) -> dict:
    """Return what `plan.json` says of it."""
    content = dataclasses.asdict(intensity)
    return {**content, "percentiles": list(intensity.percentiles) if intensity.percentiles else None}


def from_json(content: Mapping | None) -> Intensity:
    """Return it from what `to_json` gave; None, as in runs of older versions: a file's own, or else all of its bits.

    Raises:
        InputError: `to_json` gave no such thing.

    >>> from_json(to_json(resolve("brain"))) == resolve("brain")
    True
    """
    if content is None:
        return Intensity()
    fields = {spec.name: content.get(spec.name) for spec in dataclasses.fields(Intensity)}
    percentiles, ends = fields["percentiles"], (fields["low"], fields["high"])
    pairs = [pair for pair in (percentiles, ends) if pair not in (None, (None, None))]
    sound = all(isinstance(pair, list | tuple) and len(pair) == 2 and _are_rising(pair) for pair in pairs)
    if not sound or fields["kind"] not in KINDS or fields["unit"] not in ("", HOUNSFIELD):
        raise InputError(f"The window of a run must be as `tlmed train` records it. Received: window={content!r}.")
    return Intensity(**{**fields, "percentiles": tuple(percentiles) if percentiles else None})


def _are_rising(pair) -> bool:
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in pair)
    return numbers and pair[0] < pair[1]


def say_ends(low: float, high: float) -> str:
    """Return a range of values in words.

    >>> say_ends(-1350.0, 149.5)
    '-1,350 to 149.5'
    """
    return f"{_show(low)} to {_show(high)}"


def _show(value: float) -> str:
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:.6g}"


def _join(pair) -> str:
    return " to ".join(f"{end:g}" for end in pair)
