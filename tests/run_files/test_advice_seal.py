"""How far the test images of an advice are opened: page, JSON and `tlmed status` say the same, whenever it ends."""

import pytest

from tlmed.errors import InputError
from tlmed.run_files.advice_files import digest_decision, seal_decision, write_state
from tlmed.run_files.advice_seal import has_begun, is_scored, read_seal, say_opening
from tlmed.status import describe_advice

DECIDED, BEGAN, SCORED = (f"2026-11-27T22:4{minute}:00+00:00" for minute in (0, 1, 4))
MOMENTS = {
    "before": ({}, "Nothing is decided yet, and no test image is scored."),
    "decided": ({"decided": DECIDED}, "It is decided and sealed, and no test image is scored yet."),
    "begun": ({"decided": DECIDED, "opening": BEGAN}, "the opening of the test images began at 2026-11-27 22:41:00"),
    "scored": (
        {"decided": DECIDED, "opening": BEGAN, "opened": SCORED},
        "the test images were scored by 2026-11-27 22:44:00 UTC.",
    ),
}


def write(folder, noted):
    """Write a decision, if there is one, and what the diary notes of it; return its SHA-256."""

    def note(digest=""):
        more = {"sealed": digest} if digest else {}
        write_state(folder, {"asked": {}, "seconds": 70.0, "done": {**noted, **more}})

    if noted:
        seal_decision(folder, {"at": DECIDED, "path": "run", "recipe_sha256": "0" * 64}, note)
    else:
        note()
    return digest_decision(folder)


@pytest.mark.parametrize("moment", MOMENTS)
def test_how_far_the_test_images_are_opened_is_told_of_each_moment(tmp_path, moment):
    noted, said = MOMENTS[moment]
    digest = write(tmp_path, noted)
    seal = read_seal(tmp_path)
    if moment == "before":
        assert seal is None
    else:
        times = {"at": DECIDED, "opening_began_at": noted.get("opening"), "test_scored_at": noted.get("opened")}
        assert seal == {"file": "decision.json", "sha256": digest, **times}
    assert said in say_opening(seal)
    assert said in describe_advice(tmp_path)[0]
    assert (has_begun(seal), is_scored(seal)) == (moment in ("begun", "scored"), moment == "scored")


def test_a_decision_whose_file_is_not_there_yet_is_none(tmp_path):
    write(tmp_path, MOMENTS["decided"][0])
    (tmp_path / "decision.json").unlink()
    assert read_seal(tmp_path) is None


def test_a_decision_that_was_edited_or_removed_does_not_change_its_seal(tmp_path):
    write(tmp_path, MOMENTS["scored"][0])
    sealed, file = read_seal(tmp_path), tmp_path / "decision.json"
    file.write_text(file.read_text().replace("22:40", "23:40"))
    assert digest_decision(tmp_path) != sealed["sha256"]
    assert read_seal(tmp_path) == sealed
    file.unlink()
    assert read_seal(tmp_path) == sealed


def test_a_seal_of_an_earlier_version_has_the_times_that_it_noted(tmp_path):
    digest = write(tmp_path, {"opened": SCORED})
    assert (read_seal(tmp_path)["at"], read_seal(tmp_path)["opening_began_at"]) == (DECIDED, None)
    assert has_begun(read_seal(tmp_path))
    (tmp_path / "decision.json").unlink()
    assert (read_seal(tmp_path)["sha256"], read_seal(tmp_path)["at"]) == (digest, None)


def test_a_decision_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "decision.json").write_text("{")
    noted = {"sealed": digest_decision(tmp_path), "opened": SCORED}
    write_state(tmp_path, {"asked": {}, "seconds": 70.0, "done": noted})
    with pytest.raises(InputError, match=r"decision\.json"):
        read_seal(tmp_path)
