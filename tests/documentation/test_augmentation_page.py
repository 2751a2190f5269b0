import dataclasses
from pathlib import Path

from tlmed.recipe import Augment
from tlmed.sections.augment_presets import PRESETS, SOURCES

PAGE = Path(__file__).parents[2] / "docs" / "augmentation.md"


def list_rows():
    return [
        f"| `{name}` | `{choice.field}={choice.value!r}` | {choice.reason} | {choice.source} |".replace("'", '"')
        for name, choices in PRESETS.items()
        for choice in choices
    ]


def list_sources():
    return [f"- **{name}**: {words}." for name, words in SOURCES.items()]


def test_the_page_has_every_choice_with_its_reason_and_its_source():
    lines = PAGE.read_text().splitlines()
    assert [line for line in lines if line.startswith("| `") and line.count("|") == 5] == list_rows()
    assert [line for line in lines if line.startswith("- **")] == list_sources()


def test_the_page_has_every_field():
    rows = [line.split("`")[1] for line in PAGE.read_text().splitlines() if line.count("|") == 3 and "`" in line]
    assert set(rows) == {spec.name for spec in dataclasses.fields(Augment)} - {"from_preset"}
