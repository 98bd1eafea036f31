"""Which questions a cell is asked."""

from __future__ import annotations

from dataclasses import replace

from hwval.catalogue import Capability
from hwval.catalogue import Catalogue
from hwval.catalogue import ImageFacts
from hwval.catalogue import ModelFacts
from hwval.catalogue import Vendor
from hwval.catalogue import load_catalogue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.matrix import Deadlines
from hwval.matrix import MatrixEntry
from hwval.matrix import PromisesSection
from hwval.matrix import is_asked
from hwval.matrix import offered_capabilities
from hwval.yamlmodel import YamlModel

SEES = (Capability.CHAT, Capability.VISION)
CATALOGUE = Catalogue(
    {},
    {
        "text": ImageFacts(vendors=(Vendor.CPU,), capabilities=(Capability.CHAT,), source="s"),
        "all": ImageFacts(vendors=(Vendor.CPU,), source="s"),
    },
    {"eye": ModelFacts(capabilities=SEES, source="s"), "any": ModelFacts(source="s")},
)


class Optional(YamlModel):
    """A section whose only field may be left out."""

    serving: int | None = None


class Deciding(YamlModel):
    """A section that decides by what is offered."""

    def asks(self, question: str, offered: frozenset[Capability]) -> bool:
        return Capability(question) in offered


def entry(performance: YamlModel) -> MatrixEntry:
    promises = PromisesSection().model_copy(update={"performance": performance})
    cell = Cell("cpu", 1, "all:1", "eye", Dtype.AUTO)
    return MatrixEntry(cell, promises, Deadlines(), (), "m.yaml:1", catalogue=CATALOGUE)


def test_what_a_section_leaves_out_is_not_asked() -> None:
    """A field of the question's name decides; other questions are asked of every cell."""
    assert not is_asked(entry(Optional()), "performance/serving")
    assert is_asked(entry(Optional(serving=1)), "performance/serving")
    assert is_asked(entry(Optional()), "performance/other")
    assert is_asked(entry(Optional()), "folklore/serving")


def test_a_section_may_decide_by_what_is_offered() -> None:
    """What image and model both promise is what a section is told."""
    asked = entry(Deciding())
    blind = replace(asked, cell=replace(asked.cell, image="text:1"))

    assert is_asked(asked, "performance/vision")
    assert not is_asked(blind, "performance/vision")
    assert is_asked(blind, "performance/chat")


def test_of_an_unknown_model_text_is_offered() -> None:
    """Nothing but completions and chat, and those only where the image has them."""
    assert offered_capabilities(CATALOGUE, "all:1", "any") == {
        Capability.CHAT,
        Capability.COMPLETIONS,
    }
    assert offered_capabilities(CATALOGUE, "text:1", "any") == {Capability.CHAT}
    assert offered_capabilities(CATALOGUE, "all:1", "eye") == set(SEES)


def test_of_an_unknown_model_a_server_without_text_offers_what_it_is_made_for() -> None:
    """Infinity embeds: nobody has to say so of every folder; what is known of a model counts."""
    made_for = {Capability.EMBEDDINGS}

    assert offered_capabilities(load_catalogue(), "michaelf34/infinity:1", "/a/folder") == made_for
    assert offered_capabilities(load_catalogue(), "external:infinity", "own-name") == made_for
    assert not offered_capabilities(load_catalogue(), "external:infinity", "synthetic:llama")


def test_of_a_model_that_no_catalogue_holds_text_is_offered() -> None:
    """A server that already runs calls its model as it likes."""
    assert offered_capabilities(CATALOGUE, "all:1", "my-model") == {
        Capability.CHAT,
        Capability.COMPLETIONS,
    }


def test_the_matrix_adds_and_removes_capabilities() -> None:
    """What it adds is asked for, though the catalogue knows nothing of it."""
    asked = entry(Deciding())
    section = asked.promises.capabilities.model_copy(
        update={"add": (Capability.TOOLS,), "remove": (Capability.VISION,)}
    )
    changed = asked.promises.model_copy(update={"capabilities": section})

    assert is_asked(replace(asked, promises=changed), "performance/tools")
    assert not is_asked(replace(asked, promises=changed), "performance/vision")
