import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from rich.cells import cell_len

from tests.conftest import SMALL
from tests.terminal import Terminal
from tlmed.screen import Bar, Screen, describe_bar, to_lines
from tlmed.tabulation import Table, numbers, texts

WIDTHS = (20, 40, 60, 80, 120, 150)


@pytest.fixture(autouse=True)
def no_width(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("plain", [True, False])
def test_a_bar_fits_any_width(width, plain):
    bars = [
        Bar("x" * 200, 10, 3, "word " * 100),
        Bar("head", 10, 0),
        Bar("head", 0),
        Bar("Reading", None),
        Bar("Reading Größe", None),
        Bar("two\nlines\x1b[31m", 3, 5),
    ]
    bars += [Bar("slow", 100, 50, begin=0.0, first=10)]
    for bar in bars:
        for line in describe_bar(bar, width, plain):
            assert len(line) <= width - 3  # a terminal writes ^C there
            assert line.isprintable()
            assert line.isascii() or not plain


def test_a_bar_counts_the_time_left_from_the_first_step_of_this_command():
    bar = Bar("head", 100)
    assert "left" not in describe_bar(bar, 80)[0]
    bar.begin -= 5
    assert describe_bar(bar, 80)[0].endswith("0%  0:05")
    bar.move(60)
    bar.begin -= 20
    bar.move(70)
    assert re.search(r"70%  1:0\d left$|70%  0:59 left$", describe_bar(bar, 80)[0])


TABLE = Table(texts("name") + numbers("count") + texts("what"), [("a", "1", "x " * 60), ("b" * 30, "1,000", "y")])


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_fits_a_width_and_loses_nothing(width):
    lines = TABLE.lines(width)
    assert max(map(len, lines)) <= width
    letters = "".join(lines)
    assert (letters.count("x"), letters.count("b")) == (60, 30)


@pytest.mark.parametrize("width", range(1, 90))
def test_a_table_with_an_empty_column_fits_any_width(width):
    rows = [("1 - 2", "0.1 (-0.2 to +0.3)", ""), ("1 - 3", "0.1 (-0.1 to +0.3)", "*")]
    lines = Table(texts("pair", "difference", ""), rows).lines(width)
    assert "*" in "".join(lines)
    assert width < 30 or max(map(len, lines)) <= width


WIDE = [("良性", "437", "0.9"), ("malignant", "210", "0.8"), ("悪性腫瘍", "3", "0.7")]  # two columns a letter


def test_columns_stand_below_each_other_where_letters_are_wide():
    lines = Table(texts("クラス") + numbers("images") + texts("score"), WIDE).lines()
    assert [cell_len(line[: line.rindex("  ")]) for line in lines] == [17] * 4
    assert lines[1] == "良性          437  0.9"


@pytest.mark.parametrize("width", range(12, 60))
def test_wide_letters_fit_a_width_and_none_is_lost(width):
    name, note = "悪性腫瘍" * 4, "超音波画像 of 良性 and 悪性の " * 3
    table = Table(texts("クラス") + numbers("images") + texts("言葉"), [*WIDE, (name, "1,000", note)])
    lines = [*table.lines(width), *to_lines([note], width)]
    assert max(map(cell_len, lines)) <= width
    assert all(line.isprintable() for line in lines)
    assert "".join(lines).count("悪") == 1 + 4 + 3 + 3
    for line in describe_bar(Bar(name, 10, 3, note), width + 12):
        assert cell_len(line) <= width + 9


@pytest.mark.parametrize("width", range(27, 70))
def test_neither_an_interval_nor_a_shape_is_broken(width):
    score, shape = "0.447 (0.373 to 0.526)", "2 x 2 x 1280"
    lines = Table(texts("name", "score", "output"), [("a long name", score, shape), ("b", "0.5", "3")]).lines(width)
    text = "\n".join([*lines, *to_lines([f"The area under the curve is {score}, the shape {shape}."], width)])
    assert text.count("(0.373 to 0.526)") == text.count(shape) == 2


def test_what_is_the_same_in_all_rows_of_a_wide_table_is_a_sentence():
    rows = [("head", "frozen", "0.001", "one two"), ("top", "frozen", "0.0001", "three four five")]
    table = Table(texts("phase", "BatchNorm", "rate", "trains"), rows)
    assert table.lines(36) == [
        "phase  rate    trains",
        "head   0.001   one two",
        "top    0.0001  three four five",
        "In all rows: BatchNorm frozen.",
    ]
    assert len(table.lines(80)) == 3
    assert "In all rows" not in "".join(Table(table.columns, rows[:1]).lines(20))


def test_rows_that_would_take_many_lines_are_lists():
    table = Table(texts("name", "why"), [("a", "word " * 20), ("b", "more " * 20)])
    assert table.lines(30)[:2] == ["a", "  why  word word word word"]
    assert len(table.lines(30)) == 2 * (1 + 5)
    short = Table(texts("name", "why", "x"), [("a", "word " * 20, "1"), *[(str(i), "word", "2") for i in range(9)]])
    assert short.lines(30)[0].split() == ["name", "why", "x"]


def test_a_table_keeps_a_row_a_line_where_there_is_no_terminal():
    assert [len(line) for line in TABLE.lines()][1] == len(TABLE.lines()[2]) + 118
    assert len(TABLE.lines()) == 3


def test_a_line_is_broken_between_words_and_a_path_stays_whole():
    path = "/a/very/long/path" * 8
    assert to_lines([f"  Report: {path} is here"], 40) == ["  Report:", f"    {path}", "    is here"]
    assert to_lines([f"  Report: {path} is here"]) == [f"  Report: {path} is here"]
    assert to_lines([""], 40) == [""]


def test_where_there_is_no_terminal_every_line_is_plain_and_nothing_is_lost():
    stream = io.StringIO()
    screen = Screen(stream)
    with screen.busy("Reading"):
        screen.say("one\ntwo \x1b[31m" + "x" * 300)
        with screen.wait(Bar("head", 3)) as bar:
            bar.move(1)
    screen.show([Table(texts("a"), [("b",)])])
    assert stream.getvalue() == "Reading ...\none\ntwo \\x1b[31m" + "x" * 300 + "\na\nb\n"
    stream = io.StringIO()
    with Screen(stream, waits=False).busy("Reading"):
        assert stream.getvalue() == ""


def test_a_stream_that_cannot_write_a_letter_gets_its_number():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Screen(stream).say("Größe")
    assert raw.getvalue() == b"Gr\\xf6\\xdfe\n"


def test_a_line_is_broken_after_its_letters_are_replaced(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal(20)
    terminal.encoding = "ascii"
    screen = Screen(terminal)
    with screen.busy("Reading Größe"):
        screen.show(["Größe " * 5, Table(texts("class"), [("Größe",)])])
    assert terminal.kept() == ["Gr\\xf6\\xdfe", "  Gr\\xf6\\xdfe"] + ["  Gr\\xf6\\xdfe"] * 3 + [
        "class",
        "Gr\\xf6\\xdfe",
    ]
    assert terminal.wrapped == []
    assert terminal.getvalue().isascii()


def test_what_is_said_stands_above_what_is_waited_for_and_the_wait_leaves_no_trace(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal(40)
    screen = Screen(terminal)
    with screen.busy("Scoring baselines"):
        assert terminal.hidden
        assert terminal.kept() == ["Scoring baselines ... 0:00"]
        screen.say("first")
        with screen.wait(Bar("Features", 10)) as bar:
            bar.move(4)
            screen.live.refresh()
            assert terminal.kept()[0] == "first"
            assert terminal.kept()[1] == "Scoring baselines ... 0:00"
            assert terminal.kept()[2].startswith("Features  ")
    screen.say("last " * 20)
    assert [line.split()[0] for line in terminal.kept()] == ["first", *["last"] * 3]
    assert terminal.wrapped == []
    assert not terminal.hidden


def test_the_cursor_comes_back_after_any_end(monkeypatch):
    terminal = Terminal()
    screen = Screen(terminal)
    with pytest.raises(KeyboardInterrupt), screen.busy("Waiting"):
        raise KeyboardInterrupt
    assert not terminal.hidden
    assert terminal.kept() == []


@pytest.mark.parametrize("name", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(name, monkeypatch):
    monkeypatch.setenv("TERM", name)
    terminal = Terminal()
    with Screen(terminal).busy("Waiting"):
        pass
    assert terminal.getvalue() == "Waiting ...\n"
    monkeypatch.setenv("COLUMNS", "30")
    Screen(terminal).say("word " * 9)
    assert terminal.lines[1:3] == ["word word word word word word", "  word word word"]


@pytest.mark.parametrize("plain", [False, True])
def test_no_color_is_respected(plain, monkeypatch, tmp_path):
    monkeypatch.setenv("NO_COLOR", "1" if plain else "")
    status, terminal = run_in_terminal(["status", tmp_path], 80)
    assert status == 2
    assert terminal.kept()[0].startswith("Error: RUN must be the directory of a run")
    coloured = Terminal()
    with Screen(coloured).wait(Bar("head", 2, 1)):
        pass
    for text in (terminal.getvalue(), coloured.getvalue()):
        codes = re.findall(r"\x1b\[[\d;]+m", text)
        assert (codes == []) if plain else set(codes) > {"\x1b[0m"}


def run_in_terminal(words, width, stop_at=None):
    """Run tlmed in a terminal of its own; return its exit status and the terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-c", "from tlmed.cli import main; main()", *map(str, words)]
    process = subprocess.Popen(
        command,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C in it is for the process
    )
    os.close(follower)
    terminal, raw, stopped = Terminal(width), b"", False
    with open(leader, "rb", buffering=0) as stream:
        while True:
            try:
                part = stream.read(4096)
            except OSError:  # how Linux says that the other side is closed
                break
            raw += part
            if stop_at is not None and not stopped and re.search(stop_at, raw):
                os.write(leader, b"\x03")  # the terminal shows ^C, and sends SIGINT
                stopped = True
            if not part:
                break
    terminal.write(raw.decode().replace("\r\n", "\n"))
    return process.wait(timeout=60), terminal


def words_of_a_run(images, out, epochs):
    settings = [word for setting in (*SMALL, f"phases.epochs={epochs}") for word in ("--set", setting)]
    return ["train", "fine_tuning", "--data", images, "--out", out, *settings]


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80])
def test_a_run_neither_wraps_nor_floods_a_terminal(width, images, tmp_path):
    status, terminal = run_in_terminal(words_of_a_run(images, tmp_path / "run", 5), width)
    kept = terminal.kept()
    assert status == 0, kept
    assert [text for text in terminal.wrapped if str(tmp_path) not in text] == []
    assert len(kept) < 80
    assert sum("epoch" in line and "━" in line for line in kept) == 0
    assert any(line.startswith("head  5 of 5 epochs") for line in kept)
    assert not terminal.hidden
    status, terminal = run_in_terminal(["predict", tmp_path / "run", images], width)
    assert status == 0
    assert terminal.wrapped == []
    assert any(
        re.fullmatch(r"(?:  score +|.*(?:benign|malignant|normal) +)\d\.\d{3}", line) for line in terminal.kept()
    )


@pytest.mark.slow
def test_ctrl_c_leaves_the_terminal_in_order(images, tmp_path):
    words = [*words_of_a_run(images, tmp_path / "run", 5000), "--set", "phases.patience=none"]
    status, terminal = run_in_terminal(words, 80, stop_at=rb"epoch \d+/5000")
    assert status == 130
    assert not terminal.hidden
    assert any(line.startswith("Error: Stopped by Ctrl-C.") for line in terminal.kept())
    assert not any("━" in line for line in terminal.kept())
