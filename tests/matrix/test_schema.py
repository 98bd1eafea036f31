from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwval.errors import MatrixError
from hwval.matrix import matrix_json_schema
from hwval.matrix.schema import MatrixFile
from hwval.resources import resource_path
from tests.matrix.loading import AXES
from tests.matrix.loading import cells_of
from tests.matrix.loading import load

MATRICES = resource_path("matrices")


def test_mapping_becomes_json(tmp_path: Path) -> None:
    """A flag that takes JSON may be written as a mapping."""
    matrix = load(tmp_path, AXES + "engine: {speculative-config: {model: a, n: 5}}")

    assert cells_of(matrix)[0].engine_args == (("speculative-config", '{"model": "a", "n": 5}'),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("axs: 1", "2: unknown key 'axs'; did you mean 'axes'? allowed: "),
        (
            "promises:\n  load:\n    ready_witin: 20 min",
            (
                "4: promises.load: unknown key 'ready_witin'; did you mean 'ready_within'? "
                "allowed: ready_within"
            ),
        ),
        (
            "promises: {beauty: {}}",
            "2: promises: unknown key 'beauty'; allowed: load, generate, accuracy, performance, ",
        ),
        ("promises: {load: 5}", "2: promises.load: found 5, expected keys and values"),
        (
            "promises: {load: {ready_within: 20}}",
            "2: promises.load.ready_within: '20' is not a number with a unit of ms, s, min, h",
        ),
        (
            "promises: {load: {ready_within: 1 ms}}",
            "2: promises.load.ready_within: found 1 ms, expected 1.0 s or more",
        ),
        (
            "deadlines: {load: [1]}",
            "2: deadlines.load: expected a duration with its unit, as in 20 min",
        ),
        (
            "deadlines:\n  load: 5 min\npromises: {load: {ready_within: 10 min}}",
            (
                "3: deadlines.load: the load is given up after 5 min 00 s, before the 10 min 00 s "
                "that 'ready_within' promises; give it longer"
            ),
        ),
        (
            "engine: {max_model_len: 3}",
            "2: engine: 'max_model_len' is no flag in vLLM's spelling; write 'max-model-len'",
        ),
        (
            "engine:\n  --max-model-len: 3",
            "3: engine: '--max-model-len' is no flag in vLLM's spelling; write 'max-model-len'",
        ),
        (
            "engine: {max-model-len: 32k}",
            "2: engine: 'max-model-len' is '32k', expected a whole number from 1 on",
        ),
        ("engine: {dtype: half}", "2: engine: 'dtype' cannot be set here: it is an axis"),
        ("engine: {port: 80}", "2: engine: 'port' cannot be set here: the run sets it"),
        ("engine: {hf-token: x}", "2: engine: 'hf-token' looks like a secret; pass it by"),
        ("engine: {load-format: dummy}", "2: engine: write 'weights: dummy' in place of"),
        ("engine: {x: null}", "2: engine.x: expected text, a number, true (the bare flag)"),
        ("engine: {x: [1]}", "2: engine.x: expected text, a number, true (the bare flag)"),
        ("engine: 5", "2: engine: found 5, expected keys and values"),
        ("environment: {A: no}", "2: unquoted no is true or false to YAML"),
        (
            "environment: {A: true}",
            '2: environment.A: found the yes-or-no true, expected text; quote it: "true"',
        ),
        (
            "environment: {HF_TOKEN: x}",
            (
                "2: environment: 'HF_TOKEN' looks like a secret; "
                "pass it by name: 'pass_environment: [HF_TOKEN]'"
            ),
        ),
        ("environment: {X: hf_abcdefghijklmnop}", "2: environment: 'X' looks like a secret"),
        ("environment: {A-B: x}", "2: environment: 'A-B' is no name of an environment variable"),
        ("pass_environment: HF_TOKEN", "2: pass_environment: found HF_TOKEN, expected a list"),
        ("pass_environment: [A=1]", "2: pass_environment[0]: 'A=1' is no name of an environment"),
        ("weights: dumy", "2: weights: dumy is unknown; did you mean 'dummy'? allowed: real, d"),
        (
            "privileges: [privilegd]",
            "2: privileges[0]: privilegd is unknown; did you mean 'privileged'? allowed: ",
        ),
        ("partition_mode: ''", "2: partition_mode: found '', expected some text"),
        ("variants: [{name: A b}]", "2: variants[0].name: 'A b' is no variant name; allowed: "),
        (
            "variants:\n- {}\n- {}",
            "4: variants[1]: a variant without a name stands twice, first in ",
        ),
        ("variants:\n- name: a\n- name: a", "4: variants[1]: name 'a' stands twice, first in "),
        (
            "exclude:\n- {dtype: float16, because: x}",
            "3: exclude[0]: this rule excludes nothing; correct or remove it",
        ),
        ("exclude: [{dtype: float16}]", "2: exclude[0]: required key 'because' is missing"),
        (
            "exclude: [{because: x}]",
            "2: exclude[0]: needs at least one of hardware, image, model, dtype, variant",
        ),
        ("exclude: [{hardware: cpu, because: x}]", "2: exclude: every cell is excluded"),
        ("include: [{hardware: cpu 2}]", "2: include[0].hardware: 'cpu 2' is no hardware; write "),
        ("include: [{hardware: cpux}]", "2: include[0].hardware: hardware 'cpux' is not in the"),
        ("include: [{image: 'a:1'}]", "2: include[0].image: image 'a' is not in the catalogue"),
        ("include:\n- dtype: 0.10", "3: include[0].dtype: 0.10 is unknown; allowed: auto, "),
        (
            "include:\n- model: 0.10",
            '3: include[0].model: found the number 0.10, expected text; quote it: "0.10"',
        ),
        (
            "include:\n- model: 2027-01-01",
            "3: include[0].model: found the date 2027-01-01, expected text; quote it: ",
        ),
        ("include: [{model: {}}]", "2: include[0].model: found a mapping, expected text"),
        ("ledger: nope.yaml", "2: ledger: no such file "),
        (
            "catalogue: {hardware: {A B: {vendor: cpu, architecture: x, title: t, source: s}}}",
            "2: catalogue.hardware.A B: 'A B' is no hardware name; allowed: a-z 0-9 . _ -",
        ),
        (
            "catalogue: {models: {m: {gated: 1, source: s}}}",
            "2: catalogue.models.m.gated: found 1, expected true or false",
        ),
    ],
)
def test_mistake_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    """A wrong matrix is one line with file, line, key and what is allowed."""
    with pytest.raises(MatrixError) as caught:
        load(tmp_path, AXES + text)

    assert str(caught.value).startswith(f"{tmp_path}/x.yaml:{problem}")
    assert "\n" not in str(caught.value)


def test_shipped_schema_is_current() -> None:
    """Editors complete by the schema of this version."""
    shipped = json.loads((MATRICES / "matrix.schema.json").read_text())

    assert shipped == matrix_json_schema(), (
        "renew it: python -m hwval.matrix > matrices/matrix.schema.json"
    )
    assert set(shipped["properties"]) == set(MatrixFile.model_fields)
