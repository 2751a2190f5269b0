"""What a server counts of itself, as Prometheus reads it: numbers alone, nothing of an image or a client."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.06, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_IMAGES = (1, 2, 4, 8, 16)
CONTENT_TYPE = CONTENT_TYPE_LATEST


@dataclass(frozen=True)
class Counters:
    """The numbers of one server.

    Attributes:
        registry: Holds them; each server has its own.
        requests: Answers, by path and status.
        refusals: Uploads that were refused, by reason.
        predicted: Answers, by predicted class or label.
        unusual: Images that are unlike those of training.
        seconds: From a request to its answer.
        batches: Images that were computed together.
        waiting: Images that wait to be computed.
    """

    registry: CollectorRegistry
    requests: Counter
    refusals: Counter
    predicted: Counter
    unusual: Counter
    seconds: Histogram
    batches: Histogram
    waiting: Gauge

    def write(self) -> bytes:
        """Return all numbers in the text format of Prometheus."""
        return generate_latest(self.registry)


def open_counters() -> Counters:
    """Return counters that stand at 0.

    >>> b"tlmed_waiting 0.0" in open_counters().write()
    True
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)  # memory, processor time and open files
    return Counters(
        registry,
        Counter("tlmed_requests", "Answers by path and status.", ["path", "status"], registry=registry),
        Counter("tlmed_refusals", "Uploads that were refused, by reason.", ["reason"], registry=registry),
        Counter("tlmed_predictions", "Answers by predicted class or label.", ["prediction"], registry=registry),
        Counter("tlmed_unusual", "Answers for images unlike those of training.", registry=registry),
        Histogram("tlmed_predict_seconds", "From a request to its answer.", buckets=_SECONDS, registry=registry),
        Histogram("tlmed_batch_images", "Images that were computed together.", buckets=_IMAGES, registry=registry),
        Gauge("tlmed_waiting", "Images that wait to be computed.", registry=registry),
    )
