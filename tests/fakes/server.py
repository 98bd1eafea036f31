"""The listening engine: routes, the running batch, and the faults that answers have."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
import uuid
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any
from typing import Final

from tests.fakes import text
from tests.fakes.answers import Answer
from tests.fakes.answers import plan_answer
from tests.fakes.bodies import Reply
from tests.fakes.bodies import model_list
from tests.fakes.metrics import Metrics
from tests.fakes.metrics import RequestTimes
from tests.fakes.question import ApiError
from tests.fakes.question import Prompt
from tests.fakes.question import check_sampling
from tests.fakes.question import logprob_count
from tests.fakes.question import parse_body
from tests.fakes.question import read_prompts
from tests.fakes.scenario import Scenario
from tests.fakes.skills import adorn
from tests.fakes.skills import check_wishes
from tests.fakes.skills import embed
from tests.fakes.skills import transcribe
from tests.fakes.startup import Command
from tests.fakes.startup import die
from tests.fakes.vllm_log import log
from tests.fakes.wire import Connection
from tests.fakes.wire import CutError
from tests.fakes.wire import Request

GONE_POLL_S: Final = 0.05
STATISTICS_PERIOD_S: Final = 10.0
ROUTES: Final = {
    "/health": "GET",
    "/version": "GET",
    "/metrics": "GET",
    "/v1/models": "GET",
    "/v1/completions": "POST",
    "/v1/chat/completions": "POST",
    "/v1/embeddings": "POST",
    "/v1/audio/transcriptions": "POST",
    "/tokenize": "POST",
    "/detokenize": "POST",
    "/tokenizer_info": "GET",
    "/fake/requests": "GET",
}


class FakeEngine:
    """A listening engine: answers requests the way its scenario says."""

    def __init__(self, command: Command, scenario: Scenario) -> None:
        self._command = command
        self._scenario = scenario
        self._stored = text.load_answers(scenario.answers_file)
        self._slots = asyncio.Semaphore(scenario.slots)
        self._metrics = Metrics(command.served_name, scenario.kv_cache_tokens)
        self._generations = 0

    async def handle_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection until either side ends it."""
        connection = Connection(reader, writer)
        try:
            while (request := await connection.read_request()) is not None:
                await self._answer(connection, request)
        except CutError:
            pass  # the client has gone, or the scenario wants it cut off
        finally:
            await connection.close()

    async def log_statistics(self) -> None:
        """Print vLLM's throughput line every ten seconds, as long as something happens."""
        seen = (0, 0)
        while True:
            await asyncio.sleep(STATISTICS_PERIOD_S)
            now = (self._metrics.prompt_tokens, self._metrics.generation_tokens)
            if now != seen:
                rates = [(b - a) / STATISTICS_PERIOD_S for a, b in zip(seen, now, strict=True)]
                log("APIServer", "loggers.py:335", self._metrics.render_log(*rates))
            seen = now

    async def _answer(self, connection: Connection, request: Request) -> None:
        if request.path.startswith(("/v1", "/v2")) and not self._is_authorised(request):
            await connection.send_json(401, {"error": "Unauthorized"})
        elif request.path not in ROUTES or self._is_closed(request.path):
            await connection.send_json(404, {"detail": "Not Found"})
        elif ROUTES[request.path] != request.method:
            await connection.send_json(405, {"detail": "Method Not Allowed"})
        elif request.method == "GET":
            await self._answer_get(connection, request.path)
        else:
            try:
                await self._answer_post(connection, request)
            except ApiError as error:
                await connection.send_json(error.status, error.body)

    def _is_closed(self, path: str) -> bool:
        """Tell whether the model is none for a route, or a flag that opens it is missing."""
        skills = self._scenario.skills
        if path == "/tokenizer_info":
            return "--enable-tokenizer-info-endpoint" not in self._command.arguments
        if path == "/v1/embeddings":
            return "embeddings" not in skills
        return path == "/v1/audio/transcriptions" and "audio-in" not in skills

    def _is_authorised(self, request: Request) -> bool:
        if self._command.api_key is None:
            return True
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            key.encode(), self._command.api_key.encode()
        )

    async def _answer_get(self, connection: Connection, path: str) -> None:
        if path == "/health":
            await connection.send(self._scenario.health_status)
        elif path == "/metrics":
            kind = "text/plain; version=0.0.4; charset=utf-8"
            await connection.send(200, self._metrics.render().encode(), kind)
        elif path == "/version":
            await connection.send_json(200, {"version": self._scenario.version})
        elif path == "/fake/requests":
            await connection.send_json(200, self._metrics.dump_times())
        elif path == "/tokenizer_info":
            await connection.send_json(200, {"tokenizer_class": "Fake", "eos_token": " ba"})
        else:
            await connection.send_json(200, model_list(self._command))

    async def _answer_post(self, connection: Connection, request: Request) -> None:
        if request.path == "/v1/audio/transcriptions":
            await connection.send_json(200, transcribe(request.body))
            return
        body = parse_body(request)
        self._check_model(body)
        if request.path == "/v1/embeddings":
            answer = embed(body, self._scenario, self._command.served_name)
            await connection.send_json(200, answer)
            return
        if request.path == "/tokenize":
            chat = "messages" in body
            ids = read_prompts(body, chat=chat)[0][0]
            limit = self._command.max_model_len
            answer = {"count": len(ids), "max_model_len": limit, "tokens": ids, "token_strs": None}
            await connection.send_json(200, answer)
        elif request.path == "/detokenize":
            await connection.send_json(200, {"prompt": text.decode(body.get("tokens", []))})
        else:
            await self._generate(connection, body, chat=request.path.endswith("chat/completions"))

    def _check_model(self, body: dict[str, Any]) -> None:
        name = body.get("model")
        served = self._command.served_name
        if name and name != served:
            message = f"The model `{name}` does not exist. Valid aliases: {served}."
            raise ApiError(404, message, "NotFoundError", "model")

    async def _generate(self, connection: Connection, body: dict[str, Any], *, chat: bool) -> None:
        self._play_request_faults()
        check_sampling(body)
        check_wishes(body, self._scenario, self._command.served_name)
        answers = [
            plan_answer(
                body,
                prompt,
                chat=chat,
                max_model_len=self._command.max_model_len,
                scenario=self._scenario,
                stored=self._stored,
            )
            for prompt in self._confused(read_prompts(body, chat=chat))
        ]
        reply = Reply(
            id=f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex[:16]}",
            created=int(time.time()),
            model=self._command.served_name,
            fingerprint=f"vllm-{self._scenario.version}-fa4e0000",
            chat=chat,
            logprobs=logprob_count(body),
            usage_error_tokens=self._scenario.usage_error_tokens,
        )
        async with self._slot(answers) as times:
            if body.get("stream"):
                usage = bool((body.get("stream_options") or {}).get("include_usage"))
                await self._stream(connection, reply, answers, times, include_usage=usage)
            else:
                async for _ in self._steps(connection, answers, times):
                    pass
                whole = reply.whole(answers)
                adorn(whole, body, answers, self._scenario)
                await connection.send_json(200, whole)

    def _confused(self, prompts: list[Prompt]) -> list[Prompt]:
        """Return what the engine takes for the prompts: others, if it mixes up a busy batch."""
        if "crosstalk" in self._scenario.lies and self._metrics.running:
            return [prompt._replace(ids=prompt.ids[::-1]) for prompt in prompts]
        return prompts

    def _play_request_faults(self) -> None:
        self._generations += 1
        scenario = self._scenario
        limit = scenario.die_after_requests
        if limit is not None and self._generations > limit:
            die(scenario)
        if scenario.error_every and self._generations % scenario.error_every == 0:
            status = HTTPStatus(scenario.error_status)
            raise ApiError(status, f"fault injected: {status.phrase}", status.phrase)

    @contextlib.asynccontextmanager
    async def _slot(self, answers: list[Answer]) -> AsyncIterator[RequestTimes]:
        """Hold a place in the running batch; the counters follow."""
        metrics = self._metrics
        times = RequestTimes(received_s=time.monotonic())
        metrics.times.append(times)
        metrics.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            metrics.waiting -= 1
        tokens = sum(len(answer.prompt_ids) + len(answer.ids) for answer in answers)
        metrics.running += 1
        metrics.kv_tokens += tokens
        metrics.prompt_tokens += sum(len(answer.prompt_ids) for answer in answers)
        times.ended = "abort"
        try:
            yield times
            times.ended = answers[0].finish_reason
        finally:
            metrics.finished[times.ended] += 1
            if times.ended != "abort" or not self._scenario.leak_slots:
                metrics.running -= 1
                metrics.kv_tokens -= tokens
                self._slots.release()

    async def _stream(
        self,
        connection: Connection,
        reply: Reply,
        answers: list[Answer],
        times: RequestTimes,
        *,
        include_usage: bool,
    ) -> None:
        await connection.start_events()
        opened = False
        async for step in self._steps(connection, answers, times):
            if not opened and reply.chat:
                await connection.send_event(reply.opening_chunk())
            opened = True
            if step == self._scenario.malformed_after_tokens:
                await connection.send_event(b'{"id":"cmpl-broken","choices":[{"ind')
            for index, answer in enumerate(answers):
                if step < len(answer.ids):
                    muted = self._scenario.drop_stream_text and step == len(answer.ids) - 1
                    chunk = reply.chunk(answer, index, step, muted=muted, closing=not include_usage)
                    await connection.send_event(chunk)
        if include_usage:
            await connection.send_event(reply.usage_chunk(answers))
        await connection.end_events()

    async def _steps(
        self, connection: Connection, answers: list[Answer], times: RequestTimes
    ) -> AsyncIterator[int]:
        """Yield each decoding step at its own deadline, so that lateness never adds up."""
        scenario = self._scenario
        started_s = time.monotonic()
        last = max(len(answer.ids) for answer in answers)
        for step in range(last + 1):
            if step == scenario.cut_after_tokens:
                raise CutError
            if step == scenario.stall_after_tokens:
                await _sleep_until(float("inf"), connection)
            if step < last:
                due_s = started_s + scenario.ttft_s + step * scenario.itl_s
                await _sleep_until(due_s, connection)
                times.add_token(time.monotonic())
                self._metrics.generation_tokens += sum(step < len(a.ids) for a in answers)
                yield step


async def _sleep_until(due_s: float, connection: Connection) -> None:
    """Wait for a moment of the monotonic clock.

    Raises:
        CutError: the client went away meanwhile.
    """
    # Polled: a stream reader tells that its peer has gone by a flag alone.
    while (left_s := due_s - time.monotonic()) > 0 and not connection.is_gone:  # noqa: ASYNC110
        await asyncio.sleep(min(left_s, GONE_POLL_S))
    await asyncio.sleep(0)
    if connection.is_gone:
        raise CutError
