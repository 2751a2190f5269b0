"""A comparison with a lock as a table: for a terminal, as Markdown for the page of a CI job, as JUnit XML."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from tlmed.lock.agreement import Row
from tlmed.lock.input_differences import CODE, ENVIRONMENT, INPUT, LIBRARY, NOTE, REPORTED, Difference
from tlmed.lock.printable import show
from tlmed.tabulation import Table, texts
from tlmed.tabulation.markdown import bullets, plain
from tlmed.words import count

_VERDICTS = {True: "same", False: "DIFFERENT", None: "not asked"}
_KINDS = {
    INPUT: "Inputs that differ, so that this is another job",
    CODE: "Another version of tlmed, which may explain a number that moved",
    LIBRARY: "Other versions of libraries that compute",
    ENVIRONMENT: "Another environment, which may move the last digits",
    REPORTED: "The report has more or fewer parts, which changes no prediction and no score",
    NOTE: "Also different, but not known to change a number",
}
_ASKED = (INPUT, REPORTED)  # kinds of differences that count as faults
MOST_NOTES = 5  # so many differences are named that explain nothing
HEADER = ("what", "locked", "now", "verdict", "note")
# All characters that XML 1.0 does not allow, even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Reproduction:
    """What was compared with a lock, and how it ended.

    Attributes:
        name: The lock's.
        asked: What was compared, in words: the level and why, or "inputs and environment".
        differences: Between the inputs of then and now.
        rows: Between the results; none where nothing was trained.
        checked: How much of each part of the inputs was compared, in words; in JUnit's table each is a test.
        seconds: How long it took.
        fault: Why nothing could be compared; "" otherwise.
    """

    name: str
    asked: str
    differences: Sequence[Difference] = ()
    rows: Sequence[Row] = ()
    checked: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    fault: str = ""

    @property
    def faults(self) -> list[str]:
        """One sentence for each difference that should not be there."""
        inputs = [str(difference) for difference in self.differences if difference.kind in _ASKED]
        return inputs + [_describe(row) for row in self.rows if row.same is False]

    @property
    def verdict(self) -> str:
        """A few words about the result."""
        if self.fault:
            return "not compared"
        if self.faults:
            return f"{len(self.faults)} different"
        asked = sum(row.same is not None for row in self.rows)
        results = [f"{count(asked, 'line')} of the result"] if asked else []
        return f"the same: {', '.join([*self.checked.values(), *results])}"


def _describe(row: Row) -> str:
    what, there, here, _, note = _cells(row)
    words = f"{what}: {there} locked, {here} now"
    return f"{words} ({note})" if note else words


def to_lines(reproduction: Reproduction) -> list[str | Table]:
    """Return it for a terminal, as lines and a table."""
    lines = [f"{reproduction.name}: {reproduction.asked}"]
    for title, words in list_differences(reproduction.differences):
        lines += [f"{title}:", *(f"  {word}" for word in words)]
    if reproduction.rows:
        lines.append(list_rows(reproduction.rows))
    return [*lines, f"{reproduction.name}: {reproduction.verdict}"]


def to_markdown(reproduction: Reproduction) -> str:
    """Return it for the page of a CI job."""
    mark = "❌" if reproduction.faults or reproduction.fault else "✅"
    parts = [f"### {mark} {plain(reproduction.name)}: {reproduction.verdict}", plain(reproduction.asked)]
    if reproduction.fault:
        parts.append(f"**{plain(reproduction.fault)}**")
    for title, words in list_differences(reproduction.differences):
        parts += [f"{title}:", bullets(map(plain, words))]
    if reproduction.rows:
        parts.append(list_rows(reproduction.rows).markdown())
    return "\n\n".join(parts) + "\n"


def to_junit(reproduction: Reproduction) -> str:
    """Return it as JUnit XML: a test for each part of the inputs, and for each line that the level compares."""
    suite = ET.Element("testsuite", name=_clean(reproduction.name))
    failures = 0
    # With a fault nothing was compared, so that no part of the inputs may count as passed.
    for part in reproduction.checked if not reproduction.fault else ():
        found = [str(it) for it in reproduction.differences if it.part == part and it.kind in _ASKED]
        failures += _add_case(suite, reproduction, part, "same inputs", "\n".join(found))
    for row in reproduction.rows:
        if row.same is not None:
            failures += _add_case(suite, reproduction, row.part, row.name, "" if row.same else _describe(row))
    if reproduction.fault:
        case = ET.SubElement(suite, "testcase", classname=_clean(reproduction.name), name="comparison")
        ET.SubElement(case, "error", message=_clean(reproduction.fault)).text = _clean(reproduction.fault)
    notes = "\n".join(str(difference) for difference in reproduction.differences)
    ET.SubElement(suite, "system-out").text = _clean(f"{reproduction.asked}\n{notes}")
    counts = {
        "tests": str(len(suite.findall("testcase"))),
        "failures": str(failures),
        "errors": str(int(bool(reproduction.fault))),
        "skipped": "0",
        "time": f"{reproduction.seconds:.3f}",
    }
    for name, value in counts.items():
        suite.set(name, value)
    root = ET.Element("testsuites", {name: value for name, value in counts.items() if name != "skipped"})
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_case(suite, reproduction, part, name, failure) -> int:
    case = ET.SubElement(suite, "testcase", classname=_clean(f"{reproduction.name}.{part}"), name=_clean(name))
    if failure:
        ET.SubElement(case, "failure", message=_clean(failure.partition("\n")[0])).text = _clean(failure)
    return int(bool(failure))


def list_differences(
    differences: Sequence[Difference], describe: Callable[[Difference], str] = str
) -> Iterator[tuple[str, list[str]]]:
    """Yield a title and sentences for each kind of difference; only a few of those that explain nothing."""
    order = list(_KINDS)
    for kind, found in groupby(sorted(differences, key=lambda it: order.index(it.kind)), key=lambda it: it.kind):
        words = [describe(difference) for difference in found]
        rest = len(words) - MOST_NOTES if kind == NOTE else 0
        yield _KINDS[kind], [*words[:MOST_NOTES], f"and {rest} more"] if rest > 0 else words


def list_rows(rows: Sequence[Row], header: Sequence[str] = HEADER) -> Table:
    """Return the rows as a table."""
    return Table(texts(*header), [*map(_cells, rows)])


def _cells(row: Row) -> tuple[str, ...]:
    return f"{row.part}: {show(row.name)}", show(row.there), show(row.here), _VERDICTS[row.same], show(row.note)


def _clean(text: str) -> str:
    """Return text without the characters that XML cannot hold."""
    return _NO_XML.sub("?", text)
