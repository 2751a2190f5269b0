"""The shape of the package in figures, and the picture of its modules in docs/design.md.

python tests/shape.py            prints the figures
python tests/shape.py --write    draws the picture anew
"""

import ast
import io
import statistics
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "design.md"
BEGIN, END = "<!-- modules: begin -->\n", "<!-- modules: end -->\n"
MOST_LINES, MOST_ARGUMENTS = 400, 7


@dataclass(frozen=True)
class Function:
    """A function: its dotted name, its arguments without `self`, the statements of its body without the docstring."""

    name: str
    arguments: int
    statements: int


@dataclass(frozen=True)
class Module:
    """A file of the package.

    Attributes:
        name: Dotted, as it is imported.
        lines: All of them.
        comments: Lines with a comment.
        functions: All, nested ones and methods too.
        imports: The modules of the package that it imports anywhere, lazily too.
        about: The first sentence of its docstring.
    """

    name: str
    lines: int
    comments: int
    functions: tuple[Function, ...]
    imports: frozenset[str]
    about: str

    @property
    def part(self) -> str:
        """The module or package directly under tlmed that it belongs to."""
        return self.name.split(".")[1] if "." in self.name else ""


def read_modules(root: Path = ROOT) -> tuple[Module, ...]:
    """Return all modules of the package below a folder."""
    paths = sorted((root / "tlmed").rglob("*.py"))
    names = {_name(path, root) for path in paths}
    return tuple(_read(path, root, names) for path in paths)


def find_repeated_names(modules: tuple[Module, ...]) -> dict[str, int]:
    """Return the file names that stand in several packages, with their number."""
    last = Counter(module.name.rpartition(".")[2] for module in modules if module.part)
    packages = {module.name.rpartition(".")[0] for module in modules}
    own = Counter(name.rpartition(".")[2] for name in packages if "." in name)  # a package is no second file
    return {name: number for name, number in sorted((last - own).items()) if number > 1}


def find_circles(imports: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Return the sets of modules that import each other at some remove (the strongly connected components).

    >>> find_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    [['b', 'c']]
    """
    reached = {name: _reach(name, imports) for name in imports}
    circles = {frozenset(other for other in reached[name] if name in reached[other]) for name in imports}
    return sorted(sorted(circle) for circle in circles if circle)


def place_on_floors(imports: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Return modules floor by floor, the lowest first: each as low as what it imports allows.

    >>> place_on_floors({"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"a"}})
    [['a'], ['b', 'd'], ['c']]
    """
    floors: list[list[str]] = []
    left = dict(imports)
    while left:
        floor = sorted(name for name, below in left.items() if not below & left.keys())
        floors.append(floor)
        left = {name: below for name, below in left.items() if name not in floor}
    return floors


def join_parts(modules: tuple[Module, ...]) -> dict[str, frozenset[str]]:
    """Return for each module or package directly under tlmed which others it imports."""
    parts: dict[str, set[str]] = {module.part: set() for module in modules if module.part}
    for module in modules:
        if module.part:
            parts[module.part] |= {name.split(".")[1] for name in module.imports if "." in name} - {module.part}
    return {part: frozenset(below) for part, below in parts.items()}


def draw_modules(modules: tuple[Module, ...]) -> str:
    """Return the picture of the parts as a Markdown table: floor by floor, the highest first."""
    parts = join_parts(modules)
    about = {module.part: module.about for module in modules if module.name == f"tlmed.{module.part}"}
    rows = ["| floor | module | what it is | stands on |", "| --: | :-- | :-- | :-- |"]
    floors = place_on_floors(parts)
    for number in range(len(floors), 0, -1):
        for part in floors[number - 1]:
            # What is reached through another one is left out.
            through = set().union(*(_reach(other, parts) for other in parts[part]))
            direct = ", ".join(f"`{other}`" for other in sorted(parts[part] - through)) or "nothing"
            rows.append(f"| {number} | `{part}` | {about[part]} | {direct} |")
    return "\n".join(rows) + "\n"


def list_figures(modules: tuple[Module, ...]) -> Iterator[str]:
    """Yield a line for each figure."""
    lines, comments = sum(module.lines for module in modules), sum(module.comments for module in modules)
    functions = [function for module in modules for function in module.functions]
    yield f"modules: {len(modules)}, lines: {lines}, comment lines: {comments / lines:.2%}"
    repeated = find_repeated_names(modules)
    yield f"repeated module names: {len(repeated)} {repeated}"
    long = {module.name: module.lines for module in modules if module.lines > MOST_LINES}
    yield f"modules over {MOST_LINES} lines: {len(long)} {long}"
    many = {function.name: function.arguments for function in functions if function.arguments > MOST_ARGUMENTS}
    six = sum(function.arguments >= 6 for function in functions)
    yield f"functions: {len(functions)}, of six arguments or more: {six}, of more than {MOST_ARGUMENTS}: {many}"
    yield f"statements in a body, median: {statistics.median(function.statements for function in functions)}"
    yield f"circles: {find_circles({module.name: module.imports for module in modules})}"


def replace_picture(page: str, picture: str) -> str:
    """Return a page with another picture between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{picture}\n{END}{after}"


def _name(path, root) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(path, root, names) -> Module:
    text, name = path.read_text(), _name(path, root)
    tree = ast.parse(text)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [
        _describe(node, name) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    about = (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ")
    return Module(
        name,
        text.count("\n"),
        sum(token.type == tokenize.COMMENT for token in tokens),
        tuple(found),
        frozenset(_list_imports(tree, names)) - {name},
        about,
    )


def _describe(node, module) -> Function:
    given = node.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    own = sum(argument.arg in ("self", "cls") for argument in arguments[:1])
    has_text = ast.get_docstring(node) is not None
    return Function(f"{module}.{node.name}", len(arguments) - own, len(node.body) - has_text)


def _list_imports(tree, names) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tlmed":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in names else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)


def _reach(name, imports) -> set[str]:
    """Return all that a module imports at any remove."""
    reached, open_ = set(), list(imports.get(name, ()))
    while open_:
        other = open_.pop()
        if other not in reached:
            reached.add(other)
            open_ += imports.get(other, ())
    return reached


if __name__ == "__main__":
    found = read_modules()
    print(*list_figures(found), sep="\n")
    if "--write" in sys.argv[1:]:
        PAGE.write_text(replace_picture(PAGE.read_text(), draw_modules(found)))
