"""Read images as the model beside this file takes them, and turn its scores into answers. It needs NumPy and Pillow.

DICOM files need pydicom, too. `model.json` says all that is asked for here:

    facts = json.loads(open("model.json").read())
    images = np.stack([read("image.png", facts), read("other.png", facts)])  # what the model takes
    print(answer(scores, facts))  # what its scores mean
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def read(source, facts):
    """Return an image as tlmed reads it: uint8 [height, width, 3], RGB; `source` is a path, or the bytes of a file.

    A ValueError says why an image is not read here; `tlmed predict` may still read it.
    """
    content, pixels = source if isinstance(source, bytes) else Path(source).read_bytes(), facts["pixels"]
    if pixels["spacing"] is not None:
        raise ValueError("the model shows images by their millimetres, which is not done here")
    image = _read_dicom(content, pixels) if content[128:132] == b"DICM" else _read_picture(content, pixels)
    (height, width), rule = pixels["size"], Image.Resampling.BILINEAR
    if image.size == (width, height):
        return np.array(image.convert("RGB"))
    if pixels["fit"] == "pad":  # the shape is kept, with black at two sides
        image = ImageOps.pad(image, (width, height), rule, color=0)
    else:
        fit = ImageOps.fit if pixels["fit"] == "crop" else Image.Image.resize
        image = fit(image, (width, height), rule)
    return np.array(image.convert("RGB"))


def _read_picture(content, pixels):
    window = pixels["window"]
    if window["unit"]:
        raise ValueError("the model takes Hounsfield units, which pictures do not hold")
    image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "BMP", "GIF", "TIFF"))
    deep, gray_png = image.mode.startswith("I;16"), image.format == "PNG" and content[25] == 0
    if image.mode in ("I", "F", "LAB") or (image.format == "TIFF" and deep and not _is_plain(image)):
        raise ValueError(f"images of mode {image.mode} in this form are not read here")
    if "transparency" in image.info and ((gray_png and content[24] != 8) or content[24:26] == b"\x10\x02"):
        raise ValueError("a transparent colour of other than 8 bits is not read here")
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if deep:
        if window["kind"] == "file":
            raise ValueError("the model shows each file by a range of its own, which is not measured here")
        values, low = np.asarray(image).astype("uint16"), None if window["kind"] == "full" else window["low"]
        return Image.fromarray((values >> 8).astype("uint8") if low is None else _stretch(values, low, window["high"]))
    if image.has_transparency_data:  # what is transparent is shown over black
        image = image.convert("RGBA")
        return Image.composite(image, Image.new("RGBA", image.size), image.getchannel("A")).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _is_plain(image):
    """Tell a TIFF of 16 bits where zero is black: its tags are BitsPerSample and PhotometricInterpretation."""
    return image.tag_v2.get(258) == (16,) and image.tag_v2.get(262) == 1


def _read_dicom(content, pixels):
    import pydicom

    file, window = pydicom.dcmread(io.BytesIO(content)), pixels["window"]
    gray = file.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2") and "FloatPixelData" not in file
    odd = [name for name in ("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence") if name in file]
    plain = gray and not odd and (file.get("VOILUTFunction") or "LINEAR") == "LINEAR"
    plain = plain and int(file.get("NumberOfFrames") or 1) == 1 and "SharedFunctionalGroupsSequence" not in file
    if not plain or not 8 < file.BitsStored <= file.BitsAllocated == 16 or file.get("Modality") in ("XA", "RF"):
        raise ValueError("of DICOM only single gray frames of 9 to 16 bits without lookup tables are read here")
    scale, unit = (file.get("RescaleSlope"), file.get("RescaleIntercept")), str(file.get("RescaleType") or "").upper()
    is_ct = file.get("Modality") == "CT" and "LOCALIZER" not in (file.get("ImageType") or ())
    in_units = None not in scale and (unit == "HU" if unit else is_ct)
    if window["kind"] in ("file", "full") or (window["unit"] and not in_units):
        raise ValueError("this window is not applied here, or the file does not hold Hounsfield units")
    values = file.pixel_array
    if None not in scale and scale != (1, 0):
        values = values.astype("float32") * np.float32(scale[0]) + np.float32(scale[1])
    center, width = file.get("WindowCenter"), file.get("WindowWidth")
    if window["kind"] == "auto" and center is not None and width is not None:
        center, width = (float(np.ravel(found)[0]) for found in (center, width))
        low, high = center - width / 2, center + width / 2 - 1
    else:
        low, high = window["low"], window["high"]
    if low is None or high <= low:
        raise ValueError("what is black and what is white is not known here")
    shown = Image.fromarray(_stretch(values, low, high))
    shape = str(file.get("PresentationLUTShape") or "").upper()
    is_inverted = shape == "INVERSE" if shape else file.PhotometricInterpretation == "MONOCHROME1"
    return ImageOps.invert(shown) if is_inverted else shown


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
    if facts["task"] == "multi-label":
        return highest
    if facts["positive"] is None:
        return highest / highest.sum()
    main = facts["classes"].index(facts["positive"])
    highest[0, 1 - main] = 1 - highest[0, main]
    return highest


def answer(scores, facts):
    """Return the class of each image by its scores [n, k], as the run decides; of several labels a list of them."""
    decision, classes, scores = facts["decision"], facts["classes"], np.asarray(scores, float)
    rule = decision["rule"]
    if rule == "thresholds":
        found = scores >= np.array(decision["thresholds"])
        return [[name for name, has in zip(classes, row, strict=True) if has] for row in found]
    if rule == "threshold":
        main = classes.index(facts["positive"])
        chosen = np.where(scores[:, main] >= decision["threshold"], main, 1 - main)
    elif rule == "highest":
        chosen = scores.argmax(axis=1)
    elif rule == "median":  # the highest grade that is reached with a probability of more than a half
        chosen = (calibrate(scores, facts)[:, ::-1].cumsum(axis=1)[:, :-1] > 0.5).sum(axis=1)
    elif rule == "expected-cost":
        costs = np.array(decision["costs"])  # [true class, predicted class]
        chosen = np.einsum("nt,tp->np", calibrate(scores, facts), costs).argmin(axis=1)
    else:  # logit adjustment
        logs = np.log(np.maximum(calibrate(scores, facts), 1e-12))
        chosen = (logs - decision["tau"] * np.log(decision["priors"])).argmax(axis=1)
    return [classes[number] for number in chosen]
