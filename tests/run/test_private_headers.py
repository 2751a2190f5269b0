"""Nothing of a DICOM header reaches a run, its report, its card, a lock, the cache or the screen."""

import io
import re
import zipfile
import zlib

import numpy as np
import pytest

from tests.cli.test_cli import here
from tests.conftest import SMALL
from tests.data.readers.dicom_files import Dataset, make, save
from tests.run.test_stopped import Killed, stop
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")

# What the confidentiality profile of PS3.15, table E.1-1, says to remove or replace, with a value of each kind.
TEXTS = (
    *("PatientName", "PatientID", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "PatientAddress"),
    *("PatientTelephoneNumbers", "PatientComments", "AdditionalPatientHistory", "EthnicGroup", "Occupation"),
    *("MilitaryRank", "BranchOfService", "PatientReligiousPreference", "RegionOfResidence", "CountryOfResidence"),
    *("IssuerOfPatientID", "MedicalAlerts", "Allergies", "InsurancePlanIdentification", "ResponsiblePerson"),
    *("ResponsibleOrganization", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName"),
    *("ReferringPhysicianName", "ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers"),
    *("PhysiciansOfRecord", "PerformingPhysicianName", "NameOfPhysiciansReadingStudy", "OperatorsName"),
    *("RequestingPhysician", "RequestingService", "ScheduledPerformingPhysicianName", "ReviewerName"),
    *("StudyID", "AccessionNumber", "StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments"),
    *("AdmittingDiagnosesDescription", "AdmissionID", "DerivationDescription", "ReasonForStudy", "StudyComments"),
    *("RequestedProcedureDescription", "RequestedProcedureID", "PerformedProcedureStepDescription"),
    *("PerformedProcedureStepID", "StationName", "PerformedStationName", "DeviceSerialNumber", "DetectorID"),
    *("PlateID", "CassetteID", "GantryID", "CurrentPatientLocation", "PatientInstitutionResidence", "VisitComments"),
    *("ContrastBolusAgent", "DeviceDescription", "AcquisitionComments", "FrameComments", "LossyImageCompressionMethod"),
    *("ClinicalTrialSubjectID", "ClinicalTrialSiteName", "ClinicalTrialProtocolName", "DeidentificationMethod"),
)
DATES = (
    *("PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"),
    *("AdmittingDate", "LastMenstrualDate", "PerformedProcedureStepStartDate", "ScheduledProcedureStepStartDate"),
)
TIMES = ("PatientBirthTime", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime")
UIDS = (
    *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SynchronizationFrameOfReferenceUID"),
    *("DimensionOrganizationUID", "IrradiationEventUID", "DeviceUID", "InstanceCreatorUID"),
)
# Each starts so, and no file of tlmed has such bytes by chance.
MARK, DAY, HOUR, ROOT = "ZQXJV", "194907", "235959.71", "1.2.826.0.1.7654321"
PRIVATE_BYTES = [text.encode() for text in (MARK, DAY, HOUR, ROOT)]


def fill(made: Dataset, number: int) -> Dataset:
    """Write private values into all tags, into nested ones and private ones; each patient has several images."""
    for place, keyword in enumerate(TEXTS):
        setattr(made, keyword, f"{MARK}{place}X{number // 2}")
    for place, keyword in enumerate(DATES):
        setattr(made, keyword, f"{DAY}{place + 10}")
    for keyword in TIMES:
        setattr(made, keyword, f"{HOUR}{number:02}")
    for place, keyword in enumerate(UIDS):
        setattr(made, keyword, f"{ROOT}.{place}.{number}")
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.99.{number}"
    made.file_meta.SourceApplicationEntityTitle = f"{MARK}TITLE"
    nested = Dataset()
    nested.PatientID = nested.ReferencedSOPInstanceUID = ""
    nested.PatientName = f"{MARK}nested"
    made.ReferencedStudySequence = [nested]
    made.OtherPatientIDsSequence = [nested]
    block = made.private_block(0x0029, f"{MARK} GROUP", create=True)
    block.add_new(0x01, "LO", f"{MARK}private")
    block.add_new(0x02, "OB", f"{MARK}bytes".encode() + b"\0")
    return made


def write_private(folder):
    """Write two classes of 30 images of 15 patients each, one of which is cut off, and one that names no window."""
    for number in range(60):
        label = number // 30
        pixels = np.random.RandomState(number).randint(0, 2000 + 2000 * label, (32, 32)).astype(np.uint16)
        window = {} if number == 59 else {"WindowCenter": [2000, 40], "WindowWidth": [4000, 400]}
        made = make(pixels, 12, Modality="CT", BodyPartExamined=("CHEST", "HEAD")[label], **window)
        content = save(fill(made, number))
        path = folder / "ab"[label] / (f"{number}.dcm" if number % 2 else f"{number:04}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[:-100] if number == 58 else content)
    return folder


def run(*words):
    """Return what a command prints."""
    status, out, err = here(*words)
    assert status == 0, err
    return out + err


def unpack(name, content):
    """Yield what a file holds: its bytes; members of a zip file; and what streams of a picture inflate to."""
    yield name, content
    if content[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield from unpack(f"{name}/{member}", archive.read(member))
    for place in (match.start() for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", content)):
        unpacker = zlib.decompressobj()
        try:
            yield f"{name} at {place}", unpacker.decompress(content[place:], 2**20)
        except zlib.error:
            continue


def find_private(folder):
    """Return where private bytes are, in UTF-8 or UTF-16, in names or content of files."""
    wanted = [text.decode().encode(form) for text in PRIVATE_BYTES for form in ("utf-8", "utf-16-le", "utf-16-be")]
    found = []
    for path in sorted(folder.rglob("*")):
        found += [path.name] * any(text.decode() in path.name for text in PRIVATE_BYTES)
        if path.is_file():
            for name, content in unpack(str(path), path.read_bytes()):
                found += [(name, text) for text in wanted if text in content]
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Give these tests a cache that holds nothing else."""
    folder = tmp_path_factory.mktemp("cache of private images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLMED_CACHE_DIR", str(folder))
        yield folder


def test_nothing_of_a_header_is_kept_or_printed(tmp_path, cache, caplog):
    data, out = write_private(tmp_path / "data"), tmp_path / "out"
    settings = [word for setting in (*SMALL, "examples=2") for word in ("--set", setting)]
    printed = [
        run("plan", "feature_extractor", "--data", data, "--skip-bad", *settings),
        run("train", "feature_extractor", "--data", data, "--out", out / "run", "--skip-bad", *settings),
        run("evaluate", out / "run", "--data", data, "--skip-bad", "--out", out / "again"),
        run("predict", out / "run", data, "--skip-bad", "--out", out / "predicted.csv", "--explain", out / "pictures"),
        run("export", out / "run", "--format", "card", "--out", out / "card.md"),
        run("data", "show", data, "--skip-bad", "--out", out / "look", *settings),
    ]
    assert any("it has 12 bits and names no window" in text for text in printed)
    # The last patient has the two images that are left out.
    assert len(set(re.findall(r"patient-\d{4}", (out / "run" / "splits.csv").read_text()))) == 29
    assert find_private(out) == []
    assert find_private(cache) == []
    assert [text for text in PRIVATE_BYTES if text.decode() in "".join(printed) + caplog.text] == []


def test_of_a_header_only_the_element_that_the_recipe_names_is_kept(tmp_path, cache, caplog):
    data, out = write_private(tmp_path / "data"), tmp_path / "out"
    settings = [word for text in (*SMALL, "data.label_column=BodyPartExamined") for word in ("--set", text)]
    printed = run("train", "feature_extractor", "--data", data, "--out", out / "run", "--skip-bad", *settings)
    printed += run("evaluate", out / "run", "--data", data, "--skip-bad", "--out", out / "again")
    assert {row["label"] for row in read_csv(out / "run" / "splits.csv")} == {"CHEST", "HEAD"}
    assert find_private(out) == []
    assert find_private(cache) == []
    assert [text for text in PRIVATE_BYTES if text.decode() in printed + caplog.text] == []


def test_nothing_of_a_header_is_kept_or_printed_of_series(tmp_path, cache, caplog):
    """Of 24 series of 4 planes, one has a gap, one a file twice, one two planes at a place, and one a cut file."""
    data, out = tmp_path / "data", tmp_path / "out"
    for number in range(96):
        series, plane = divmod(number, 4)
        pixels = np.random.RandomState(number).randint(0, 250, (32, 32)).astype(np.uint8)
        made = fill(make(pixels, Modality="CT", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), series)
        made.SOPInstanceUID, made.SeriesInstanceUID = f"{ROOT}.98.{number}", f"{ROOT}.97.{series}"
        height = {(3, 3): 9, (5, 3): 1}.get((series, plane), plane)
        made.ImagePositionPatient = [0, 0, height]
        content = save(made)
        path = data / "ab"[series // 12] / f"{series:02}-{plane}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[:-100] if number == 95 else content)
    (data / "a" / "copy").write_bytes((data / "a" / "07-1.dcm").read_bytes())
    fields = ("data.planes=all", "examples=2", *SMALL)
    settings = [word for setting in fields for word in ("--set", setting)]
    printed = [
        run("train", "feature_extractor", "--data", data, "--out", out / "run", "--skip-bad", *settings),
        run("evaluate", out / "run", "--data", data, "--skip-bad", "--out", out / "again"),
        run("predict", out / "run", data, "--skip-bad", "--out", out / "predicted.csv", "--explain", out / "pictures"),
    ]
    for said in (
        "Planes are missing in 1 of 24 series",
        "as copies of other files",
        "lie at the same place",
        "cut off",
    ):
        assert said in printed[0]
    assert len(read_csv(out / "run" / "splits.csv")) == 96 - 4 - 1
    assert find_private(out) == []
    assert find_private(cache) == []
    assert [text for text in PRIVATE_BYTES if text.decode() in "".join(printed) + caplog.text] == []


@pytest.mark.slow
def test_nothing_of_a_header_is_kept_or_printed_of_hybrids_folds_comparisons_and_stopped_runs(
    tmp_path, cache, caplog, monkeypatch
):
    data, out = write_private(tmp_path / "data"), tmp_path / "out"
    (data / "b" / "59.dcm").unlink()  # it needs a range, which not all folds can measure
    train = ("train", "feature_extractor", "--data", data, "--skip-bad")
    settings = [word for setting in (*SMALL, "examples=2") for word in ("--set", setting)]
    hybrid = [word for setting in (*SMALL[:3], "examples=2") for word in ("--set", setting)]
    printed = [
        run(*train, "--out", out / "one", *settings),
        run(*train, "--out", out / "two", *settings, "--set", "phases.epochs=1"),
        run(*train, "--out", out / "folds", *settings, "--set", "data.split=KFold(2)"),
        run("train", "feature_extractor_hybrid", *train[2:], "--out", out / "hybrid", *hybrid),
        run("compare", out / "one", out / "two", out / "hybrid", "--out", out / "compared"),
        run("evaluate", out / "hybrid", "--data", data, "--skip-bad", "--out", out / "again"),
        run("evaluate", "--predictions", out / "one" / "predictions.csv", "--out", out / "scored"),
        run("predict", out / "hybrid", data, "--skip-bad", "--out", out / "a.csv", "--explain", out / "pictures"),
        run("export", out / "hybrid", "--format", "card", "--out", out / "card.md"),
        run("export", out / "one", "--format", "requirements", "--out", out / "requirements.txt"),
        run("reproduce", out / "one", "--out", out / "repeated"),
        run("status", out / "one"),
    ]
    stop(monkeypatch)
    with pytest.raises(Killed):
        here(*train, "--out", out / "stopped", *settings)
    assert list((out / "stopped" / "progress").iterdir())
    assert find_private(out) == []
    assert find_private(cache) == []
    assert [text for text in PRIVATE_BYTES if text.decode() in "".join(printed) + caplog.text] == []


def test_private_bytes_would_be_found(tmp_path):
    data = write_private(tmp_path / "data")
    assert len(find_private(data)) >= 60 * len(PRIVATE_BYTES)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", MARK * 100)
    (tmp_path / "data" / "z").mkdir()
    (tmp_path / "a.zip").rename(tmp_path / "data" / "z" / "a.zip")
    assert find_private(tmp_path / "data" / "z") != []


@pytest.mark.parametrize("patient", ["", "P"])
def test_a_plan_says_that_patients_are_not_known_where_headers_name_studies_only(tmp_path, patient):
    for number in range(24):
        path = tmp_path / "ab"[number % 2] / f"{number}.dcm"
        path.parent.mkdir(exist_ok=True)
        made = make(np.full((32, 32), number * 9, np.uint16), 8, Modality="CT", StudyInstanceUID=f"1.2.{number}")
        made.PatientID = patient and f"{patient}{number}"
        path.write_bytes(save(made))
    settings = [word for setting in SMALL for word in ("--set", setting)]
    assert ("patients: not known" in run("plan", "fine_tuning", "--data", tmp_path, *settings)) == (not patient)


def test_a_run_says_that_pseudonyms_hide_whether_its_weights_know_the_patients(tmp_path, cache):
    other = tmp_path / "other"
    for number in range(40):
        path = other / "ab"[number % 2] / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(save(fill(make(np.full((32, 32), number * 9, np.uint16), 8, Modality="CT"), number)))
    data, first, second = write_private(tmp_path / "data"), tmp_path / "first", tmp_path / "second"
    settings = [word for setting in SMALL for word in ("--set", setting)]
    said = "was trained or validated on other images of the same patients cannot be told for"
    assert said not in run("train", "feature_extractor", "--data", data, "--out", first, "--skip-bad", *settings)
    told = run("train", "feature_extractor", "--data", other, "--out", second, *settings, "--set", f"weights={first}")
    assert f"Whether {first}, where the weights come from, {said}" in told
    assert f"Whether the run {said} 40 of 40 images" in run("evaluate", first, "--data", other)
    assert f"Whether {first}, where the weights come from, {said}" in run("evaluate", second)
    run("export", second, "--format", "card", "--out", tmp_path / "card.md")
    short = "Whether it knows other images of the same patients cannot be told for "
    assert short in (tmp_path / "card.md").read_text()
    assert (second / "report.html").read_text().count(short) == 2
