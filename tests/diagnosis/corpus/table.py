"""The starts of the corpus, by the family of their causes."""

from __future__ import annotations

from pathlib import Path
from signal import Signals
from typing import Final

from tests.diagnosis.corpus.act import abuse
from tests.diagnosis.corpus.act import converse
from tests.diagnosis.corpus.act import kill_child
from tests.diagnosis.corpus.act import stop
from tests.diagnosis.corpus.damage import Damage
from tests.diagnosis.corpus.damage import config
from tests.diagnosis.corpus.damage import cut
from tests.diagnosis.corpus.damage import fifo
from tests.diagnosis.corpus.damage import installed
from tests.diagnosis.corpus.damage import private
from tests.diagnosis.corpus.damage import remove
from tests.diagnosis.corpus.damage import rename_tensors
from tests.diagnosis.corpus.damage import sharded
from tests.diagnosis.corpus.damage import shrink_tensor
from tests.diagnosis.corpus.damage import tokenizer_config
from tests.diagnosis.corpus.damage import without_tensor
from tests.diagnosis.corpus.damage import write
from tests.diagnosis.corpus.scenario import Scenario
from tests.diagnosis.corpus.start import READY

__all__ = ["SCENARIOS"]

_EAGER: Final = ("--enforce-eager",)
_HUB: Final = str(Path(__file__).with_name("hub.py"))
_PACKAGES: Final = "/usr/local/lib/python3.11/dist-packages"
_OFFLINE_SCRIPT: Final = """\
import sys

from vllm import LLM, SamplingParams


def main():
    llm = LLM(sys.argv[1], enforce_eager=True)
    for answer in llm.generate(["Hello", "Once upon a time"], SamplingParams(max_tokens=16)):
        print(answer.prompt, "->", answer.outputs[0].text)


"""


def _offline(last_line: str) -> Damage:
    return write("../../offline.py", _OFFLINE_SCRIPT + last_line + "\n")


def _mounted(mount: str) -> tuple[str, ...]:
    """Return the words that mount something for this start alone."""
    return ("unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh")


def _after(change: str) -> tuple[str, ...]:
    """Return the words that change the container before vLLM starts in it."""
    return ("-c", f'{change} && exec vllm serve "$@"', "sh", "{model}")


_SHELL: Final = ("--entrypoint", "sh")
_CGROUP: Final = (
    *("sh", "-c"),
    (
        "group=/sys/fs/cgroup/memory/hwval-$$; mkdir $group"
        " && echo 800M > $group/memory.limit_in_bytes"
        ' && echo $$ > $group/cgroup.procs && exec "$@"'
    ),
    "sh",
)

