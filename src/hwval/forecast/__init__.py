"""Know before you burn the GPU hour: what is known of a cell before it runs.

Takes a cell, the catalogue and the devices that it would get, and lets ``hwval.planning`` judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Final

from hwval.catalogue import Catalogue
from hwval.catalogue import ImageFacts
from hwval.catalogue import Vendor
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.errors import UsageError
from hwval.forecast.accelerator import accelerator_of
from hwval.forecast.command_line import judge_command_line
from hwval.forecast.model import KnownModel
from hwval.forecast.model import find_model
from hwval.forecast.other_server import is_other_server
from hwval.forecast.other_server import of_other_server
from hwval.forecast.other_server import spread_over
from hwval.forecast.processor import cache_note
from hwval.forecast.processor import space_refusals
from hwval.forecast.settings import EngineSetup
from hwval.forecast.settings import read_setup
from hwval.host import Device
from hwval.planning.advice import idle_note
from hwval.planning.engine_settings import Version
from hwval.planning.engine_settings import parse_version
from hwval.planning.memory import Fit
from hwval.planning.memory import MemoryPlan
from hwval.planning.memory import files_refusal
from hwval.planning.parallel import division_refusals
from hwval.planning.plan import Accelerator
from hwval.planning.plan import Plan
from hwval.planning.plan import PlanVerdict
from hwval.planning.plan import plan
from hwval.planning.quantization import WeightFormat
from hwval.planning.refusal import Note
from hwval.planning.refusal import Refusal
from hwval.planning.support import environment_refusals
from hwval.planning.support import support_refusals

__all__ = ["FIGURES_DOUBT", "Forecast", "Forecaster"]

# How far off figures that are marked uncertain may be: 16 GB nominal were 15 GiB, and sums of
# commonly told dimensions agreed with files to 1 %.
FIGURES_DOUBT: Final = 1.1


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known of one cell before it runs.

    Attributes:
        plan: What the planner says of it on its hardware, be that here or elsewhere.
        is_speculative: Whether a step may answer more than one token, so that the decode ceiling
            bounds the steps and not the tokens.
        logs_by_concurrency: How its vLLM counts the tokens that it logs.
    """

    plan: Plan
    is_speculative: bool = False
    logs_by_concurrency: bool = True

    @property
    def verdict(self) -> PlanVerdict:
        """Whether it may run, wherever its hardware is."""
        return self.plan.verdict

    @property
    def is_impossible(self) -> bool:
        """Whether it surely fails."""
        return self.verdict is PlanVerdict.IMPOSSIBLE

    @property
    def against(self) -> tuple[Refusal, ...]:
        """What made the verdict: the certain reasons of an impossible cell, else all doubts."""
        reasons = self.plan.reasons
        if self.is_impossible:
            return tuple(reason for reason in reasons if reason.is_certain)
        if self.verdict is PlanVerdict.RUN:
            return ()
        return reasons

    @property
    def why(self) -> str:
        """What stands against it and what to change, in a line; empty for a cell that runs."""
        text = "; ".join(reason.text for reason in self.against)
        change = f"; change: {', or '.join(self.plan.advice)}" if self.plan.advice else ""
        return f"{text}{change}" if text else ""

    @property
    def numbers(self) -> Mapping[str, float]:
        """What the engine's own log can be held against; units stand in the names."""
        memory = self.plan.memory
        if memory is None:
            return {}
        least, most = self._logged_tokens(memory)
        bounds = memory.weights.bounds_bytes
        return {
            "planned_weights_bytes": memory.weights.per_rank_bytes,
            "planned_weights_least_bytes": max(0, round(bounds.low)),
            "planned_weights_most_bytes": round(bounds.high),
            "planned_kv_cache_least_tokens": least,
            "planned_kv_cache_most_tokens": most,
        }

    def _logged_tokens(self, memory: MemoryPlan) -> tuple[int, int]:
        least, most = (
            memory.cache.logged_tokens(
                available,
                memory.length_tokens,
                memory.batch_tokens,
                by_concurrency=self.logs_by_concurrency,
            )
            for available in (memory.available_bytes.low, memory.available_bytes.high)
        )
        return least, most

    def to_json(self) -> dict[str, Any]:
        """Return the plan in base units; with speculation the decode ceiling counts steps."""
        found = self.plan.to_json()
        if found["ceiling"]:
            found["ceiling"]["speculative"] = self.is_speculative
        return found


