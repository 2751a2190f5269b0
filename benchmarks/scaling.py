"""Estimate how training scales over machines, from steps that are measured here, and write it to docs/scaling.md.

    python benchmarks/scaling.py --out docs/scaling.md
    python benchmarks/scaling.py --step 0.35 --gradient 94162956

No network is needed: what the replicas say to one another is counted by the formula of the ring all-reduce. A step of
n replicas takes what the slowest computes, then that. Weak scaling leaves each replica a batch of its own; strong
scaling splits one batch among them, which is what tlmed does with `data.batch_size`.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from performance import write
from result_tables import table

REPLICAS = tuple(2**power for power in range(1, 9))
BATCH, SIZE, CLASSES = 32, 224, 3
SHARES = tuple(2**power for power in range(6))  # images per replica that are timed, the whole batch among them
ASSUMED = (1.0, 0.1, 0.02)  # seconds of a step, for machines that are not here
IMAGES = (1_000, 10_000, 100_000)
LEVELS = (0.8, 0.5)
AGREEMENT = 12  # bytes of the second all-reduce of a step: the images counted, and two wishes
WARM, ROUNDS = 2, 7  # the first steps trace, and find their memory
TOGETHER = 100  # steps of a head that TensorFlow runs before Python looks again
BEGIN, END = "<!-- scaling: begin -->", "<!-- scaling: end -->"


@dataclass(frozen=True)
class Network:
    """What joins the machines.

    Attributes:
        gigabits: Gbit/s that a machine sends, and receives at the same time.
        latency: Seconds from one machine to the next, software included.
    """

    gigabits: float
    latency: float


NETWORKS = (Network(10, 50e-6), Network(100, 20e-6))


@dataclass(frozen=True)
class Job:
    """What is trained.

    Attributes:
        name: For the tables.
        gradient: Bytes that are summed over the replicas in each step.
        steps: Seconds of a step on one machine, by its images; the most of them are the batch.
    """

    name: str
    gradient: int
    steps: dict[int, float]

    @property
    def title(self) -> str:
        """The name, with what a step takes."""
        return f"{self.name}, {show_time(self.step)}"

    @property
    def batch(self) -> int:
        """Images of a step on one machine."""
        return max(self.steps)

    @property
    def step(self) -> float:
        """Seconds of a step on one machine."""
        return self.steps[self.batch]

    def share(self, images: int) -> float:
        """Return seconds of a step of fewer images: as measured, or in proportion, which is the best there can be.

        >>> job = Job("network", 4, {8: 1.0, 4: 0.75})
        >>> job.share(4), job.share(2)
        (0.75, 0.25)
        """
        return self.steps.get(images, self.step * images / self.batch)


@dataclass(frozen=True)
class Extraction:
    """What features of a frozen network take on one machine.

    Attributes:
        engine: What runs the network.
        batch: Seconds of a batch; a batch that is not full takes as long.
        preparation: Seconds of converting the network, on every machine.
    """

    engine: str
    batch: float
    preparation: float

    def seconds(self, images: int) -> float:
        """Return what so many images take.

        >>> Extraction("engine", 2.0, 1.0).seconds(33)
        5.0
        """
        return self.preparation + math.ceil(images / BATCH) * self.batch

    def efficiency(self, images: int, replicas: int) -> float:
        """Return the speed-up by so many machines, each with its share of the images, for each of them.

        >>> Extraction("engine", 1.0, 0.0).efficiency(64, 4)
        0.5
        """
        return self.seconds(images) / (replicas * self.seconds(math.ceil(images / replicas)))


def all_reduce(replicas: int, size: float, network: Network) -> float:
    """Return seconds of a ring all-reduce: 2 (n - 1) / n * size / bandwidth + 2 (n - 1) * latency.

    Each of n replicas holds n pieces; in n - 1 rounds it passes one on to its neighbour, who adds its own, and in n - 1
    further rounds the sums go round (Patarasuk & Yuan 2009, doi:10.1016/j.jpdc.2008.09.002).

    Args:
        replicas: How many there are, 1 or more.
        size: Bytes that each of them holds.
        network: What joins them.

    >>> all_reduce(1, 125e6, Network(1, 1e-3))
    0.0
    >>> all_reduce(2, 125e6, Network(1, 0))
    1.0
    >>> round(all_reduce(101, 0, Network(1, 1e-3)), 6)
    0.2
    """
    rounds = 2 * (replicas - 1)
    return rounds / replicas * size / (network.gigabits * 1e9 / 8) + rounds * network.latency


def talk(replicas: int, job: Job, network: Network) -> float:
    """Return seconds in which the replicas of a step wait for one another: both of its all-reduces.

    >>> round(talk(2, Job("network", 125_000_000, {32: 1.0}), Network(1, 1e-3)), 4)
    1.004
    """
    return all_reduce(replicas, job.gradient, network) + all_reduce(replicas, AGREEMENT, network)


def weak(replicas: int, job: Job, network: Network) -> float:
    """Return the efficiency where each replica has the whole batch: images per second and replica, against one alone.

    >>> round(weak(2, Job("network", 125_000_000, {32: 1.0}), Network(1, 0)), 3)
    0.5
    """
    return job.step / (job.step + talk(replicas, job, network))


def strong(replicas: int, job: Job, network: Network) -> float | None:
    """Return the efficiency where the replicas share the batch: the speed-up of a step, for each replica.

    None where there are more replicas than images.

    >>> job = Job("network", 125_000_000, {32: 1.0})
    >>> round(strong(2, job, Network(1, 0)), 3), strong(64, job, Network(1, 0))
    (0.333, None)
    """
    if replicas > job.batch:
        return None
    seconds = job.share(math.ceil(job.batch / replicas)) + talk(replicas, job, network)
    return job.step / (replicas * seconds)


Law = Callable[[int, Job, Network], float | None]


def time_steps(model, inputs, labels, together: int) -> dict[int, float]:
    """Return seconds of a training step by tlmed's own loop, by its images: the quickest of several rounds.

    What else the machine does can only add to a step. The sizes take turns, so that it meets all of them.

    Args:
        model: A compiled network.
        inputs: What it takes, for a whole batch.
        labels: Their labels.
        together: Steps between two looks at the clock.
    """
    import tensorflow as tf

    from tlmed.training import Loop

    def make(count: int) -> Loop:
        batches = tf.data.Dataset.from_tensors((inputs[:count], labels[:count])).repeat()
        return Loop(model, lambda begin, share: batches, together, together)

    loops, seconds = {count: make(count) for count in SHARES}, {count: [] for count in SHARES}
    for turn, count in itertools.product(range(WARM + ROUNDS), SHARES):
        seconds[count].append(time_epoch(loops[count], turn + 1) / together)
    return {count: min(found[WARM:]) for count, found in seconds.items()}


def time_epoch(loop, number: int) -> float:
    """Run the next epoch of a loop, given its number from 1, and return its seconds from the first step to the last."""
    import keras

    marks = []

    def look(epoch, logs):
        marks.append(time.perf_counter())

    loop.run(number, [keras.callbacks.LambdaCallback(on_epoch_begin=look, on_epoch_end=look)])
    begin, end = marks
    return end - begin


def build(thaw: int | str):
    """Return a ResNet50 with a head, thawed for a phase; its weights are random, which a step's time does not show."""
    from tlmed.recipe import Dense, Images, Phase, Recipe

    return Recipe(
        data=Images("-", image_size=(SIZE, SIZE), batch_size=BATCH),
        backbone="ResNet50",
        weights="none",
        head=Dense(dropout=0.2),
        phases=(Phase("measured", thaw=thaw, epochs=1, learning_rate=1e-5, batch_norm="affine"),),
    ).build(CLASSES)