_USAGE: Final = (
    Scenario(
        "removed-flag",
        "a flag of the V0 engine",
        "unknown-engine-argument",
        "error: unrecognized arguments: --num-lookahead-slots",
        arguments=("--num-lookahead-slots", "4"),
    ),
    Scenario(
        "misspelt-flag",
        "a letter too few",
        "unknown-engine-argument",
        "error: unrecognized arguments: --max-modl-len",
        arguments=("--max-modl-len", "1024"),
    ),
    Scenario(
        "invalid-choice",
        "a choice that there is not",
        "unknown-engine-argument",
        "error: argument --dtype: invalid choice: 'fp16'",
        arguments=("--dtype", "fp16"),
    ),
    Scenario(
        "context-too-long",
        "more positions than config.json knows",
        "context-length-exceeds-model",
        "is greater than the derived max_model_len",
        arguments=("--max-model-len", "1000000"),
    ),
    Scenario(
        "removed-flag-device",
        "a flag that every old guide names",
        "unknown-engine-argument",
        "error: ambiguous option: --device could match",
        arguments=("--device", "cpu"),
    ),
    Scenario(
        "removed-flag-task",
        "a flag that every old guide names",
        "unknown-engine-argument",
        "error: unrecognized arguments: --task generate",
        arguments=("--task", "generate"),
    ),
    Scenario(
        "broken-json-flag",
        "an option whose JSON does not end",
        "unknown-engine-argument",
        "error: argument --compilation-config/-cc",
        arguments=("--compilation-config", '{"mode": 3'),
    ),
    Scenario(
        "unknown-key-in-json-flag",
        "an option whose JSON has a key that there is not",
        "unknown-engine-argument",
        "error: argument --compilation-config/-cc",
        also=("invalid-configuration",),
        arguments=("--compilation-config", '{"levle": 3}'),
    ),
    Scenario(
        "batch-below-context",
        "fewer batched tokens than the context without chunked prefill",
        "invalid-configuration",
        "max_num_batched_tokens (64) is smaller than max_model_len",
        arguments=("--no-enable-chunked-prefill", "--max-num-batched-tokens", "64"),
    ),
    Scenario(
        "speculative-without-count",
        "speculative decoding without the number of tokens",
        "invalid-configuration",
        "num_speculative_tokens must be provided with speculative model",
        arguments=("--speculative-config", '{"method": "ngram", "prompt_lookup_max": 4}'),
    ),
    Scenario(
        "speculative-draft-missing",
        "a draft model that is not there",
        "gated-or-missing-model",
        "'/models/draft'",
        arguments=(
            "--speculative-config",
            '{"method": "draft_model", "model": "/models/draft", "num_speculative_tokens": 3}',
        ),
    ),
    Scenario(
        "kv-connector-unknown",
        "a connector that there is not",
        "invalid-configuration",
        "Unsupported connector type: NoSuchConnector",
        arguments=(
            *_EAGER,
            "--kv-transfer-config",
            '{"kv_connector": "NoSuchConnector", "kv_role": "kv_both"}',
        ),
    ),
    Scenario(
        "lora-missing",
        "an adapter that is not there",
        "gated-or-missing-model",
        "Loading lora mine failed: No adapter found for",
        also=("bad-model-files",),
        arguments=(*_EAGER, "--enable-lora", "--lora-modules", "mine=/models/adapter"),
    ),
    Scenario(
        "lora-rank",
        "a rank that is none of the choices",
        "unknown-engine-argument",
        "error: argument --max-lora-rank: invalid choice",
        arguments=("--enable-lora", "--max-lora-rank", "7"),
    ),
    Scenario(
        "omp-binding",
        "one processor list for two workers",
        "invalid-configuration",
        "doesn't match local world size 2",
        environment={"VLLM_CPU_OMP_THREADS_BIND": "0"},
        arguments=(*_EAGER, "--tensor-parallel-size", "2"),
    ),
)

_MEMORY: Final = (
    Scenario(
        "kv-cache-below-context",
        "less cache than one request of full length needs",
        "out-of-memory-kv-cache",
        "ValueError: To serve at least one request with the model's max seq len",
        damage=config(max_position_embeddings=8_388_608),
        arguments=_EAGER,
    ),
    Scenario(
        "kv-cache-above-memory",
        "more space for the cache than the machine has",
        "out-of-memory-kv-cache",
        "kv cache allocation is less than requested memory for kv",
        environment={"VLLM_CPU_KVCACHE_SPACE": "4000"},
        arguments=_EAGER,
    ),
    Scenario(
        "kv-cache-no-memory",
        "a share of memory that the weights alone exceed",
        "out-of-memory-kv-cache",
        "kv cache allocation is less than requested memory for kv",
        environment={"VLLM_CPU_KVCACHE_SPACE": ""},
        arguments=(*_EAGER, "--gpu-memory-utilization", "0.001"),
    ),
    Scenario(
        "oom-killed-at-import",
        "a container with less memory than Python needs for vLLM",
        "host-oom-killed",
        from_log_alone="cause-not-in-log",
        container=("--memory", "400m", "--memory-swap", "400m"),
        arguments=_EAGER,
    ),
    Scenario(
        "kv-cache-above-container",
        "more space for the cache than the container may use",
        "out-of-memory-kv-cache",
        "kv cache allocation is less than requested memory for kv",
        container=("--memory", "1500m", "--memory-swap", "1500m"),
        arguments=_EAGER,
    ),
    Scenario(
        "oom-killed-worker",
        "a container in which a worker is one too many",
        "host-oom-killed",
        from_log_alone="cause-not-in-log",
        container=("--memory", "900m", "--memory-swap", "900m"),
        arguments=_EAGER,
    ),
    Scenario(
        "oom-killed-cgroup",
        "a control group with little memory, without container",
        "host-oom-killed",
        from_log_alone="cause-not-in-log",
        wrapper=_CGROUP,
        arguments=_EAGER,
    ),
    Scenario(
        "address-space-limit",
        "a limit of the address space",
        "host-resource-limit",
        "DefaultCPUAllocator: can't allocate memory",
        also=("host-oom-killed", "out-of-memory-kv-cache", "out-of-memory-runtime"),
        wrapper=("prlimit", "--as=3000000000", "--"),
        arguments=_EAGER,
    ),
    Scenario(
        "shm-tiny",
        "a container with a shared memory of 1 MB",
        "shared-memory-too-small",
        "Insufficient space in /dev/shm for shared-memory allocation",
        container=("--shm-size", "1m"),
        arguments=_EAGER,
    ),
    Scenario(
        "shm-default",
        "the 64 MB that a container gets unasked",
        "shared-memory-too-small",
        "Insufficient space in /dev/shm for shared-memory allocation",
        container=("--shm-size", "64m"),
    ),
    Scenario(
        "shm-tiny-mount",
        "shared memory of 1 MB, without container",
        "shared-memory-too-small",
        "Insufficient space in /dev/shm for shared-memory allocation",
        wrapper=_mounted("mount -t tmpfs -o size=1m tmpfs /dev/shm"),
        arguments=(*_EAGER, "--tensor-parallel-size", "2"),
        environment={"VLLM_CPU_OMP_THREADS_BIND": "0|1"},
    ),
)