class Forecaster:
    """Plans cells; each model, and each cell but for its name, is looked at once.

    A file that changes while it lives is not read again.

    Args:
        fetch: Whether the Hub is asked for the config.json of models that are not known here.
    """

    def __init__(self, *, fetch: bool = False) -> None:
        self._fetch = fetch
        self._models: dict[tuple[int, str, str], KnownModel] = {}
        self._accelerators: dict[tuple[object, ...], tuple[Accelerator, tuple[Refusal, ...]]] = {}
        self._forecasts: dict[tuple[object, ...], Forecast] = {}
        self._catalogues: list[Catalogue] = []  # keeps the ids above from being used again

    def forecast(
        self, cell: Cell, catalogue: Catalogue, image: ImageFacts, devices: Sequence[Device] = ()
    ) -> Forecast:
        """Return what is known of a cell.

        Args:
            cell: The cell.
            catalogue: What its names stand for.
            image: Facts of its image, as its tag pins them down.
            devices: Devices of this host that would do; none plans it for the catalogue's.
        """
        if not any(known is catalogue for known in self._catalogues):
            self._catalogues.append(catalogue)
        key = (
            *(id(catalogue), cell.hardware, cell.device_count, cell.image, cell.model, cell.dtype),
            *(cell.engine_args, cell.environment, cell.partition_mode, cell.memory_bytes),
            *(device.id for device in devices),
        )
        found = self._forecasts.get(key)
        if found is None:
            found = self._forecasts[key] = self._look(cell, catalogue, image, devices)
        return found

    def _look(
        self, cell: Cell, catalogue: Catalogue, image: ImageFacts, devices: Sequence[Device]
    ) -> Forecast:
        judged = judge_command_line(cell, image)
        try:
            found = self._judge(cell, catalogue, image, devices)
        except (UsageError, ArithmeticError, ValueError, RecursionError) as error:
            found = Forecast(_unknown(str(error) or type(error).__name__))
        planned = _with(found.plan, (*judged.refusals, *_space_refusals(cell, catalogue, image)))
        if notes := (*_entry_notes(cell, catalogue, image), *judged.notes):
            planned = replace(planned, notes=(*notes, *planned.notes))
        return found if planned is found.plan else replace(found, plan=planned)

    def _judge(
        self, cell: Cell, catalogue: Catalogue, image: ImageFacts, devices: Sequence[Device]
    ) -> Forecast:
        facts = catalogue.hardware(cell.hardware)
        is_other = is_other_server(image)
        setup = read_setup(
            () if is_other else cell.engine_args,
            () if is_other else cell.environment,
            vendor=facts.vendor,
            version=parse_version(image.vllm),
        )
        accelerator, doubts = self._accelerator(cell, catalogue, devices)
        if is_other:  # its own flags are not known: no device is slower than all of them together
            setup = replace(setup, settings=spread_over(accelerator.count, setup.settings))
        found = self._plan(cell, catalogue, setup, accelerator)
        variables = dict(cell.environment)
        if not is_other and cell.memory_bytes is None:
            note = cache_note(variables, setup.settings, accelerator, found.memory)
            found = replace(found, notes=(*found.notes, *note)) if note else found
        if not is_other and facts.vendor is not Vendor.CPU and not cell.partition_mode:
            idle = self._idle_note(cell, catalogue, setup, found)
            found = replace(found, notes=(*found.notes, *idle)) if idle else found
        if facts.uncertain and not devices:
            found = _with_doubt(found, f"figures of {cell.hardware}")
        found = _with(found, (*doubts, *environment_refusals(accelerator.architecture, variables)))
        if is_other:
            model = self._model(cell.model, catalogue, setup.overrides)
            found = of_other_server(found, image, model, accelerator)
        return Forecast(found, setup.is_speculative, setup.settings.logs_by_concurrency)

    def _idle_note(
        self, cell: Cell, catalogue: Catalogue, setup: EngineSetup, found: Plan
    ) -> tuple[Note, ...]:
        """Return whether the engine leaves devices of its cell idle."""
        spread, count = setup.settings.parallelism, cell.device_count
        if spread.ranks >= count:
            return ()
        wider = replace(spread, tensor=max(1, count // (spread.pipeline * spread.data)))
        shape = self._model(cell.model, catalogue, setup.overrides).shape
        can_spread = shape is None or not division_refusals(
            shape, wider, quantization=shape.quantization
        )
        fits = found.memory is None or found.memory.fit is not Fit.IMPOSSIBLE
        return idle_note(cell.hardware, count, spread, can_spread=can_spread, fits=fits)

    def _plan(
        self, cell: Cell, catalogue: Catalogue, setup: EngineSetup, accelerator: Accelerator
    ) -> Plan:
        model = self._model(cell.model, catalogue, setup.overrides)
        settings = setup.settings
        if model.shape is None:
            return _by_files(model, setup, accelerator)
        draft = self._draft(setup.draft, catalogue)
        quantization = model.shape.quantization
        is_unknown = quantization is not None and quantization.format is WeightFormat.UNKNOWN
        found = plan(
            model.shape,
            settings,
            accelerator,
            dtype=_dtype(cell, model, accelerator.architecture, settings.version),
            quantization_flag=setup.quantization,
            image=cell.image,
            draft=draft.shape,
            # Formulas are exact where they are known; files may hold more than is loaded.
            files_bytes=model.files_bytes if is_unknown else None,
        )
        extra = [*_positions(model, setup)]
        if setup.draft and draft.shape is None:
            text = f"the draft is not counted: {draft.problem}"
            extra.append(Refusal("draft", text, is_certain=False))
        if model.is_uncertain:
            found = _with_doubt(found, f"dimensions of {cell.model}")
        return _with(found, extra)

    def _accelerator(
        self, cell: Cell, catalogue: Catalogue, devices: Sequence[Device]
    ) -> tuple[Accelerator, tuple[Refusal, ...]]:
        key = (
            *(id(catalogue), cell.hardware, cell.device_count),
            *(cell.partition_mode, cell.memory_bytes),
            *(device.id for device in devices),
        )
        found = self._accelerators.get(key)
        if found is None:
            facts = catalogue.hardware(cell.hardware)
            found = self._accelerators[key] = accelerator_of(cell, facts, devices)
        return found

    def _draft(self, name: str, catalogue: Catalogue) -> KnownModel:
        """Return the draft model that vLLM is told of, by its name on the Hub or its path."""
        if not name:
            return KnownModel()
        is_known = name in catalogue.models_by_name or name.startswith("/")
        return self._model(name if is_known else f"hub:{name}", catalogue, {})

    def _model(
        self, reference: str, catalogue: Catalogue, overrides: Mapping[str, Any]
    ) -> KnownModel:
        key = (id(catalogue), reference, json.dumps(overrides) if overrides else "")
        found = self._models.get(key)
        if found is None:
            found = self._models[key] = find_model(
                reference, catalogue, overrides, fetch=self._fetch
            )
        return found


def _dtype(cell: Cell, model: KnownModel, architecture: str, version: Version | None) -> str:
    """Return what ``--dtype`` comes to: vLLM 0.32.0, ``config/model.py`` _resolve_auto_dtype.

    The checkpoint's type, else the first that the device and the family of the model allow.
    """
    if cell.dtype is not Dtype.AUTO:
        return str(cell.dtype)
    own = "float16" if model.dtype in {"float16", "half"} else "bfloat16"
    family = model.shape.model_type if model.shape is not None else ""
    for dtype in dict.fromkeys((own, "bfloat16", "float16")):
        refused = support_refusals(architecture, dtype=dtype, version=version, model_type=family)
        if not any(refusal.rule in {dtype, "model-dtype"} for refusal in refused):
            return dtype
    return "float32"


def _positions(model: KnownModel, setup: EngineSetup) -> tuple[Refusal, ...]:
    """Return whether requests may be as long as asked.

    vLLM 0.32.0, ``config/model.py`` _get_and_verify_max_len: longer than the model's positions is
    refused unless ``VLLM_ALLOW_LONG_MAX_MODEL_LEN`` is set.
    """
    asked = setup.settings.max_model_len_tokens
    known = model.shape.max_positions if model.shape is not None else None
    if asked is None or known is None or asked <= known or setup.may_exceed_positions:
        return ()
    text = f"--max-model-len {asked} of a model that knows {known} positions; at most {known}"
    return (Refusal("positions", text, model.positions_are_certain),)


def _by_files(model: KnownModel, setup: EngineSetup, accelerator: Accelerator) -> Plan:
    """Return what the size of the files alone tells: nothing if they are quantized as loaded."""
    unknown = Refusal("unknown", model.problem, is_certain=False)
    refusal = None
    if model.files_bytes is not None and setup.quantization is None:
        refusal = files_refusal(model.files_bytes, setup.settings, accelerator.memory)
    if refusal is None:
        return Plan(PlanVerdict.UNKNOWN, (unknown,))
    return Plan(PlanVerdict.IMPOSSIBLE, (refusal, unknown))


def _space_refusals(cell: Cell, catalogue: Catalogue, image: ImageFacts) -> tuple[Refusal, ...]:
    """Return whether the engine refuses the size of a processor's cache."""
    facts = catalogue.hardware_by_name.get(cell.hardware)
    if facts is None or is_other_server(image):
        return ()
    return space_refusals(dict(cell.environment), facts.vendor, parse_version(image.vllm))


def _entry_notes(cell: Cell, catalogue: Catalogue, image: ImageFacts) -> Iterator[Note]:
    """Yield what the catalogue says of a cell's image and model."""
    if image.note:
        yield Note("image", f"{cell.image}: {image.note}")
    facts = catalogue.models_by_name.get(cell.model)
    if facts is not None and facts.note:
        yield Note("model", f"{cell.model}: {facts.note}")


def _unknown(text: str) -> Plan:
    return Plan(PlanVerdict.UNKNOWN, (Refusal("unknown", text, is_certain=False),))


def _with(found: Plan, extra: Sequence[Refusal]) -> Plan:
    """Return the plan with more that speaks against the cell."""
    verdict = found.verdict
    if verdict is PlanVerdict.UNKNOWN:
        extra = [refusal for refusal in extra if refusal.is_certain]
    if not extra:
        return found
    if any(refusal.is_certain for refusal in extra):
        verdict = PlanVerdict.IMPOSSIBLE
    elif verdict is PlanVerdict.RUN:
        verdict = PlanVerdict.UNCERTAIN
    return replace(found, verdict=verdict, reasons=(*extra, *found.reasons))


def _with_doubt(found: Plan, what: str) -> Plan:
    """Return the plan as figures without a source of their own allow: a near miss is no verdict."""
    if found.verdict is PlanVerdict.UNKNOWN:
        return found
    note = Refusal("facts", f"the catalogue marks {what} as uncertain", is_certain=False)
    memory = found.memory
    verdict = found.verdict
    reasons = list(found.reasons)
    others = [reason for reason in reasons if reason.is_certain and reason.rule != "memory"]
    if verdict is PlanVerdict.IMPOSSIBLE and not others and memory is not None:
        needed = memory.required_bytes.low
        if needed <= FIGURES_DOUBT * memory.requested_bytes:
            verdict = PlanVerdict.UNCERTAIN
            reasons = [
                reason._replace(is_certain=False) if reason.rule == "memory" else reason
                for reason in reasons
            ]
    return replace(found, verdict=verdict, reasons=(*reasons, note))
