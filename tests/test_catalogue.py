import dataclasses
import os
import re
import subprocess
import sys

import pytest

from tlmed.backbones import BACKBONES
from tlmed.catalogue import describe_catalogue, read_catalogue
from tlmed.plan.counting import count
from tlmed.screen import to_lines

ENTRIES = {entry.name: entry for entry in read_catalogue()}


def test_the_list_has_every_backbone():
    assert list(ENTRIES) == list(BACKBONES)


@pytest.mark.parametrize("name", ["LeNet5", "CifarNet", "GoogLeNet", "MobileNetV2"])
def test_the_list_says_what_the_networks_are(name):
    row, entry = count(BACKBONES[name]), ENTRIES[name]
    assert (row["parameters"], row["blocks"]) == (entry.parameters, entry.blocks)
    assert (row["height"], row["width"], row["least"]) == (*entry.size, entry.least)
    assert (row["file"], row["package"]) == (entry.file, entry.package)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BACKBONES))
def test_the_list_says_what_every_network_is(name):
    test_the_list_says_what_the_networks_are(name)


def test_the_list_says_where_weights_are(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    entry = ENTRIES["MobileNetV2"]
    absent = dataclasses.replace(entry, package="no_such_module")
    assert absent.find_weights() == "download"
    assert dataclasses.replace(absent, package="json").find_weights() == "installed"
    (tmp_path / "models").mkdir()
    file = tmp_path / "models" / entry.file
    file.touch()
    assert absent.find_weights() == "download"  # too small for the numbers of the network
    os.truncate(file, 4 * entry.parameters)
    assert entry.find_weights() == "in cache"
    assert ENTRIES["LeNet5"].find_weights() == "with tlmed"
    assert ENTRIES["AlexNet"].find_weights() == "none"


def test_the_list_fits_a_terminal_and_needs_no_tensorflow():
    assert max(map(len, to_lines(describe_catalogue(), 80))) <= 80
    code = "import sys; sys.argv = ['tlmed', 'backbones']; from tlmed.cli import main; main();"
    code += "sys.exit(bool({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^VGG16 +14\.71 +5 +224 x 224 ", done.stdout, re.M)
