"""Train phase after phase, score each, certify which weights moved, and keep one phase."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.certificate import ALGORITHM, certify, certify_merge, fingerprint, make_claim
from tlmed.features import random_norms
from tlmed.phases import computing, merge, moving, needs_start, thaw
from tlmed.run.finished import Degree, Finished
from tlmed.run.job import Job
from tlmed.run.measured_rates import find_rates, note_rates
from tlmed.run.networks import can_settle, predict_rows, settle, wake
from tlmed.run.outcome import Outcome
from tlmed.run.prefixes import Feed, feed, is_rounded, read_head_inputs
from tlmed.run.prepared import Prepared
from tlmed.run.recalibration import compare_recalibration, describe_recalibration, warn_of_recalibration
from tlmed.run.records import note_choices
from tlmed.run.solved_phases import solve_phase
from tlmed.run.watching import watchers
from tlmed.run_files import DEGREES_CSV, FREEZE_JSON, PLAN_JSON, STRENGTHS_CSV, append_history, replace_history
from tlmed.schedules import is_scheduled
from tlmed.sections import MONITORS
from tlmed.sections.phase_words import say_epoch
from tlmed.sections.training import AUTO_RGN
from tlmed.seeds import derive
from tlmed.training import Checkpoints, Judge, Loop, PhaseResult, Saving, class_weights, fit_phase, measure
from tlmed.voice import Voice
from tlmed.whole_files import atomic
from tlmed.words import tell_apart


@dataclass(frozen=True)
class Begun:
    """The phases that an earlier, stopped command finished.

    Attributes:
        finished: Where they are kept.
        degrees: How they ended.
        place: Where training goes on, in words.
    """

    finished: Finished
    degrees: list[Degree]
    place: str


def read_begun(job: Job, prepared: Prepared) -> Begun:
    """Read which phases are finished; of a new run none."""
    recipe, phases = job.recipe, prepared.phases

    def best(degrees: Sequence[Degree]) -> int:
        return choose([degree.result for degree in degrees], prepared.plan["phases"], recipe.keep, recipe.monitor)

    finished = Finished(job.run.progress, phases, best, job.voice.warn)
    degrees = finished.read()
    left = () if _has_stopped_improving(recipe, degrees) else phases[len(degrees) :]
    return Begun(finished, degrees, f"phase {left[0].name!r}" if left else "the end of training")


def train_phases(job: Job, prepared: Prepared, begun: Begun) -> Outcome:
    """Train a recipe's phases, each from the best epoch of the one before or from the pretrained weights.

    Phases that an earlier, stopped command finished are not repeated. The weights of the phase that is kept are saved.
    """
    recipe, run, clock, voice = job.recipe, job.run, job.clock, job.voice
    model, phases = prepared.network, prepared.phases
    finished, degrees = begun.finished, [*begun.degrees]
    _continue(job, prepared, degrees, finished)
    earlier, kept_before = sum(it.result.seconds for it in degrees), any(it.extraction for it in degrees)
    for phase in phases[len(degrees) :]:
        if _has_stopped_improving(recipe, degrees):
            voice.say(f"Not tried: {phase.name!r} and what follows, because {recipe.monitor} no longer improved.")
            break
        run.mark(f"Training phase {phase.name!r}.")
        degrees.append(_train_phase(job, prepared, phase, kept_before))
        finished.write(degrees, model.plain().weights)
        _write_certificate(run, degrees)
        _write_strengths(run, degrees)
        earlier += degrees[-1].result.earlier
    clock.extractions += [degree.extraction for degree in degrees if degree.extraction]
    results = [degree.result for degree in degrees]
    # Not timed by `clock.stage`, which knows nothing of what an earlier, stopped command spent.
    clock.stages += [{"name": f"phase {result.name}", "seconds": round(result.seconds, 3)} for result in results]
    kept = finished.best(degrees)
    # `model.keras` says of each layer whether it is trainable: as in the phase whose weights it holds.
    thaw(model, phases[kept])
    merge(model)
    model.plain().set_weights(finished.weights(phases[kept]))
    with atomic(run / "model.keras") as part:
        model.save(part)
    _write_degrees(run, prepared, degrees, kept)
    with voice.busy("Scoring the phase that is kept"):
        scores, features = _score_kept(job, prepared, degrees[kept])
    chosen, recalibrated = results[kept], [degree.recalibration for degree in degrees if degree.recalibration]
    epoch = say_epoch(dataclasses.asdict(chosen))
    voice.say(f"Kept: phase {chosen.name!r}, {epoch}, {recipe.monitor} {_show_score(results, kept)}")
    return Outcome(
        scores,
        {"kept": _describe_kept(chosen)} | ({"recalibration": recalibrated} if recalibrated else {}),
        len(prepared.images.indices("train")) * sum(result.epochs for result in results),
        sum(result.seconds for result in results),
        earlier,
        features,
    )


def _describe_kept(result) -> dict:
    """Return for `metrics.json` how the kept phase ended; of an average or a solver only where there is one."""
    facts = dataclasses.asdict(result)
    return {
        name: value for name, value in facts.items() if value or name not in ("averaged", "moving_average", "solved")
    }


def _show_score(results: Sequence[PhaseResult], kept: int) -> str:
    """Return the score of the kept phase, with the digits in which it differs from those of the others."""
    return tell_apart(*(result.score for result in results), places=4)[kept]


def _score_kept(job, prepared, degree) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return the scores of validation and test images of the kept phase, and what gives features by its weights.

    The network holds these weights.
    """
    recipe, model, images = job.recipe, prepared.network, prepared.images
    # From the features or pixels of training, so that test images are scored exactly as validation images were.
    quiet = dataclasses.replace(job, voice=Voice(warn=job.voice.warn))
    fed = _feed(quiet, prepared, model, degree.extraction is not None)
    features = read_head_inputs(job, model, fed)
    if is_rounded(recipe):
        # The scores that are written must be those of `model.keras`, which rounds nothing.
        rows = np.concatenate([images.indices(split) for split in ("val", "test")])
        return predict_rows(recipe, model.plain(), images, rows), features
    if degree.test is not None:
        return degree.scores, features
    return np.concatenate([degree.scores, fed.predict(images.indices("test"))]), features


