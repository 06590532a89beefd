"""The routes of the server.

Here: `make_application`, and a handler for each route.
Not here: who may call (`server.access`), what a body means (`server.bodies`), how a reply looks
(`server.replies`).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from blendin_local._version import __version__
from blendin_local.decode.inference_thread import Work
from blendin_local.decode.request import PreparedRequest
from blendin_local.errors import BlendinError, UnforeseenError
from blendin_local.grammar.definition import definition_of
from blendin_local.pair.prompt_length import require_room
from blendin_local.pair.raw_text import text_request
from blendin_local.server.access import Access, AccessPolicy, Application
from blendin_local.server.bodies import ChatBody, TextBody, chat_body, model_name, read_json, text_body
from blendin_local.server.counts import metrics_text
from blendin_local.server.echo import EchoJob, echo_choice, scoring_role
from blendin_local.server.failures import HttpError, failure
from blendin_local.server.page import RECORD_HEADERS, page_routes
from blendin_local.server.pair_facts import identity_json, pair_json, prompts_json
from blendin_local.server.recorded import lines, prepare, recorded_body, start_line
from blendin_local.server.replies import Choice, Reply, model_object
from blendin_local.server.service import Answer, Service, require_form_of, with_seed
from blendin_local.server.streaming import ChatChunks, TextChunks, collect, stream
from blendin_local.server.texts import detokenize, detokenize_reply, ids_of, tokenize, tokenizer_info
from blendin_local.server.what_if import answer_json, answer_page, decide_again

Handler = Callable[[Request], Awaitable[Response]]
GONE = 499  # nginx's status for a client that did not wait
ROLES = ("base", "guide")
"""Below `/base` and `/guide` are the same routes for one model: clients that ask for tokens name none."""
NO_STORE = {"cache-control": "no-store"}


def make_application(
    service: Service, policy: AccessPolicy, on_prompt: Callable[[str], None] = lambda _: None
) -> Application:
    """The ASGI application of a server.

    Args:
        service: The pair that answers.
        policy: Who may call.
        on_prompt: Called with the last message of each request; the default keeps no prompt.
    """
    handlers = Handlers(service, on_prompt)
    routes = _routes(handlers)
    mounts = [Mount(f"/{role}", routes=_routes(handlers)) for role in ROLES]
    application = Starlette(
        routes=[*routes, *mounts, *page_routes()],
        exception_handlers={
            BlendinError: _failed,
            ClientDisconnect: _gone,
            HTTPException: _no_such_route,
            Exception: _unforeseen,
        },
    )
    return Access(application, policy)


def _routes(handlers: Handlers) -> list[Route]:
    return [
        Route("/v1/chat/completions", handlers.chat, methods=["POST"]),
        Route("/v1/completions", handlers.text, methods=["POST"]),
        Route("/v1/models", handlers.models),
        Route("/v1/models/{id:path}", handlers.model),
        Route("/v1/replay", handlers.replay, methods=["POST"]),
        Route("/v1/answers", handlers.recorded, methods=["POST"]),
        Route("/v1/prompts", handlers.prompts, methods=["POST"]),
        Route("/v1/pair", handlers.pair),
        Route("/v1/identity", handlers.identity),
        Route("/v1/answers/{id}/cancel", handlers.cancel, methods=["POST"]),
        Route("/v1/answers/{id:path}/html", handlers.answer_page),
        Route("/v1/answers/{id:path}", handlers.answer),
        Route("/metrics", handlers.metrics),
        *(
            Route(f"{prefix}/{name}", handler, methods=methods)
            for prefix in ("", "/v1")
            for name, handler, methods in (
                ("health", handlers.health, ["GET"]),
                ("tokenize", handlers.tokenize, ["POST"]),
                ("detokenize", handlers.detokenize, ["POST"]),
                ("tokenizer_info", handlers.tokenizer_info, ["GET"]),
            )
        ),
    ]


@dataclass(frozen=True)
class Handlers:
    """A handler for each route.

    Attributes:
        service: The pair that answers.
        on_prompt: Called with the last message of each request.
    """

    service: Service
    on_prompt: Callable[[str], None]

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        service = self.service
        body = chat_body(await self._values(request), service.defaults, service.name)
        self.on_prompt(body.messages[-1].text)
        prepared = await asyncio.to_thread(service.prepare, body)
        reply = _reply("chatcmpl", body)
        answers = service.submit(prepared)

        def keep(choices: Sequence[Choice]) -> None:
            if body.common.keep:
                for choice in choices:
                    if choice.completion is not None:
                        service.kept.add(_choice_id(reply.id, choice.index), choice.completion, body.messages)

        if body.common.stream:
            usage = body.common.include_usage
            return _streaming(stream(answers, ChatChunks(reply), include_usage=usage, on_end=keep))
        choices = await _until_disconnect(request, answers)
        keep(choices)
        return JSONResponse(reply.chat(choices), headers=NO_STORE)

    async def text(self, request: Request) -> Response:
        """`POST /v1/completions`."""
        service = self.service
        body = text_body(await self._values(request), service.defaults, service.name)
        if body.echo:
            return await self._echo(request, body)
        prepared = await asyncio.to_thread(self._text_requests, body)
        reply = _reply("cmpl", body)
        answers = service.submit(prepared)
        if body.common.stream:
            usage = body.common.include_usage
            return _streaming(stream(answers, TextChunks(reply), include_usage=usage))
        choices = await _until_disconnect(request, answers)
        return JSONResponse(
            reply.text([reply.text_choice(choice) for choice in choices], choices), headers=NO_STORE
        )

    def _text_requests(self, body: TextBody) -> list[PreparedRequest]:
        """A request for each prompt and choice, in the order of their indices."""
        pair, settings = self.service.pair, body.common.settings
        require_form_of(body.common)
        texts = [
            each if isinstance(each, str) else detokenize(pair, settings.blend.method, each)
            for each in body.prompts
        ]
        requests = [
            text_request(pair, text, with_seed(settings, i)) for text in texts for i in range(body.common.n)
        ]
        for request in requests[:: body.common.n]:
            require_room(pair, request.prompts)
        return requests

    async def _echo(self, request: Request, body: TextBody) -> Response:
        """Completions that send the prompt back."""
        method = body.common.settings.blend.method
        role = scoring_role(method, body.common.model)
        has_form = bool(body.common.form_field) and definition_of(body.common.settings.answer) is not None
        if body.max_tokens > 1 or body.common.n > 1 or body.common.stream or has_form:
            raise HttpError(
                400,
                "echo gives one answer of at most one new token, not streamed and of any form",
                "send max_tokens: 1 or 0",
                code="unsupported_field",
                param="echo",
            )
        pair = self.service.pair
        vocabulary = pair.vocabulary(role)
        jobs = [
            EchoJob(role, ids, body.common.top_logprobs or 0, vocabulary)
            for ids in await asyncio.to_thread(lambda: [ids_of(pair, role, each) for each in body.prompts])
        ]
        answers = self.service.submit([_as_work(job) for job in jobs])
        await _until_disconnect(request, answers, _wait_all)
        with_logprobs = body.common.top_logprobs is not None
        choices = [
            echo_choice(i, job.scores, body.max_tokens, vocabulary, with_logprobs)
            for i, job in enumerate(jobs)
        ]
        n_prompt = sum(len(job.scores) - 1 for job in jobs)
        usage = {
            "prompt_tokens": n_prompt,
            "completion_tokens": body.max_tokens * len(jobs),
            "total_tokens": n_prompt + body.max_tokens * len(jobs),
        }
        whole = _reply("cmpl", body).text(choices, [])
        return JSONResponse(whole | {"usage": usage}, headers=NO_STORE)

    async def replay(self, request: Request) -> Response:
        """`POST /v1/replay`: what other settings would have done to an answer that is kept."""
        values = await self._values(request)
        decided = await asyncio.to_thread(decide_again, self.service, values)
        return JSONResponse(decided, headers=NO_STORE)

    async def answer(self, request: Request) -> Response:
        """`GET /v1/answers/ID`: the record of an answer that is kept."""
        record = await asyncio.to_thread(answer_json, self.service, request.path_params["id"])
        return JSONResponse(record, headers=NO_STORE)

    async def answer_page(self, request: Request) -> Response:
        """`GET /v1/answers/ID/html`: a page of its own for an answer that is kept."""
        page = await asyncio.to_thread(answer_page, self.service, request.path_params["id"])
        return HTMLResponse(page, headers=NO_STORE | RECORD_HEADERS)

    async def recorded(self, request: Request) -> Response:
        """`POST /v1/answers`: an answer with its whole record."""
        service = self.service
        body = recorded_body(await self._values(request), service)
        self.on_prompt(body.messages[-1].text)
        prepared, prompts = await asyncio.to_thread(prepare, service, body)
        [answer] = service.submit([prepared])
        answer.shows_start = True
        answer_id = f"answer-{uuid.uuid4().hex}"
        service.running[answer_id] = answer
        first = start_line(answer_id, body, prompts, prepared, service)
        return StreamingResponse(lines(first, answer), media_type="application/x-ndjson", headers=NO_STORE)

    async def cancel(self, request: Request) -> Response:
        """`POST /v1/answers/ID/cancel`: the answer ends as it is; one that has ended stays as it is."""
        answer = self.service.running.get(request.path_params["id"])
        if answer is not None:
            answer.cancel()
        return JSONResponse({})

    async def prompts(self, request: Request) -> Response:
        """`POST /v1/prompts`: the rendered prompts of a conversation."""
        values = await self._values(request)
        return JSONResponse(await asyncio.to_thread(prompts_json, self.service, values), headers=NO_STORE)

    async def pair(self, _: Request) -> Response:
        """`GET /v1/pair`: the pair, for `blendin chat`."""
        return JSONResponse(pair_json(self.service), headers=NO_STORE)

    async def identity(self, request: Request) -> Response:
        """`GET /v1/identity`: proof that this is the server that announced itself."""
        return JSONResponse(identity_json(self.service, request.query_params.get("nonce", "")))

    async def models(self, _: Request) -> Response:
        """`GET /v1/models`."""
        objects = [model_object(self.service, name) for name in self.service.models]
        return JSONResponse({"object": "list", "data": objects})

    async def model(self, request: Request) -> Response:
        """`GET /v1/models/NAME`."""
        name = model_name(request.path_params["id"], self.service.name)
        return JSONResponse(model_object(self.service, name.id))

    async def health(self, _: Request) -> Response:
        """`GET /health`."""
        if not self.service.thread.alive:
            raise HttpError(503, "the server is stopping", code="stopped")
        return JSONResponse({"status": "ok", "model": self.service.name, "version": __version__})

    async def metrics(self, _: Request) -> Response:
        """`GET /metrics`."""
        text = metrics_text(self.service.counts, self.service.thread.load)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def tokenize(self, request: Request) -> Response:
        """`POST /tokenize`."""
        values = await self._values(request)
        return JSONResponse(await asyncio.to_thread(tokenize, self.service.pair, self.service.name, values))

    async def detokenize(self, request: Request) -> Response:
        """`POST /detokenize`."""
        values = await self._values(request)
        return JSONResponse(detokenize_reply(self.service.pair, self.service.name, values))

    async def tokenizer_info(self, request: Request) -> Response:
        """`GET /tokenizer_info`."""
        model = request.query_params.get("model") or self._model_of_path(request) or None
        return JSONResponse(tokenizer_info(self.service.pair, self.service.name, model))

    async def _values(self, request: Request) -> Mapping[str, Any]:
        """The body, with the model that the path names if the body names none."""
        values = read_json(await request.body())
        named = self._model_of_path(request)
        return {"model": named, **values} if named else values

    def _model_of_path(self, request: Request) -> str:
        """`NAME:base` below `/base`, `NAME:guide` below `/guide`, else empty."""
        role = request.scope.get("root_path", "").strip("/")
        return f"{self.service.name}:{role}" if role in ROLES else ""


def _as_work(job: EchoJob) -> Work:
    return job


def _reply(prefix: str, body: ChatBody | TextBody) -> Reply:
    return Reply(
        f"{prefix}-{uuid.uuid4().hex}",
        int(time.time()),
        body.common.model,
        body.common.top_logprobs,
        body.common.candidates,
    )


def _choice_id(reply_id: str, index: int) -> str:
    """The id under which an answer is kept: that of the reply, with the number of a further choice."""
    return f"{reply_id}/{index}" if index else reply_id


def _streaming(frames: Any) -> StreamingResponse:  # noqa: ANN401 - an async iterator of bytes
    return StreamingResponse(
        frames, media_type="text/event-stream", headers={**NO_STORE, "x-accel-buffering": "no"}
    )


async def _wait_all(answers: Sequence[Answer]) -> list[Choice]:
    try:
        await asyncio.gather(*(answer.wait() for answer in answers))
    finally:
        for answer in answers:
            answer.cancel()
    return []


async def _until_disconnect(
    request: Request,
    answers: Sequence[Answer],
    wait: Callable[[Sequence[Answer]], Awaitable[list[Choice]]] = collect,
) -> list[Choice]:
    """Wait for answers; a client that goes away cancels them."""
    work = asyncio.ensure_future(wait(answers))
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise HttpError(GONE, "the client has gone", code="client_gone")
        return work.result()
    finally:
        work.cancel()
        gone.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, BlendinError), "registered for these"
    failed = failure(error)
    return JSONResponse(failed.body, failed.status, failed.headers)


async def _gone(_: Request, error: Exception) -> Response:
    """The client broke off in the middle of its request: nobody reads this."""
    del error
    return Response(status_code=GONE)


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these"
    message = f"{request.method} {request.url.path}: {error.detail.lower()}"
    hint = "see docs/serve.md for the routes"
    failed = failure(HttpError(error.status_code, message, hint, code="no_such_route"))
    return JSONResponse(failed.body, error.status_code, error.headers)


async def _unforeseen(_: Request, error: Exception) -> Response:
    failed = failure(UnforeseenError(error, "please report it"))
    return JSONResponse(failed.body, failed.status)
