import ast
import configparser
import re
from pathlib import Path

import pytest

from tests.shape import (
    MOST_ARGUMENTS,
    MOST_LINES,
    PAGE,
    draw_modules,
    find_circles,
    join_parts,
    read_modules,
    replace_picture,
)

ROOT = Path(__file__).parent.parent
# What users call in Python, and commands, whose arguments are their options.
PUBLIC = {
    "tlmed.advising.advice.advise",
    "tlmed.cli.evaluate_command.evaluate",
    "tlmed.cli.export_command.export",
    "tlmed.cli.predict_command.predict",
    "tlmed.cli.reproduce_command.reproduce",
    "tlmed.cli.serve_command.serve",
    "tlmed.features.extractor.__init__",
    "tlmed.inference.rescoring.evaluate",
    "tlmed.metrics.evaluation.evaluate",
    "tlmed.metrics.stated_metrics.evaluate_stated",
    "tlmed.metrics.label_metrics.evaluate_labels",
    "tlmed.run.story.train",
}
FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "tlmed").rglob("*.py"))


NEED_TENSORFLOW = ("keras", "tensorflow", "tensorflow_datasets")


def imports_at_once(path):
    """Return the modules that a file imports when it is imported, in order."""
    body = ast.parse((ROOT / path).read_text()).body
    found = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return [node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in found]


def test_tensorflow_is_started_before_a_module_imports_it():
    imported = {path: imports_at_once(path) for path in FILES}
    need = [path for path in FILES if any(name.split(".")[0] in NEED_TENSORFLOW for name in imported[path])]
    assert len(need) > 20
    for path in need:
        doors = [path, *(folder / "__init__.py" for folder in path.parents if folder != Path("."))]
        assert any(imported[door][:1] == ["tlmed.tensorflow_start"] for door in doors), path


def test_every_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    # Recipes have a folder of their own.
    recipes = [path.relative_to(ROOT) for path in (ROOT / "recipes").rglob("*.py")]
    packages = {".".join(path.parent.parts) for path in FILES if path.name == "__init__.py"}
    packages |= {".".join(("tlmed", *path.parent.parts)) for path in recipes if path.name == "__init__.py"}
    assert set(setup["options"]["packages"].split()) == packages


@pytest.fixture(scope="module")
def modules():
    """Give all modules of the package: reading them takes seconds."""
    return read_modules()


def test_no_modules_import_each_other_not_even_lazily(modules):
    assert find_circles({module.name: module.imports for module in modules}) == []
    assert find_circles(join_parts(modules)) == []


def test_a_circle_is_found_at_any_remove():
    assert find_circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_the_page_about_the_design_shows_the_modules_as_they_are(modules):
    page = PAGE.read_text()
    # A module that was added or moved: `python tests/shape.py --write`, and look at the floor that it came to.
    assert page == replace_picture(page, draw_modules(modules))


def test_modules_and_functions_are_of_a_size_that_is_read_at_once(modules):
    assert {module.name: module.lines for module in modules if module.lines > MOST_LINES} == {}
    functions = [function for module in modules for function in module.functions]
    assert {function.name for function in functions if function.arguments > MOST_ARGUMENTS} - PUBLIC == set()


def test_what_the_walks_and_the_table_of_places_name_is_there():
    text = PAGE.read_text().partition("## Three walks")[2].partition("\n## Decisions")[0]
    for place in re.findall(r"`([a-z_/]+(?:\.py|/))`", text):
        assert (ROOT / "tlmed" / place).exists(), place
    names = {word for word in re.findall(r"`(?:[a-z_]+\.)*([A-Za-z_]+)`", text) if len(word) > 4}
    code = "\n".join((ROOT / path).read_text() for path in FILES)
    assert len(names) > 20
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []
    for place, name in re.findall(r"\| `([a-z_/]+\.py)`, `(\w+)` \|", text):
        assert re.search(rf"^(def |class )?{name}\b", (ROOT / "tlmed" / place).read_text(), re.M), (place, name)


def test_nothing_unsafe_is_done_with_what_a_user_downloaded():
    unsafe = re.compile(r"pickle\.loads?\(|allow_pickle=True|safe_mode=False|^\s*except:|^\s*assert ", re.M)
    assert [path for path in FILES if unsafe.search((ROOT / path).read_text())] == []