_SUPPORT: Final = (
    Scenario(
        "unknown-architecture",
        "an architecture that vLLM does not have",
        "unsupported-architecture-model",
        "Model architectures ['LlamaNextForCausalLM'] are not supported for now",
        damage=config(architectures=["LlamaNextForCausalLM"]),
    ),
    Scenario(
        "unknown-model-type",
        "a model_type that transformers does not have",
        "unsupported-architecture-model",
        "has model type `llama_next` but Transformers does not recognize",
        damage=config(architectures=["LlamaNextForCausalLM"], model_type="llama_next"),
    ),
    Scenario(
        "tensor-parallel-heads",
        "three workers for four heads",
        "tensor-parallel-mismatch",
        "must be divisible by tensor parallel size (3)",
        arguments=("--tensor-parallel-size", "3"),
    ),
    Scenario(
        "quantization-bitsandbytes",
        "a checkpoint for bitsandbytes",
        "unsupported-quantization",
        "Unknown quantization method: bitsandbytes",
        model="llama-bitsandbytes",
    ),
    Scenario(
        "dtype-gemma3-float16",
        "a dtype that the model does not bear",
        "unsupported-dtype",
        "does not support float16. Reason: Numerical instability",
        model="gemma3",
        arguments=("--dtype", "float16"),
    ),
    Scenario(
        "tensor-parallel-above-numa",
        "two workers on one memory node",
        "insufficient-gpus",
        "Not enough allowed NUMA nodes to bind threads of 2 local CPUWorkers",
        arguments=(*_EAGER, "--tensor-parallel-size", "2"),
    ),
    Scenario(
        "quantization-unknown",
        "a quantization that nobody knows, on the command line",
        "unsupported-quantization",
        "Unknown quantization method: int3_magic",
        also=("unknown-engine-argument",),
        arguments=("--quantization", "int3_magic"),
    ),
    Scenario(
        "quantization-unknown-checkpoint",
        "a quantization that nobody knows, in the checkpoint",
        "unsupported-quantization",
        "Unknown quantization method: int3_magic",
        damage=config(quantization_config={"quant_method": "int3_magic"}),
    ),
    Scenario(
        "quantization-fp8",
        "weights to be quantized to fp8",
        "unsupported-quantization",
        "_C::static_scaled_fp8_quant() expected at most 0 argument(s)",
        arguments=(*_EAGER, "--quantization", "fp8"),
    ),
    Scenario(
        "quantization-gptq-bits",
        "a gptq checkpoint of 3 bits",
        "unsupported-quantization",
        "Unsupported quantization config: bits=3",
        damage=config(
            quantization_config={
                "quant_method": "gptq",
                "bits": 3,
                "group_size": 128,
                "desc_act": False,
                "sym": True,
            }
        ),
        arguments=_EAGER,
    ),
    Scenario(
        "quantization-gptq-incomplete",
        "a gptq checkpoint that does not say how it is quantized",
        "bad-model-files",
        "Cannot find any of ['group_size'] in the model's quantization config",
        also=("unsupported-quantization",),
        damage=config(quantization_config={"quant_method": "gptq", "bits": 4}),
        arguments=_EAGER,
    ),
    Scenario(
        "quantization-modelopt",
        "an fp4 checkpoint of NVIDIA",
        "unsupported-quantization",
        "Failed to find a kernel that can implement the NVFP4 linear layer",
        damage=config(
            quantization_config={
                "quant_method": "modelopt",
                "quant_algo": "NVFP4",
                "kv_cache_quant_algo": None,
                "group_size": 16,
                "exclude_modules": ["lm_head"],
            }
        ),
        arguments=_EAGER,
    ),
    Scenario(
        "transformers-old",
        "a transformers of another year",
        "version-incompatibility",
        "tokenizers>=0.20,<0.21 is required for a normal functioning",
        damage=installed("transformers==4.46.3"),
        environment={"PYTHONPATH": "{work}/packages"},
    ),
    Scenario(
        "transformers-old-with-its-own",
        "a transformers of another year and all that it asks for",
        "version-incompatibility",
        "ImportError: cannot import name 'PreTrainedConfig' from 'transformers'",
        damage=installed("transformers==4.51.3", "tokenizers==0.21.1", "huggingface_hub==0.30.2"),
        environment={"PYTHONPATH": "{work}/packages"},
    ),
    Scenario(
        "tokenizers-old",
        "a tokenizers that transformers refuses",
        "version-incompatibility",
        "tokenizers>=0.23.1,<0.24.0 is required for a normal functioning",
        damage=installed("tokenizers==0.20.3"),
        environment={"PYTHONPATH": "{work}/packages"},
    ),
    Scenario(
        "pydantic-old",
        "a pydantic that does not fit its core",
        "version-incompatibility",
        "ImportError: cannot import name 'validate_core_schema' from 'pydantic_core'",
        damage=installed("pydantic==2.10.6"),
        environment={"PYTHONPATH": "{work}/packages"},
    ),
)

