"""From samples to DICOM files: which image a file is, which frames a plane is, and what is refused by name."""

import itertools

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="needs pydicom: pip install '.[dicom]'")
from PIL import Image  # noqa: E402

from tests.data.readers.dicom_files import make, save, write  # noqa: E402
from tests.data.test_series import AXIAL, SECRET, SIZE, make_slice, write_series  # noqa: E402
from tlmed.data import read_files  # noqa: E402
from tlmed.data.readers.damage import Unread  # noqa: E402
from tlmed.data.readers.dicom_sources import read_source  # noqa: E402
from tlmed.data.sample_sources import find_sources  # noqa: E402
from tlmed.errors import InputError  # noqa: E402
from tlmed.slicing import Slicing  # noqa: E402

PIXELS = np.zeros((4, 5), np.uint8)
UIDS = {"StudyInstanceUID": "1.2.7", "SeriesInstanceUID": "1.2.7.1", "SOPInstanceUID": "1.2.7.1.1"}
_count = itertools.count(1)


def name_instances(folder):
    """Give each file of a folder an instance UID of its own, as its number along the patient where it has one."""
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        place = image.get("ImagePositionPatient")
        image.SOPInstanceUID = f"{SECRET}.9.{round(place[2]) if place else next(_count)}"
        image.save_as(path)


def test_an_image_says_which_it_is_and_what_a_report_repeats():
    content = write(PIXELS, **UIDS, PatientName="Müller^Eva", PatientID=" 7 ", SpecificCharacterSet="ISO_IR 100")
    found = read_source(content)
    assert (found.study, found.series, found.instance) == tuple(UIDS.values())
    assert (found.frames, found.odd) == (1, {})
    assert (found.repeated["PatientName"], found.repeated["PatientID"]) == ("Müller^Eva", "7")
    assert found.repeated["StudyDate"] == ""


@pytest.mark.parametrize(
    ("codes", "name"),
    [
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 100", "Buc^Jérôme"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_are_read_in_their_character_set(codes, name):
    assert (
        read_source(write(PIXELS, **UIDS, SpecificCharacterSet=codes, PatientName=name)).repeated["PatientName"] == name
    )


@pytest.mark.parametrize("codes", ["ISO_IR 192", None, "ISO_IR 999", ["", "ISO 2022 IR 87"]])
@pytest.mark.parametrize("keyword", ["PatientName", "PatientID"])
def test_a_text_that_cannot_be_decoded_is_left_empty_and_differs_where_its_bytes_do(codes, keyword):
    broken = b"M\xfc" if codes is None or isinstance(codes, str) else b"\x1b$B\x7e"
    contents = [write(PIXELS, **UIDS, SpecificCharacterSet=codes, **{keyword: "M@@@@@"})]
    contents += [contents[0].replace(b"M@@@@@", (broken + last).ljust(6)) for last in (b"a", b"b")]
    whole, *found = map(read_source, contents)
    assert whole.odd == {}
    assert [one.repeated[keyword] for one in found] == ["", ""]
    assert len({one.odd[keyword] for one in found}) == 2


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of what the test writes on purpose
@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("PatientSex", "W", ""),
        ("PatientSex", "F", "F"),
        ("PatientBirthDate", "1970", ""),
        ("StudyDate", "20201301", ""),
        ("StudyTime", "101112.5", "101112.5"),
        ("StudyTime", "10:11", ""),
        ("AccessionNumber", "1" * 17, ""),
        ("PatientName", "A" * 65, ""),
        ("PatientName", "A^B^C^D^E^F", ""),
    ],
)
def test_what_the_standard_does_not_allow_is_left_empty_and_said(keyword, value, kept):
    found = read_source(write(PIXELS, **UIDS, **{keyword: value}))
    assert found.repeated[keyword] == kept
    assert found.odd == ({} if kept else {keyword: value})


def read_method(**said):
    """Return what is repeated of how an identity was removed, and the keywords of what is odd."""
    found = read_source(write(PIXELS, **UIDS, PatientIdentityRemoved="YES", **said))
    assert found.repeated["PatientIdentityRemoved"] == ("YES" if found.repeated["DeidentificationMethod"] else "")
    return found.repeated["DeidentificationMethod"], list(found.odd)


def make_code(value, meaning, kind="CodeValue"):
    made = pydicom.Dataset()
    made.CodingSchemeDesignator, made.CodeMeaning = "DCM", meaning
    setattr(made, kind, value)
    return made


