"""Can the engine do what its image and model promise?

What is not promised is not asked; what is promised and refused is a failure, with the server's
words. Of random weights the form of an answer is judged, never its content.
"""

from __future__ import annotations

import pytest

from fixtures.capability import Promised
from fixtures.record import Record
from hwval.capability.embedding import EMBEDDINGS_NAME
from hwval.capability.embedding import SAME_COSINE
from hwval.capability.embedding import TEXTS
from hwval.capability.embedding import Embeddings
from hwval.capability.embedding import load_embeddings
from hwval.capability.embedding import lowest_cosine
from hwval.capability.embedding import trouble_with as trouble_with_vectors
from hwval.capability.likeness import UNLIKE
from hwval.capability.likeness import Told
from hwval.capability.likeness import unlikeness
from hwval.capability.needle import look_for_needle
from hwval.capability.picture import COLOURS
from hwval.capability.picture import SHAPES
from hwval.capability.picture import names_alone
from hwval.capability.skills import Skills
from hwval.capability.sound import OTHER_TONE_HZ
from hwval.capability.sound import TONE_HZ
from hwval.capability.sound import trouble_with as trouble_with_sound
from hwval.capability.sound import why_not_judged
from hwval.capability.structured import CITY
from hwval.capability.structured import trouble_with as trouble_with_json
from hwval.cell import Cell
from hwval.generate import Generation
from hwval.matrix import PromisesSection

pytestmark = pytest.mark.capabilities


def test_embedding_dimension(
    embeds: Skills, cell: Cell, promises: PromisesSection, record: Record
) -> None:
    """Vectors have the promised number of elements, a finite length, and differ between texts."""
    wanted = promises.capabilities.embeddings
    vectors = embeds.embed(TEXTS)
    trouble = trouble_with_vectors(
        vectors, dimension=wanted.dimension, is_normalized=wanted.normalized
    )
    record.number("embedding_elements", len(vectors[0]))

    assert not trouble
    kept = Embeddings(cell.id, cell.model, TEXTS, tuple(map(tuple, vectors)))
    record.attach("embeddings", EMBEDDINGS_NAME, kept.to_json())


def test_embedding_repeats(embeds: Skills, record: Record) -> None:
    """The same text twice has the same vector."""
    least = lowest_cosine(embeds.embed(TEXTS), embeds.embed(TEXTS))
    record.number("least_cosine", least)

    assert least >= SAME_COSINE


def test_embedding_order(embeds: Skills, record: Record) -> None:
    """Each text keeps its vector, wherever it stands in a request."""
    turned = embeds.embed([*TEXTS[1:], TEXTS[0]])
    least = lowest_cosine(embeds.embed(TEXTS), [turned[-1], *turned[:-1]])
    record.number("least_cosine", least)

    assert least >= SAME_COSINE


def test_embedding_batch(embeds: Skills, record: Record) -> None:
    """A text alone has the vector that it has among others, longer and shorter ones."""
    alone = [embeds.embed([text])[0] for text in TEXTS]
    least = lowest_cosine(embeds.embed(TEXTS), alone)
    record.number("least_cosine", least)

    assert least >= SAME_COSINE


@pytest.mark.usefixtures("embeds", "real_weights")
def test_embedding_meaning(embeds: Skills, record: Record) -> None:
    """Texts that mean the same are closer than texts that do not."""
    vectors = embeds.embed(TEXTS)
    near = lowest_cosine(vectors[:1], vectors[1:2])
    far = lowest_cosine(vectors[:1], vectors[2:3])
    record.number("near_cosine", near)
    record.number("far_cosine", far)

    assert near > far


def test_embedding_parity(
    embeds: Skills, cell: Cell, promises: PromisesSection, promised: Promised, record: Record
) -> None:
    """Vectors point where those of the reference do."""
    wanted = promises.capabilities.embeddings
    name = record.needed(wanted.reference, "the matrix names no reference")
    expected = load_embeddings(promised.beside_matrix(name))
    least = expected.least_cosine(embeds.embed(TEXTS), model=cell.model)
    record.number("least_cosine", least)

    assert least >= wanted.cosine_at_least, f"the reference is of {expected.model}"


def test_picture_seen(sees: Skills, promised: Promised, record: Record) -> None:
    """Another picture changes what the model thinks, and more than the same one again does."""
    is_dummy = promised.has_dummy_weights
    record.needed(None if is_dummy else sees, "dummy weights are too small for a picture to show")
    first, again = sees.read_picture("circle", "red"), sees.read_picture("circle", "red")
    same_nats = _same_nats(first, again, "picture", record)
    other_nats = unlikeness(first, sees.read_picture("triangle", "blue"))

    assert other_nats > same_nats


