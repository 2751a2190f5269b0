"""The routes of a server: predictions, what they are worth, health, metrics, and the page."""

from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tlmed import __version__
from tlmed.serving.counters import CONTENT_TYPE, Counters
from tlmed.serving.guarding import Guard, Rules
from tlmed.serving.refusals import HungUp, Refused
from tlmed.serving.replies import HealthReply, ModelReply, PredictionReply, Reason, WorthReply
from tlmed.serving.service import Asked, Service
from tlmed.serving.web_page import FILES, open_page

_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary", "description": "One image file."}},
        "required": ["file"],
    }
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": _FORM, "application/octet-stream": _IMAGE},
    }
}
_REASONS = {
    400: "No image, no form, a file name with folders or marks of HTML, or two statements of the length.",
    401: "Without the token, where one is asked for.",
    403: "From a page of another site.",
    408: "An upload that pauses or takes too long.",
    413: "Too many bytes, pixels or samples.",
    415: "No image that is read.",
    421: "By a name of a host that the server does not know.",
    422: "A damaged image, one that training would refuse, or a parameter that is none.",
    503: "Too many images wait; `Retry-After` says when to come again.",
}


def _describe(*statuses: int) -> dict:
    return {status: {"model": Reason, "description": _REASONS[status]} for status in statuses}


def make_application(service: Service, rules: Rules) -> Guard:
    """Return the server as an ASGI application.

    Args:
        service: What answers.
        rules: Who may ask.
    """
    app = FastAPI(
        title="tlmed serve",
        version=__version__,
        summary="Classes of medical images, by a run of tlmed. Research software: not a medical device.",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    _add_errors(app)
    _add_predict(app, service)
    _add_facts(app, service)
    _add_page(app, service)
    count = _counting(app, service.counters)
    return Guard(count, rules, lambda status: service.counters.requests.labels("refused", status).inc())


def _add_errors(app: FastAPI) -> None:
    def reply(status: int, reason: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"reason": reason}, status, headers)

    @app.exception_handler(Refused)
    async def refuse(request: Request, error: Refused) -> JSONResponse:
        return reply(error.status, error.reason, error.headers)

    @app.exception_handler(HTTPException)
    async def explain_status(request: Request, error: HTTPException) -> JSONResponse:
        return reply(error.status_code, f"{error.detail}.", error.headers)

    @app.exception_handler(RequestValidationError)
    async def explain_parameters(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = (f"`{fault['loc'][-1]}`: {fault['msg']}" for fault in error.errors())
        return reply(422, f"The parameters must be as /openapi.json says. Received: {'; '.join(faults)}.")

    @app.exception_handler(Exception)
    async def admit(request: Request, error: Exception) -> JSONResponse:  # Starlette raises it again, for the log
        return reply(500, "The server failed at this request, and lives; what it printed says where.")

    @app.exception_handler(HungUp)
    async def hang_up(request: Request, error: HungUp) -> Response:
        return Response(status_code=499)  # nobody reads it


def _add_predict(app: FastAPI, service: Service) -> None:
    @app.post(
        "/predict",
        responses=_describe(400, 401, 403, 408, 413, 415, 421, 422, 503),
        openapi_extra=_BODY,
        summary="Classify one image: a form with the field `file`, or the file itself as the body.",
    )
    async def predict(
        request: Request,
        explain: Annotated[bool, Query(description="Also show where the evidence lies, which takes longer.")] = False,
        explain_class: Annotated[str | None, Query(description="Of this class; by default the predicted one.")] = None,
    ) -> PredictionReply:
        return await service.predict(request.headers, request.receive, Asked(explain, explain_class))


def _add_facts(app: FastAPI, service: Service) -> None:
    run = service.run
    model = ModelReply(
        run=run.panel.run.path.resolve().name,
        version=__version__,
        task=run.task,
        classes=list(run.classes),
        engine=run.engine,
        most_bytes=service.limits.bytes,
        most_pixels=run.limits.pixels,
        worth=WorthReply.model_validate(service.worth),
    )

    @app.get("/model", responses=_describe(401, 403, 421), summary="The run that answers, and what answers are worth.")
    async def tell_model() -> ModelReply:
        return model

    @app.get("/health", responses=_describe(403, 421), summary="Whether the server lives.")
    async def tell_health() -> HealthReply:
        return HealthReply(status="ok")

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_describe(401, 403, 421)},
        summary="Numbers for Prometheus.",
    )
    async def tell_numbers() -> Response:
        return Response(service.counters.write(), media_type=CONTENT_TYPE)


def _add_page(app: FastAPI, service: Service) -> None:
    page = open_page(service.run, service.worth, service.limits).encode()

    @app.get("/", include_in_schema=False)
    async def show_page() -> Response:
        service.expect_explanations()  # the page asks for them
        return Response(page, media_type="text/html; charset=utf-8")

    for name, (content, kind) in FILES.items():
        app.add_api_route(f"/{name}", _show(content, kind), include_in_schema=False)


def _show(content: bytes, kind: str) -> Callable:
    async def show() -> Response:
        return Response(content, media_type=kind)

    return show


def _counting(app: FastAPI, counters: Counters) -> Callable:
    """Return the application, with each answer counted by path and status."""
    paths = {route.path for route in app.routes}

    async def count(scope, receive, send):
        async def send_counted(message):
            if message["type"] == "http.response.start":
                path = scope["path"] if scope["path"] in paths else "other"
                counters.requests.labels(path, message["status"]).inc()
            await send(message)

        await app(scope, receive, send_counted if scope["type"] == "http" else send)

    return count
