"""Steps 5 and 6: block after block of the best networks, then all layers or adapters, as far as it pays.

The order is the one that Kim et al. 2022 recommend: thaw from the output on, at a low rate, for as long as it helps.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tlmed.advising.attempts import PROBES, THAWING, WHOLE, Attempt
from tlmed.advising.epochs_rule import LONG, SHORT, choose_epochs, say_epochs
from tlmed.advising.expected_gains import (
    ExpectedGain,
    expect_improvement,
    is_gain_expected,
    name_sets,
    weigh_gain,
)
from tlmed.advising.experience import PROBE, THAWED
from tlmed.advising.ladder import count_blocks, make_adapted, make_thawed, make_whole
from tlmed.advising.trials import AUC, Gain
from tlmed.advising.work import (
    CHANCE,
    DOUBT,
    Work,
    attempt,
    compare,
    say_folds,
    say_heads,
    say_score,
    time_trial,
    was_trained,
)
from tlmed.run_files.advice_files import DROPPED, KEPT, REPLACED, STOPPED, UNTRIED
from tlmed.words import count, join_names

# As the table of experience calls them: all layers after a solved head are trained by the shipped recipe.
WHOLE_KIND, ADAPTERS = "lp_ft", "adapters"
_FURTHER = {
    WHOLE_KIND: (make_whole, "whole", "all layers trained after the head"),
    ADAPTERS: (make_adapted, "adapters", "low-rank adapters"),
}
_WORTH = 0.005  # of the metric: what a trial must promise where nothing is gained on average
_JUDGING = 5.0  # seconds that a trial takes after its trainings, which would be missing then
Expect = Callable[[str, str], ExpectedGain | None]


@dataclass(frozen=True)
class Choice:
    """What is decided for.

    Attributes:
        answer: What will be trained on all development images.
        judged: The best that was judged on development images: the answer itself, but for one that was not tried.
        folds: The runs of folds whose networks answer together with it.
        folds_of_head: Those that do in their place if the validation images keep the head alone.
    """

    answer: Attempt
    judged: Attempt
    folds: tuple[str, ...] = ()
    folds_of_head: tuple[str, ...] = ()

    @property
    def is_tried(self) -> bool:
        """Tell whether the answer itself was judged."""
        return self.answer is self.judged

    @property
    def doubt(self) -> float:
        """Return how many times longer than forecast the training of the answer may take."""
        return 1.0 if self.is_tried else DOUBT


def settle_epochs(work: Work, probe: Attempt, images: int, expect: Expect) -> str:
    """Note for how many epochs blocks are trained: more where there is time to try all layers so, and to train them.

    Where one part of the images judges, and experience expects a gain of all layers, the time to train them is enough:
    a schedule that is too short loses more than a trial on one part can tell.

    Args:
        work: The work; its `epochs` are set.
        probe: Of the network that leads.
        images: For development.
        expect: As for `climb`.

    Returns:
        What the rule says now.
    """
    size = work.base.data.batch_size
    most, fewest = (choose_epochs(images, size, steps) for steps in (LONG, SHORT))
    if "epochs" not in work.diary.done:
        work.epochs = most
        both, alone = time_trial(work, _begin_further(work, probe.network, WHOLE_KIND))
        is_trusted = len(work.folds) == 1 and is_gain_expected(expect(WHOLE_KIND, PROBE))
        # As everywhere: what was never tried may take longer than its forecast.
        work.diary.note(epochs=most if (alone if is_trusted else both * DOUBT) <= work.left else fewest)
    work.epochs = work.diary.done["epochs"]
    return say_epochs(images, size, work.epochs)


def climb(work: Work, probes: list[Attempt], expect: Expect) -> Attempt:
    """Thaw the networks of some probes block by block; return the best attempt, which may be a probe.

    Thawing leaves time for all layers of the best network, where experience expects that they gain over what is best.

    Args:
        work: The work.
        probes: Those that go on, the best first.
        expect: Returns what a kind of training gained over another on images that are alike; None: nothing is known.
    """
    tops = []
    for probe in probes:
        best = tops[0] if tops else probe
        tops.append(_climb_one(work, probe, best, expect) if is_promising(probe) else probe)
    best, held = tops[0], _hold(work, tops[0], expect)
    for other in tops[1:]:
        if other.step != THAWING and best.step != THAWING:
            continue  # two probes: the better one leads, as the probes on all folds decided
        other, best = compare(work, other, best, held)
        if other.gain.is_real:
            _replace(work, best, other)
            best = other
        elif other.step == THAWING:
            _drop(work, other, f"not better than {best.name} by more than the noise")
    if tried := work.log.of(THAWING):
        work.log.said[THAWING] = _say_thawing(work, tried, best)
        work.screen.say(work.log.said[THAWING])
    return best


def _hold(work, best, expect) -> float:
    """Return the seconds that thawing leaves for all layers: to try and train them, or at least to train them."""
    if not is_gain_expected(expect(WHOLE_KIND, _name_kind(best))) or not is_promising(best):
        return 0.0
    both, alone = time_trial(work, _begin_further(work, best.network, WHOLE_KIND))
    # With its doubt, or the trial would be left out in the end: see `_is_tight`.
    wanted = (both * DOUBT, alone)
    held = next((seconds for seconds in wanted if seconds <= work.left), 0.0)
    return held + _JUDGING if held else 0.0


def _say_thawing(work, tried, best) -> str:
    judged = [each for each in tried if each.score is not None]
    if not judged:
        return f"No thawed block could be judged: {tried[0].name}: {tried[0].decision}: {tried[0].reason}."
    kept = f"{best.name} is kept" if best.step == THAWING else "none was better by more than its noise"
    steps = count(len(judged), "step")
    return f"Blocks were thawed one after the other, {steps}, each judged {say_folds(work)}: {kept}."


def is_promising(each: Attempt) -> bool:
    """Tell whether an attempt lies above guessing by more than its noise, as far as its metric shows this.

    The verdict asks for the whole interval. But that of few images holds 0.5 where there is much to learn, too, and a
    training that may find it is then worth its time.
    """
    score = each.score
    return score.metric != AUC or (score.noise is not None and score.value - CHANCE > score.noise)


def _climb_one(work, current: Attempt, best: Attempt, expect: Expect) -> Attempt:
    blocks = count_blocks(current.network)
    for degree in range(1, blocks + 1):
        short = current.network.slug
        name = f"thaw{degree}-{short}"
        recipe = make_thawed(work.base, current.network, work.epochs, degree)
        changes, held = _name_thawed(degree, blocks), _hold(work, best, expect)
        each = attempt(
            work, Attempt(THAWING, name, current.network, changes, work.make_trial(name, recipe)), best, held=held
        )
        if each.score is None:
            work.screen.say(f"{each.name}: {each.decision}: {each.reason}")
            break
        each, current = _judge(work, each, current, held=held)
        if each.decision != KEPT:
            break
        _replace(work, current, each)
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


def _judge(work, each: Attempt, current: Attempt, expected=None, held: float = 0.0) -> tuple[Attempt, Attempt]:
    """Decide whether an attempt takes the place of the current one; return both.

    Where experience tells what such a training gains, its word and the measurement count together.
    """
    each, current = compare(work, each, current, held)
    better = each.gain.is_real
    worse = each.gain.is_measured and each.gain.value < -each.gain.noise
    reason = f"{'better' if better else 'worse' if worse else 'not better'} than {current.name} by more than the noise"
    if not each.gain.is_measured:
        reason = f"how much better than {current.name} it is could not be measured"
    elif expected is not None:
        better, reason = _weigh_with(each.gain, current.name, expected)
    if better and not is_promising(each):
        better, reason = False, "it is not above guessing by more than its noise"
    if each.gain.is_open and len(each.trial.folds) < len({*work.folds, *work.further}):
        reason += "; the budget had no time for further parts, which might decide otherwise"
    each = each.decide(KEPT if better else DROPPED, reason + say_heads(work, each))
    work.screen.say(f"{say_score(work, each)}: {each.decision}")
    return work.log.add(each), current


def _weigh_with(gain: Gain, over: str, expected: ExpectedGain) -> tuple[bool, str]:
    """Tell whether a measured gain and experience together let expect a gain, and say so.

    Args:
        gain: What was measured.
        over: Over what it is a gain, in words.
        expected: What other images let expect.
    """
    likely = weigh_gain(gain.value, gain.noise, expected)
    known = f"what was measured and {name_sets(expected)} ({expected.mean:+.3f})"
    return likely > 0, f"{known} together let expect {likely:+.3f} over {over}"


def _drop(work, each: Attempt, reason: str) -> None:
    work.log.add(each.decide(DROPPED, reason))


def _replace(work, each: Attempt, better: Attempt) -> None:
    """Note that something took the place of an attempt; a probe stays what all others began with."""
    if each.step in (THAWING, WHOLE):
        work.log.add(each.decide(REPLACED, f"{better.name} took its place"))


def go_further(work: Work, best: Attempt, expect: Expect) -> Choice:
    """Train all layers, or adapters, if that promises a gain and the budget has the time; return what is best.

    Adapters promise one where they gained on other images; all layers, too, where those leave enough open for a trial.
    If the budget has time for all layers, but not for trying them before, experience decides alone. Then the validation
    images of the answer itself decide whether its layers stay as they were: of its two phases the better one is kept.

    Args:
        work: The work.
        best: The best attempt so far.
        expect: As for `climb`.
    """
    network = best.network
    for kind in (WHOLE_KIND, ADAPTERS) if count_blocks(network) else (ADAPTERS, WHOLE_KIND):
        each, expected = _begin_further(work, network, kind), expect(kind, _name_kind(best))
        if reason := _find_reason(work, best, kind, expected):
            work.log.add(each.decide(UNTRIED, reason))
            continue
        if kind == WHOLE_KIND and expected is not None and not was_trained(work, each) and _is_tight(work, each):
            # A trial that is stopped is lost, and with it the time for the answer itself.
            each = work.log.add(each.decide(UNTRIED, "its trial might not end within the budget"))
        else:
            each = attempt(work, each, best)
        if each.score is None:
            if kind == WHOLE_KIND and _is_worth_trusting(work, each, best, expected):
                if not (lost := _find_lost(work, best)):
                    return _trust(work, each, best, expected)
                known = f"{join_names(lost)} gained nothing on these images, so that others are not trusted alone"
                each = work.log.add(each.decide(UNTRIED, f"{each.reason}; {known}"))
            work.screen.say(f"{each.name}: {each.decision}: {each.reason}")
            continue
        each, best = _judge(work, each, best, expected)
        if each.decision == KEPT:
            _replace(work, best, each)
            best = each
    _say_further(work, _say_tried(work.log.of(WHOLE), best))
    return Choice(best, best)


def _say_tried(attempts, best) -> str:
    tried = [each.name for each in attempts if each.score is not None]
    broken = [each.name for each in attempts if each.score is None and each.seconds]
    left = f"; {join_names(broken)} was begun and not finished" if broken else ""
    return (
        f"Beyond thawing block by block, {join_names(tried) if tried else 'nothing'} was judged{left}: "
        f"{f'{best.name} is kept' if best.step == WHOLE else f'{best.name} stays'}."
    )


def _say_further(work, sentence) -> None:
    work.log.said[WHOLE] = sentence
    work.screen.say(sentence)


def _is_tight(work, each) -> bool:
    """Tell whether a trial may not end in time, where there is time for the training on all images alone."""
    both, alone = time_trial(work, each)
    return both * DOUBT > work.left and 0 < alone <= work.left_in_doubt


def _is_worth_trusting(work, each, best, expected) -> bool:
    """Tell whether all layers are trained without a trial: others gained by them, and there is time for that alone."""
    if each.decision not in (UNTRIED, STOPPED) or not is_gain_expected(expected) or not is_promising(best):
        return False
    _, alone = time_trial(work, each)
    return 0 < alone <= work.left_in_doubt


def _find_lost(work, best) -> list[str]:
    """Return the names of thawed blocks that gained nothing over a probe: a word of these images against others."""
    blocks = work.log.of(THAWING) if best.step == PROBES else ()
    return [
        each.name
        for each in blocks
        if each.network == best.network and each.gain is not None and each.gain.is_measured and each.gain.value <= 0
    ]


def _trust(work, each, best, expected) -> Choice:
    tried = "it was not tried before" if each.decision == UNTRIED else "its trial was not finished"
    reason = (
        f"{name_sets(expected)} let expect {expected.mean:+.3f} over {_say_kind(best)}; the "
        f"budget has time for its training alone, so {tried}, and its validation images decide whether "
        "the layers stay as they were"
    )
    each = work.log.add(each.decide(KEPT, reason))
    _say_further(work, f"{each.name} is kept without a trial: {reason}.")
    return Choice(each, best)


def _begin_further(work, network, kind) -> Attempt:
    make, title, changes = _FURTHER[kind]
    name = f"{title}-{network.slug}"
    return Attempt(WHOLE, name, network, changes, work.make_trial(name, make(work.base, network, work.epochs)))


def _find_reason(work, best, kind, expected) -> str:
    """Return why a kind of training is not worth its time; "" if it may be."""
    if kind == WHOLE_KIND and any(each.trial.recipe.phases[-1].thaw == "all" for each in work.log.of(THAWING)):
        return "thawing block by block has come to all layers"
    if expected is not None and expected.mean <= 0 and not (kind == WHOLE_KIND and _is_worth_a_trial(best, expected)):
        return f"on {name_sets(expected)} it was no better than {_say_kind(best)} on average ({expected.mean:+.3f})"
    if kind == ADAPTERS and expected is None and count_blocks(best.network):
        return "nothing is known of what they gain over the best so far"
    return ""


def _is_worth_a_trial(best, expected) -> bool:
    """Tell whether a trial of all layers may find enough, although on average they gained nothing elsewhere.

    They are the last step of the recommended order, and other sets differ: a mean below 0 is no reason to leave them
    out by itself. The noise of the best score stands for that of a difference, which is smaller.
    """
    return best.score.noise is not None and expect_improvement(expected, best.score.noise) >= _WORTH


def _name_kind(each: Attempt) -> str:
    """Return what an attempt is called in the table of experience.

    Blocks count as thawed, however many: by their number few sets are known, of which one by chance would decide.
    """
    if each.step == THAWING:
        return THAWED
    if each.step == WHOLE:
        return WHOLE_KIND if each.name.startswith("whole") else ADAPTERS
    return PROBE


def _say_kind(each: Attempt) -> str:
    kind = _name_kind(each)
    return {PROBE: "a probe", THAWED: "some blocks thawed", WHOLE_KIND: "all layers"}.get(kind, kind)