_MODEL: Final = (
    Scenario(
        "remote-code",
        "a checkpoint with code of its own",
        "trust-remote-code-required",
        "contains custom code which must be executed",
        damage=config(model_type="own", auto_map={"AutoConfig": "own.OwnConfig"}),
    ),
    Scenario(
        "weights-truncated",
        "half a weights file",
        "bad-model-files",
        "SafetensorError: Error while deserializing header: incomplete metadata",
        damage=cut("model.safetensors", to_ratio=0.5),
        arguments=_EAGER,
    ),
    Scenario(
        "weights-shard-missing",
        "an index that names a file which is not there",
        "bad-model-files",
        "Weight files referenced in index but missing",
        damage=sharded,
        arguments=_EAGER,
    ),
    Scenario(
        "weights-missing",
        "no weights at all",
        "bad-model-files",
        "RuntimeError: Cannot find any model weights with",
        damage=remove("model.safetensors"),
        arguments=_EAGER,
    ),
    Scenario(
        "weights-shape",
        "a tensor with half its rows",
        "bad-model-files",
        "] AssertionError",
        damage=shrink_tensor("model.embed_tokens.weight"),
        arguments=_EAGER,
    ),
    Scenario(
        "weights-tensor-missing",
        "a tensor left out",
        "bad-model-files",
        "Following weights were not initialized from checkpoint",
        damage=without_tensor("model.norm.weight"),
        arguments=_EAGER,
    ),
    Scenario(
        "weights-tensor-unknown",
        "tensors under another name",
        "bad-model-files",
        "There is no module or parameter named 'layers.0.attention'",
        damage=rename_tensors(".self_attn.", ".attention."),
        arguments=_EAGER,
    ),
    Scenario(
        "config-broken",
        "a config.json that ends too early",
        "bad-model-files",
        "config.json' is not a valid JSON file",
        damage=cut("config.json", to_ratio=0.6),
    ),
    Scenario(
        "config-missing",
        "no config.json",
        "bad-model-files",
        "Invalid repository ID or local directory specified",
        damage=remove("config.json"),
    ),
    Scenario(
        "tokenizer-missing",
        "no tokenizer",
        "tokenizer-error",
        "Couldn't instantiate the backend tokenizer",
        damage=remove("tokenizer.json", "tokenizer_config.json"),
    ),
    Scenario(
        "tokenizer-broken",
        "a tokenizer.json that is not one",
        "tokenizer-error",
        "KeyError: 'added_tokens'",
        damage=write("tokenizer.json", '{"version": "1.0", "model": {"type": "BPE"}}'),
    ),
    Scenario(
        "path-missing",
        "a folder that is not there",
        "gated-or-missing-model",
        "Repo id must be in the form",
        served="{work}/models/nothing-here",
    ),
    Scenario(
        "weights-lfs-pointer",
        "a pointer of Git LFS in the place of the weights",
        "bad-model-files",
        "SafetensorError: Error while deserializing header: header too large",
        damage=write(
            "model.safetensors",
            "version https://git-lfs.github.com/spec/v1\noid sha256:"
            + 64 * "0"
            + "\nsize 1117600\n",
        ),
        arguments=_EAGER,
    ),
    Scenario(
        "config-heads",
        "a width that the heads do not divide",
        "bad-model-files",
        "The hidden size (128) is not a multiple of the number of attention heads (5)",
        also=("invalid-configuration",),
        damage=config(num_attention_heads=5, num_key_value_heads=5, head_dim=None),
        arguments=_EAGER,
    ),
    Scenario(
        "config-kv-heads",
        "query heads that the key heads do not divide",
        "bad-model-files",
        "AssertionError: num_heads (4) is not divisible by num_kv_heads (3)",
        also=("invalid-configuration",),
        damage=config(num_key_value_heads=3),
        arguments=_EAGER,
    ),
    Scenario(
        "config-without-sizes",
        "a config.json of nothing but its model type",
        "bad-model-files",
        "] AssertionError",
        damage=write("config.json", '{"model_type": "llama"}'),
        arguments=_EAGER,
    ),
    Scenario(
        "tokenizer-lfs-pointer",
        "a pointer of Git LFS in the place of the tokenizer",
        "tokenizer-error",
        "JSONDecodeError: Expecting value: line 1 column 1",
        damage=write("tokenizer.json", "version https://git-lfs.github.com/spec/v1\n"),
    ),
    Scenario(
        "tokenizer-mode-mistral",
        "the tokenizer of Mistral asked of another",
        "tokenizer-error",
        "ValueError: No tokenizer file found",
        arguments=("--tokenizer-mode", "mistral"),
    ),
    Scenario(
        "chat-template-syntax",
        "a chat template with a syntax error; the server starts, and no chat succeeds",
        "tokenizer-error",
        "jinja2.exceptions.TemplateSyntaxError: unexpected '}'",
        damage=tokenizer_config(chat_template="{% for message in messages %}{{ message.content }"),
        act=converse(3),
        arguments=_EAGER,
    ),
    Scenario(
        "chat-template-path",
        "a chat template that is not there",
        "tokenizer-error",
        "appears path-like, but doesn't exist",
        arguments=(*_EAGER, "--chat-template", "./templates/none.jinja"),
    ),
    Scenario(
        "repo-not-found",
        "a hub that does not know the name",
        "gated-or-missing-model",
        "is not a local folder and is not a valid model identifier",
        served="some-org/some-model",
        wrapper=("python", _HUB, "{other}", "RepoNotFound"),
        environment={"HF_HUB_OFFLINE": "", "HF_ENDPOINT": "http://127.0.0.1:{other}"},
    ),
    Scenario(
        "repo-gated",
        "a hub that wants an agreement first",
        "gated-or-missing-model",
        "OSError: You are trying to access a gated repo",
        served="some-org/some-model",
        wrapper=("python", _HUB, "{other}", "GatedRepo"),
        environment={"HF_HUB_OFFLINE": "", "HF_ENDPOINT": "http://127.0.0.1:{other}"},
    ),
    Scenario(
        "path-missing-container",
        "a folder that is not mounted",
        "gated-or-missing-model",
        "Repo id must be in the form",
        served="/models/another",
        container=(),
    ),
    Scenario(
        "remote-code-file-missing",
        "code of its own that is not in the checkpoint",
        "bad-model-files",
        "does not appear to have a file named own.py",
        damage=config(model_type="own", auto_map={"AutoConfig": "own.OwnConfig"}),
        arguments=("--trust-remote-code",),
    ),
)

