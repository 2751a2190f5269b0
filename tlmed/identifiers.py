"""How a source identifies its images and groups: only sources that do it alike can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlmed.pseudonyms import is_file_group
from tlmed.source_forms import ARCHIVE, FOLDER, MEDMNIST, find_form
from tlmed.source_forms import TFDS as BUILDER

FILES, ARRAYS, TFDS = "image files", "arrays of an .npz", "decoded images of TFDS"


@dataclass(frozen=True)
class Identifiers:
    """How a source identifies its images and their groups.

    Attributes:
        digested: What its SHA-256 are of: `FILES`, `ARRAYS` or `TFDS`.
        pseudonyms: Whether tlmed made the names of its groups, which then mean nothing in another source.
    """

    digested: str = FILES
    pseudonyms: bool = False

    @property
    def unit(self) -> str:
        """What two identical images have in common, each "byte" or each "pixel".

        >>> Identifiers().unit, Identifiers(ARRAYS).unit
        ('byte', 'pixel')
        """
        return "byte" if self.digested == FILES else "pixel"

    def find_gap(self, other: "Identifiers") -> str:
        """Return why images of this source cannot be compared with those of another by their SHA-256; "" if they can.

        >>> Identifiers(TFDS).find_gap(Identifiers())
        'its images are recorded by digests of decoded images of TFDS, and these are image files'
        >>> Identifiers().find_gap(Identifiers(pseudonyms=True))
        ''
        """
        if self.digested == other.digested:
            return ""
        return f"its images are recorded by digests of {self.digested}, and these are {other.digested}"

    def own(self, groups: Sequence[str] | None) -> tuple[str, ...] | None:
        """Return groups for a comparison with another source: pseudonyms and files by names that no other source has.

        Args:
            groups: The group of every image, "" for none; None if there are no groups.
        """
        if groups is None:
            return None
        return tuple(f"\0{group}" if group and (self.pseudonyms or is_file_group(group)) else group for group in groups)


def read_identifiers(data: Mapping) -> Identifiers:
    """Return how a run's images and groups are identified, as the run recorded it.

    Older versions recorded only where the images were. That tells it as long as a folder is not called `x.csv`.

    Args:
        data: The part `data` of its `environment.json` or lock.

    >>> read_identifiers({"source": "scans/"})
    Identifiers(digested='image files', pseudonyms=True)
    >>> read_identifiers({"source": "scans.csv", "digested": "image files", "pseudonyms": True}).pseudonyms
    True
    """
    if "digested" in data and "pseudonyms" in data:
        return Identifiers(data["digested"], data["pseudonyms"])
    form = find_form(str(data.get("source")))
    # In a folder only the headers of DICOM files named groups, when runs did not record it yet.
    return Identifiers({BUILDER: TFDS, ARCHIVE: ARRAYS, MEDMNIST: ARRAYS}.get(form, FILES), form == FOLDER)
