"""The packages of an environment: what tlmed needs, directly or through others."""

import json
import sys
import time

import pytest

import tlmed
from tlmed.environment.packages import check_installed, describe_packages
from tlmed.errors import InputError
from tlmed.recipe import load_recipe

DIGEST = "ab" * 32


def install(site, name, version="1.0", requires=(), extras=(), direct_url=None):
    """Make what pip leaves of an installed package."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires] + [f"Provides-Extra: {extra}" for extra in extras]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
    if direct_url is not None:
        (folder / "direct_url.json").write_text(json.dumps(direct_url))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Give an empty folder that is the only place where packages are."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def names(site):
    return list(describe_packages()["packages"])


def test_requirements_are_followed_to_their_ends_and_around_circles(site):
    install(site, "tlmed", "0.1.0", ["Keras>=3"])
    install(site, "keras", "3.15.1", ["ml_dtypes", "rich<99"])
    install(site, "ml-dtypes", "0.6.0", ["keras"])
    install(site, "rich")
    install(site, "unrelated")
    assert describe_packages() == {
        "packages": {"keras": "3.15.1", "ml-dtypes": "0.6.0", "rich": "1.0", "tlmed": "0.1.0"},
        "hashes": {},
    }


def test_names_are_canonical_and_sorted(site):
    install(site, "tlmed", requires=["Zope.Interface", "Array_Record"])
    install(site, "zope.interface")
    install(site, "array_record")
    assert names(site) == ["array-record", "tlmed", "zope-interface"]


@pytest.mark.parametrize(
    ("requirement", "needed"),
    [
        ("other ; python_version >= '3'", True),
        ("other ; python_version < '3'", False),
        ("other ; sys_platform == 'nowhere'", False),
        ("other ; extra == 'fast'", True),  # an extra of tlmed, installed
        ("other ; extra == 'test'", False),
        ("other ; extra == 'docs'", False),
    ],
)
def test_markers_and_extras_decide(site, requirement, needed):
    install(site, "tlmed", requires=[requirement], extras=["fast", "test", "docs"])
    install(site, "other")
    assert ("other" in names(site)) == needed


def test_an_extra_that_is_not_installed_is_left_out(site):
    install(site, "tlmed", requires=["openvino ; extra == 'fast'"], extras=["fast"])
    assert names(site) == ["tlmed"]


def test_extras_of_a_requirement_are_followed_only_where_they_are_asked_for(site):
    requires = ["tensorflow", "tensorflow[and-cuda] ; extra == 'gpu'", "keras"]
    install(site, "tlmed", requires=requires, extras=["gpu"])
    install(site, "tensorflow", requires=["nvidia-cudnn-cu12 ; extra == 'and-cuda'"], extras=["and-cuda"])
    install(site, "keras", requires=["torch ; extra == 'torch'"], extras=["torch"])
    install(site, "nvidia-cudnn-cu12")
    install(site, "torch")
    assert names(site) == ["keras", "nvidia-cudnn-cu12", "tensorflow", "tlmed"]


def test_a_requirement_that_cannot_be_read_ends_nothing(site):
    install(site, "tlmed", requires=["old (>=1.0.*)", "keras"])
    install(site, "keras")
    assert names(site) == ["keras", "tlmed"]


@pytest.mark.parametrize(
    ("direct_url", "hashes"),
    [
        ({"url": "file:///w.whl", "archive_info": {"hashes": {"sha256": DIGEST}}}, {"keras": f"sha256:{DIGEST}"}),
        ({"url": "file:///w.whl", "archive_info": {}}, {}),
        ({"url": "file:///src", "dir_info": {"editable": True}}, {}),
        ({"url": "https://host/repo", "vcs_info": {"vcs": "git", "commit_id": "1"}}, {}),
        (None, {}),
    ],
)
def test_hashes_are_those_of_files_that_were_installed(site, direct_url, hashes):
    install(site, "tlmed", requires=["keras"])
    install(site, "keras", direct_url=direct_url)
    assert describe_packages()["hashes"] == hashes


def test_the_packages_here_are_found_fast():
    began = time.process_time()  # other processes may slow it down
    packages = describe_packages()["packages"]
    assert time.process_time() - began < 1
    assert {"tlmed", "tensorflow", "keras", "numpy", "protobuf"} <= packages.keys()
    assert packages["numpy"] == __import__("numpy").__version__
    assert not {"pytest", "ruff", "sphinx"} & packages.keys()


def test_a_run_of_a_tlmed_that_is_not_installed_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    check_installed()
    train, recipe = tlmed.train, load_recipe("quickstart")  # imported while packages can be found
    (tmp_path / "site").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    with pytest.raises(InputError, match=r"must be installed to train.*pip install -e \."):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
