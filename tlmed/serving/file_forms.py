"""Take a file out of the body of a request as it comes in: the body itself, or the field `file` of a form."""

import logging
import re
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from tlmed.serving.refusals import Refused, Upload, UploadLimits, check_name, refuse_size

_FIELD = "file"
AROUND = 2**16  # bytes of a form around the file
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a form that is none is answered, and no news


def open_sink(headers: dict[str, str], limits: UploadLimits) -> "PlainBody | FormBody":
    """Return what takes the chunks of a body, by its content type.

    Args:
        headers: By names in lower case.
        limits: What may come.

    Raises:
        Refused: It is of another type.
    """
    kind, options = parse_options_header(headers.get("content-type"))
    if kind != b"multipart/form-data":
        if kind.startswith(b"multipart/") or kind == b"application/x-www-form-urlencoded":
            raise Refused(
                415,
                "The body must be an image, or a form (multipart/form-data) with the field `file`. Received: "
                f"Content-Type: {kind.decode('latin-1')[:60]!r}.",
                "form",
            )
        return PlainBody(limits)
    boundary = options.get(b"boundary")
    if not boundary:
        raise _no_form()
    try:
        return FormBody(boundary, limits)
    except FormParserError:
        raise _no_form() from None


class PlainBody:
    """A body that is the file."""

    def __init__(self, limits: UploadLimits):
        self._limits, self._parts, self._size = limits, [], 0

    def write(self, chunk: bytes) -> None:
        """Take a chunk; a file that becomes too large is refused."""
        self._size += len(chunk)
        if self._size > self._limits.bytes:
            raise refuse_size(self._limits)
        self._parts.append(chunk)

    def finish(self, name: str = "") -> Upload:
        """Return the file; an empty one is refused."""
        if not self._size:
            raise Refused(400, "The request must carry an image. Received: nothing.", "empty")
        return Upload(name, b"".join(self._parts))


class FormBody:
    """A form, of which the field `file` is the file; nothing of it goes through a temporary file."""

    def __init__(self, boundary: bytes, limits: UploadLimits):
        self._limits, self._files, self._total = limits, [], 0
        self._names: list[str] = []
        self._header, self._value, self._headers = bytearray(), bytearray(), {}
        self._inside, self._ended = False, False
        calls = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
        calls += ("headers_finished", "end")
        self._parser = MultipartParser(boundary, {f"on_{name}": getattr(self, f"_{name}") for name in calls})

    def write(self, chunk: bytes) -> None:
        """Take a chunk; a file that becomes too large, and what is no form, is refused."""
        self._total += len(chunk)
        if self._total > self._limits.bytes + AROUND:
            raise refuse_size(self._limits)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _no_form() from None

    def finish(self) -> Upload:
        """Return the file; a form that is cut off, or has not one file, is refused."""
        if not self._ended:
            raise _no_form()
        if len(self._files) != 1:
            raise Refused(400, f"The form must have one field `file`. Received: {len(self._files)} of them.", "form")
        return self._files[0].finish(check_name(self._names[0]))

    def _part_begin(self):
        self._headers, self._inside = {}, False

    def _header_field(self, data, start, end):
        self._header += data[start:end]

    def _header_value(self, data, start, end):
        self._value += data[start:end]

    def _header_end(self):
        self._headers[self._header.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._header.clear()
        self._value.clear()

    def _headers_finished(self):
        _, options = parse_options_header(self._headers.get("content-disposition"))
        if options.get(b"name") == _FIELD.encode():
            self._inside = True
            self._files.append(PlainBody(self._limits))
            self._names.append(_decode_name(options.get(b"filename", b"")))

    def _part_data(self, data, start, end):
        if self._inside:
            self._files[-1].write(data[start:end])

    def _part_end(self):
        self._inside = False

    def _end(self):
        self._ended = True


def _decode_name(name: bytes) -> str:
    """Return a file name as browsers send it: UTF-8, with some characters as %22, %0D and %0A (HTML, 4.10.21.8)."""
    text = name.decode("utf-8", "replace")
    return re.sub("%(22|0D|0A)", lambda found: unquote(found[0]), text)


def _no_form() -> Refused:
    return Refused(400, "The form (multipart/form-data) must be whole and well-formed.", "form")
