"""The Dockerfiles: linted, and pinned in what they begin with and in what they install."""

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = {"Dockerfile": "requirements.txt", "Dockerfile.gpu": "requirements-gpu.txt"}
EXTRAS = {
    "requirements.txt": ("fast", "offline", "tensorboard"),
    "requirements-gpu.txt": ("gpu", "offline", "tensorboard"),
}


def arguments(text):
    """Return the build arguments of a Dockerfile, with what they are by default."""
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))


def setup():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirements(text):
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def test_the_dockerfiles_are_those():
    assert {path.name for path in (ROOT / "docker").glob("Dockerfile*")} == FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_hadolint_finds_nothing(name):
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    hadolint = shutil.which("hadolint", path=beside)
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install '.[test]'")
    done = subprocess.run([hadolint, "--no-color", ROOT / "docker" / name], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", FILES)
def test_base_images_have_an_exact_version_that_tlmed_runs_on(name):
    text = (ROOT / "docker" / name).read_text()
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert images
    for image in images:
        image = image.replace("${PYTHON}", arguments(text)["PYTHON"])
        version = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-bookworm", image)
        assert version, f"{image} is no exact tag"
        assert SpecifierSet(setup()["options"]["python_requires"]).contains(version[1])


@pytest.mark.parametrize(("name", "pins"), FILES.items())
def test_the_files_that_are_copied_are_there(name, pins):
    text = (ROOT / "docker" / name).read_text()
    assert arguments(text)["REQUIREMENTS"] == f"docker/{pins}"
    assert (ROOT / "docker" / pins).is_file()
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {"docker", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "recipes", "tlmed"} == set(kept)
    assert all((ROOT / path).exists() for path in kept)


@pytest.mark.parametrize("name", FILES)
def test_the_image_runs_tlmed_as_no_root(name):
    lines = (ROOT / "docker" / name).read_text().splitlines()
    assert 'ENTRYPOINT ["tlmed"]' in lines
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 1000"]
    assert not any(line.startswith(("RUN", "COPY")) for line in lines[lines.index(users[0]) :])


@pytest.mark.parametrize(("pins", "extras"), EXTRAS.items())
def test_the_pins_are_exact_and_are_what_tlmed_asks_for(pins, extras):
    pinned = requirements((ROOT / "docker" / pins).read_text())
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) and not pin.marker for pin in pinned)
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pinned}
    assert len(versions) == len(pinned)
    asked = setup()["options"]["install_requires"]
    asked = "\n".join([asked, *(setup()["options.extras_require"][extra] for extra in extras)])
    wrong = [
        str(requirement)
        for requirement in requirements(asked)
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), "0"))
    ]
    assert wrong == []
