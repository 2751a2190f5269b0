"""What stands behind the routes of a server: a run, a queue before it, and the way of an upload to its answer."""

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass

from tlmed.data.held_files import TooManyPixels, TooManySamples, UnknownFormat
from tlmed.errors import InputError, TlmedError, did_you_mean
from tlmed.novelty import ALARM
from tlmed.serving.answering import Decoded, Explained, Scored, ServedRun
from tlmed.serving.batching import Batcher, Full, Stopped
from tlmed.serving.counters import Counters, open_counters
from tlmed.serving.graph_engines import MOST
from tlmed.serving.refusals import MEGABYTE, HungUp, Refused, Upload, UploadLimits
from tlmed.serving.replies import AnswerReply, ExplainedReply, PredictionReply
from tlmed.serving.uploads import Allowance, Receive, read_upload
from tlmed.serving.worth import Worth, find_worth

WAITING = 64  # images that are read and not answered; more are refused with 503
HELD = 512 * MEGABYTE  # of uploads in memory
_THREADS = 2  # that decode
_BUSY = {"Retry-After": "1"}


@dataclass(frozen=True)
class Asked:
    """What a client wants to see.

    Attributes:
        explain: Where the evidence for the predicted class lies.
        of: Likewise, for this class.
    """

    explain: bool = False
    of: str | None = None


@dataclass(frozen=True, eq=False)
class Service:
    """What answers requests: the run, a queue before it, and counters.

    Attributes:
        run: The run.
        worth: What its answers are worth.
        limits: What a client may send.
        counters: What is counted.
        batcher: Computes scores of what arrives together.
        threads: Decode images, and explain answers.
        loading: The thread that loads what explanations need.
        allowance: Of bytes in memory.
        places: Of images that are read and not answered.
    """

    run: ServedRun
    worth: Worth
    limits: UploadLimits
    counters: Counters
    batcher: Batcher
    threads: ThreadPoolExecutor
    loading: ThreadPoolExecutor
    allowance: Allowance
    places: Allowance

    async def predict(self, headers: Mapping[str, str], receive: Receive, asked: Asked) -> PredictionReply:
        """Return the answers for the image that a request carries.

        Args:
            headers: Of the request, by names in lower case.
            receive: Of ASGI.
            asked: What is to be shown of the answers.

        Raises:
            Refused: The image cannot be answered, or not now.
            HungUp: The client is gone.
        """
        begun = time.perf_counter()
        try:
            _check_class(self.run, asked.of)
            answer = await self._predict(headers, receive, asked)
        except Refused as refused:
            self.counters.refusals.labels(refused.kind).inc()
            raise
        self.counters.seconds.observe(time.perf_counter() - begun)
        return answer

    async def _predict(self, headers, receive, asked) -> PredictionReply:
        with self.allowance.lease() as take, self.places.lease() as enter:
            upload = await read_upload(headers, receive, self.limits, take)
            enter(1)  # not before: a client that sends slowly would keep others out
            image = await self._run(_decode, self.run, upload)
            scored = await self._score(receive, image)
            answer = await self._run(_answer, self, upload.name, image, scored)
            if asked.explain or asked.of is not None:
                answer = answer.model_copy(update=await self._explain(image, scored, asked.of))
        return answer

    async def _explain(self, image: Decoded, scored: Scored, of: str | None) -> dict:
        """Wait for what explanations need, in no thread that others need, and explain."""
        try:
            await asyncio.get_running_loop().run_in_executor(self.loading, self.run.explanations.load)
        except TlmedError as error:
            return {"not_explained": str(error)}
        return await self._run(_explain, self.run, image, scored, of)

    def expect_explanations(self) -> None:
        """Begin to load what explanations need, if it is not there: somebody is about to ask for one."""
        self.loading.submit(self.run.explanations.load)

    async def _run(self, work: Callable, *arguments) -> object:
        return await asyncio.get_running_loop().run_in_executor(self.threads, work, *arguments)

    async def _score(self, receive: Receive, image: Decoded) -> Scored:
        """Wait for the scores of an image; where the client is gone meanwhile, they are not computed."""
        try:
            found: Future = self.batcher.submit(image, len(image))
        except (Full, Stopped):
            raise Refused(503, "Too many images wait: try again in a second.", "busy", _BUSY) from None
        waiting, gone = asyncio.wrap_future(found), asyncio.ensure_future(_wait_for_end(receive))
        try:
            await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise HungUp
            return waiting.result()
        except TlmedError as error:
            raise Refused(422, str(error), "scores") from error
        finally:
            waiting.cancel()
            gone.cancel()

    def stop(self) -> None:
        """Answer what waits, and end the threads."""
        self.batcher.stop()
        self.threads.shutdown()
        self.loading.shutdown(cancel_futures=True)


def open_service(run: ServedRun, limits: UploadLimits, waiting: int = WAITING) -> Service:
    """Start what answers requests for a run.

    Args:
        run: The run.
        limits: What a client may send.
        waiting: How many images may wait.
    """
    counters = open_counters()
    batcher = Batcher(run.score, MOST, waiting, counters.batches.observe)
    counters.waiting.set_function(lambda: len(batcher))
    threads, loading = ThreadPoolExecutor(_THREADS, "images"), ThreadPoolExecutor(1, "explanations")
    worth, held, places = find_worth(run.panel, run.jury), Allowance(HELD), Allowance(waiting)
    return Service(run, worth, limits, counters, batcher, threads, loading, held, places)


async def _wait_for_end(receive: Receive) -> None:
    """Return when the client is gone: after the body, nothing else comes."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _check_class(run: ServedRun, name: str | None) -> None:
    if name is not None and name not in run.classes:
        near = did_you_mean(name, run.classes)
        rule = f"`explain_class` must be one of {', '.join(run.classes)}"
        raise Refused(422, f"{rule}.{near} Received: {name[:60]!r}.", "class")


def _decode(run: ServedRun, upload: Upload) -> Decoded:
    try:
        return run.decode(upload.content, upload.name)
    except (TooManyPixels, TooManySamples) as error:
        raise Refused(413, f"The image is too large: {error}.", "pixels") from error
    except UnknownFormat as error:
        raise Refused(415, f"The file must be an image: {error}.", "format") from error
    except InputError as error:
        raise Refused(422, str(error), "image") from error
    except ValueError as error:
        raise Refused(422, f"The image must be readable: {error}.", "image") from error


def _answer(service: Service, name: str, image: Decoded, scored: Scored) -> PredictionReply:
    answers, _ = service.run.answer(image, scored)
    for answer in answers:
        names = [answer.prediction] if isinstance(answer.prediction, str) else answer.prediction
        for predicted in names:
            service.counters.predicted.labels(predicted).inc()
        if answer.unusual is not None and answer.unusual < ALARM:
            service.counters.unusual.inc()
    return PredictionReply(
        file=name,
        answers=[AnswerReply(**asdict(answer)) for answer in answers],
        notes=list(image.first.notes),
        explained=None,
        not_explained="",
        no_device=service.worth.no_device,
    )


def _explain(run: ServedRun, image: Decoded, scored: Scored, of: str | None) -> dict:
    _, found = run.answer(image, scored)
    try:
        explained = run.explain(image, scored, found, of)
    except TlmedError as error:
        return {"not_explained": str(error)}
    return {"explained": _write(explained)}


def _write(explained: Explained) -> ExplainedReply:
    shown = explained.shown
    pictures = {name: base64.b64encode(getattr(shown, name)).decode() for name in ("image", "overlay")}
    return ExplainedReply(of=explained.of, method=shown.method, sample=explained.sample, empty=shown.empty, **pictures)
