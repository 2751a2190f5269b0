"""How an image of one shape comes to another: words of a recipe."""

STRETCH, PAD, CROP = FITS = ("stretch", "pad", "crop")
_WORDS = {
    STRETCH: "stretched, whatever their shape",
    PAD: "scaled to fit in, with black at two sides",
    CROP: "scaled to fill it, with two sides cut off",
}


def describe_fit(fit: str, size: tuple[int, int], spacing: float | None = None) -> str:
    """Return in words how images come to a height and width in pixels.

    Args:
        fit: One of `FITS`.
        size: Height and width.
        spacing: Millimetres that a pixel measures; None: this is not asked for.

    >>> describe_fit("pad", (224, 224))
    '224 x 224 pixels, scaled to fit in, with black at two sides'
    >>> describe_fit(STRETCH, (224, 160), 0.5)
    '224 x 160 pixels of 0.5 mm, 112 x 80 mm around the middle'
    """
    if spacing is not None:
        spans = " x ".join(f"{side * spacing:g}" for side in size)
        return f"{size[0]} x {size[1]} pixels of {spacing:g} mm, {spans} mm around the middle"
    return f"{size[0]} x {size[1]} pixels, {_WORDS[fit]}"
