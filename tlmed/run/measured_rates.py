"""The learning rates of a phase that are measured before it: found, written into the plan, and said."""

from collections.abc import Mapping

from tlmed.phase_steps import HEAD
from tlmed.run.job import Job
from tlmed.run.prepared import Prepared
from tlmed.run_files import PLAN_JSON
from tlmed.sections import Phase
from tlmed.seeds import derive
from tlmed.training import class_weights, measure_rates
from tlmed.training.gradient_ratios import BATCHES


def find_rates(job: Job, prepared: Prepared) -> dict[str, float]:
    """Measure the learning rates of the phase that the network is thawed for, and write them into the plan.

    They are measured on the first batches of the phase. One that goes on from a checkpoint begins with the same weights
    and batches, so that it finds the same rates.

    Returns:
        The rates of the head and of each thawed block, by name.
    """
    recipe, phase, images = job.recipe, prepared.network.phase, prepared.images
    train, size, seed = images.indices("train"), recipe.data.batch_size, derive(recipe.seed, "phase", phase.name)
    with job.voice.busy(f"Measuring the gradient of each block for phase {phase.name!r}"):
        rates = measure_rates(
            prepared.network,
            lambda begin, share: images.training_batches(
                train, size, seed, begin, share, recipe.sampling == "balanced"
            ),
            min(BATCHES, -(-len(train) // size)),
            class_weights(images.table.labels[train]) if recipe.class_weight == "balanced" else None,
        )
    note_rates(job, prepared, phase, rates)
    job.voice.say(f"{phase.name}  {_say_rates(rates)}")
    return rates


def note_rates(job: Job, prepared: Prepared, phase: Phase, rates: Mapping[str, float]) -> None:
    """Write the measured learning rates of a phase into the plan."""
    prepared.plan["phases"][prepared.phases.index(phase)]["learning_rates"] = dict(rates)
    PLAN_JSON.write(job.run, prepared.plan)


def _say_rates(rates) -> str:
    """Return the largest and the smallest rate of the blocks, and whose they are.

    >>> _say_rates({"head": 1e-3, "block2": 1e-3, "block1": 1e-5})
    'learning rates by gradient over weights: 0.001 (block2) to 1e-05 (block1)'
    """
    rates = {name: rate for name, rate in rates.items() if name != HEAD}
    high, low = max(rates, key=rates.get), min(rates, key=rates.get)
    return f"learning rates by gradient over weights: {rates[high]:.3g} ({high}) to {rates[low]:.3g} ({low})"
