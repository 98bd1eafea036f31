"""A client whose server answers everything with the same text, which may be of any form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import openai


@contextmanager
def client_hearing(reply: str, status: int = 200) -> Iterator[openai.OpenAI]:
    """Give a client that gets ``reply``, whatever it asks."""
    kind = "text/html" if reply.startswith("<") else "application/json"

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text=reply, headers={"content-type": kind}, request=request)

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        yield openai.OpenAI(
            base_url="http://nowhere/v1",
            api_key="x",
            http_client=http,  # type: ignore[arg-type] # another name of the same library
            max_retries=0,
        )
