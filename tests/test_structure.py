import ast
import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = (
    *(
        "errors",
        "words",
        "columns",
        "divisions",
        "synthetic",
        "split_names",
        "regular_files",
        "whole_files",
        "trust",
        "seeds",
        "quiet",
        "tensorflow_start",
        "voice",
        "tabulation",
        "screen",
        "catalogue",
        "stopping",
        "cluster",
        "launch",
        "cache",
        "sections",
        "rundir",
        "targets",
        "run_files",
    ),
    *(
        "digests",
        "intact",
        "sealed",
        "status",
        "environment",
        "failures",
        "data",
        "metrics",
        "pages",
        "backbones",
        "blocks",
        "frozen",
        "batch_statistics",
        "optimizers",
    ),
    *("replicas", "phases", "certificate", "plan", "features", "heads", "building", "training", "recipe"),
    *("evaluation", "inference"),
    *("lock", "report", "comparison", "run", "reproduce", "export", "cli", "pytest_locks"),
)
FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "tlmed").rglob("*.py"))


def module_of(path):
    return path.parts[1].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "tlmed" else [node.module]
            yield from names
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


NEED_TENSORFLOW = ("keras", "tensorflow", "tensorflow_datasets")


def imports_at_once(path):
    """Return the modules that a file imports when it is imported, in order."""
    body = ast.parse((ROOT / path).read_text()).body
    found = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return [node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in found]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_tensorflow_is_started_before_a_module_imports_it(path):
    if not any(name.split(".")[0] in NEED_TENSORFLOW for name in imports_at_once(path)):
        return
    doors = [path, *(folder / "__init__.py" for folder in path.parents if folder != Path("."))]
    assert any(imports_at_once(door)[:1] == ["tlmed.tensorflow_start"] for door in doors)


def test_every_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    installed = set(setup["options"]["packages"].split()) - {"tlmed.recipes"}  # which has its own folder
    assert installed == {".".join(path.parent.parts) for path in FILES if path.name == "__init__.py"}


def test_every_module_has_its_place():
    assert {module_of(path) for path in FILES} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_module_imports_only_from_those_to_its_left(path):
    own = module_of(path)
    if own == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "tlmed" or len(parts) < 2 or parts[1] == own or parts[1] not in ORDER:
            continue
        assert ORDER.index(parts[1]) < ORDER.index(own), f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nothing_unsafe_is_done_with_what_a_user_downloaded(path):
    text = (ROOT / path).read_text()
    assert not re.search(r"pickle\.loads?\(|allow_pickle=True|safe_mode=False|^\s*except:|^\s*assert ", text, re.M)
