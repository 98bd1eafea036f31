"""Signs that a text is no text: what garbage shows, and what working models write all the time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.quality.signs import WINDOW_CHARACTERS
from hwval.quality.signs import are_garbage
from hwval.quality.signs import signs_of
from hwval.quality.signs import signs_of_answers
from tests.quality.texts import BLIND
from tests.quality.texts import GARBAGE
from tests.quality.texts import HEALTHY
from tests.quality.texts import answers

PROSE = (
    "Ice floats because water is densest at four degrees; below that its molecules begin to settle "
    "into a lattice that takes more room than the liquid does. A block of it therefore weighs less "
    "than the water that it pushes aside, and about a tenth of it stays above the surface."
)
SENTENCE_LOOP = "The shoot tip is a part of the plant that grows fast, as its cells divide. " * 8
SOUP = (
    "the дом 本棚 كتاب hus ειμι 집이 บ้าน das мир 山川 بيت tree λογος 나무 ต้น wir снег 火花 ماء blue"
)
MIXED = "whдom treлla booжk sюt daяg hиouse fцood wщater lфight nэight dлay mжoon"


def names(text: str) -> set[str]:
    return {sign.name for sign in signs_of(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {"empty"}, id="nothing"),
        pytest.param(" \n\t ", {"empty"}, id="blanks"),
        pytest.param(
            "!" * 200, {"loop", "compression", "no-letters", "unbroken"}, id="one-character"
        ),
        pytest.param("the " * 90, {"loop", "compression", "phrases", "few-words"}, id="one-word"),
        pytest.param("fine \ufffd\ufffd\ufffd here", {"broken"}, id="replacement"),
        pytest.param("fine" + "\ufffd" * 5, {"broken"}, id="replacement-to-the-end"),
        pytest.param("\ufffd", {"empty"}, id="part-of-a-character"),
        pytest.param("\x00\x01\x02\x1b\x08 and so", {"broken"}, id="control"),
        pytest.param("\ue000\ue001 private", {"broken"}, id="private-use"),
        pytest.param(SOUP, {"scripts"}, id="script-soup"),
        pytest.param(MIXED, {"mixed-words"}, id="scripts-within-words"),
    ],
)
def test_garbage_is_seen(text: str, expected: set[str]) -> None:
    """Each kind of garbage shows its own signs."""
    assert names(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PROSE, id="prose"),
        pytest.param(SENTENCE_LOOP, id="a-sentence-over-and-over"),
        pytest.param("Paris.", id="short"),
        pytest.param("7", id="one-character"),
        pytest.param(
            "def mean(xs):\n    return sum(xs) / len(xs)\n\nprint(mean([1, 2]))", id="code"
        ),
        pytest.param("| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |", id="table"),
        pytest.param("日本語の文章は漢字とひらがなとカタカナでできています。" * 2, id="japanese"),
        pytest.param("Привет! Это обычный русский текст, одно слово OK внутри.", id="russian"),
        pytest.param("한국어 문장입니다. 漢字도 섞입니다. English 단어도.", id="korean"),
        pytest.param("Great 👍🎉 — see you at 5 °C, β = 3 µm, 2 ≤ 7 → done ✅", id="symbols"),
        pytest.param("cut within a character \ufffd", id="cut-at-the-end"),
        pytest.param("1. One\n2. Two\n3. Three\n4. Four\n5. Five\n6. Six\n7. Seven", id="list"),
    ],
)
def test_working_models_show_no_sign(text: str) -> None:
    """Loops of whole sentences, code, tables, other languages and cut characters are fine."""
    if text is SENTENCE_LOOP:
        # It is said over and over, and one answer like it is no garbage yet.
        assert not are_garbage([signs_of(text), signs_of(PROSE), signs_of(PROSE)])
    else:
        assert names(text) == set()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", GARBAGE)
def test_every_kind_of_garbage_is_caught(kind: str, seed: int) -> None:
    """Six answers of a broken engine, drawn anew."""
    assert are_garbage(signs_of_answers(answers(GARBAGE[kind], seed)))


@pytest.mark.parametrize("kind", BLIND)
def test_blind_spots_are_what_they_are_said_to_be(kind: str) -> None:
    """Other detectors must see these; who finds a sign for one may move it."""
    assert not are_garbage(signs_of_answers(answers(BLIND[kind], 1)))


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_texts_are_no_garbage(name: str) -> None:
    """Nearly none shows a sign, and no six of them show as many as garbage does."""
    known = {
        "table-of-numbers": {"no-letters"},
        "german": {"new-words"},
        "vietnamese": {"new-words"},
    }
    others = random.Random(name).sample(list(HEALTHY.values()), 6)

    assert names(HEALTHY[name]) == known.get(name, set())
    assert not are_garbage(signs_of_answers(others))


def test_answers_that_are_all_one_are_garbage() -> None:
    """However fluent: who says the same to six prompts has read none of them."""
    signs = signs_of_answers([PROSE] * 6)

    assert {sign.name for found in signs for sign in found} == {"alike"}
    assert are_garbage(signs)
    assert not are_garbage(signs_of_answers([PROSE]))


REFUSAL = "I'm sorry, but I can't help with that."
QUESTION = "What is the number on the door? What is the number on the door? What is the number?"


@pytest.mark.parametrize(
    "same",
    [
        [REFUSAL] * 6,
        [QUESTION] * 6,
        [REFUSAL, REFUSAL.upper(), f" {REFUSAL}\n", REFUSAL[:-1], "Paris is old.", "A river ran."],
        ["我不能回答这个问题。请您换一个问题再试一次。谢谢您。"] * 6,
    ],
    ids=["refusal", "question", "nearly-all", "chinese"],
)
def test_short_answers_that_are_all_one_are_garbage(same: list[str]) -> None:
    """Too few phrases to count, and still the same to six prompts; case and edges do not matter."""
    signs = signs_of_answers(same)

    assert {sign.name for found in signs for sign in found} == {"alike"}
    assert are_garbage(signs)


@pytest.mark.parametrize(
    "answers",
    [["!"] * 6, ["!", "?", ".", "...", "-", "!!"], ["river", "stone", "Wind.", "7", "a", "tree"]],
    ids=["one-character", "characters", "words"],
)
def test_answers_of_hardly_a_word_are_garbage(answers: list[str]) -> None:
    """Each of the six prompts begins a text or asks for an explanation."""
    signs = signs_of_answers(answers)

    assert all("short" in {sign.name for sign in found} for found in signs)
    assert are_garbage(signs)


@pytest.mark.parametrize(
    "text",
    [
        "Two boats.",
        "氷は水より軽いので、水の上に浮かぶのです。",
        "Donaudampfschifffahrtsgesellschaft",
    ],
)
def test_a_short_answer_is_no_sign_yet(text: str) -> None:
    """Two words say something, and so do the letters of a script that sets no blanks."""
    assert signs_of_answers([text, PROSE]) == [(), ()]


def test_two_answers_that_are_one_are_no_garbage_among_six() -> None:
    """A model may refuse twice."""
    told = [REFUSAL, REFUSAL, *list(HEALTHY.values())[:1], PROSE, "Two boats.", "A soup of leeks."]

    assert not are_garbage(signs_of_answers(told))


def test_most_answers_must_look_wrong() -> None:
    """One loop among answers is a model's habit; more than half of them are not."""
    loop, fine = signs_of("the " * 90), signs_of(PROSE)

    assert not are_garbage([loop, fine, fine])
    assert not are_garbage([loop, fine])
    assert are_garbage([loop, loop, fine])
    assert not are_garbage([])


