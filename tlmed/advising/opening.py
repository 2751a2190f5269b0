"""Step 8: write down what was decided, then train it on all development images and open the test images once."""

import dataclasses
import hashlib
import math
import shutil
from pathlib import Path

import tlmed
from tlmed.advice_doubts import check_measured
from tlmed.advising.attempts import PROBES, Attempt
from tlmed.advising.climbing import Choice
from tlmed.advising.diary import Diary
from tlmed.advising.team import train_cells
from tlmed.advising.trials import is_complete
from tlmed.advising.work import Work
from tlmed.comparison.copied_images import measure_without_copies
from tlmed.comparison.groups import measure_without
from tlmed.comparison.results import read_ensemble, read_result
from tlmed.ensembles import gather_runs, make_ensemble, score_put_aside, write_ensemble
from tlmed.ensembles.out_of_sample import NothingLeft
from tlmed.errors import InputError, RunFailed
from tlmed.evaluation.lines import say_without_leaks
from tlmed.members import list_members
from tlmed.recipe import Cell, Recipe, from_json, to_json
from tlmed.regular_files import sha256
from tlmed.run_files import METRICS_JSON, RECIPE_JSON
from tlmed.run_files.advice_files import (
    BEGAN,
    DECIDED,
    DECISION_JSON,
    ENSEMBLE,
    RECIPE_PY,
    RUN,
    SCORED,
    SEALED,
    STATE_JSON,
    TRIED,
    digest_decision,
    read_decision,
    seal_decision,
)
from tlmed.run_files.advice_seal import now
from tlmed.run_files.check_summary import read_summary, say_repeated
from tlmed.rundir import RunDir
from tlmed.screen import Bar
from tlmed.sections import Phase
from tlmed.whole_files import write_text


def finish_recipe(work: Work, best: Attempt) -> Recipe:
    """Return the recipe that is advised: that of the best attempt, on all development images."""
    recipe = best.trial.recipe
    data = dataclasses.replace(recipe.data, inner=None)
    return dataclasses.replace(recipe, data=data, examples=work.base.examples)


def seal(work: Work, choice: Choice, text: str, facts: dict) -> dict:
    """Write the recipe and `decision.json`, and return what that holds.

    Args:
        work: The work.
        choice: What was decided.
        text: The recipe's code.
        facts: What the decision rests on: the images, the rules, the steps.
    """
    folder, diary, best = work.request.folder, work.diary, choice.answer
    write_text(folder / RECIPE_PY, text)
    content = {
        "version": tlmed.__version__,
        "at": now(),
        "recipe_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "recipe": to_json(finish_recipe(work, best)),
        "folds": list(choice.folds),
        "folds_of_head": list(choice.folds_of_head),
        "networks": {name: sha256(_network(folder, name)) for name in (*choice.folds, *choice.folds_of_head)},
        "attempt": best.name,
        **facts,
    }
    seal_decision(folder, content, lambda digest: diary.note(**{SEALED: digest, DECIDED: content["at"]}))
    return read_decision(folder)


def _network(folder, name) -> Path:
    """Return the file of the network of a fold."""
    return folder / TRIED / name / "model.keras"


def recall_sealed(diary: Diary) -> dict | None:
    """Return the decision that was sealed; None where there is none yet.

    Raises:
        InputError: If it was changed after it was sealed, or is gone though its opening began.
    """
    there, sealed = digest_decision(diary.folder), diary.done.get(SEALED)
    # A process that ended between the note and the file opened nothing: what to advise is decided anew.
    if not there and BEGAN not in diary.done and SCORED not in diary.done:
        return None
    if there and there == sealed:
        found = read_decision(diary.folder)
        if found.get("partners"):
            raise InputError(
                "The decision must be of this version of tlmed, which lets other networks answer together: ask in "
                f"another --out. Received: {diary.folder / DECISION_JSON.name}, of an earlier version."
            )
        return {"folds": [], "folds_of_head": [], **found}  # an earlier version knew of none
    if sealed is None:
        received = f"of which `{STATE_JSON.name}` notes nothing"
    else:
        received = f"with SHA-256 {there} in place of {sealed}" if there else f"which is gone; its SHA-256 was {sealed}"
    raise InputError(
        "The decision must be the one that was sealed before the test images were scored. "
        f"Received: {diary.folder / DECISION_JSON.name}, {received}."
    )


def check_seal(folder: Path, decision: dict) -> None:
    """Refuse to open the test images for a recipe, or by networks of folds, that are not the sealed ones.

    Raises:
        InputError: If `recipe.py` or such a network was changed after the decision, or is gone.
    """
    file = folder / RECIPE_PY
    if changed := _find_change(file, decision["recipe_sha256"]):
        raise InputError(
            "The recipe must be the one that was decided before the test images are scored; train a changed one with "
            f"`tlmed train`. Received: {file}, {changed}."
        )
    for name, digest in decision.get("networks", {}).items():  # a decision of an earlier version has none
        file = _network(folder, name)
        if changed := _find_change(file, digest):
            raise InputError(
                "The networks of folds must be those that were decided on before the test images are scored. "
                f"Received: {file}, {changed}."
            )


def _find_change(file, decided) -> str:
    """Return how a file differs from the one with a digest; "" if it does not."""
    found = sha256(file) if file.is_file() else ""
    if found == decided:
        return ""
    return f"with SHA-256 {found} in place of {decided}" if found else "which is gone"


