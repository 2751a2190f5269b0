"""Public data sets of TFDS by name: their features and splits, filled with random images by TFDS's own mocking."""

import numpy as np
import pytest

from tlmed.data import decode, open_source

tfds = pytest.importorskip("tensorflow_datasets")

N = 24
# The splits of each, by its own names, as its builder makes them.
BUILDERS = {
    "colorectal_histology": ("train",),
    "deep_weeds": ("train",),
    "malaria": ("train",),
    "patch_camelyon": ("train", "validation", "test"),
    "pneumonia_mnist": ("train", "val", "test"),
}
OURS = {"train": "train", "validation": "val", "val": "val", "test": "test"}


@pytest.fixture
def prepared(request, tmp_path, monkeypatch):
    """Give a builder's name and the random examples of its splits, which its own code writes to files."""
    name, splits = request.param, BUILDERS[request.param]
    with tfds.testing.mock_data(num_examples=N * len(splits)):
        examples = list(tfds.as_numpy(tfds.load(name, split="train")))

    def split_generators(self, *managers):
        return {split: enumerate(examples[N * place : N * (place + 1)]) for place, split in enumerate(splits)}

    monkeypatch.setattr(tfds.builder_cls(name), "_split_generators", split_generators)
    return f"tfds:{name}/data_dir={tmp_path}", examples, splits


@pytest.mark.parametrize("prepared", BUILDERS, indirect=True)
def test_a_public_data_set_gives_its_images_labels_and_splits(prepared):
    source, examples, splits = prepared
    table = open_source(source)
    assert len(table) == N * len(splits)
    labels = {example["image"].tobytes(): int(example["label"]) for example in examples}
    names = tfds.builder(source.partition("/")[0].removeprefix("tfds:")).info.features["label"].names
    for row in range(len(table)):
        pixels = np.asarray(decode(table.read(row)))[..., : examples[0]["image"].shape[-1]]
        assert table.classes[table.labels[row]] == names[labels[pixels.tobytes()]]
    if len(splits) == 1:
        assert table.splits is None
    else:
        assert sorted(set(table.splits)) == sorted(OURS[split] for split in splits)
    assert table.groups is None