def choose(results: Sequence[PhaseResult], plans: Sequence[dict], keep: str, monitor: str) -> int:
    """Return which phase is kept: the last, or the best by validation; of equal ones the one that thaws least.

    Args:
        results: How the phases ended.
        plans: Their entries in `plan.json`.
        keep: `"best"` or `"last"`.
        monitor: The validation score that decides.
    """
    if keep == "last":
        return len(results) - 1
    sign = 1 if MONITORS[monitor] == "max" else -1
    return max(range(len(results)), key=lambda i: (sign * results[i].score, -plans[i]["fine_tuning_ratio"], -i))


def _has_stopped_improving(recipe, degrees) -> bool:
    if recipe.phase_patience is None or len(degrees) <= recipe.phase_patience:
        return False
    sign = 1 if MONITORS[recipe.monitor] == "max" else -1
    scores = [sign * degree.result.score for degree in degrees]
    return max(scores[-recipe.phase_patience :]) <= max(scores[: -recipe.phase_patience])


def _continue(job, prepared, degrees, finished) -> None:
    """Bring the network to where an earlier command stopped, or to its beginning."""
    model, phases = prepared.network, prepared.phases
    done = phases[: len(degrees)]
    replace_history(job.run, (row for degree in degrees for row in degree.history))
    for phase, degree in zip(phases, degrees, strict=False):
        if degree.rates is not None:
            note_rates(job, prepared, phase, degree.rates)
    _write_certificate(job.run, degrees)
    _write_strengths(job.run, degrees)
    # Random weights need statistics where training begins from them: now, or in a later phase that goes back to them.
    returns = needs_start(phases)
    if random_norms(prepared.backbone) and (returns or not done):
        with job.clock.stage("re-estimate statistics"), job.voice.busy("Estimating statistics of random weights"):
            wake(job.recipe, prepared.backbone, prepared.images)
    if returns:
        model.remember()
    if done:
        heads = [phase for phase in done if phase.thaw == 0]
        if returns and heads:
            # Phases with start="pretrained" take this head; the weights of the last phase come after it.
            model.plain().set_weights(finished.weights(heads[-1]))
            model.remember_head()
        model.plain().set_weights(finished.weights(done[-1]))
        job.voice.say(f"Continuing after phase {done[-1].name!r}.")


