"""The fault-injecting engine, over its real command line, log and sockets.

The shapes asserted here are those of vLLM 0.32.0's own server, asked the same questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from openai import BadRequestError
from openai import NotFoundError
from openai import OpenAI

from tests.fakes.asking import complete
from tests.fakes.asking import gauge
from tests.fakes.asking import open_client
from tests.fakes.asking import post
from tests.fakes.asking import wait_for_gauge
from tests.fakes.process import FakeEngineProcess
from tests.fakes.scenario import ScenarioError
from tests.fakes.scenario import parse_scenario

CONTEXT = 128
MESSAGES: list[Any] = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with FakeEngineProcess(args=["--max-model-len", str(CONTEXT), "--dtype=bfloat16"]) as process:
        yield process


@pytest.fixture(scope="module")
def client(engine: FakeEngineProcess) -> Iterator[OpenAI]:
    with open_client(engine) as made:
        yield made


class TestHealthy:
    def test_log_has_vllms_phases_in_order(self, engine: FakeEngineProcess) -> None:
        """The log shows the milestones of vLLM's start-up, in vLLM's order and form."""
        milestones = [
            "Resolved architecture: ",
            "Initializing a V1 LLM engine (v0.32.0) with config: model='fake'",
            "Starting to load model fake...",
            "Loading weights took ",
            "KV cache size: 65,536 tokens, Maximum concurrency for 128 tokens per request: 512.00x",
            "init engine (profile, create kv cache, warmup model) took ",
            "Starting vLLM server on http://127.0.0.1:",
            "Application startup complete.",
        ]
        positions = [engine.log.find(item) for item in milestones]

        assert -1 not in positions
        assert positions == sorted(positions)

    def test_key_is_required_under_v1_alone(self, engine: FakeEngineProcess) -> None:
        """/v1 wants the key; /health, /version and /metrics do not."""
        refused = httpx.get(f"{engine.base_url}/v1/models")

        assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})
        assert httpx.get(f"{engine.base_url}/health").status_code == 200
        assert httpx.get(f"{engine.base_url}/version").json() == {"version": "0.32.0"}

    def test_models_name_the_context(self, client: OpenAI) -> None:
        """The model list has the served name and its context length."""
        (card,) = client.models.list().data

        assert card.id == "fake"
        assert card.model_dump()["max_model_len"] == CONTEXT

    def test_completion_has_vllms_fields(self, engine: FakeEngineProcess) -> None:
        """A completion has the fields that vLLM writes, in its order."""
        body = post(engine, "/v1/completions", {"prompt": "ba", "max_tokens": 2}).json()

        assert " ".join(body) == (
            "id object created model choices service_tier system_fingerprint usage "
            "kv_transfer_params ec_transfer_params metrics"
        )
        assert " ".join(body["choices"][0]) == (
            "index text logprobs finish_reason stop_reason token_ids prompt_logprobs "
            "prompt_token_ids routed_experts"
        )

    def test_chat_has_vllms_fields(self, engine: FakeEngineProcess) -> None:
        """A chat answer has the fields that vLLM writes, in its order."""
        body = post(engine, "/v1/chat/completions", {"messages": MESSAGES}).json()

        assert " ".join(body["choices"][0]) == (
            "index message logprobs finish_reason stop_reason token_ids routed_experts"
        )
        assert " ".join(body["choices"][0]["message"]) == (
            "role content refusal annotations audio function_call reasoning"
        )

    def test_stream_joins_to_the_whole(self, client: OpenAI) -> None:
        """A completion's stream is its text, then usage alone."""
        whole = complete(client)
        chunks = list(
            client.completions.create(
                model="fake",
                prompt="ba be",
                max_tokens=8,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
        )

        assert "".join(c.choices[0].text for c in chunks[:-1]) == whole.choices[0].text
        assert len(chunks) == 8 + 1
        assert chunks[-1].choices == []
        assert chunks[-1].usage == whole.usage.model_copy(  # type: ignore[union-attr]
            update={"prompt_tokens_details": None, "completion_tokens_details": None}
        )

    def test_chat_stream_begins_with_the_role(self, client: OpenAI) -> None:
        """A chat's stream names the role, then joins to the whole answer."""
        options: dict[str, Any] = {"model": "fake", "messages": MESSAGES, "temperature": 0}
        whole = client.chat.completions.create(**options)
        chunks = list(client.chat.completions.create(**options, stream=True))
        deltas = [chunk.choices[0].delta for chunk in chunks]

        assert (deltas[0].role, deltas[0].content) == ("assistant", "")
        assert "".join(d.content or "" for d in deltas) == whole.choices[0].message.content
        assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason

    def test_greedy_and_seeded_requests_repeat(self, client: OpenAI) -> None:
        """Greedy and seeded text repeats, unseeded sampling does not, seeds differ."""

        def ask(**options: Any) -> str:
            return complete(client, **options).choices[0].text

        assert ask() == ask()
        assert ask(temperature=1, seed=1) == ask(temperature=1, seed=1)
        assert ask(temperature=1, seed=1) != ask(temperature=1, seed=2)
        assert ask(temperature=1) != ask(temperature=1)

    def test_stop_string_ends_the_text(self, client: OpenAI) -> None:
        """The text ends before a stop string, which the answer names."""
        whole = complete(client).choices[0].text
        stop = whole[7:10]
        choice = complete(client, stop=[stop, "never"]).choices[0]

        assert choice.text == whole[: whole.find(stop)]
        assert (choice.finish_reason, choice.model_dump()["stop_reason"]) == ("stop", stop)

    def test_usage_counts_tokens(self, client: OpenAI) -> None:
        """Known words are one token each; output stops at max_tokens."""
        answer = complete(client, " ba" * 20, max_tokens=5)

        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (20, 5)
        assert answer.choices[0].finish_reason == "length"

    def test_natural_end_is_a_stop(self) -> None:
        """Without a limit in the way an answer ends by itself; ignore_eos goes on."""
        with FakeEngineProcess(scenario={"itl_s": 0}) as engine, open_client(engine) as client:
            ended = complete(client, max_tokens=400)
            endless = complete(client, max_tokens=400, extra_body={"ignore_eos": True})

        assert ended.choices[0].finish_reason == "stop"
        assert endless.usage is not None
        assert endless.usage.completion_tokens == 400

    def test_unicode_survives_an_echo(self, client: OpenAI) -> None:
        """Echo returns the prompt as it was, in a stream too."""
        prompt = "Ärger 🤖 日本"
        whole = complete(client, prompt, echo=True).choices[0].text
        stream = client.completions.create(
            model="fake", prompt=prompt, max_tokens=8, temperature=0, echo=True, stream=True
        )

        assert whole.startswith(prompt)
        assert "".join(chunk.choices[0].text for chunk in stream) == whole

    def test_logprobs_cover_every_token(self, client: OpenAI) -> None:
        """Tokens join to the text; an echoed prompt's first token has no logprob."""
        choice = complete(client, " ba be", max_tokens=3, logprobs=2, echo=True).choices[0]
        logprobs = choice.logprobs

        assert logprobs is not None
        assert "".join(logprobs.tokens or []) == choice.text
        assert logprobs.text_offset == [0, 3, 6, *(logprobs.text_offset or [])[3:]]
        assert [value is None for value in logprobs.token_logprobs or []] == [True] + [False] * 4
        assert [len(top or {}) for top in logprobs.top_logprobs or []] == [0, 2, 2, 2, 2]

    def test_chat_logprobs_join_to_the_text(self, client: OpenAI) -> None:
        """A chat's logprobs name each token, its bytes and the alternatives asked for."""
        answer = client.chat.completions.create(
            model="fake", messages=MESSAGES, max_tokens=3, logprobs=True, top_logprobs=2
        )
        logprobs = answer.choices[0].logprobs

        assert logprobs is not None
        content = logprobs.content or []
        assert "".join(item.token for item in content) == answer.choices[0].message.content
        assert [len(item.top_logprobs) for item in content] == [2, 2, 2]

    def test_eight_at_once_equal_one_by_one(self, client: OpenAI) -> None:
        """Concurrent answers are the same as separate ones."""
        prompts = [f"prompt {index}" for index in range(8)]

        def ask(prompt: str) -> str:
            return complete(client, prompt).choices[0].text

        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(ask, prompts))

        assert together == [ask(prompt) for prompt in prompts]

    def test_list_of_prompts_has_a_choice_each(self, client: OpenAI) -> None:
        """A batch in one request is answered in order."""
        batch = client.completions.create(
            model="fake", prompt=["ba", "be"], max_tokens=4, temperature=0
        )

        assert [c.index for c in batch.choices] == [0, 1]
        assert batch.choices[1].text == complete(client, "be", max_tokens=4).choices[0].text

    def test_tokenizer_round_trips(self, engine: FakeEngineProcess) -> None:
        """Tokens of a text give the text back."""
        prompt = "Hello ba bebe 🤖"
        counted = post(engine, "/tokenize", {"prompt": prompt}).json()
        back = post(engine, "/detokenize", {"tokens": counted["tokens"]}).json()

        assert back == {"prompt": prompt}
        assert counted["count"] == len(counted["tokens"])
        assert counted["max_model_len"] == CONTEXT

    def test_prompt_may_fill_all_but_one_of_the_context(self, client: OpenAI) -> None:
        """The longest prompt leaves room for one token."""
        answer = complete(client, [70] * (CONTEXT - 1))

        assert answer.usage is not None
        assert answer.usage.total_tokens == CONTEXT

    @pytest.mark.parametrize(
        ("prompt", "message"),
        [
            pytest.param([70] * CONTEXT, "max_tokens must be at least 1, got 0.", id="no-room"),
            pytest.param(
                [70] * 200,
                "maximum context length is 128 tokens. However, your prompt contains 200 input",
                id="tokens",
            ),
            pytest.param(" ba" * 200, "your prompt contains at least 129 input", id="text"),
        ],
    )
    def test_prompt_beyond_the_context_is_refused(
        self, client: OpenAI, prompt: str | list[int], message: str
    ) -> None:
        """A prompt beyond the context is a 400 in vLLM's words."""
        with pytest.raises(BadRequestError, match=message):
            complete(client, prompt)

    def test_unknown_model_is_not_found(self, client: OpenAI) -> None:
        """Another model's name is a 404 in OpenAI's form."""
        with pytest.raises(NotFoundError, match="The model `other` does not exist") as caught:
            client.completions.create(model="other", prompt="ba")

        assert caught.value.body == {
            "message": "The model `other` does not exist. Valid aliases: fake.",
            "type": "NotFoundError",
            "param": "model",
            "code": 404,
        }

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            pytest.param({"prompt": "ba", "max_tokens": "many"}, "body.max_tokens", id="type"),
            pytest.param({"prompt": "ba", "temperature": -1}, "temperature", id="temperature"),
            pytest.param({"prompt": "ba", "logprobs": 50}, "logprobs", id="logprobs"),
            pytest.param({"prompt": "ba", "max_tokens": 129}, "max_tokens", id="max-tokens"),
            pytest.param({}, "prompt", id="no-prompt"),
        ],
    )
    def test_bad_parameter_is_named(
        self, engine: FakeEngineProcess, body: dict[str, Any], param: str
    ) -> None:
        """A parameter out of range is a 400 that names it."""
        answer = post(engine, "/v1/completions", body)

        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param

    def test_broken_json_is_a_bad_request(self, engine: FakeEngineProcess) -> None:
        """A body that is not JSON is a 400 that says where."""
        headers = {
            "Authorization": f"Bearer {engine.api_key}",
            "Content-Type": "application/json",
        }
        url = f"{engine.base_url}/v1/completions"
        answer = httpx.post(url, content=b"{nope", headers=headers)

        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "body.1"

    def test_sigterm_is_an_orderly_end(self) -> None:
        """SIGTERM ends it with exit code 0 and uvicorn's last words."""
        with FakeEngineProcess() as engine:
            engine.terminate()

            assert engine.wait() == 0
            assert "Application shutdown complete." in engine.log


