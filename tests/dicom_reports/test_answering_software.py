"""What reports say of the networks that answered."""

from types import SimpleNamespace

import pytest

from tlmed.dicom_reports import answering_software
from tlmed.dicom_reports.class_codes import code_classes
from tlmed.inference import panel as panel_module
from tlmed.intact import checksum
from tlmed.run_files.check_summary import CheckSummary

LOCK = {"code": {"version": "0.1.0"}}


class Run(SimpleNamespace):
    is_ensemble = False

    def __truediv__(self, name):
        return self.folder / str(name)


def describe(monkeypatch, folder, found, metrics, codes, backbone="MobileNetV2"):
    """Return what is said of a network whose check of the data found something."""
    monkeypatch.setattr(answering_software, "read_verified", lambda path: LOCK)
    monkeypatch.setattr(panel_module, "read_summary", lambda run: found)
    member = SimpleNamespace(run=Run(folder=folder), recipe=SimpleNamespace(backbone=backbone))
    panel = SimpleNamespace(
        members=[member],
        is_single=True,
        run=Run(folder=folder),
        metrics=metrics,
        decision=SimpleNamespace(calibration={}),
        weights=SimpleNamespace(tolist=lambda: [1.0]),
    )
    return answering_software.describe_software(panel, codes)


@pytest.mark.parametrize("leaky", [True, False])
def test_beside_the_auc_stands_what_the_check_of_the_data_found(monkeypatch, leaky, tmp_path):
    found = CheckSummary({"near-copy": 12}, {}, 36, 5, ("train",)) if leaky else None
    auc = {"value": 0.758, "low": 0.597, "high": 0.862}
    result = {"n": 36, "metrics": {"auc": auc}, "classes": ["a", "b", "c"], "positive": None}
    if leaky:
        result["without_leaks"] = {"leaked": 5, "n": 31, "metrics": {"auc": auc | {"value": 0.7}}}
    software = describe(monkeypatch, tmp_path, found, result, code_classes(result["classes"], None))
    assert software.lock == checksum(LOCK)
    worth = [said for said in software.remarks if said.startswith("Mean AUC of 3 classes 0.758 (")]
    assert len(worth) == 1
    after = software.remarks[software.remarks.index(worth[0]) + 1 :]
    if not leaky:
        assert after == ()
        return
    assert after[0].startswith("The check of the data found 12 errors (near-copy 12): 5 of 36 test images repeat")
    assert after[1:] == ("Without 5 of 36 images that training or validation knows the AUC is 0.700 (0.597 to 0.862).",)


def test_sentences_call_a_class_as_the_rest_of_the_report_does(monkeypatch, tmp_path):
    point = {"rule": "youden", "threshold": 0.25, "n": 40}
    result = {"metrics": {"auc": {"value": None}}, "classes": ["ill", "well"], "threshold": 0.25}
    codes = code_classes(result["classes"], {"ill": ("39104002", "SCT", "Illness")})
    for positive, name in (("ill", "Illness (ill)"), (None, "well")):
        asked = {**result, "positive": positive, "operating_point": point}
        software = describe(monkeypatch, tmp_path, None, asked, codes)
        assert software.remarks == (
            f"{name} is predicted from a score of 0.250 (youden, from 40 validation images) on.",
        )
    absent = {"auc": {"value": 0.9, "low": None, "absent": ["ill"]}}
    labels = {name: {"auc": {}} for name in result["classes"]}
    several = {**result, "task": "multi-label", "metrics": absent, "per_class": labels, "positive": None}
    assert describe(monkeypatch, tmp_path, None, several, codes).remarks[1] == (
        "Mean AUC of 1 of 2 labels (without Illness (ill)) 0.900 (no interval)."
    )


def test_a_long_name_of_several_backbones_is_whole(monkeypatch, tmp_path):
    result = {"metrics": {"auc": {"value": None}}, "classes": ["a", "b", "c"], "positive": None}
    backbones = ("MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0", "InceptionResNetV2", "VGG16")
    software = describe(monkeypatch, tmp_path, None, result, code_classes(result["classes"], None), backbones)
    assert all(name in software.name for name in backbones)
