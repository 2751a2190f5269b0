"""What a server sends, as types: they make its OpenAPI description."""

from pydantic import BaseModel, ConfigDict, Field


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Reason(_Reply):
    """Why a request was refused."""

    reason: str = Field(description="One sentence: the rule, what would be right, what was received.")


class AnswerReply(_Reply):
    """What the run answers for a file, or for a sample of it."""

    sample: str = Field(description="Which part of the file, such as `plane=3`; empty for the whole file.")
    prediction: str | list[str] = Field(description="The class; or the labels, of a run of several labels.")
    scores: dict[str, float] = Field(description="By class: what the network gives, 0 to 1, not calibrated.")
    calibrated: dict[str, float] = Field(description="By class: calibrated probabilities.")
    note: str = Field(description="What is odd about the values of the image; empty for nothing.")
    unusual: float | None = Field(
        description="How unlike the training images it is: a conformal p-value, which is below 0.05 for 5 % of images "
        "like them; of a file with one answer for several samples the mean of theirs. Null where the run cannot tell."
    )


class ExplainedReply(_Reply):
    """Where the evidence for a class lies."""

    of: str = Field(description="The class.")
    method: str = Field(description="How it was found, such as `grad-cam, last block`.")
    sample: str = Field(description="Which part of the file is shown; empty for the whole file.")
    image: str = Field(description="What the network sees: a PNG as base64.")
    overlay: str = Field(description="The same with the evidence as colour: a PNG as base64.")
    empty: bool = Field(description="Whether nothing in the image speaks for the class.")


class PredictionReply(_Reply):
    """The answers for one file."""

    file: str = Field(description="The name that the client gave; empty for none.")
    answers: list[AnswerReply] = Field(description="One, unless the run answers for each sample of a file by itself.")
    notes: list[str] = Field(description="What of the file is not used as it is stored.")
    explained: ExplainedReply | None = Field(description="Only where it was asked for, and the run allows it.")
    not_explained: str = Field(description="Why it is not there although it was asked for; empty otherwise.")
    no_device: str = Field(description="That this is no medical device.")


class MeasuredReply(_Reply):
    """A score of the run, with its 95 % interval."""

    name: str
    value: float | None
    low: float | None
    high: float | None


class WorthReply(_Reply):
    """What the answers are worth."""

    scored_on: str
    measured: list[MeasuredReply]
    thresholds: dict[str, float] = Field(description="From which score, not calibrated, a class is predicted.")
    decision: list[str]
    calibration: list[str]
    unusual: list[str] = Field(
        description="Whether images unlike those of training are marked, and how often others are."
    )
    cautions: list[str]
    no_device: str


class ModelReply(_Reply):
    """The run that answers."""

    run: str = Field(description="The name of its directory.")
    version: str = Field(description="Of tlmed.")
    task: str
    classes: list[str]
    engine: str = Field(description="What runs the network.")
    most_bytes: int = Field(description="Of an upload.")
    most_pixels: int = Field(description="Of a plane of an image.")
    worth: WorthReply


class HealthReply(_Reply):
    """That the server lives."""

    status: str
