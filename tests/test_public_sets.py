"""The list of public sets: every row says what it must, in words that recipes take, and names that exist."""

import csv
import io
import re

import pytest
from click.testing import CliRunner

from tlmed.cli import cli
from tlmed.data import medmnist_sets
from tlmed.errors import InputError
from tlmed.public_sets import COLUMNS, FILE, describe_sets, read_sets, to_csv
from tlmed.sections.image_attributes import BODY_PARTS, MODALITIES

SETS = read_sets()


def test_there_are_forty_sets_or_more_and_no_name_occurs_twice():
    assert len(SETS) >= 40
    assert len({row.name for row in SETS}) == len(SETS)
    assert [(row.modality, row.part, row.name) for row in SETS] == sorted(
        (row.modality, row.part, row.name) for row in SETS
    )
    assert FILE.read_text(encoding="utf-8").partition("\n")[0] == ",".join(COLUMNS)


@pytest.mark.parametrize("row", SETS, ids=lambda row: row.name)
def test_every_row_says_what_it_must(row):
    assert row.modality in MODALITIES
    assert row.part in BODY_PARTS
    assert all((row.task, row.get, row.source))
    assert row.licence.casefold() not in ("", "unknown", "none", "?")
    assert re.fullmatch(r"(19|20)\d\d|", row.year)
    assert int(row.classes) >= 2
    assert all(number == "" or int(number) > 0 for number in (row.images, row.patients))


@pytest.mark.parametrize("row", SETS, ids=lambda row: row.name)
def test_every_way_to_get_a_set_exists(row):
    if row.get.startswith("medmnist:"):
        found = medmnist_sets.find_set(row.get.removeprefix("medmnist:"))
        assert (row.classes, row.licence) == (str(len(found.classes)), found.licence)
    elif row.get.startswith("tfds:"):
        tfds = pytest.importorskip("tensorflow_datasets")
        assert row.get.removeprefix("tfds:") in tfds.list_builders(with_community_datasets=False)
    else:
        assert row.get.startswith("https://")


def test_every_set_of_medmnist_that_is_read_is_in_the_list():
    named = {row.get.removeprefix("medmnist:") for row in SETS if row.get.startswith("medmnist:")}
    sets = medmnist_sets.list_sets()
    assert named == {name for name, about in sets.items() if "multi-label" not in about["task"]}


def test_patients_are_those_of_the_images_that_a_row_counts():
    patients = {row.name: row.patients for row in SETS}
    assert patients["Brain tumour of Cheng et al."] == "233"
    assert patients["BRACS regions"] == "151"  # all slides, of which some have no region, are of 189
    assert patients["NCT-CRC-HE-100K"] == patients["Kermany OCT"] == ""  # no source says it of these images


def test_sets_are_chosen_by_any_name_of_a_modality_and_by_a_text_in_their_task():
    assert {row.modality for row in read_sets("Ultrasound")} == {"sonography"}
    assert all("tumour" in row.task for row in read_sets(task="TUMOUR"))
    assert [row.name for row in read_sets("mri", "tumour")] == ["Brain tumour of Cheng et al."]
    with pytest.raises(InputError, match=r"Did you mean 'mammography'\?"):
        read_sets("mammografy")


def test_the_table_counts_the_sets_and_the_csv_has_their_sources():
    table, _, told, _ = describe_sets(SETS)
    assert len(table.rows) == len(SETS)
    assert told.startswith(f"{len(SETS)} sets.")
    assert [row["source"] for row in csv.DictReader(io.StringIO(to_csv(SETS)))] == [row.source for row in SETS]


def test_the_command_prints_them_and_refuses_what_matches_none():
    result = CliRunner().invoke(cli, ["data", "list", "--modality", "oct"], catch_exceptions=False)
    assert "medmnist:octmnist" in result.output
    result = CliRunner().invoke(cli, ["data", "list", "--task", "glaucoma", "--csv"], catch_exceptions=False)
    assert result.output.splitlines()[0] == ",".join(COLUMNS)
    with pytest.raises(InputError, match=r"A set of the list must match\. Received: --modality oct, --task tumour"):
        CliRunner().invoke(cli, ["data", "list", "--modality", "oct", "--task", "tumour"], catch_exceptions=False)