def _train_phase(job, prepared, phase, begun) -> Degree:
    """Train one phase, certify which weights moved, and score it on validation (if asked, test) images."""
    recipe, voice, start = job.recipe, job.voice, time.perf_counter()
    model, images = thaw(prepared.network, phase), prepared.images
    rates = None
    if phase.rates == AUTO_RGN:
        rates = find_rates(job, prepared)
        thaw(model, phase, rates)
    checkpoints = Checkpoints(job.run.progress / "checkpoints", warn=voice.warn, say=voice.say)
    fed = _feed(job, prepared, model, begun or checkpoints.facts(phase.name) is not None)
    with _certified(model) as found:
        with computing(model, recipe.precision):
            saving = Saving(checkpoints, moving(model), fed.words, start)
            result, history, path = _fit(job, prepared, model, fed, saving)
        _merge(model, found)
        before = None
        if can_settle(model):
            with voice.busy("Estimating statistics again"):
                with computing(model, recipe.precision):
                    before = fed.predict(images.indices("val"))
                settle(recipe, model, images)
    job.clock.trained = time.perf_counter()
    with (
        computing(model, recipe.precision),
        voice.busy(f"Scoring phase {phase.name!r}"),
    ):  # in the precision of training, so that degrees can be compared with the history
        # Unless degrees are compared, test images are scored once, at the end, for the phase that is kept.
        splits = ("val", "test") if recipe.score_degrees else ("val",)
        parts = [(fed.predict(images.indices(name)), images.table.labels[images.indices(name)]) for name in splits]
    val, test = (*(measure(scores, labels) for scores, labels in parts), None)[:2]
    score, seconds = val[recipe.monitor.removeprefix("val_")], time.perf_counter() - start
    result = dataclasses.replace(result, score=score, seconds=seconds + result.earlier)
    scores = np.concatenate([scores for scores, _ in parts])
    moved = None if before is None else _tell_recalibration(job, images, phase, before, parts[0][0])
    told = {"extraction": fed.extraction, "recalibration": moved, "path": path, "rates": rates}
    return Degree(result, val, test, history, scores, **told, **found)


def _tell_recalibration(job, images, phase, before, after) -> dict:
    """Say how the validation score changed when statistics were estimated again, and return that."""
    monitor, rows, table = job.recipe.monitor, images.indices("val"), images.table
    groups = None if table.groups is None else [table.groups[row] for row in rows]
    entry = compare_recalibration(phase.name, monitor, table.labels[rows], before, after, table.classes, groups)
    job.voice.say(describe_recalibration(entry))
    if entry["worse"]:
        job.voice.warn(warn_of_recalibration(entry))
    return entry


def _feed(job, prepared, model, begun) -> Feed:
    """Return what a phase trains on; where the cache cannot be used, note in the plan that the run trains without it.

    A command that continues the run then trains on the same, even if it could use the cache.
    """
    number = prepared.phases.index(model.phase)
    # From the plan and not decided anew: a run that goes on, or repeats another, keeps to the plan's choice.
    choice = prepared.plan["phases"][number]["cache"]
    fed = feed(job, model, prepared.images, choice, begun, prepared.early)
    if prepared.early is not None:
        prepared.early.give_up()  # a phase that did not take it needs other features, or none
    if choice["on"] and fed.extraction is None:
        # Later phases, too: a cache that fails in between would mix two ways to compute features in one run.
        for entry in prepared.plan["phases"][number:]:
            if entry["cache"]["on"]:
                entry["cache"] |= {"on": False, "reason": "the cache could not be used"}
        PLAN_JSON.write(job.run, prepared.plan)
        note_choices(job.run, prepared.plan)
    return fed


