"""How an image of one shape comes to another: words of a recipe."""

STRETCH, PAD, CROP = FITS = ("stretch", "pad", "crop")
_WORDS = {
    STRETCH: "stretched, whatever their shape",
    PAD: "scaled to fit in, with black at two sides",
    CROP: "scaled to fill it, with two sides cut off",
}


def describe_fit(fit: str, size: tuple[int, int]) -> str:
    """Return in words how images come to a height and width in pixels.

    >>> describe_fit("pad", (224, 224))
    '224 x 224 pixels, scaled to fit in, with black at two sides'
    """
    return f"{size[0]} x {size[1]} pixels, {_WORDS[fit]}"
