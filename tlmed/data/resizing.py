"""From an image to one of the height and width that a model takes, by one rule everywhere: antialiased bilinear."""

from PIL import Image, ImageOps

from tlmed.fitting_in import CROP, PAD, STRETCH

_RULE = Image.Resampling.BILINEAR
Sides = tuple[float, float] | None  # millimetres between rows, and between columns; None: not known


def fit_image(image: Image.Image, size: tuple[int, int], fit: str = STRETCH) -> Image.Image:
    """Resize an image.

    Args:
        image: Of mode L or RGB.
        size: Height and width.
        fit: "stretch", "pad" or "crop".
    """
    height, width = size
    if image.size == (width, height):
        return image
    if fit == PAD:
        return ImageOps.pad(image, (width, height), _RULE, color=0)
    if fit == CROP:
        return ImageOps.fit(image, (width, height), _RULE)
    return image.resize((width, height), _RULE)


def show_to_scale(image: Image.Image, sides: Sides, size: tuple[int, int], spacing: float) -> Image.Image:
    """Resize an image so that its pixels measure as many millimetres in both directions as is asked for.

    Its middle stays in the middle, up to half a pixel. What is missing is black, what is too much is cut off.

    Args:
        image: Of mode L or RGB.
        sides: What its pixels measure.
        size: Height and width.
        spacing: Millimetres.

    Raises:
        ValueError: What its pixels measure is not known.

    >>> show_to_scale(Image.new("L", (4, 2), 255), (1.0, 0.5), (4, 4), 0.5).getbbox()
    (0, 0, 4, 4)
    """
    if sides is None:
        raise ValueError("it does not say how many millimetres its pixels measure, and data.spacing needs it")
    spans = _find_spans(image, sides, size, spacing)
    (rows, top, bottom), (columns, left, right) = spans
    shown = image.resize((columns, rows), _RULE, (left, top, right, bottom))
    whole = Image.new(image.mode, size[::-1])
    whole.paste(shown, ((size[1] - columns) // 2, (size[0] - rows) // 2))
    return whole


def is_cut(image: Image.Image, sides: Sides, size: tuple[int, int], spacing: float) -> bool:
    """Tell whether `show_to_scale` cuts off a part of an image.

    >>> [is_cut(Image.new("L", (5, 4)), (1.0, 1.0), (4, width), 1.0) for width in (4, 5)]
    [True, False]
    """
    return any(first > 0 for _, first, _ in _find_spans(image, sides, size, spacing))


def _find_spans(image: Image.Image, sides: tuple[float, float], size: tuple[int, int], spacing: float) -> list[tuple]:
    """Return what `_find_span` does for rows and for columns."""
    lengths = zip((image.height, image.width), sides, size, strict=True)
    return [_find_span(pixels, side / spacing, wanted) for pixels, side, wanted in lengths]


def _find_span(pixels: int, scale: float, wanted: int) -> tuple[int, float, float]:
    """Return how many pixels a row or column becomes, and from where to where in it they are taken."""
    length = max(1, round(pixels * scale))
    if length <= wanted:
        return length, 0, pixels
    taken = wanted / scale
    return wanted, (pixels - taken) / 2, (pixels + taken) / 2
