"""How an image is read without tlmed: the function that a model card prints, so that its code needs no tlmed.

It says in a few lines what `tlmed.data.decode_and_resize` does for nearly all images; tests hold the two to the same
pixels.
"""

import numpy as np
from PIL import Image, ImageOps


def read(path, height, width, ends=None, fit="stretch"):
    """Return an image as tlmed reads it: float32 [1, height, width, 3], raw RGB, 0 to 255."""
    image = Image.open(path, formats=("PNG", "JPEG", "BMP", "GIF", "TIFF"))
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I", "F", "LAB"):
        raise ValueError(f"tlmed takes no images of mode {image.mode}")
    if image.mode.startswith("I;16"):  # `ends` become black and white, or the high byte is kept
        values = np.asarray(image, "float32")
        low, high = ends or (0, 255)
        values = np.rint(np.clip((values - low) * (255 / (high - low)), 0, 255)) if ends else values // 256
        image = Image.fromarray(values.astype("uint8"))
    if image.has_transparency_data:  # what is transparent is shown over black
        image = image.convert("RGBA")
        image = Image.composite(image, Image.new("RGBA", image.size), image.getchannel("A"))
    image, size, rule = image.convert("RGB"), (width, height), Image.Resampling.BILINEAR
    if fit == "pad":  # the shape is kept, with black at two sides
        image = ImageOps.pad(image, size, rule, color=0)
    else:
        image = ImageOps.fit(image, size, rule) if fit == "crop" else image.resize(size, rule)
    return np.asarray(image, "float32")[None]
