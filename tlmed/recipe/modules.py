"""The user's own modules that a recipe's code imports: their content decides the recipe too."""

import ast
import hashlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_PACKAGES = ("site-packages", "dist-packages")  # folders of other environments that this one builds on
_INSTALLED = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")})


def digest_modules(file: Path) -> dict[str, str]:
    """Return the SHA-256 of every module that a recipe file imports, directly or through another, by its name.

    Modules of Python, of tlmed and of installed packages are left out: their versions stand for them. Nothing is
    imported or run.

    Args:
        file: The recipe's file, valid Python.
    """
    found, left = {}, list(_imports(file, ""))
    while left:
        name = left.pop()
        path = _find(name) if name not in found else None
        if path is not None:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            left += _imports(path, name if path.name == "__init__.py" else name.rpartition(".")[0])
    return dict(sorted(found.items()))


def changed_modules(locked: dict[str, str]) -> list[str]:
    """Return some words for a sentence about each module that has changed or is missing.

    Args:
        locked: From `digest_modules`.
    """
    changed = []
    for name, digest in locked.items():
        path = _find(name)
        if path is None:
            changed.append(f"{name}, which is not found (PYTHONPATH says where modules lie)")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            changed.append(f"{name} ({path}), which has changed")
    return changed


def _imports(file: Path, package: str) -> Iterator[str]:
    """Yield all names in a file's import statements that may be modules; none if this Python cannot parse the file."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # it may be imported only by another Python version
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # One dot means the package itself, each further dot a package above it.
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            # `from a import b`: `b` may be a module or a name in `a`; `_find` tells.
            names = [start, *(f"{start}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            # Importing a.b.c runs a and a.b first.
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _find(name: str) -> Path | None:
    """Return the file of one of the user's own modules, found without importing its parents."""
    top, *rest = name.split(".")
    if not top or top == "tlmed" or top in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # a module without a spec, such as __main__
        return None
    for inner in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = _find_inside(list(spec.submodule_search_locations), inner)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin).resolve()
    return None if any(parent in _INSTALLED or parent.name in _PACKAGES for parent in path.parents) else path


def _find_inside(folders: list[str], name: str) -> importlib.machinery.ModuleSpec | None:
    """Return the spec of a package's module, or of the folders that form a package without `__init__.py`.

    Python's own `PathFinder` is of no use here: it looks for the parents of such a package in `sys.modules`, but this
    module imports nothing.
    """
    portions = []
    for folder in folders:
        source = (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES)
        spec = importlib.machinery.FileFinder(folder, source).find_spec(name)
        if spec is not None and spec.loader is not None:
            return spec
        portions += (spec.submodule_search_locations or []) if spec is not None else []
    if not portions:
        return None
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = portions
    return spec