def test_broken_characters_need_no_majority() -> None:
    """No working model writes them."""
    assert are_garbage([signs_of("\ufffd\ufffd so what"), signs_of(PROSE), signs_of(PROSE)])


def test_sign_tells_value_and_limit() -> None:
    """A person sees how far beyond the limit it is."""
    told = [str(sign) for sign in signs_of("!" * 200)]

    assert "loop 1 (limit 0.5)" in told


@given(st.text())
def test_any_text_can_be_looked_at(text: str) -> None:
    """Nothing that a server can send breaks a detector, and values are within reason."""
    for sign in signs_of(text):
        assert sign.value >= sign.limit or sign.name == "empty"


@given(st.text(min_size=1), st.text())
def test_only_the_window_counts(text: str, rest: str) -> None:
    """What follows the window changes nothing."""
    window = (text * WINDOW_CHARACTERS)[:WINDOW_CHARACTERS]

    assert signs_of(window) == signs_of(window + rest) or not window.strip()


@given(st.text(alphabet="ab ", min_size=1, max_size=10), st.integers(50, 200))
def test_short_units_over_and_over_are_loops(unit: str, times: int) -> None:
    """Whatever the unit, and wherever in it the answer is cut."""
    text = (unit * times)[:WINDOW_CHARACTERS]

    assert names(text) & {"loop", "empty"}
