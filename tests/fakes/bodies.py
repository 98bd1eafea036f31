"""The bodies of generation answers, field for field as vLLM 0.32.0 writes them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.answers import Answer
from tests.fakes.answers import chat_logprobs
from tests.fakes.answers import completion_logprobs
from tests.fakes.startup import Command
from tests.fakes.wire import dump_json


@dataclass(frozen=True, slots=True)
class Reply:
    """What every part of one response has in common.

    Attributes:
        id: of the response, also of each of its chunks.
        created: wall-clock seconds since 1970.
        model: the served name.
        fingerprint: of the system.
        chat: chat form or completions form.
        logprobs: alternatives per token, None for no logprobs.
        usage_error_tokens: lie about the completion tokens by so many.
    """

    id: str
    created: int
    model: str
    fingerprint: str
    chat: bool
    logprobs: int | None
    usage_error_tokens: int

    def whole(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """Return a response that is not streamed."""
        choice = self._chat_choice if self.chat else self._completion_choice
        body = self._head("chat.completion" if self.chat else "text_completion") | {
            "choices": [choice(answer, index) for index, answer in enumerate(answers)],
            "service_tier": None,
            "system_fingerprint": self.fingerprint,
            "usage": self._usage(answers)
            | {"prompt_tokens_details": None, "completion_tokens_details": None},
        }
        if self.chat:
            body |= {"prompt_logprobs": None, "prompt_token_ids": None, "prompt_text": None}
        return body | {"kv_transfer_params": None, "ec_transfer_params": None, "metrics": None}

    def opening_chunk(self) -> bytes:
        """Return a chat stream's first event, which names the role."""
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": ""},
            "logprobs": None,
            "finish_reason": None,
        }
        extra = {"choices": [choice], "prompt_token_ids": None, "prompt_text": None}
        return dump_json(self._head(self._chunk_object) | extra)

    def chunk(self, answer: Answer, index: int, step: int, *, muted: bool, closing: bool) -> bytes:
        """Return the event of one token.

        Args:
            answer: whose token.
            index: of the choice.
            step: of the token in the answer.
            muted: leave its text out.
            closing: whether the answer's last token ends the stream, with no usage event to come.
        """
        last = step == len(answer.ids) - 1
        piece = "" if muted else answer.pieces[step]
        end = {"finish_reason": answer.finish_reason if last else None}
        stop = {"stop_reason": answer.stop_reason if last else None}
        logprobs = {"logprobs": self._logprobs(answer, range(step, step + 1))}
        choice: dict[str, Any] = {"index": index}
        if self.chat:
            choice |= {"delta": {"content": piece}} | logprobs | end | (stop if last else {})
        else:
            lead = answer.prompt_text if answer.echo and step == 0 else ""
            prompt_ids = answer.prompt_ids if answer.echo and step == 0 else None
            choice |= {"text": lead + piece} | logprobs | end | stop
            choice["prompt_token_ids"] = prompt_ids
        choice["token_ids"] = None
        body = self._head(self._chunk_object) | {"choices": [choice]}
        return dump_json(
            body | ({"system_fingerprint": self.fingerprint} if last and closing else {})
        )

    def usage_chunk(self, answers: Sequence[Answer]) -> bytes:
        """Return the event that follows the last token where usage was asked for."""
        body = self._head(self._chunk_object) | {"choices": [], "usage": self._usage(answers)}
        return dump_json(body | {"system_fingerprint": self.fingerprint})

    @property
    def _chunk_object(self) -> str:
        return "chat.completion.chunk" if self.chat else "text_completion"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _usage(self, answers: Sequence[Answer]) -> dict[str, Any]:
        prompt = sum(len(answer.prompt_ids) for answer in answers)
        completion = sum(len(answer.ids) for answer in answers) + self.usage_error_tokens
        return {
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion,
            "completion_tokens": completion,
        }

    def _completion_choice(self, answer: Answer, index: int) -> dict[str, Any]:
        lead = answer.prompt_text if answer.echo else ""
        return {
            "index": index,
            "text": lead + "".join(answer.pieces),
            "logprobs": self._logprobs(answer, range(len(answer.ids))),
            "finish_reason": answer.finish_reason,
            "stop_reason": answer.stop_reason,
            "token_ids": None,
            "prompt_logprobs": None,
            "prompt_token_ids": None,
            "routed_experts": None,
        }

    def _chat_choice(self, answer: Answer, index: int) -> dict[str, Any]:
        message = {
            "role": "assistant",
            "content": "".join(answer.pieces),
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "reasoning": None,
        }
        return {
            "index": index,
            "message": message,
            "logprobs": self._logprobs(answer, range(len(answer.ids))),
            "finish_reason": answer.finish_reason,
            "stop_reason": answer.stop_reason,
            "token_ids": None,
            "routed_experts": None,
        }

    def _logprobs(self, answer: Answer, steps: range) -> dict[str, Any] | None:
        if self.logprobs is None:
            return None
        write = chat_logprobs if self.chat else completion_logprobs
        return write(answer, steps, self.logprobs)


def model_list(command: Command) -> dict[str, Any]:
    """Return the body of ``/v1/models``."""
    card = {
        "id": command.served_name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "vllm",
        "root": command.model,
        "parent": None,
        "max_model_len": command.max_model_len,
        "permission": [_permission()],
    }
    return {"object": "list", "data": [card]}


def _permission() -> dict[str, Any]:
    return {
        "id": f"modelperm-{uuid.uuid4().hex[:16]}",
        "object": "model_permission",
        "created": int(time.time()),
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
