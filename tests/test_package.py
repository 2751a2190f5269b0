import subprocess
import sys

import pytest

import tlmed


def test_public_names_are_there_after_import_tlmed_alone():
    code = "import tlmed; tlmed.blocks.partition; tlmed.FeatureExtractor; tlmed.train"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        tlmed.trian  # noqa: B018
    assert {"BACKBONES", "load_recipe", "train", "phases"} <= set(dir(tlmed))