def count_bytes(model) -> int:
    """Return the size of a step's gradients, which are float32."""
    return 4 * sum(math.prod(weight.shape) for weight in model.trainable_weights)


def measure_fine_tuning() -> Job:
    """Time steps that train all of ResNet50, of a whole batch and of shares of it."""
    import numpy as np

    model, random = build("all"), np.random.RandomState(0)
    images = random.randint(0, 256, (BATCH, SIZE, SIZE, 3)).astype("uint8")
    labels = random.randint(0, CLASSES, BATCH)
    return Job("ResNet50, measured", count_bytes(model), time_steps(model, images, labels, 1))


def measure_head() -> tuple[Job, Extraction]:
    """Time the features of ResNet50, and steps of a head on them."""
    import numpy as np

    from tlmed.features.engines import choose_engine, make_engine
    from tlmed.phases import trainer

    model, random = build(0), np.random.RandomState(0)
    engine = make_engine(choose_engine("openvino", "float32"), model.route.frozen.net, BATCH)
    begin = time.perf_counter()
    engine.prepare()
    preparation = time.perf_counter() - begin
    images = random.randint(0, 256, (BATCH, SIZE, SIZE, 3)).astype("uint8")
    marks = [time.perf_counter()]
    for _ in range(WARM + ROUNDS):
        features = engine(images)
        marks.append(time.perf_counter())
    batch = min([after - before for before, after in itertools.pairwise(marks)][WARM:])
    features = random.rand(*features.shape).astype("float32")
    labels, head = random.randint(0, CLASSES, BATCH), trainer(model)
    job = Job("head on kept features, measured", count_bytes(model), time_steps(head, features, labels, TOGETHER))
    return job, Extraction(engine.name, batch, preparation)


def tabulate_steps(jobs: Sequence[Job]) -> str:
    """Return what was measured: the gradient, and a step by its images."""
    head = ("a step on one machine, by its images", *(str(count) for count in SHARES), "gradient, bytes")
    rows = ((job.name, *(show_time(job.share(count)) for count in SHARES), f"{job.gradient:,}") for job in jobs)
    return table(head, rows)


def tabulate(law: Law, jobs: Sequence[Job]) -> str:
    """Return efficiencies in per cent, a line for each job and network; in brackets where one replica is quicker."""
    head = ("efficiency, %", "Gbit/s", *(f"n = {count}" for count in REPLICAS))
    rows = (
        (
            *(job.title, f"{network.gigabits:g}"),
            *(show(law(count, job, network), count) for count in REPLICAS),
        )
        for job, network in itertools.product(jobs, NETWORKS)
    )
    return table(head, rows)