def open_test(work: Work, recipe: Recipe, decision: dict) -> Path:
    """Train what was decided on all development images, which scores the test images; return where the answer lies.

    The networks of folds that were decided for answer, too. None does if training or validation knows each test image,
    or its patient: a common answer is scored on others alone.

    Args:
        work: The work.
        recipe: The recipe that was decided.
        decision: The content of `decision.json`.

    Raises:
        RunFailed: If it cannot be trained.
    """
    folder = work.request.folder
    run, target = folder / RUN, folder / ENSEMBLE
    if not is_complete(run):  # an ensemble that is there is of a network that was removed
        shutil.rmtree(target, ignore_errors=True)
    _train(work, [Cell(RUN, recipe, RUN, {}, recipe.seed, None)], folder)
    if not (folds := _choose_folds(RunDir(run), decision)):
        return run
    with work.screen.wait(Bar("test images, by networks of folds", total=len(folds))) as bar:
        try:
            return _write_joint(target, run, [folder / TRIED / name for name in folds], bar.move)
        except NothingLeft:
            return run


def _choose_folds(run, decision) -> list[str]:
    """Return the names of the runs whose networks answer together with the one of all development images."""
    if not _find_kept(run)[0].thaw and decision["folds_of_head"]:
        return decision["folds_of_head"]
    return decision["folds"]


def _write_joint(target, run, folds, tell) -> Path:
    """Write the common answer of a run and of networks of folds, if it is not there, and return its directory."""
    if not RunDir(target).is_ensemble:
        if target.exists():  # a command was killed while it wrote
            shutil.rmtree(target)
        first, *others = gather_runs([run, *folds])
        write_ensemble(target, make_ensemble([first], folds=score_put_aside(others, tell)))
    return target


def _train(work, cells, folder) -> None:
    folder.mkdir(exist_ok=True)
    # The answer is trained whatever the budget says: without it, all before was for nothing.
    if problem := train_cells(work.team, cells, folder, math.inf, report=True):
        raise RunFailed(f"What was decided must be trained; the same command tries again. Received: {problem}.")


def describe_answer(path: Path, folder: Path, work: Work, decision: dict) -> dict:
    """Return what `advice.json` says of the answer.

    Raises:
        InputError: If its scores were edited after they were measured.
    """
    check_measured(RunDir(path))
    found = METRICS_JSON.read(RunDir(path))
    entry = found["metrics"].get(work.metric) or {}
    runs = [member.run for member in list_members(RunDir(path), ("metrics.json",))] if path.name == ENSEMBLE else []
    kept = [_find_kept(run) for run in runs or [RunDir(path)]]
    early = [phase.name for phase, is_last in kept if not is_last]
    trained = any(phase.thaw != 0 for phase, _ in kept)
    probes = {each["name"] for step in decision["steps"] if step["step"] == PROBES for each in step["tried"]}
    # An answer that stayed a solved head on frozen features is what its probe was, trained on all images.
    is_judged = decision["judged"] == decision["attempt"] or (not trained and decision["judged"] in probes)
    return {
        "path": str(path.relative_to(folder)),
        "recipe": RECIPE_PY,
        "backbone": decision["recipe"]["backbone"],
        # Of what the scores on development images are, where the answer itself was not tried there.
        **({} if is_judged else {"untried": decision["judged"]}),
        "metric": work.metric,
        **{part: entry.get(part) for part in ("value", "low", "high", "method")},
        "n": found["n"],
        "groups": found.get("groups"),
        "metrics": found["metrics"],
        **(_describe_members(RunDir(path), runs, found, work.metric) if runs else {}),
        **({"kept_phases": early} if early else {}),
        **_say_not_joined(path, decision),
        "trained": trained,
        **_describe_copies(RunDir(path), RunDir(folder / RUN), found),
    }


def _describe_members(answer, runs, found, metric) -> dict:
    """Return how many networks answer together, and what the first of them scores alone on the same test images.

    Test images that training or validation knows, or whose patient, are in the scores of one network, and not in those
    of several.
    """
    left_out = found["ensemble"]["tested"] - found["ensemble"]["scored"]
    metrics = METRICS_JSON.read(runs[0])["metrics"]
    if left_out:
        joint, first = read_ensemble(answer, ENSEMBLE), read_result(runs[0], RUN)
        metrics = measure_without([first], set(first.test.paths) - set(joint.test.paths))[0]
    alone = metrics.get(metric) or {}
    return {
        "members": len(runs),
        "alone": {part: alone.get(part) for part in ("value", "low", "high")},
        **({"left_out": left_out} if left_out else {}),
    }


def _say_not_joined(path, decision) -> dict[str, str]:
    """Say why networks of folds that were decided on do not answer; nothing where there are none, or they do."""
    if path.name != RUN or not (decision["folds"] or decision["folds_of_head"]):
        return {}
    if _choose_folds(RunDir(path), decision):
        why = (
            "each test image, or its patient, is known to training or validation, and such images are not scored by "
            "several networks"
        )
    else:
        why = "they are heads alone, and the validation images kept what was trained after the head"
    return {"not_joined": f"Networks of folds do not answer, too: {why}."}


def _find_kept(run) -> tuple[Phase, bool]:
    """Return the phase whose result a run kept, and whether it is the last one."""
    phases = from_json(RECIPE_JSON.read(run)).phases
    name = (METRICS_JSON.read(run).get("kept") or {}).get("name") or phases[-1].name
    return next(phase for phase in phases if phase.name == name), name == phases[-1].name


def _describe_copies(answer, checked, found) -> dict:
    """Say which test images repeat one that took part in the decision, and measure the answer without them."""
    without = measure_without_copies(answer, checked)
    undecided = {"undecided": found["undecided"]} if found.get("undecided") else {}
    if without is None:  # some may be known by their patients alone
        return undecided | ({"copies": say_without_leaks(found)} if "without_leaks" in found else {})
    copies = [f"{say_repeated(read_summary(checked))}, as the check of the data found."]
    return {**undecided, "copies": copies, "without_copies": without}
