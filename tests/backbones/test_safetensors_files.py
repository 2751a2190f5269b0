"""Safetensors files are read by their table; what is damaged is refused, and nothing in a file can run."""

import json

import numpy as np
import pytest

from tests.backbones.hugging_face_files import write_safetensors
from tlmed.backbones.safetensors_files import Damaged, list_tensors

TENSORS = {
    "a": np.arange(6, dtype="float32").reshape(2, 3) / 8,
    "b.weight": np.array([-1.5], "float32"),
    "empty": np.zeros((0, 4), "float32"),
    "scalar": np.array(2.5, "float32"),
}


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("notes", [True, False])
def test_every_tensor_comes_back(kind, notes, tmp_path):
    write_safetensors(tmp_path / "x.safetensors", TENSORS, kind, notes)
    found = list_tensors(tmp_path / "x.safetensors")
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        read = found[name].read()
        assert (found[name].shape, read.dtype) == (value.shape, "float32")
        np.testing.assert_array_equal(read, value)  # these fit into 16 bits


def test_a_file_of_the_formats_own_package_is_read(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    rng = np.random.default_rng(0)
    tensors = {f"t{i}": rng.normal(size=(i + 1, 3)).astype(kind) for i, kind in enumerate(("f8", "f4", "f2", "i8"))}
    tensors |= {"u": np.array([3, 255], "uint8"), "b": np.array([True, False])}
    numpy.save_file(tensors, tmp_path / "x.safetensors")
    found = list_tensors(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        wanted = value.astype("float32") if value.dtype.kind == "f" else value
        np.testing.assert_array_equal(found[name].read(), wanted)


def entry(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cut off in its table"),
        (b"\x80\x02}q\x00.", "cut off in its table"),  # a pickle
        ((2**63).to_bytes(8, "little") + b"{}", "cut off in its table"),
        ((2).to_bytes(8, "little") + b"{]", "no JSON"),
        ((2).to_bytes(8, "little") + b"[]", "no JSON object"),
        ({"a": entry(dtype="OBJ")}, "the tensor 'a' in a form"),
        ({"a": [1]}, "the tensor 'a' in a form"),
        ({"a": {}}, "the tensor 'a' in a form"),
        ({"a": entry(shape=[3])}, "other lengths than those of the tensor 'a'"),
        ({"a": entry(shape=[-2, -1])}, "other lengths"),
        ({"a": entry(shape=[2.0])}, "other lengths"),
        ({"a": entry(shape=[2**40], data_offsets=[0, 2**42])}, "cut off before the end of the tensor 'a'"),
        ({"a": entry(data_offsets=[4, 12])}, "cut off before the end"),
    ],
)
def test_a_damaged_file_is_refused(content, reason, tmp_path):
    if isinstance(content, dict):
        table = json.dumps(content).encode()
        content = len(table).to_bytes(8, "little") + table + bytes(8)
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(Damaged, match=reason):
        list_tensors(tmp_path / "x.safetensors")