def tabulate_limits(jobs: Sequence[Job]) -> str:
    """Return up to how many replicas scaling pays, a line for each job and network."""
    levels = [f"{100 * level:.0f} %" for level in LEVELS]
    head = ("largest n", "Gbit/s", *(f"weak, {word}" for word in levels), *(f"strong, {word}" for word in levels))
    rows = (
        (
            *(job.title, f"{network.gigabits:g}"),
            *(find_limit(law, job, network, level) for law in (weak, strong) for level in LEVELS),
            describe_fastest(job, network),
        )
        for job, network in itertools.product(jobs, NETWORKS)
    )
    return table((*head, "strong, fastest at"), rows)


def find_limit(law: Law, job: Job, network: Network, level: float) -> str:
    """Return the largest of the numbers of replicas that is still so efficient, or a dash.

    >>> job = Job("network", 125_000_000, {32: 1.0})
    >>> find_limit(weak, job, Network(10, 0), 0.8), find_limit(weak, job, Network(1, 0), 0.8)
    ('256', '-')
    """
    good = [count for count in REPLICAS if (law(count, job, network) or 0) >= level]
    return str(max(good)) if good else "-"


def describe_fastest(job: Job, network: Network) -> str:
    """Return how many replicas take the least time for a batch that they share, and the speed-up.

    >>> describe_fastest(Job("network", 0, {4: 1.0}), Network(1, 0.05))
    '2 (1.4 x)'
    """
    ups = {1: 1.0} | {count: count * (strong(count, job, network) or 0) for count in REPLICAS}
    best = max(ups, key=ups.get)
    return f"{best} ({ups[best]:.1f} x)"


def tabulate_extraction(extraction: Extraction) -> str:
    """Return the efficiency of extracting features, a line for each number of images."""
    head = ("efficiency, %", "minutes alone", *(f"n = {count}" for count in REPLICAS))
    rows = (
        (
            *(f"{images:,} images", f"{extraction.seconds(images) / 60:.1f}"),
            *(show(extraction.efficiency(images, count), count) for count in REPLICAS),
        )
        for images in IMAGES
    )
    return table(head, rows)


def show(efficiency: float | None, replicas: int) -> str:
    """Return an efficiency in per cent, in brackets where one replica alone is quicker; a dash for none.

    >>> show(0.875, 2), show(0.4, 2), show(0.0004, 64), show(None, 64)
    ('88', '(40)', '(0.04)', '-')
    """
    if efficiency is None:
        return "-"
    percent = 100 * efficiency
    text = f"{percent:.0f}" if percent >= 1 else f"{percent:.1g}"
    return text if replicas * efficiency >= 1 else f"({text})"


def show_time(seconds: float) -> str:
    """Return a time in a unit that suits it.

    >>> show_time(5.1), show_time(0.02), show_time(0.0004)
    ('5.1 s', '20 ms', '0.4 ms')
    """
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def make_tables(jobs: Sequence[Job]) -> str:
    """Return efficiencies and limits as Markdown."""
    parts = ("## Weak scaling", tabulate(weak, jobs), "## Strong scaling", tabulate(strong, jobs))
    return "\n\n".join((*parts, "## Limits", tabulate_limits(jobs)))


def make_block(measured: Job, head: Job, extraction: Extraction) -> str:
    """Return what stands between the marks of the document."""
    assumed = [Job("ResNet50, assumed", measured.gradient, {BATCH: seconds}) for seconds in ASSUMED]
    alone = (
        f"Features of a batch of {BATCH} images by {extraction.engine}: {show_time(extraction.batch)}, after "
        f"{extraction.preparation:.2g} s for converting the network."
    )
    return "\n\n".join(
        (
            *("## Measured", tabulate_steps([measured, head]), alone, make_tables([measured, *assumed, head])),
            *("## Extraction", tabulate_extraction(extraction)),
        )
    )


def main() -> None:
    """Measure, or take what is given, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=float, metavar="SECONDS", help="of a step of yours on one machine")
    parser.add_argument("--gradient", type=int, metavar="BYTES", help="4 for each trainable parameter")
    parser.add_argument("--batch", type=int, default=BATCH, metavar="IMAGES", help=f"of that step (default: {BATCH})")
    parser.add_argument("--out", type=Path, help="a document with the two marks, such as docs/scaling.md")
    options = parser.parse_args()
    if (options.step is None) != (options.gradient is None):
        parser.error("--step and --gradient go together")
    if options.step is not None:
        if options.out:
            parser.error("--out is for what is measured here")
        print(make_tables([Job("yours", options.gradient, {options.batch: options.step})]))
        return
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()  # as every run does
    head, extraction = measure_head()
    block = make_block(measure_fine_tuning(), head, extraction)
    print(block)
    if options.out:
        write(options.out, block, BEGIN, END)


if __name__ == "__main__":
    main()