def test_picture_colour(sees: Skills, record: Record) -> None:
    """The colours of two pictures are named."""
    said = {colour: sees.name_colour("circle", colour) for colour in ("red", "blue")}
    record.needed(sees.has_meaning or None, f"answered; random weights mean nothing by {said}")

    assert all(names_alone(said[colour], colour, COLOURS) for colour in said), said


def test_picture_shape(sees: Skills, record: Record) -> None:
    """The shapes of two pictures are named."""
    said = {shape: sees.name_shape(shape, "green") for shape in ("circle", "triangle")}
    record.needed(sees.has_meaning or None, f"answered; random weights mean nothing by {said}")

    assert all(names_alone(said[shape], shape, SHAPES) for shape in said), said


def test_audio_in(hears: Skills, promises: PromisesSection, promised: Promised) -> None:
    """A tone is taken in and answered by text; what a tone says is nobody's to judge."""
    by_chat = promised.hears_by_chat(promises.capabilities.audio.by)
    text = hears.describe_tone() if by_chat else hears.transcribe_tone()

    assert text or not by_chat


def test_audio_heard(
    hears: Skills, promises: PromisesSection, promised: Promised, record: Record
) -> None:
    """Another tone changes what the model thinks, and more than the same one again does."""
    is_dummy = promised.has_dummy_weights
    by_chat = promised.hears_by_chat(promises.capabilities.audio.by)
    record.needed(by_chat or None, "transcriptions tell no log probabilities")
    record.needed(None if is_dummy else hears, "dummy weights are too small for a sound to show")
    first, again = hears.hear_tone(TONE_HZ), hears.hear_tone(TONE_HZ)
    same_nats = _same_nats(first, again, "sound", record)
    other_nats = unlikeness(first, hears.hear_tone(OTHER_TONE_HZ))

    assert other_nats > same_nats


def test_audio_out(speaks: Skills, promises: PromisesSection, record: Record) -> None:
    """An answer by voice is a sound of some length that is not silent."""
    sound = speaks.speak(promises.capabilities.audio.voice)
    record.attach("sound", "answer.wav", sound)
    assert sound
    unjudged = why_not_judged(sound)
    record.enough(is_enough=not unjudged, otherwise=unjudged)
    trouble = trouble_with_sound(sound)

    assert not trouble


def test_tool_named(calls_tools: Skills) -> None:
    """A tool that must be called is called, with arguments that fit its schema."""
    calls_tools.call_named_tool().check()


def test_tool_required(calls_tools: Skills) -> None:
    """Where some tool must be called, one is, with arguments that fit its schema."""
    calls_tools.call_required_tool().check()


@pytest.mark.usefixtures("calls_tools", "real_weights")
def test_tool_chosen(calls_tools: Skills) -> None:
    """A question that needs the tool makes the model call it, about the right city."""
    calls_tools.call_tool().check(city=CITY)


def test_structured_output(fills_schemas: Skills, record: Record) -> None:
    """An answer that must fit a JSON Schema does, and says the right city."""
    filled = fills_schemas.fill_schema()
    is_endless = filled.is_cut and not fills_schemas.has_meaning
    record.needed(None if is_endless else filled, "random weights came to no end")

    assert not trouble_with_json(filled.text)
    assert CITY in filled.text or not fills_schemas.has_meaning


@pytest.mark.usefixtures("writes_text", "real_weights")
def test_needle(ask: Generation, promises: PromisesSection, record: Record) -> None:
    """A sentence in a long context is found again, wherever it stands."""
    wanted = record.needed(promises.capabilities.needle, "the matrix promises no long context")
    search = look_for_needle(ask, wanted.tokens, wanted.depths)
    record.number("prompt_tokens", search.prompt_tokens)

    assert not search.missed


def _same_nats(first: Told, again: Told, kind: str, record: Record) -> float:
    """Return how far apart the answers to one picture or sound are, which was sent twice."""
    record.needed(first or None, "the server tells no log probabilities of chat answers")
    nats = unlikeness(first, again)
    record.enough(is_enough=nats < UNLIKE, otherwise=f"one {kind} got two answers")
    record.number(f"same_{kind}_nats", nats)
    return nats
