"""What the file of an image says besides its pixels: size, format, depth, and facts of its header."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FileFacts:
    """What a file says of an image, besides its pixels.

    Values of `tags` come from headers. They may tell a device, a place or a day: they are compared and counted, and
    none of them is written into a file or a message.

    Attributes:
        bytes: The size of the file; 0 where an image is no file of its own.
        format: Of the file: "PNG", "JPEG", "DICOM" ...; "" if unknown.
        height: Of the stored image in pixels; 0 if unknown.
        width: Of the stored image in pixels; 0 if unknown.
        bits: Per sample, as stored; 0 if unknown.
        colours: "gray", "colour" or "palette" as stored; "" if unknown. For DICOM "inverted" is `MONOCHROME1`.
        spacing: Height and width of a pixel in millimetres; None if unknown.
        tags: Facts of EXIF or DICOM headers by a plain name: "manufacturer", "model", "station", "date", "body part",
            "view", "software", "modality" and the like. Missing ones are left out.
    """

    bytes: int = 0
    format: str = ""
    height: int = 0
    width: int = 0
    bits: int = 0
    colours: str = ""
    spacing: tuple[float, float] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
