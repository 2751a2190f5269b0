"""DICOM files for tests, written by pydicom."""

import io
import warnings

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="needs pydicom: pip install '.[dicom]'")
from pydicom import uid  # noqa: E402
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402


def make(pixels, bits=None, syntax=uid.ExplicitVRLittleEndian, **elements) -> Dataset:
    """Return a data set that holds pixels: gray [height, width], RGB [height, width, 3], or gray frames of 3 axes."""
    pixels = np.asarray(pixels)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID, made.SOPInstanceUID = uid.CTImageStorage, "1.2.3"
    rgb = pixels.ndim == 3 and pixels.shape[2] == 3
    made.SamplesPerPixel = 3 if rgb else 1
    made.PhotometricInterpretation = "RGB" if rgb else "MONOCHROME2"
    if rgb:
        made.PlanarConfiguration = 0
    if pixels.ndim == 3 and not rgb:
        made.NumberOfFrames = len(pixels)
    made.Rows, made.Columns = pixels.shape[:2] if rgb or pixels.ndim == 2 else pixels.shape[1:]
    made.BitsAllocated = 8 * pixels.itemsize
    made.BitsStored = bits or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes() + b"\0" * (pixels.nbytes % 2)
    made["PixelData"].VR = "OW" if pixels.itemsize > 1 else "OB"
    for name, value in elements.items():
        setattr(made, name, value)
    made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID") or uid.CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID") or "1.2.3"
    return made


def make_table(values, first=0, bits=16, kind="US") -> Dataset:
    """Return the item of a LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(values) % 2**16, first, bits])
    data = [int(value) for value in values] if kind == "US" else np.asarray(values, "<u2").tobytes()
    item.add_new("LUTData", kind, data)
    return item


def save(made: Dataset) -> bytes:
    """Return the content of a file."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tests write what is not allowed
        pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def write(pixels, bits=None, syntax=uid.ExplicitVRLittleEndian, **elements) -> bytes:
    """Return the content of a file that holds pixels, with more elements by keyword."""
    return save(make(pixels, bits, syntax, **elements))
