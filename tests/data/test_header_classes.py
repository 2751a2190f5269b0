"""Classes from headers of DICOM files: by one element that the recipe names and that identifies nobody."""

import pytest

from tests.data.readers.dicom_files import write
from tests.data.test_data_sources import png
from tests.data.test_patients import WINDOW, draw
from tlmed.columns import Grouping
from tlmed.data import open_source
from tlmed.errors import InputError
from tlmed.source_layout import Layout

PARTS = ("CHEST", "HEAD", "CHEST", "HEAD")


def write_study(folder, values=PARTS, **elements):
    """Write a file for each value of BodyPartExamined, in folders of series, two for each patient."""
    for number, value in enumerate(values):
        path = folder / f"series {number % 3}" / f"IM{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        given = {} if value is None else {"BodyPartExamined": value}
        path.write_bytes(write(draw(number), 12, **WINDOW, PatientID=f"Doe^{number // 2}", **given, **elements))
    return folder


def open_by(folder, label="BodyPartExamined", **options):
    return open_source(folder, Layout(label=label, **options))


def test_an_element_gives_the_classes_and_headers_the_patients_under_pseudonyms(tmp_path):
    write_study(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    table = open_by(tmp_path)
    assert table.paths == ("series 0/IM0", "series 0/IM3", "series 1/IM1", "series 2/IM2")
    assert [table.classes[label] for label in table.labels] == ["CHEST", "HEAD", "HEAD", "CHEST"]
    assert table.groups == ("patient-0001", "patient-0002", "patient-0001", "patient-0002")
    assert (table.pseudonyms, table.skipped, table.splits) == (True, ("notes.txt",), None)
    assert table.notes[0] == "Classes are the values of BodyPartExamined in the headers."
    assert open_by(tmp_path, grouping=Grouping(use=False)).groups is None


def test_several_values_and_classes_of_several_labels(tmp_path):
    write_study(tmp_path, PARTS, ImageType=["DERIVED", "SECONDARY"])
    with pytest.raises(InputError, match=r"only the class 'DERIVED\\SECONDARY'"):
        open_by(tmp_path, "ImageType")
    classes = {"top": ("HEAD",), "trunk": ("CHEST",)}
    assert open_by(tmp_path, classes=classes).classes == ("top", "trunk")


def test_folders_of_splits_give_splits(tmp_path):
    for split in ("train", "test"):
        write_study(tmp_path / split)
    assert open_by(tmp_path).splits == 4 * ("test",) + 4 * ("train",)
    write_study(tmp_path / "more")
    with pytest.raises(InputError, match=r"No other image may lie beside folders of splits .*'more/series 0/IM0'"):
        open_by(tmp_path)


@pytest.mark.parametrize(
    "keyword",
    [
        *(
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "StudyDate",
            "StudyTime",
            "StudyInstanceUID",
            "SOPInstanceUID",
        ),
        *("AccessionNumber", "StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments", "PatientAge"),
        *("InstitutionName", "StationName", "ReferringPhysicianName", "PatientAddress", "DeviceSerialNumber"),
        *("PixelData", "RequestAttributesSequence", "FileSetID", "OperatorsName", "EthnicGroup", "PatientComments"),
    ],
)
def test_elements_that_may_identify_a_person_are_refused_by_name(tmp_path, keyword):
    with pytest.raises(InputError) as error:
        open_by(write_study(tmp_path), keyword)
    assert str(error.value).endswith(f"Received: label_column={keyword!r}: it may identify a person.")


def test_a_keyword_that_the_standard_does_not_have_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"the standard has no such keyword\. Did you mean 'BodyPartExamined'"):
        open_by(write_study(tmp_path), "BodyPartExamind")


def test_files_without_the_element_or_without_a_header_are_named(tmp_path):
    write_study(tmp_path, (*PARTS, None, ""))
    (tmp_path / "x.png").write_bytes(png())
    (tmp_path / "cut.dcm").write_bytes((tmp_path / "series 0/IM0").read_bytes()[:180])
    with pytest.raises(InputError) as error:
        open_by(tmp_path)
    ends = [fault.rpartition("where ")[2] for fault in error.value.faults]
    assert ends == [
        "1 image of 8 has none: 'x.png'.",
        "3 images of 8 have none: 'cut.dcm', 'series 1/IM4', 'series 2/IM5'.",
    ]
    assert "Doe" not in str(error.value)


def test_folders_cannot_be_patients_at_the_same_time(tmp_path):
    with pytest.raises(InputError, match="must go with class folders"):
        open_by(write_study(tmp_path), grouping=Grouping(folders=True))