def test_how_an_identity_was_removed_may_stand_in_codes_or_in_many_words():
    basic = make_code("113100", "Basic Application Profile")
    sequence = "DeidentificationMethodCodeSequence"
    assert read_method(**{sequence: [basic]}) == ("113100: Basic Application Profile", [])
    long = make_code("17-digits-or-more", "x" * 60, "LongCodeValue")
    assert read_method(**{sequence: [basic, long]}) == (
        "113100: Basic Application Profile\\17-digits-or-more:\\" + "x" * 60,
        [],
    )
    words = "Names were taken out by hand, and dates were moved by a number of days that differs for each patient"
    method, odd = read_method(DeidentificationMethod=[words, "twice"])
    *lines, last = method.split("\\")
    assert (" ".join(lines), last, odd) == (words, "twice", [])
    assert max(map(len, lines)) <= 64


@pytest.mark.parametrize("faulty", [("", "only"), ("113100", ""), ("113100", "\x1b$B\x21")])
def test_a_code_without_a_value_or_a_meaning_is_left_out_and_said(faulty):
    codes = [make_code("113100", "Basic Application Profile"), make_code(*faulty)]
    assert read_method(DeidentificationMethodCodeSequence=codes) == (
        "",
        ["DeidentificationMethodCodeSequence", "PatientIdentityRemoved"],
    )
    assert read_method(DeidentificationMethodCodeSequence=codes, DeidentificationMethod="by hand") == ("by hand", [])


@pytest.mark.parametrize("said", [{}, {"DeidentificationMethod": "by hand"}])
def test_an_identity_that_was_not_removed_is_nothing_odd(said):
    found = read_source(write(PIXELS, **UIDS, PatientIdentityRemoved="NO", **said))
    assert (found.repeated["PatientIdentityRemoved"], found.repeated["DeidentificationMethod"]) == ("", "")
    assert found.odd == {}


def test_a_mark_that_is_neither_yes_nor_no_is_odd_and_goes_with_its_method():
    found = read_source(write(PIXELS, **UIDS, PatientIdentityRemoved="MAYBE", DeidentificationMethod="by hand"))
    assert (found.repeated["PatientIdentityRemoved"], found.repeated["DeidentificationMethod"]) == ("", "")
    assert found.odd == {"PatientIdentityRemoved": "MAYBE"}


def test_a_removed_identity_is_repeated_only_with_how_it_was_removed():
    assert read_method() == ("", ["PatientIdentityRemoved"])
    assert read_method(DeidentificationMethod=["by hand", "twice"]) == ("by hand\\twice", [])


@pytest.mark.parametrize(
    ("name", "is_image"),
    [
        ("CTImageStorage", True),
        ("EnhancedMRImageStorage", True),
        ("EnhancedUSVolumeStorage", True),
        ("DigitalXRayImageStorageForPresentation", True),
        ("RTDoseStorage", False),
        ("SegmentationStorage", False),
        ("ComprehensiveSRStorage", False),
        ("DICOSCTImageStorage", False),
    ],
)
def test_reports_are_of_images(name, is_image):
    content = write(PIXELS, **UIDS, SOPClassUID=getattr(pydicom.uid, name))
    if is_image:
        assert read_source(content).sop_class == getattr(pydicom.uid, name)
    else:
        with pytest.raises(Unread, match="SOP class"):
            read_source(content)


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.6", "1.2.826.0.1.99"])
def test_retired_and_private_classes_are_refused(uid):
    with pytest.raises(Unread, match="SOP class"):
        read_source(write(PIXELS, **UIDS, SOPClassUID=uid))


@pytest.mark.parametrize("keyword", [*UIDS, "SOPClassUID"])
@pytest.mark.parametrize("value", [None, "", "../up", "1.2.", "1..2", "1.02", "1." + "2" * 63])
def test_an_image_without_a_valid_uid_is_refused(keyword, value):
    made = make(PIXELS, **UIDS)
    if value is None:
        del made[keyword]
    else:
        made.add_new(keyword, "LT", value)  # of another kind, so that pydicom writes it as it is
    with pytest.raises(Unread, match=f"no valid {keyword}"):
        read_source(save(made))


def test_a_value_of_a_wrong_length_is_damage_and_no_error_of_pydicom():
    content = write(PIXELS, **{**UIDS, "SOPInstanceUID": "1.2.3"})
    damaged = content.replace(b"\x08\0\x18\0UI", b"\x08\0\x18\0UL")  # of 4 bytes each, and it has 6
    assert damaged != content
    with pytest.raises(Unread, match="SOPInstanceUID in its header is damaged"):
        read_source(damaged)