_KERNEL: Final = (
    Scenario(
        "no-compiler",
        "a container without a C++ compiler",
        "kernel-compile-failure",
        "InvalidCxxCompiler: No working C++ compiler found",
        container=(),
    ),
)

_PROCESS: Final = (
    Scenario(
        "module-missing",
        "an image without one of the Python packages",
        "missing-dependency",
        "ModuleNotFoundError: No module named 'msgspec'",
        container=_SHELL,
        command=_after(f"rm -r {_PACKAGES}/msgspec*"),
    ),
    Scenario(
        "vllm-missing",
        "an image without vLLM",
        "missing-dependency",
        "ModuleNotFoundError: No module named 'vllm'",
        image="hwval/base:bookworm",
        container=(),
        command=("python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "{model}"),
    ),
    Scenario(
        "library-missing-libnuma",
        "an image without libnuma",
        "missing-dependency",
        "libnuma.so.1: cannot open shared object file",
        container=_SHELL,
        command=_after("rm /usr/lib/x86_64-linux-gnu/libnuma.so.1"),
    ),
    Scenario(
        "library-missing-torch",
        "an image without a library of torch",
        "missing-dependency",
        "ImportError: libc10.so: cannot open shared object file",
        container=_SHELL,
        command=_after(f"rm {_PACKAGES}/torch/lib/libc10.so"),
    ),
    Scenario(
        "ray-missing",
        "Ray asked for where it is not installed",
        "missing-dependency",
        "Failed to import Ray: No module named 'ray'",
        arguments=(*_EAGER, "--distributed-executor-backend", "ray"),
    ),
    Scenario(
        "hangs-while-loading",
        "weights on a file system that does not answer",
        "startup-timeout",
        damage=fifo,
        arguments=_EAGER,
        deadline_s=60,
        is_known_hang=True,
    ),
    Scenario(
        "socket-path-too-long",
        "a folder for sockets with a long name",
        "ipc-socket-failure",
        "is longer than 107 characters",
        environment={"VLLM_RPC_BASE_PATH": "{work}/" + 100 * "x"},
        arguments=_EAGER,
    ),
    Scenario(
        "gloo-interface",
        "a network interface that there is not",
        "nccl-rccl-failure",
        "Unable to find address for: ib7",
        also=("ipc-socket-failure", "invalid-configuration"),
        environment={"GLOO_SOCKET_IFNAME": "ib7", "VLLM_CPU_OMP_THREADS_BIND": "0|1"},
        arguments=(*_EAGER, "--tensor-parallel-size", "2"),
    ),
    Scenario(
        "image-without-vllm-command",
        "an image without the command",
        "image-command-missing",
        'exec: "vllm": executable file not found in $PATH',
        image="hwval/base:bookworm",
        container=(),
        command=("vllm", "serve", "{model}"),
    ),
    Scenario(
        "entrypoint-not-executable",
        "an entrypoint that cannot be executed",
        "image-command-missing",
        'exec: "/etc/passwd": permission denied',
        container=("--entrypoint", "/etc/passwd"),
    ),
    Scenario(
        "shell-command-not-found",
        "a start script that calls what is not there",
        "image-command-missing",
        "vlm: not found",
        container=_SHELL,
        command=("-c", "set -e; vlm serve /models/tiny"),
    ),
    Scenario(
        "main-guard-missing",
        "a script without a guard, whose engine starts it again",
        "unknown",
        "An attempt has been made to start a new process before the",
        also=("invalid-configuration", "cuda-fork-reinit"),
        damage=_offline("main()"),
        command=("python", "{work}/offline.py", "{model}"),
    ),
)

_LAB: Final = (
    Scenario(
        "hub-offline",
        "a name without a copy, offline",
        "hub-unreachable",
        "outgoing traffic has been disabled",
        served="some-org/some-model",
    ),
    Scenario(
        "hub-refuses-connections",
        "a hub that does not listen",
        "hub-unreachable",
        "OSError: We couldn't connect to 'http://127.0.0.1",
        served="some-org/some-model",
        environment={"HF_HUB_OFFLINE": "", "HF_ENDPOINT": "http://127.0.0.1:{other}"},
    ),
    Scenario(
        "hub-no-network",
        "a machine without network",
        "hub-unreachable",
        "OSError: We couldn't connect to 'https://huggingface.co'",
        served="some-org/some-model",
        wrapper=("unshare", "--net"),
        environment={"HF_HUB_OFFLINE": ""},
    ),
    Scenario(
        "hub-no-network-container",
        "a container without network",
        "hub-unreachable",
        "OSError: We couldn't connect to 'https://huggingface.co'",
        served="some-org/some-model",
        container=("--network", "none"),
        environment={"HF_HUB_OFFLINE": ""},
    ),
    Scenario(
        "port-in-use",
        "another server on the port",
        "port-in-use",
        "OSError: [Errno 98] Address already in use",
        wrapper=("python", _HUB, "{port}", "RepoNotFound"),
        arguments=_EAGER,
    ),
    Scenario(
        "port-in-use-docker",
        "a port published twice",
        "port-in-use",
        "port is already allocated",
        container=("--publish", "127.0.0.1:{port}:8001"),
    ),
    Scenario(
        "disk-read-only",
        "a container that may write nothing",
        "disk-full",
        "No usable temporary directory found in",
        container=("--read-only",),
        arguments=_EAGER,
    ),
    Scenario(
        "disk-full-cache",
        "a cache of 64 kB",
        "disk-full",
        "OSError: [Errno 28] No space left on device",
        wrapper=_mounted("mkdir {work}/cache && mount -t tmpfs -o size=64k tmpfs {work}/cache"),
        environment={"VLLM_CACHE_ROOT": "{work}/cache"},
        deadline_s=60,
        is_known_hang=True,
    ),
    Scenario(
        "cache-not-writable",
        "a user who may not write where the cache is",
        "disk-full",
        "[Errno 13] Permission denied: '/.cache'",
        container=("--user", "1000:1000"),
    ),
    Scenario(
        "checkpoint-unreadable",
        "a user who may not read the checkpoint",
        "disk-full",
        "PermissionError: [Errno 13] Permission denied: '/models/tiny/config.json'",
        also=("bad-model-files", "gated-or-missing-model"),
        damage=private,
        container=("--user", "1000:1000", "--env", "HOME=/tmp"),
        arguments=_EAGER,
    ),
    Scenario(
        "thread-limit",
        "a container with few processes",
        "host-resource-limit",
        "RuntimeError: Resource temporarily unavailable",
        container=("--pids-limit", "24"),
        arguments=_EAGER,
    ),
    Scenario(
        "thread-limit-user",
        "a user with few threads",
        "host-resource-limit",
        "Resource temporarily unavailable (src/thread.cpp",
        container=("--user", "1000:1000", "--ulimit", "nproc=12:12", "--env", "HOME=/tmp"),
        arguments=_EAGER,
    ),
    Scenario(
        "file-limit",
        "a limit of few open files",
        "host-resource-limit",
        "socket: Too many open files",
        wrapper=("prlimit", "--nofile=48:48", "--"),
        arguments=_EAGER,
    ),
    Scenario(
        "file-limit-container",
        "a container with few open files",
        "host-resource-limit",
        "zmq.error.ZMQError: Too many open files",
        container=("--ulimit", "nofile=64:64"),
        arguments=_EAGER,
    ),
    Scenario(
        "terminated-while-loading",
        "stopped before it served, by SIGTERM and SIGKILL as `docker stop` does",
        "terminated-by-signal",
        also=("cause-not-in-log", "host-oom-killed"),
        from_log_alone="cause-not-in-log",
        act=stop(Signals.SIGTERM),
        arguments=_EAGER,
    ),
    Scenario(
        "interrupted-while-loading",
        "stopped before it served, by Ctrl-C",
        "terminated-by-signal",
        "KeyboardInterrupt",
        act=stop(Signals.SIGINT),
        arguments=_EAGER,
    ),
    Scenario(
        "killed-while-loading",
        "killed before it served",
        "terminated-by-signal",
        act=stop(Signals.SIGKILL),
        also=("cause-not-in-log", "host-oom-killed"),
        from_log_alone="cause-not-in-log",
        arguments=_EAGER,
    ),
    Scenario(
        "docker-stopped-while-loading",
        "stopped by docker before it served",
        "terminated-by-signal",
        also=("cause-not-in-log",),
        from_log_alone="cause-not-in-log",
        act=stop(Signals.SIGTERM),
        container=(),
        arguments=_EAGER,
    ),
    Scenario(
        "gpus-without-toolkit",
        "GPUs asked of a host without the toolkit",
        "gpu-not-visible",
        "could not select device driver",
        container=("--gpus", "all"),
    ),
    Scenario(
        "device-node-missing",
        "a device node that this host does not have",
        "gpu-not-visible",
        'error gathering device information while adding custom device "/dev/kfd"',
        container=("--device", "/dev/kfd", "--device", "/dev/dri"),
    ),
    Scenario(
        "runtime-unknown",
        "a container runtime that this host does not have",
        "gpu-not-visible",
        "Unknown runtime specified nvidia",
        also=("engine-daemon-failure",),
        container=("--runtime", "nvidia"),
    ),
    Scenario(
        "mount-missing",
        "a folder of the host that is not there",
        "engine-daemon-failure",
        "bind source path does not exist",
        also=("invalid-configuration", "gated-or-missing-model"),
        container=("--mount", "type=bind,source=/srv/no-such-folder,target=/data"),
    ),
    Scenario(
        "image-missing",
        "an image that is nowhere",
        "image-unavailable",
        "connect: connection refused",
        image="127.0.0.1:{other}/vllm-openai:v9",
        container=(),
    ),
    Scenario(
        "image-unauthorized",
        "an image that its registry does not give",
        "image-unavailable",
        "unauthorized: authentication required",
        wrapper=("python", _HUB, "{other}", "RepoNotFound"),
        image="127.0.0.1:{other}/vllm-openai:v9",
        container=(),
    ),
    Scenario(
        "daemon-gone",
        "a daemon that does not run",
        "engine-daemon-failure",
        "Cannot connect to the Docker daemon at",
        wrapper=("env", "DOCKER_HOST=unix:///var/run/no-docker.sock"),
        container=(),
    ),
    Scenario(
        "memory-limit-too-small",
        "a memory limit that the daemon refuses",
        "engine-daemon-failure",
        "Minimum memory limit allowed is 6MB",
        also=("invalid-configuration",),
        container=("--memory", "1m"),
    ),
)

_NONE: Final = (
    Scenario(
        "bench-beyond-vocabulary",
        "the benchmark of latency, which draws tokens that a small vocabulary does not have",
        "unknown",
        "is out of vocabulary",
        also=("invalid-configuration",),
        command=("vllm", "bench", "latency", "--model", "{model}", "--input-len", "16"),
        arguments=(*_EAGER, "--output-len", "16", "--num-iters", "3", "--batch-size", "2"),
    ),
    Scenario(
        "engine-core-killed",
        "the engine core killed while it served",
        "cause-not-in-log",
        "MPClient: engine core exited unexpectedly",
        also=("terminated-by-signal",),
        act=kill_child("VLLM::EngineCore", Signals.SIGKILL),
        arguments=_EAGER,
    ),
    Scenario(
        "worker-killed",
        "a worker killed while it served",
        "cause-not-in-log",
        "died unexpectedly (exit code: -9)",
        also=("terminated-by-signal", "host-oom-killed"),
        act=kill_child("VLLM::Worker", Signals.SIGKILL),
        arguments=_EAGER,
    ),
    Scenario(
        "worker-crashed",
        "a worker ended by SIGSEGV while it served",
        "unknown",
        "Segfault encountered",
        also=("cause-not-in-log",),
        act=kill_child("VLLM::Worker", Signals.SIGSEGV),
        arguments=_EAGER,
    ),
)

_HEALTHY: Final = (
    Scenario("healthy-plain", "a start", None),
    Scenario(
        "healthy-eager-container",
        "a start in a container",
        None,
        container=(),
        arguments=_EAGER,
    ),
    Scenario(
        "healthy-refusals",
        "requests that must be refused, and an answer nobody waits for",
        None,
        act=abuse,
        arguments=_EAGER,
    ),
    Scenario(
        "healthy-long",
        "200 chats, half of them streams",
        None,
        act=converse(200),
        arguments=_EAGER,
    ),
    Scenario(
        "healthy-warnings",
        "libraries that cannot be preloaded, unknown variables, old options",
        None,
        environment={
            "LD_PRELOAD": "/usr/lib/libtcmalloc_minimal.so.4",
            "VLLM_NO_SUCH_SWITCH": "1",
            "VLLM_LOGGING_LEVEL": "DEBUG",
            "CUDA_VISIBLE_DEVICES": "0",
            "TRANSFORMERS_CACHE": "{work}/old",
        },
        arguments=(*_EAGER, "--trust-remote-code", "--max-model-len", "1024"),
    ),
    Scenario(
        "healthy-moe",
        "a model with experts in float32, two workers",
        None,
        model="qwen3-moe",
        arguments=(*_EAGER, "--dtype", "float32", "--tensor-parallel-size", "2"),
        environment={"VLLM_CPU_OMP_THREADS_BIND": "0|1"},
    ),
    Scenario(
        "healthy-stopped",
        "stopped after its work",
        None,
        also=("terminated-by-signal",),
        act=stop(Signals.SIGTERM, after=READY),
        arguments=_EAGER,
    ),
    Scenario(
        "healthy-offline",
        "a script without server",
        None,
        damage=_offline('if __name__ == "__main__":\n    main()'),
        command=("python", "{work}/offline.py", "{model}"),
    ),
    Scenario(
        "healthy-bench",
        "the benchmark of throughput",
        None,
        command=("vllm", "bench", "throughput", "--model", "{model}"),
        arguments=(
            *_EAGER,
            *("--dataset-name", "random", "--input-len", "16", "--output-len", "16"),
            *("--num-prompts", "4"),
        ),
    ),
)

SCENARIOS: Final = (
    *_USAGE,
    *_MEMORY,
    *_SUPPORT,
    *_MODEL,
    *_KERNEL,
    *_PROCESS,
    *_LAB,
    *_NONE,
    *_HEALTHY,
)
