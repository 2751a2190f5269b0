"""Steps 5 and 6: block after block of the best networks, then all layers or adapters, as far as it pays.

The order is the one that Kim et al. 2022 recommend: thaw from the output on, at a low rate, for as long as it helps.
"""

from tlmed.advising.attempts import THAWING, WHOLE, Attempt
from tlmed.advising.ladder import count_blocks, make_adapted, make_thawed, make_whole
from tlmed.advising.work import CHANCE, Work, attempt, compare, say_folds, say_score
from tlmed.run_files.advice_files import DROPPED, KEPT, UNTRIED
from tlmed.words import count


def climb(work: Work, probes: list[Attempt]) -> Attempt:
    """Thaw the networks of some probes block by block; return the best attempt, which may be a probe.

    Args:
        work: The work.
        probes: Those that go on, the best first.
    """
    tops = []
    for probe in probes:
        best = tops[0] if tops else probe
        tops.append(_climb_one(work, probe, best) if is_above_chance(probe) else probe)
    best = tops[0]
    for other in tops[1:]:
        if other.step != THAWING and best.step != THAWING:
            continue  # two probes: the better one leads, as the probes on all folds decided
        other, best = compare(work, other, best)
        if other.gain.is_real:
            best = other
        elif other.step == THAWING:
            _drop(work, other, f"not better than {best.name} by more than the noise")
    if tried := work.log.of(THAWING):
        kept = f"{best.name} is kept" if best.step == THAWING else "none was better by more than its noise"
        work.log.said[THAWING] = (
            f"Blocks were thawed one after the other, {count(len(tried), 'step')}, each judged {say_folds(work)}: "
            f"{kept}."
        )
        work.screen.say(work.log.said[THAWING])
    return best


def is_above_chance(each: Attempt) -> bool:
    """Tell whether the interval of an attempt lies above guessing, as far as its metric shows this."""
    return each.score.metric != "auc" or (each.score.low is not None and each.score.low > CHANCE)


def _climb_one(work, current: Attempt, best: Attempt) -> Attempt:
    blocks = count_blocks(current.network)
    for degree in range(1, blocks + 1):
        short = current.network.slug
        name = f"thaw{degree}-{short}"
        recipe = make_thawed(work.thawing, current.network, degree)
        changes = _name_thawed(degree, blocks)
        each = attempt(work, Attempt(THAWING, name, current.network, changes, work.make_trial(name, recipe)), best)
        if each.score is None:
            work.screen.say(f"{each.name}: {each.decision}: {each.reason}")
            break
        each, current = _judge(work, each, current)
        if each.decision != KEPT:
            break
        current = best = each
    return current


def _name_thawed(degree, blocks) -> str:
    """Say what is thawed.

    >>> _name_thawed(1, 5), _name_thawed(2, 5), _name_thawed(5, 5)
    ('the last block thawed', 'the last 2 blocks thawed', 'all layers thawed')
    """
    if degree == blocks:
        return "all layers thawed"
    return "the last block thawed" if degree == 1 else f"the last {degree} blocks thawed"


def _judge(work, each: Attempt, current: Attempt) -> tuple[Attempt, Attempt]:
    """Decide whether an attempt takes the place of the current one; return both."""
    each, current = compare(work, each, current)
    if each.gain.is_real and is_above_chance(each):
        each = each.decide(KEPT, f"better than {current.name} by more than the noise")
    elif each.gain.is_real:
        each = each.decide(DROPPED, "its interval contains guessing")
    else:
        each = each.decide(DROPPED, f"not better than {current.name} by more than the noise")
    work.screen.say(f"{say_score(work, each)}: {each.decision}")
    return work.log.add(each), current


def _drop(work, each: Attempt, reason: str) -> None:
    work.log.add(each.decide(DROPPED, reason))


def go_further(work: Work, best: Attempt, expects: dict[str, float | None]) -> Attempt:
    """Train all layers, or adapters, if experience expects a gain and the budget has the time; return the best attempt.

    Args:
        work: The work.
        best: The best attempt so far.
        expects: The gain over a probe that experience expects of "whole" and "adapters"; None: nothing is known.
    """
    network, short = best.network, best.network.slug
    kinds = {
        "whole": (make_whole, "all layers trained after the head"),
        "adapters": (make_adapted, "low-rank adapters"),
    }
    if not count_blocks(network):  # a network that is not in the list, such as one of keras-hub, is not cut into blocks
        kinds = {"adapters": kinds["adapters"], "whole": kinds["whole"]}
    has_whole = any(each.trial and each.trial.recipe.phases[-1].thaw == "all" for each in work.log.of(THAWING))
    for kind, (make, changes) in kinds.items():
        if kind == "whole" and has_whole:
            continue
        name = f"{kind}-{short}"
        each = Attempt(WHOLE, name, network, changes, work.make_trial(name, make(work.thawing, network)))
        expected = expects.get(kind)
        gained = best.gain.value if best.step == THAWING and best.gain is not None else 0.0
        if expected is not None and expected <= gained:
            reason = f"on similar images it gained {expected:+.3f} over a probe, which {best.name} has reached"
            work.log.add(each.decide(UNTRIED, reason))
            continue
        if kind == "adapters" and expected is None and count_blocks(network):
            work.log.add(each.decide(UNTRIED, "nothing is known of what they gain with this network"))
            continue
        each = attempt(work, each, best)
        if each.score is None:
            work.screen.say(f"{each.name}: {each.decision}: {each.reason}")
            continue
        each, best = _judge(work, each, best)
        if each.decision == KEPT:
            if best.step in (THAWING, WHOLE):
                _drop(work, best, f"{each.name} is better by more than the noise")
            best = each
    tried = [each for each in work.log.of(WHOLE) if each.score is not None]
    if work.log.of(WHOLE):
        kept = f"{best.name} is kept" if best.step == WHOLE else f"{best.name} stays"
        what = " and ".join(each.name for each in tried) or "nothing"
        work.log.said[WHOLE] = f"Beyond thawing block by block, {what} was tried: {kept}."
        work.screen.say(work.log.said[WHOLE])
    return best