def test_other_files_are_refused_by_name(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "b.dcm").write_bytes(write(PIXELS, SOPInstanceUID="1.2.3"))
    (tmp_path / "c.dcm").write_bytes(write(PIXELS, **UIDS))
    with pytest.raises(InputError) as raised:
        find_sources([tmp_path], Slicing())
    [line] = raised.value.faults
    assert f"'{tmp_path}/a.png' (it is no DICOM file)" in line
    assert f"'{tmp_path}/b.dcm' (it has no valid StudyInstanceUID and no valid SeriesInstanceUID)" in line
    assert "c.dcm" not in line


def test_copies_of_an_image_are_refused(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.dcm").write_bytes(write(PIXELS, **UIDS))
    with pytest.raises(InputError, match="leave copies out") as raised:
        find_sources([tmp_path], Slicing())
    assert f"'{tmp_path}/a.dcm', '{tmp_path}/b.dcm'" in str(raised.value)


def test_a_file_is_an_image(tmp_path):
    (tmp_path / "a.dcm").write_bytes(write(PIXELS, **UIDS))
    [shown] = find_sources([tmp_path], Slicing()).find(f"{tmp_path}/a.dcm")
    assert (shown.image.instance, shown.frames) == ("1.2.7.1.1", ())


def numbers(shown):
    return [int(one.image.instance.rpartition(".")[2]) for one in shown]


@pytest.mark.parametrize(
    ("slicing", "part", "expected"),
    [
        (Slicing("all"), "plane=2", [6]),
        (Slicing("all", channels="neighbours"), "plane=2", [3, 6, 9]),
        (Slicing("all", channels="neighbours"), "plane=0", [0, 3]),
        (Slicing("all", axis="coronal"), "plane=2", [0, 3, 6, 9]),
        (Slicing(channels="views"), "views", [0, 3, 6, 9]),
        (Slicing("all"), "", [0, 3, 6, 9]),
    ],
)
def test_planes_of_a_series_are_files(tmp_path, slicing, part, expected):
    write_series(tmp_path / "s", planes=4)
    name_instances(tmp_path / "s")
    sources = find_sources([tmp_path], slicing)
    names, _, _ = read_files([tmp_path], SIZE, slicing=slicing)
    name = f"{tmp_path}/s#{part}" if part else f"{tmp_path}/s"
    assert name in names or not part
    assert sorted(numbers(sources.find(name))) == expected


def write_frames(path, heights, across=AXIAL):
    """Write an enhanced file with a frame at each height; its frames are not in the order of heights."""
    groups = []
    for height in heights:
        group, position, orientation = (pydicom.Dataset() for _ in range(3))
        position.ImagePositionPatient, orientation.ImageOrientationPatient = [0, 0, height], list(across)
        group.PlanePositionSequence, group.PlaneOrientationSequence = [position], [orientation]
        groups.append(group)
    pixels = np.zeros((len(heights), 4, 5), np.uint8)
    path.write_bytes(save(make(pixels, **UIDS, PerFrameFunctionalGroupsSequence=groups)))


@pytest.mark.parametrize(
    ("slicing", "part", "expected"),
    [
        (Slicing("all"), "plane=0", (2,)),
        (Slicing("all", channels="neighbours"), "plane=1", (2, 3, 1)),
        (Slicing("all", axis="sagittal"), "plane=1", ()),
        (Slicing(channels="views"), "views", ()),
    ],
)
def test_planes_of_a_file_are_frames(tmp_path, slicing, part, expected):
    write_frames(tmp_path / "a.dcm", [9, 3, 6])
    [shown] = find_sources([tmp_path], slicing).find(f"{tmp_path}/a.dcm#{part}")
    assert shown.frames == expected


def test_frames_without_a_place_are_numbered_as_they_are_stored(tmp_path):
    (tmp_path / "a.dcm").write_bytes(write(np.zeros((3, 4, 5), np.uint8), **UIDS))
    sources = find_sources([tmp_path], Slicing("all"))
    assert sources.find(f"{tmp_path}/a.dcm#plane=2")[0].frames == (3,)
    assert sources.find(f"{tmp_path}/a.dcm")[0].frames == ()


def test_a_slice_may_be_an_image_by_itself(tmp_path):
    (tmp_path / "a.dcm").write_bytes(make_slice(PIXELS, 3, SOPInstanceUID="1.2.9"))
    [shown] = find_sources([tmp_path], Slicing("all")).find(f"{tmp_path}/a.dcm")
    assert shown.image.instance == "1.2.9"
