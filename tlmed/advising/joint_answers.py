"""Step 7: does a second network, which learnt the same layers in another way, make the answer better?

Networks of one kind of training err in much the same images; those of other settings less so, and their mean is better
than that of as many draws of one (Wenzel et al., Hyperparameter ensembles for robustness and uncertainty
quantification, NeurIPS 2020). Two is what the time of an advice allows.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from tlmed.advising.attempts import ENSEMBLE, THAWING, WHOLE, Attempt
from tlmed.advising.climbing import WHOLE_KIND, Choice, Expect, weigh_with
from tlmed.advising.expected_gains import ExpectedGain, is_gain_expected, name_sets
from tlmed.advising.experience import PAIR
from tlmed.advising.ladder import make_partner
from tlmed.advising.trials import Trial, average_scores, compare_two, join_gains, measure_gain
from tlmed.advising.work import DOUBT, Work, attempt, read_results, say_heads, say_late, say_score
from tlmed.ensembles import gather_runs, make_ensemble, write_ensemble
from tlmed.run_files.advice_files import DROPPED, KEPT, UNTRIED
from tlmed.rundir import RunDir


def join(work: Work, choice: Choice, expect: Expect) -> Choice:
    """Let a second network answer together with the best one if that promises more; return what is decided for.

    Where other images let expect a gain of it, and the budget has time for the training of both, the layers of the best
    are trained once more, by other rates. What is known is of networks all of whose layers were trained: of a head, or
    of some blocks twice, it says nothing. Where the budget has no time to try the two together, experience decides
    alone.

    Else the second one is of what else was judged, if its noise does not tell it from the best: to choose one of such
    two is to choose by luck, and both are trained already on the parts that judge. Where there is no such either, the
    other rates are tried, without experience.

    Args:
        work: The work.
        choice: What is decided for so far. A head alone, or adapters, may stay as they are.
        expect: As for `climb`.
    """
    best, expected = choice.answer, expect(PAIR, WHOLE_KIND)
    partner = _make_second(work, best)
    rival = _find_rival(work, best) if choice.is_tried else None
    if partner is not None and (rival is None or _is_worth_first(work, best, partner, expected)):
        return _add(work, choice, partner, expected)
    if rival is None:
        return choice
    pair = _pair("joined", best, rival)
    if (needed := work.reserve(pair)) > work.left:
        return _leave(work, pair, say_late(needed, work.left), choice)
    is_known = best.step in (THAWING, WHOLE) and WHOLE in (best.step, rival.step)
    return _judge(work, pair, rival, best, expected if is_known else None)


def _make_second(work, best) -> Attempt | None:
    recipe = make_partner(best.trial.recipe)
    if recipe is None:
        return None
    name = f"partner-{best.name}"
    trial = Trial(name, recipe, work.division, best.trial.folds)
    return Attempt(ENSEMBLE, name, best.network, "the same by rates that follow the gradients", trial)


def _trains_all(each: Attempt) -> bool:
    return each.trial.recipe.phases[-1].thaw == "all"


def _is_worth_first(work, best, partner, expected) -> bool:
    """Tell whether other images let expect a gain of a second network, and there is time for the training of both."""
    if not is_gain_expected(expected) or not _trains_all(partner):
        return False
    _, fault = work.team.expect(partner.trial.list_cells(), work.together)
    return not fault and work.reserve(_pair(PAIR, best, partner)) <= work.left


def _add(work, choice: Choice, partner: Attempt, expected: ExpectedGain | None) -> Choice:
    """Try the layers of the best, trained once more by other rates, together with it; or trust experience."""
    best, pair = choice.answer, _pair(PAIR, choice.answer, partner)
    if not _trains_all(partner):
        expected = None
    if expected is not None and expected.mean <= 0:
        reason = f"on {name_sets(expected)} a second network gained nothing on average ({expected.mean:+.3f})"
        return _leave(work, pair, reason, choice)
    if choice.is_tried:
        partner = attempt(work, partner, pair)
        if partner.score is not None:
            gain = measure_gain(partner.trial, best.trial, work.log.folder, work.metric)
            partner = dataclasses.replace(partner, gain=gain)
            return _judge(work, pair, partner, best, expected)
        if partner.decision == UNTRIED:  # what is said of the two says it of the second one
            work.log.attempts.remove(partner)
    return _trust(work, pair, partner, choice, expected)


def _find_rival(work, best) -> Attempt | None:
    """Return what comes nearest to the best, of the same network and trained further than its head.

    None: the best is better than all of it by more than the noise.
    """
    found = []
    for each in (*work.log.of(THAWING), *work.log.of(WHOLE)):
        if each.score is None or each.name == best.name or each.network != best.network:
            continue
        gain = measure_gain(each.trial, best.trial, work.log.folder, work.metric)
        if gain.is_measured and gain.value >= -gain.noise:
            found.append((gain.value, each))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _pair(title, best, partner) -> Attempt:
    """Return the attempt of two that answer together, on the parts that both were judged on."""
    trial = best.trial.keep([fold for fold in best.trial.folds if fold in partner.trial.folds])
    changes = f"two networks that answer together ({best.changes}; {partner.changes})"
    return Attempt(ENSEMBLE, f"{title}-{best.name}", best.network, changes, trial, partners=(partner.trial,))


def _leave(work, pair, reason, choice) -> Choice:
    pair = work.log.add(pair.decide(UNTRIED, reason))
    work.log.said[ENSEMBLE] = f"No second network was added: {reason}."
    work.screen.say(f"{pair.name}: {pair.decision}: {reason}")
    return choice


def _trust(work, pair, partner, choice, expected) -> Choice:
    """Keep two networks that were not tried together, if experience lets expect a gain and there is time to train."""
    if partner.decision != UNTRIED:
        return _leave(work, pair, f"the second network could not be judged: {partner.reason}", choice)
    if expected is None:
        reason = partner.reason or "nothing is known of what a second network gains, and there is no time to try it"
        return _leave(work, pair, reason, choice)
    _, fault = work.team.expect(pair.partners[0].list_cells(), work.together)
    if fault:
        return _leave(work, pair, f"the second network cannot be trained: {fault}", choice)
    doubt = 1.0 if choice.is_tried else DOUBT
    if (needed := work.reserve(pair, doubt)) > work.left:
        return _leave(work, pair, say_late(needed, work.left, doubt=doubt), choice)
    reason = (
        f"{name_sets(expected)} let expect {expected.mean:+.3f} over one network; the budget has time for the "
        "training of both alone, so that they were not tried together before"
    )
    pair = work.log.add(pair.decide(KEPT, reason))
    work.log.said[ENSEMBLE] = f"A second network is added without a trial: {reason}."
    work.screen.say(f"{pair.name} is kept without a trial: {reason}.")
    return Choice(pair, choice.judged)


def _judge(work, pair: Attempt, partner: Attempt, best: Attempt, expected: ExpectedGain | None) -> Choice:
    folder = work.log.folder
    members = [trial.keep(pair.trial.folds).list_runs(folder) for trial in (best.trial, partner.trial)]
    joint = pair.list_joint(folder)
    for target, *runs in zip(joint, *members, strict=True):
        write_joint(target.path, [run.path for run in runs])
    found = [compare_two(both.path, one.path, work.metric) for both, one in zip(joint, members[0], strict=True)]
    gain = join_gains(best.name, found, best.trial.division.test_share)
    score = average_scores(read_results(work, pair), work.metric, work.division, work.sides)
    seconds, ended = (best.seconds or 0.0) + (partner.seconds or 0.0), work.diary.stamp(pair.name)
    pair = dataclasses.replace(pair, score=score, gain=gain, seconds=seconds, ended=ended)
    is_better, reason = _weigh(gain, best, expected)
    heads = say_heads(work, partner)
    if is_better:
        alone = f"; alone: {partner.reason}" if partner.reason else ""
        work.log.add(partner.decide(KEPT, f"it answers together with {best.name}{alone}{heads}"))
    elif partner.step == ENSEMBLE:
        work.log.add(partner.decide(DROPPED, f"it was trained for a common answer, which is not worth it{heads}"))
    pair = work.log.add(pair.decide(KEPT if is_better else DROPPED, reason))
    work.log.said[ENSEMBLE] = f"Two networks together are {'kept' if is_better else 'not kept'}: {reason}."
    work.screen.say(f"{say_score(work, pair)}: {pair.decision}")
    return Choice(pair, pair) if is_better else Choice(best, best)


def _weigh(gain, best, expected) -> tuple[bool, str]:
    """Tell whether two networks are better than one, and why: by what was measured, with experience if there is any."""
    if not gain.is_measured:
        return False, f"how much better than {best.name} alone they are could not be measured"
    if expected is None:
        return gain.is_real, f"{'' if gain.is_real else 'not '}better than {best.name} alone by more than the noise"
    return weigh_with(gain, f"{best.name} alone", expected)


def write_joint(target: Path, runs: Sequence[Path]) -> Path:
    """Write an ensemble of runs, if it is not there, and return its directory."""
    if not RunDir(target).is_ensemble:
        if target.exists():  # a command was killed while it wrote
            shutil.rmtree(target)
        write_ensemble(target, make_ensemble(gather_runs(runs)))
    return target
