"""What a server has room for, as it counts."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.lengths import Lengths
from hwval.load.prompts import DoesNotFit
from hwval.load.request import Ask
from hwval.load.request import Kind
from hwval.load.room import Room
from hwval.load.room import beyond_context
from hwval.load.sample import Sample
from hwval.load.workload import Workload
from hwval.synthetic.tokenizer import train_tokenizer

CONTEXT = 2048
TEMPLATE = 23
TOKENIZER = train_tokenizer(1024)
REFUSED = Failure(FailureKind.STATUS, "This model's maximum context length is 2048 tokens.", 400)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model's folder with its tokenizer."""
    TOKENIZER.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def counted(text: str, *, kind: Kind) -> int:
    """Return how many tokens the server counts of a prompt."""
    if kind == "chat":
        return len(TOKENIZER.encode(text, add_special_tokens=False).ids) + TEMPLATE
    return len(TOKENIZER.encode(text).ids)


def sample(
    *, prompt: int | None = 8, answer: int = 1, failure: Failure | None = None, index: int = 0
) -> Sample:
    return Sample(
        index=index, due_ns=None, sent_ns=1, ended_ns=2, token_ns=array("q", [2]),
        output_tokens=answer, is_counted=True, input_tokens=prompt, finish_reason="length",
        failure=failure,
    )  # fmt: skip


def learned(room: Room, tokens: int, *, kind: Kind, tokenizer: Path | None) -> Room:
    def send(asks: Sequence[Ask]) -> list[Sample]:
        return [sample(prompt=counted(one.prompt, kind=kind)) for one in asks]

    return room.learned(tokens, kind=kind, tokenizer=tokenizer, send=send)


@pytest.mark.parametrize("kind", ["completions", "chat"])
@pytest.mark.parametrize("is_exact", [True, False], ids=["tokenizer", "words"])
def test_prompts_that_fill_the_context_fit(folder: Path, kind: Kind, is_exact: bool) -> None:  # noqa: FBT001
    """With a tokenizer to the last token, without one nearly."""
    tokenizer = folder if is_exact else None
    room = learned(Room(CONTEXT), CONTEXT, kind=kind, tokenizer=tokenizer)
    made = Workload(
        requests=20,
        input_tokens=Lengths(CONTEXT - 16, CONTEXT - 16),
        output_tokens=Lengths(16, 16),
        kind=kind,
        tokenizer=tokenizer,
        room=room,
    ).make()
    lengths = [counted(one.prompt, kind=kind) for one in made.asks]

    assert made.is_exact == is_exact
    assert {one.fits for one in made.asks} == {is_exact}
    assert max(lengths) <= CONTEXT - 16
    assert min(lengths) >= (CONTEXT - 16 if is_exact else CONTEXT - 48)


def test_message_of_a_chat_is_as_long_as_asked_where_there_is_room(folder: Path) -> None:
    """Only what would run over the context is shorter."""
    room = learned(Room(CONTEXT), CONTEXT, kind="chat", tokenizer=folder)

    assert room.added_tokens == TEMPLATE
    assert room.own_tokens(2000, 16, is_exact=True) == 2000
    assert room.own_tokens(2032, 16, is_exact=True) == 2032 - TEMPLATE


def test_load_is_the_same_under_another_context() -> None:
    """What is known of a server bears on nothing that fits."""
    plain = Workload(
        requests=4,
        input_tokens=Lengths(1000, 1000),
        output_tokens=Lengths(16, 16),
        prefix_tokens=400,
    )
    near, far = (replace(plain, room=room) for room in (Room(2048, 9, 1.5), Room(32768)))

    assert {len(one.prompt.split()) for one in near.make().asks} == {1000}
    assert [one.prompt for one in near.make().asks] == [one.prompt for one in far.make().asks]


def test_shared_beginning_is_shortened_with_its_prompts() -> None:
    """The words that fit are 1,346 of 2,000, and nine tenths of them are shared."""
    made = Workload(
        requests=2,
        input_tokens=Lengths(2000, 2000),
        output_tokens=Lengths(16, 16),
        prefix_tokens=1800,
        room=Room(CONTEXT, 1, 1.5),
    ).make()
    one, other = (ask.prompt.split() for ask in made.asks)

    assert len(one) == len(other) == 1346
    assert one[:1211] == other[:1211]
    assert one[1211:] != other[1211:]


