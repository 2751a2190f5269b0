"""The page of a server: one HTML file with what answers are worth, and its style and script, all from here."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from tlmed.data.readers import READERS
from tlmed.pages.amounts import number
from tlmed.pages.templating import STYLE, mark_code
from tlmed.serving.answering import ServedRun
from tlmed.serving.refusals import MEGABYTE, UploadLimits
from tlmed.serving.worth import Worth
from tlmed.words import join_names

_FOLDER = Path(__file__).with_name("page")
# The style of all pages, and what this one adds.
FILES: dict[str, tuple[bytes, str]] = {
    "style.css": (STYLE.read_bytes(), "text/css; charset=utf-8"),
    "serve.css": ((_FOLDER / "serve.css").read_bytes(), "text/css; charset=utf-8"),
    "serve.js": ((_FOLDER / "serve.js").read_bytes(), "text/javascript; charset=utf-8"),
}


def open_page(run: ServedRun, worth: Worth, limits: UploadLimits) -> str:
    """Return the page of a run.

    Args:
        run: The run.
        worth: What its answers are worth.
        limits: What may be sent.
    """
    environment = Environment(
        loader=PackageLoader("tlmed.serving", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, code=mark_code)
    return environment.get_template("serve.html").render(
        run=run.panel.run.path.resolve().name,
        classes=join_names(run.classes),
        noun="labels" if run.is_multi else "classes",
        worth=worth,
        endings=", ".join(ending for reader in READERS for ending in reader.endings),  # slides are not served
        megabytes=f"{limits.bytes / MEGABYTE:g}",
        megapixels=f"{run.limits.pixels / 1e6:g}",
        most_bytes=limits.bytes,
    )
