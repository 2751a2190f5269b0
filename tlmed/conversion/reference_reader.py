"""Read images as the model beside this file takes them, and turn its scores into answers. It needs NumPy and Pillow.

DICOM files need pydicom, too. `model.json` says all that is asked for here:

    facts = json.loads(open("model.json").read())
    images = np.stack([read("image.png", facts), read("other.png", facts)])  # what the model takes
    print(answer(scores, facts))  # what its scores mean
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

_CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
_PROJECTIONS = tuple(f"1.2.840.10008.5.1.4.1.1.12.{end}" for end in ("1", "1.1", "2", "2.1", "3"))  # XA and RF
_DAMAGE = (  # what Pillow, pydicom and its plugins raise for damaged files, as tlmed expects it
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, struct.error, zlib.error, Image.DecompressionBombError, Warning),
)


class Unread(ValueError):
    """Why an image is not read here; `tlmed predict` may still read it."""


def read(source, facts):
    """Return an image, by its path or the bytes of its file, as tlmed reads it: uint8 RGB [height, width, 3]."""
    content, pixels = source if isinstance(source, bytes) else Path(source).read_bytes(), facts["pixels"]
    if pixels["spacing"] is not None:
        raise Unread("the model shows images by their millimetres, which is not done here")
    try:
        is_dicom = content[128:132] == b"DICM" or content[:6] == b"\2\0\0\0UL"  # the second has no preamble
        image = (_read_dicom if is_dicom else _read_picture)(content, pixels["window"])
    except Unread:
        raise
    except _DAMAGE as error:  # their messages quote what files say, which may name a patient
        raise Unread(f"it is no picture or DICOM file that is read here, or damaged ({type(error).__name__})") from None
    (height, width), rule = pixels["size"], Image.Resampling.BILINEAR
    if pixels["fit"] == "pad":  # the shape is kept, with black at two sides
        image = ImageOps.pad(image, (width, height), rule, color=0)
    elif image.size != (width, height):
        fit = ImageOps.fit if pixels["fit"] == "crop" else Image.Image.resize
        image = fit(image, (width, height), rule)
    return np.array(image.convert("RGB"))


def _read_picture(content, window):
    if window["unit"]:
        raise Unread("the model takes Hounsfield units, which pictures do not hold")
    image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "BMP", "GIF", "TIFF"))
    if image.height * image.width > 100_000_000 or max(image.size) > 65_535:
        raise Unread("it has more than 100,000,000 pixels, or a side of more than 65,535")
    deep, gray_png = image.mode.startswith("I;16"), image.format == "PNG" and content[25] == 0
    bits, photometric, planar = map(image.tag_v2.get, (258, 262, 284)) if image.format == "TIFF" else ((16,), 1, 1)
    is_odd = (deep and (bits, photometric) != ((16,), 1)) or (planar == 2 and max(bits or [1]) > 8)
    if is_odd or image.mode in ("I", "F", "LAB"):
        raise Unread(f"images of mode {image.mode} in this form are not read here")
    if "transparency" in image.info and ((gray_png and content[24] != 8) or content[24:26] == b"\x10\x02"):
        raise Unread("a transparent colour of other than 8 bits is not read here")
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if deep:
        if window["kind"] == "file":
            raise Unread("the model shows each file by a range of its own, which is not measured here")
        values, low = np.asarray(image).astype("uint16"), None if window["kind"] == "full" else window["low"]
        return Image.fromarray((values >> 8).astype("uint8") if low is None else _stretch(values, low, window["high"]))
    if image.has_transparency_data:  # what is transparent is shown over black
        image = image.convert("RGBA")
        return Image.composite(image, Image.new("RGBA", image.size), image.getchannel("A")).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _read_dicom(content, window):
    import pydicom

    try:
        return _show(pydicom.dcmread(io.BytesIO(content), force=True), window)
    except pydicom.errors.BytesLengthException:  # the one of pydicom's errors that is of no usual kind
        raise Unread("a value of its header is damaged") from None


def _show(file, window):
    _check_dicom(file)
    slope, intercept = (_take_number(file, name) for name in ("RescaleSlope", "RescaleIntercept"))
    if (slope is None) != (intercept is None) or slope == 0 or abs(slope or 0) * 2**16 > 1e30:
        raise Unread("its rescaling has no slope, one of 0 or far too large, or no intercept")
    if window["kind"] in ("file", "full") or (window["unit"] and not (slope is not None and _is_hounsfield(file))):
        raise Unread("this window is not applied here, or the file does not hold Hounsfield units")
    values = _decode(file)
    if slope is not None and (slope, intercept) != (1, 0):
        values = values.astype("float32") * np.float32(slope) + np.float32(intercept)
    center, width = (_take_number(file, name) for name in ("WindowCenter", "WindowWidth"))
    if (center is None) != (width is None) or (width is not None and width < 1):
        raise Unread("its window has no center, no width, or a width below 1")
    low, high = window["low"], window["high"]
    if window["kind"] == "auto" and center is not None:
        low, high = center - width / 2, center + width / 2 - 1
        high = max(high, low + max(abs(low), 1) * 1e-6)  # a width of 1 is a threshold
    if low is None or high <= low:
        raise Unread("what is black and what is white is not known here")
    shown = Image.fromarray(_stretch(values, low, high))
    last = str(file.get("PresentationLUTShape") or file.PhotometricInterpretation).strip().upper()
    return ImageOps.invert(shown) if last in ("INVERSE", "MONOCHROME1") else shown


def _check_dicom(file):
    """Refuse what is not a single gray frame of 9 to 16 bits that a straight line shows."""
    _take_number(file, "PixelPaddingValue")  # not needed here; one that is damaged tells of damage elsewhere
    tables = ("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence")  # empty ones say nothing
    groups = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    plain = not any(map(file.get, tables + groups)) and not {"FloatPixelData", "DoubleFloatPixelData"} & {*file.dir()}
    plain = plain and file.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2") and file.SamplesPerPixel == 1
    plain = plain and str(file.get("VOILUTFunction") or "LINEAR").strip().upper() == "LINEAR"
    plain = plain and str(file.get("PresentationLUTShape") or "").strip().upper() in ("", "IDENTITY", "INVERSE")
    plain = plain and int(file.get("NumberOfFrames") or 1) == 1 and str(file.get("SOPClassUID")) not in _PROJECTIONS
    plain = plain and file.get("PixelPresentation") in (None, "MONOCHROME") and file.BitsAllocated == 16
    if not plain or not 8 < file.BitsStored <= 16 or file.get("HighBit") not in (None, file.BitsStored - 1):
        raise Unread("of DICOM only single gray frames of 9 to 16 bits without lookup tables are read here")


def _decode(file):
    """Return the stored values. Decoders fill what is missing after a cut with gray, and say nothing."""
    syntax = file.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and not syntax.name.startswith("RLE"):
        file.pixel_array_options(decoding_plugin="pylibjpeg")  # as tlmed: others differ in lossy compressions
        if b"\xff\xd9" not in file.PixelData.rstrip(b"\0")[-64:]:
            raise Unread("its compressed pixels are cut off")
    return file.pixel_array


def _take_number(file, name):
    """Return the first number of an element, or None."""
    value = next((float(one) for one in np.ravel(file.get(name))[:1] if one is not None), None)
    if value is not None and not abs(value) <= 1e30:
        raise Unread(f"its {name} is no number that can be used")
    return value


def _is_hounsfield(file):
    """Tell whether values are Hounsfield units: the header says so, or it is CT and no projection."""
    if unit := str(file.get("RescaleType") or "").strip().upper():
        return unit == "HU"
    is_projection = "LOCALIZER" in [str(part).strip().upper() for part in np.ravel(file.get("ImageType") or ())]
    return str(file.get("SOPClassUID")) in _CT and not is_projection


def _stretch(values, low, high):
    shares = np.subtract(values, low, dtype=np.result_type(values, np.float32)) * (255 / (high - low))
    return np.rint(np.clip(shares, 0, 255)).astype("uint8")


def calibrate(scores, facts):
    """Return calibrated probabilities [n, k] of scores [n, k]: at the temperature of the run, or of each label."""
    temperature = np.array(facts["calibration"]["temperature"])
    logs = np.log(np.maximum(np.asarray(scores, float), 1e-12))
    if facts["task"] == "multi-label":
        rest = np.log(np.maximum(1 - np.asarray(scores, float), 1e-12))
        return 1 / (1 + np.exp((rest - logs) / temperature))
    values = np.exp((logs - logs.max(axis=1, keepdims=True)) / temperature)
    return values / values.sum(axis=1, keepdims=True)


def pool(scores, facts):
    """Return the scores [1, k] of a file or a patient, from those of its images [n, k]."""
    how, scores = facts["pooling"]["how"], np.asarray(scores, float)
    if how in (None, "mean"):
        return scores.mean(axis=0, keepdims=True)
    highest = np.sort(scores, axis=0)[::-1][: 1 if how == "max" else 3].mean(axis=0, keepdims=True)
    if facts["positive"] is not None:
        main = facts["classes"].index(facts["positive"])
        highest[0, 1 - main] = 1 - highest[0, main]
    elif facts["task"] != "multi-label":
        highest /= highest.sum()
    return highest


def answer(scores, facts):
    """Return the class of each image by its scores [n, k], as the run decides; of several labels a list of them."""
    decision, classes, scores = facts["decision"], facts["classes"], np.asarray(scores, float)
    rule = decision["rule"]
    if rule == "thresholds":
        return [[classes[number] for number in np.flatnonzero(row)] for row in scores >= decision["thresholds"]]
    if rule == "threshold":
        main = classes.index(facts["positive"])
        chosen = np.where(scores[:, main] >= decision["threshold"], main, 1 - main)
    elif rule == "highest":
        chosen = scores.argmax(axis=1)
    elif rule == "median":  # the highest grade that is reached with a probability of more than a half
        chosen = (calibrate(scores, facts)[:, ::-1].cumsum(axis=1)[:, :-1] > 0.5).sum(axis=1)
    elif rule == "expected-cost":
        chosen = np.einsum("nt,tp->np", calibrate(scores, facts), decision["costs"]).argmin(axis=1)  # [true, predicted]
    else:  # logit adjustment
        logs = np.log(np.maximum(calibrate(scores, facts), 1e-12))
        chosen = (logs - decision["tau"] * np.log(decision["priors"])).argmax(axis=1)
    return [classes[number] for number in chosen]