class TestSlots:
    def test_cancelled_stream_frees_its_slot(self) -> None:
        """A client that leaves in mid-stream leaves nothing running."""
        with FakeEngineProcess(scenario={"itl_s": 0.05}) as engine, open_client(engine) as client:
            stream = client.completions.create(
                model="fake", prompt="ba", max_tokens=500, stream=True
            )
            next(iter(stream))
            running = gauge(engine, "num_requests_running")
            stream.close()

            assert running == 1
            assert wait_for_gauge(engine, "num_requests_running", 0) == 0
            assert wait_for_gauge(engine, "kv_cache_usage_perc", 0) == 0

    def test_leaked_slot_stays_taken(self) -> None:
        """With leak_slots a cancelled request runs on for ever."""
        scenario = {"itl_s": 0.02, "leak_slots": True}
        with FakeEngineProcess(scenario=scenario) as engine, open_client(engine) as client:
            stream = client.completions.create(
                model="fake", prompt="ba", max_tokens=500, stream=True
            )
            next(iter(stream))
            stream.close()
            complete(client)

            assert gauge(engine, "num_requests_running") == 1

    def test_requests_beyond_the_slots_wait(self) -> None:
        """With one slot a second request waits and is counted as waiting."""
        scenario = {"slots": 1, "stall_after_tokens": 1}
        with FakeEngineProcess(scenario=scenario) as engine, open_client(engine) as client:
            stream = client.completions.create(model="fake", prompt="ba", stream=True)
            with ThreadPoolExecutor(1) as pool:
                body = {"prompt": "ba"}
                pending = pool.submit(post, engine, "/v1/completions", body, timeout=1)
                waiting = wait_for_gauge(engine, "num_requests_waiting", 1)
                error = pending.exception()
            stream.close()

            assert waiting == 1
            assert isinstance(error, httpx.ReadTimeout)
            assert wait_for_gauge(engine, "num_requests_running", 0) == 0


class TestScenario:
    def test_blank_is_healthy(self) -> None:
        """No text at all is a scenario without faults."""
        assert parse_scenario("") == parse_scenario("{}")

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            pytest.param("[1]", "expected a JSON object", id="list"),
            pytest.param("{", "expected a JSON object", id="broken"),
            pytest.param('{"hang": "boot"}', "scenario key 'hang'", id="key"),
            pytest.param('{"hang_at": "lunch"}', "hang_at 'lunch'", id="phase"),
            pytest.param('{"phase_s": {"lunch": 1}}', "phase_s 'lunch'", id="duration"),
            pytest.param('{"garbage": "poem"}', "garbage 'poem'", id="garbage"),
        ],
    )
    def test_mistakes_are_refused(self, given: str, message: str) -> None:
        """A scenario that means nothing is an error that names what it found."""
        with pytest.raises(ScenarioError, match="reading a scenario") as caught:
            parse_scenario(given)

        assert message in str(caught.value)
