"""What reports say of the networks that answered."""

from types import SimpleNamespace

import pytest

from tlmed.dicom_reports import answering_software
from tlmed.inference import panel as panel_module
from tlmed.intact import checksum
from tlmed.run_files.check_summary import CheckSummary

LOCK = {"code": {"version": "0.1.0"}}


@pytest.mark.parametrize("leaky", [True, False])
def test_beside_the_auc_stands_what_the_check_of_the_data_found(monkeypatch, leaky, tmp_path):
    found = CheckSummary({"near-copy": 12}, {}, 36, 5, ("train",)) if leaky else None
    monkeypatch.setattr(answering_software, "read_verified", lambda path: LOCK)
    monkeypatch.setattr(panel_module, "read_summary", lambda run: found)
    auc = {"value": 0.758, "low": 0.597, "high": 0.862}
    result = {"n": 36, "metrics": {"auc": auc}, "classes": ["a", "b", "c"], "positive": None}
    if leaky:
        result["without_leaks"] = {"leaked": 5, "n": 31, "metrics": {"auc": auc | {"value": 0.7}}}

    class Run(SimpleNamespace):
        def __truediv__(self, name):
            return tmp_path / str(name)

    member = SimpleNamespace(run=Run(), recipe=SimpleNamespace(backbone="MobileNetV2"))
    panel = SimpleNamespace(
        members=[member],
        is_single=True,
        run=Run(is_ensemble=False),
        metrics=result,
        decision=SimpleNamespace(calibration={}),
        weights=SimpleNamespace(tolist=lambda: [1.0]),
    )
    software = answering_software.describe_software(panel)
    assert software.lock == checksum(LOCK)
    worth = [said for said in software.remarks if said.startswith("Mean AUC of 3 classes 0.758 (")]
    assert len(worth) == 1
    after = software.remarks[software.remarks.index(worth[0]) + 1 :]
    if not leaky:
        assert after == ()
        return
    assert after[0].startswith("The check of the data found 12 errors (near-copy 12): 5 of 36 test images repeat")
    assert after[1:] == ("Without 5 of 36 images that training or validation knows the AUC is 0.700 (0.597 to 0.862).",)
