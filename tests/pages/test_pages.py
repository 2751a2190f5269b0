"""Templates and what they are made of: nothing is put into a page unescaped, and all files go with the package."""

import configparser
import re
from pathlib import Path

import jinja2
import pytest

from tests.report.test_report import Reader
from tlmed import pages
from tlmed.pages.entries import list_entries
from tlmed.pages.glossary import TERMS, explain, find_terms
from tlmed.pages.templating import make_page, render
from tlmed.tabulation import CODE, EMPHASIS, STRONG, WHOLE, Table, numbers, say, texts

FOLDER = Path(pages.__file__).parent
EVIL = """<script>alert("1")</script> & 'x'"""


def test_every_file_of_pages_is_installed():
    setup = configparser.ConfigParser()
    setup.read(FOLDER.parents[1] / "setup.cfg")
    patterns = setup["options.package_data"]["tlmed.pages"].split()
    installed = {path for pattern in patterns for path in FOLDER.glob(pattern)}
    others = {path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert installed == others
    assert {FOLDER / "style.css", FOLDER / "templates/page.html"} < installed


def test_only_what_was_rendered_counts_as_html():
    templates = [path.read_text() for path in FOLDER.rglob("*.html")]
    assert templates
    assert not re.findall(r"\bsafe\b|\{% autoescape|<script|https?:", "".join(templates))
    made = {path.name: path.read_text() for path in FOLDER.parent.rglob("*.py")}
    assert [name for name, text in made.items() if re.search(r"\bMarkup\([^)]", text)] == ["templating.py"]


def test_a_template_with_a_name_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="items"):
        render("list.html")


@pytest.mark.parametrize("mark", ["", STRONG, EMPHASIS, CODE, WHOLE])
def test_cells_are_escaped_wherever_they_stand(mark):
    whole = say(EVIL, explain("auc", EVIL), mark=mark, below=(EVIL, say(EVIL, mark=mark)))
    table = Table(texts(EVIL, say(EVIL)) + numbers("n"), [(whole, say(EVIL, link=EVIL), EVIL)], [EVIL], EVIL)
    reader = Reader(render("list.html", items=[EVIL]) + render("table.html", table=table))
    assert not {"script"} & {tag for tag, _ in reader.tags}
    assert reader.text.count(EVIL) == 11
    assert dict(reader.tags)["a"]["href"] == EVIL


def test_titles_and_sections_are_escaped():
    page = make_page(
        EVIL, render("list.html", items=[EVIL]), {EVIL: render("list.html", items=[explain("auc")]), "no": ""}
    )
    assert "<script" not in page
    reader = Reader(page)
    assert reader.text.count(EVIL) == 5  # title, heading, lead, contents, section
    assert "no" not in re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert TERMS["auc"][1] in reader.text


def test_an_interval_is_drawn_where_it_lies_between_0_and_1():
    def show(low, high):
        cell = say("0.5", interval=(low, 0.5, high))
        return dict(Reader(render("table.html", table=Table(texts("a"), [(cell,)]))).tags)

    assert show(0, 1)["circle"]["cx"] == "60.0"
    assert "svg" not in show(-0.1, 0.9)
    assert "svg" not in show(0.1, 1.1)


def test_an_interval_of_a_single_image_is_marked_where_it_stands():
    entry = {"value": 1.0, "low": 0.207, "high": 1.0, "method": "Wilson"}
    single = entry | {"note": "It rests on 1 group not predicted as class 'ill'."}
    assert ["of 1 group" in " ".join(list_entries({"npv": each}).lines()) for each in (entry, single)] == [False, True]


def test_of_a_table_the_first_column_and_texts_stand_on_the_left():
    page = render("table.html", table=Table(texts("a", "b") + numbers("c"), [("1", "2", "3")]))
    assert "<td>1</td>" in page
    assert '<td class="text">2</td>' in page
    assert "<td>3</td>" in page
    assert "<thead" not in render("table.html", table=Table(texts("", ""), [("1", "2")]))


def test_terms_stand_in_the_order_of_the_alphabet():
    links = render("list.html", items=map(explain, ("roc", "auc", "threshold", "brier")))
    assert list(find_terms(links)) == ["auc", "brier", "roc", "threshold"]
