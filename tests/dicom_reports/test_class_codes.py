"""Codes of classes: no two are alike for a reader, and schemes are called as DICOM calls them."""

import pytest

from tlmed.dicom_reports.class_codes import code_classes, name_class, read_code
from tlmed.errors import InputError

CLASSES = ["benign", "malignant"]


@pytest.mark.parametrize(
    ("scheme", "right"),
    [
        *(("sct", "SCT"), ("SNOMED CT", "SCT"), ("dicom", "DCM"), ("dcm", "DCM"), ("loinc", "LN"), ("ucum", "UCUM")),
        *(("ICD-10", "I10"), ("icd10cm", "I10C"), ("ICD-10-CM", "I10C"), ("I10c", "I10C"), ("i10C", "I10C")),
        *(("icd-o-3", "ICDO3"), ("RadLex", "RADLEX"), ("BI-RADS", "BI"), ("ncit", "NCIt"), ("MeSH", "MSH")),
        *(("SNOMED-RT", "SRT"), ("itis-tsn", "ITIS_TSN"), ("99tlmed", "99TLMED")),
    ],
)
def test_a_known_scheme_in_another_spelling_is_refused_with_the_right_one(scheme, right):
    with pytest.raises(InputError, match=f"DICOM calls the coding scheme '{right}'. Received: '{scheme}' for"):
        code_classes(CLASSES, {"malignant": ("1", scheme, "x")})
    assert code_classes(CLASSES, {"malignant": ("1", right, "x")})["malignant"].scheme == right


@pytest.mark.parametrize("scheme", ["99MINE", "99sct", "I10G2004"])
def test_private_schemes_and_those_of_other_registers_are_taken_as_they_are(scheme):
    assert code_classes(CLASSES, {"malignant": ("1", scheme, "x")})["malignant"].scheme == scheme


def test_long_names_keep_meanings_that_tell_them_apart():
    grades = [f"invasive ductal carcinoma of the left breast, upper outer quadrant, grade {grade}" for grade in "12"]
    found = [code.meaning for code in code_classes(grades, None).values()]
    assert found == [f"invasive ductal carcinoma of t..., upper outer quadrant, grade {grade}" for grade in "12"]
    inside = [f"{'carcinoma ' * 5}grade {grade}{' of the breast' * 4}" for grade in "123"]
    found = [code.meaning for code in code_classes([*inside, "short"], None).values()]
    assert [meaning[:3] for meaning in found] == ["1: ", "2: ", "3: ", "sho"]
    assert max(map(len, found)) == 64


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"benign": ("1", "SCT", "x"), "malignant": ("1", "SCT", "y")}, "code of its own. Received: SCT 1 for"),
        ({"benign": ("1", "SCT", "x"), "malignant": ("2", "SCT", "x")}, "meaning of its own. Received: 'x' for"),
        ({"malignant": ("2", "SCT", "benign")}, "meaning of its own. Received: 'benign' for"),
    ],
)
def test_two_classes_that_a_reader_cannot_tell_apart_are_refused(stated, said):
    with pytest.raises(InputError, match=f"Each class must have a {said} 'benign' and 'malignant'"):
        code_classes(CLASSES, stated)


def test_people_read_the_meaning_and_the_name_or_one_of_them_where_they_are_the_same():
    codes = code_classes(["a", "b", "x" * 70], {"a": ("1", "SCT", "Meaning"), "b": ("2", "SCT", "b")})
    assert [name_class(name, code) for name, code in codes.items()] == ["Meaning (a)", "b", "x" * 70]


def test_a_class_name_may_hold_an_equals_sign():
    assert read_code("a=b=1,SCT,x, y") == ("a=b", ("1", "SCT", "x, y"))
    assert read_code("normal, benign=1,SCT,x = y, z") == ("normal, benign", ("1", "SCT", "x = y, z"))
    assert code_classes(["a=b"], {"a=b": ("1", "SCT", "x")})["a=b"].value == "1"