def _fit(job, prepared, model, fed, saving) -> tuple[PhaseResult, list[dict], list[dict]]:
    """Return how a phase ended, its rows of `history.csv`, and of `strengths.csv` if its head was solved."""
    recipe, voice, phases = job.recipe, job.voice, prepared.phases
    phase, images, size = model.phase, fed.images, recipe.data.batch_size
    train, val, history = images.indices("train"), images.indices("val"), []
    # A table has the same columns in all of its rows.
    rated, rate = any(map(is_scheduled, prepared.plan["phases"])), "" if phase.solver else phase.learning_rate

    def record(row: dict) -> None:
        row = ({"learning_rate": rate} if rated else {}) | row
        history.append(row)
        append_history(job.run, row)

    if phase.solver is not None:
        result, row, path = solve_phase(job, model, fed, saving.start)
        record(row)
        return result, history, path
    # The seed comes from the phase's name, so that the order of images does not depend on the phases before.
    steps, seed = -(-len(train) // size), derive(recipe.seed, "phase", phase.name)
    labels = images.table.labels
    loop = Loop(
        fed.trainer,
        lambda begin, share: images.training_batches(train, size, seed, begin, share, recipe.sampling == "balanced"),
        steps,
        fed.together,
        class_weight=class_weights(labels[train]) if recipe.class_weight == "balanced" else None,
    )

    # Statistics that follow the steps belong to no average of weights.
    refresh = (lambda: settle(recipe, model, prepared.images)) if phase.batch_norm == "update" else None
    shown = voice.progress(phase.name, phase.epochs, steps) if voice.progress else contextlib.nullcontext()
    with shown as callback:
        result = fit_phase(
            loop,
            phase,
            Judge(lambda: fed.predict(val), labels[val], recipe.monitor, refresh),
            record,
            [*watchers(job, phases, phase, len(train)), *([callback] if callback else [])],
            saving,
            prepared.most,
        )
    return result, history, []


@contextlib.contextmanager
def _certified(model) -> Iterator[dict]:
    """Hash every weight before and after the block; the dictionary then holds the phase's entry of `freeze.json`."""
    found = {}
    begin = time.perf_counter()
    claim, before = make_claim(model), fingerprint(model)
    seconds = time.perf_counter() - begin
    yield found
    begin = time.perf_counter()
    after = fingerprint(model)
    trained = found.pop("trained", after)
    entry = certify(model.phase.name, claim, before, trained)
    entry = certify_merge(entry, claim, trained, after) if claim.adapted else entry
    found |= {"certificate": entry, "hashing": seconds + time.perf_counter() - begin}


def _merge(model, found) -> None:
    """Merge a phase's adapters, and note the hashes from before that for its certificate."""
    if model.adapters is not None:
        found["trained"] = fingerprint(model)
        merge(model)


def _write_certificate(run, degrees) -> None:
    """Write `freeze.json` for the finished phases, from what `Finished` keeps: an existing file is never read."""
    entries = [degree.certificate for degree in degrees]
    seconds = round(sum(degree.hashing for degree in degrees), 4)
    if entries:
        FREEZE_JSON.write(run, {"algorithm": ALGORITHM, "seconds": seconds, "phases": entries})
    else:
        (run / "freeze.json").unlink(missing_ok=True)  # of phases that are trained again


def _write_strengths(run, degrees) -> None:
    """Write `strengths.csv`, where a head was solved, from what `Finished` keeps."""
    rows = [{**row, "chosen": "yes" if row["chosen"] else "no"} for degree in degrees for row in degree.path]
    if rows:
        STRENGTHS_CSV.write(run, rows)
    else:
        (run / STRENGTHS_CSV.name).unlink(missing_ok=True)


def _write_degrees(run, prepared, degrees, kept) -> None:
    """Write a line for each phase, where there is more than one to compare."""
    if len(prepared.phases) < 2:
        return
    rows = []
    for i, (degree, plan) in enumerate(zip(degrees, prepared.plan["phases"], strict=False)):
        result = degree.result
        rows.append(
            (
                *(plan["name"], plan["start"], plan["unit"], len(plan["blocks"]), plan["weighted_layers"]),
                *(plan["trainable_parameters"], plan["fine_tuning_ratio"], result.epochs, result.best_epoch),
                *(degree.val["loss"], degree.val["accuracy"], degree.val["auc"]),
                *(("", "") if degree.test is None else (degree.test["accuracy"], degree.test["auc"])),
                round(result.seconds, 3),
                "yes" if i == kept else "no",
            )
        )
    DEGREES_CSV.write(run, [dict(zip(DEGREES_CSV.columns, row, strict=True)) for row in rows])
