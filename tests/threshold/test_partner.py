"""Which other cell a promise means."""

from __future__ import annotations

from hwval.threshold import find_partner

AXES = "gfx942__img__llama-8b__bfloat16"
CELLS = [
    f"{AXES}__aiter",
    f"{AXES}__plain",
    "gfx942__img__llama-70b__bfloat16__plain",
    "sm_90__img__llama-8b__bfloat16",
    "gfx942__img__llama-8b-fp8__bfloat16__fp8",
]


def test_variant_is_of_the_same_axes() -> None:
    """Another model's variant of that name is not meant."""
    assert find_partner(CELLS[0], "plain", CELLS) == (CELLS[1], "")


def test_pattern_prefers_what_is_most_alike() -> None:
    """The same hardware and image before other hardware."""
    assert find_partner(CELLS[0], "*llama-8b__*", [*CELLS[3:], CELLS[1]]) == (CELLS[1], "")
    assert find_partner(CELLS[0], CELLS[3], CELLS) == (CELLS[3], "")


def test_what_differs_has_to_be_named() -> None:
    """Where the own model has no such variant, another model's one is nobody's meaning."""
    own, other = "hw__img__8b__fp8__on", "hw__img__70b__fp8__off"
    words = f"of this cell's model there is no {{!r}}; write {other} if that one is meant"

    for name in ("off", "*__off", "hw__*__off", "*b__fp8__off"):
        assert find_partner(own, name, [own, other]) == (None, words.format(name))
    for name in (other, "*__70b__*", "*70b__fp8__off"):
        assert find_partner(own, name, [own, other]) == (other, "")
    further = "sm_90__new__8b__fp8__off"
    assert find_partner(own, "sm_90*off", [own, further])[1].startswith(
        "of this cell's image there is no 'sm_90*off'"
    )
    assert find_partner(own, "off", [own, further])[1].startswith(
        "of this cell's hardware and image there is no 'off'"
    )
    assert find_partner(own, "sm_90__new__*__off", [own, further]) == (further, "")


def test_no_partner_says_what_there_is() -> None:
    """A mistyped variant names those that exist."""
    partner, why = find_partner(CELLS[0], "plian", CELLS)

    assert partner is None
    assert "did you mean 'plain'" in why


def test_cell_is_not_its_own_partner() -> None:
    """1.5 times oneself is a mistake."""
    for name in ("aiter", CELLS[0], f"{AXES}__ait*"):
        partner, why = find_partner(CELLS[0], name, CELLS)

        assert partner is None
        assert why == f"{name!r} is this cell itself, and no other is meant by it"


def test_two_that_are_alike_are_not_chosen_from() -> None:
    """Which of them is meant has to be said."""
    partner, why = find_partner(CELLS[0], "*", [*CELLS[:2], f"{AXES}__other"])

    assert partner is None
    assert "means 2 cells alike" in why