@given(
    context=st.integers(64, 10**5),
    added=st.integers(-2, 200),
    per_token=st.floats(0.5, 4),
    wanted=st.integers(1, 10**5),
    answer=st.integers(1, 10**4),
)
def test_what_is_written_has_room(
    context: int, added: int, per_token: float, wanted: int, answer: int
) -> None:
    """Whatever the server counts, or it is refused."""
    room = Room(context, added, per_token)
    try:
        own = room.own_tokens(wanted, answer, is_exact=per_token == 1)
    except DoesNotFit:
        return
    assert own >= 1
    assert own * per_token + added + answer <= context


@pytest.mark.parametrize(
    ("tokens", "context"), [(1024, 2048), (2048, None)], ids=["far from it", "unknown"]
)
def test_server_is_not_asked_without_need(folder: Path, tokens: int, context: int | None) -> None:
    """Two requests more, where the context is close."""

    def send(asks: Sequence[Ask]) -> list[Sample]:
        raise AssertionError(f"{len(asks)} requests")

    room = Room(context)

    assert room.learned(tokens, kind="chat", tokenizer=folder, send=send) == room


@pytest.mark.parametrize("counts", [(None, None), (40, 40), (None, 40)])
def test_server_that_does_not_count_teaches_nothing(counts: tuple[int | None, ...]) -> None:
    """Prompts are then as long as they were asked for."""

    def send(asks: Sequence[Ask]) -> list[Sample]:
        return [sample(prompt=count) for _, count in zip(asks, counts, strict=True)]

    room = Room(CONTEXT).learned(2000, kind="completions", tokenizer=None, send=send)

    assert room == Room(CONTEXT)
    assert room.own_tokens(2000, 16, is_exact=False) == 2000


def test_server_that_refuses_even_a_short_prompt_is_wrong(folder: Path) -> None:
    """What it is sent afterwards fits."""

    def send(asks: Sequence[Ask]) -> list[Sample]:
        return [sample(prompt=None, failure=REFUSED) for _ in asks]

    room = Room(CONTEXT).learned(CONTEXT, kind="chat", tokenizer=folder, send=send)

    assert room.holds("words", 2000, 16)


@pytest.mark.parametrize(
    ("wanted", "answer", "is_exact", "why"),
    [
        (2040, 16, True, "a prompt of 2,040 and an answer of 16 tokens: the server's context has"),
        (16, 2032, True, "the server adds 23 to a prompt"),
        (16, 2020, False, "without the model's tokenizer 31 must stay free"),
    ],
)
def test_what_cannot_fit_is_refused(wanted: int, answer: int, is_exact: bool, why: str) -> None:  # noqa: FBT001
    """With the numbers, and what to change."""
    with pytest.raises(DoesNotFit, match=why):
        Room(CONTEXT, TEMPLATE).own_tokens(wanted, answer, is_exact=is_exact)


@pytest.mark.parametrize(
    ("one", "is_ours"),
    [
        (sample(failure=REFUSED), True),
        (
            sample(failure=REFUSED._replace(detail="Input length (9) exceeds the context size")),
            True,
        ),
        (sample(failure=REFUSED._replace(detail="max_tokens must be at least 1, got 0.")), True),
        (sample(failure=REFUSED._replace(status=500)), False),
        (sample(failure=REFUSED._replace(detail="no such model")), False),
        (sample(failure=Failure(FailureKind.CLOSED, "context length")), False),
        (sample(prompt=2040, answer=8, failure=Failure(FailureKind.WRONG_COUNT, "8")), True),
        (sample(prompt=1000, answer=8, failure=Failure(FailureKind.WRONG_COUNT, "8")), False),
        (sample(prompt=2040, answer=8), False),
    ],
)
def test_only_requests_that_may_be_too_long_are_our_own_mistake(
    one: Sample, is_ours: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """And those that surely fit never are."""
    asks = [Ask("words", 16, fits=False)], [Ask("words", 16, fits=True)]
    found = [list(beyond_context([one], some, CONTEXT)) for some in asks]

    assert found == [[one.failure] if is_ours else [], []]


def test_short_request_fits_without_asking() -> None:
    """A token has a byte at least, and no template takes half of a context."""
    assert Room(CONTEXT).holds("x" * 1000, None, 24)
    assert not Room(CONTEXT).holds("x" * 1001, None, 24)
    assert Room(CONTEXT).holds("x" * 5000, 1000, 24)
    assert not Room(None).holds("x", 1, 1)
