"""NIfTI files for tests, written by nibabel."""

import gzip

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel", reason="needs nibabel: pip install '.[nifti]'")

OBLIQUE = [[0.1, -0.2, -3, 5], [-1.5, 0.1, 0.1, -7], [0.05, 2, -0.3, 9], [0, 0, 0, 1]]  # axes in another order, turned


def write(values, affine=None, kind="1", compressed=False, **fields) -> bytes:
    """Return the content of a file that holds voxels [i, j, k], with more fields of its header."""
    image = {"1": nibabel.Nifti1Image, "2": nibabel.Nifti2Image}[kind]
    made = image(values, np.diag([1, 1, 2, 1]) if affine is None else np.array(affine, float))
    content = bytearray(made.to_bytes())
    header = made.header.__class__(bytes(content[: made.header.sizeof_hdr]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[: header.sizeof_hdr] = header.binaryblock
    return gzip.compress(bytes(content)) if compressed else bytes(content)


def draw(*shape, kind=np.uint8, seed=0):
    """Return random voxels."""
    return np.random.RandomState(seed).randint(0, 200, shape).astype(kind)


def open_canonical(content: bytes) -> np.ndarray:
    """Return the voxels of a file as nibabel turns and scales them, [x, y, z]."""
    plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    image = nibabel.Nifti2Image if plain[:2] == b"\x1c\x02" else nibabel.Nifti1Image
    return nibabel.as_closest_canonical(image.from_bytes(plain)).get_fdata()
