"""One table, as a terminal and as Markdown show it."""

import re

import pytest

from tlmed.tabulation import EMPHASIS, Table, numbers, say, texts
from tlmed.tabulation.markdown import plain

TABLE = Table(texts("Class|name") + numbers("Images"), [("<b>benign</b>", "1,000"), ("a*b_c", "9")], ["`2` & $more$."])


def test_a_terminal_shows_a_table_as_it_is_with_its_notes_below():
    assert TABLE.lines() == [
        "Class|name     Images",
        "<b>benign</b>   1,000",
        "a*b_c               9",
        "`2` & $more$.",
    ]


@pytest.mark.parametrize("width", [14, 18, 20])
def test_notes_are_broken_like_sentences(width):
    lines = TABLE.lines(width)
    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines[-3:]).endswith("`2` & $more$.")


def test_markdown_shows_every_text_and_acts_on_none():
    head, sides, *rest = TABLE.markdown().split("\n")
    assert sides == "| --- | ---: |"
    assert head == r"| Class\|name | Images |"
    assert rest[-1] == r"- \`2\` \& \$more\$."
    for line in (head, *rest[:2]):
        assert len(re.findall(r"(?<!\\)\|", line)) == 3
    assert r"\<b\>benign\</b\>" in rest[0]


def test_cells_of_markdown_stay_on_their_line():
    assert Table(texts("a"), [("one\ntwo",)]).markdown().count("\n") == 2
    assert plain("one\r\n two") == "one two"


def test_cells_of_a_page_are_plain_words_elsewhere():
    score = say("0.5", below=("0.4 to 0.6", say("says nothing", mark=EMPHASIS)), interval=(0.4, 0.5, 0.6))
    table = Table(texts(say("a", say("b", term="auc"))) + numbers("score"), [(say("x", link="y"), score)], footnote="z")
    assert table.lines() == ["ab                           score", "x   0.5 (0.4 to 0.6; says nothing)", "z"]
    assert table.markdown().split("\n")[2:] == ["| x | 0.5 (0.4 to 0.6; says nothing) |", "", "z"]


def test_a_table_without_titles_has_no_head():
    assert Table(texts("", ""), [("one", "two")]).lines() == ["one  two"]
