"""Prints the releases of ``matrices/catalogue/engine_flags.yaml``, read from vLLM's sources.

    .venv/bin/python scripts/engine_flags.py vllm-0.33.0/ vllm-0.34.0/

Takes unpacked source distributions (or wheels), oldest first; each folder's name ends in its
release. The first is listed in full, the others by what changed. Compared with the parser that
vLLM 0.32.0 builds: the same 317 flags, with the same forms.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

BOOL = re.compile(r"(Optional\[)?bool\]?( \| None)?")
ACTIONS = {"store_true": "bare", "store_false": "bare", "StoreBoolean": "truth"}
ACTIONS["BooleanOptional"] = "switch"
GENERATED = {"FrontendArgs", "BaseFrontendArgs"}
"""Classes whose fields all become flags."""
CLASSES = GENERATED | {"EngineArgs", "AsyncEngineArgs"}
FORMS = ("value", "bare", "truth", "switch")


def main(folders: list[Path]) -> None:
    """Print one entry a release."""
    known: dict[str, str] = {}
    variables: set[str] = set()
    for folder in folders:
        root = next(path for path in (folder, *folder.glob("*/")) if (path / "vllm").is_dir())
        forms, names = flags_of(root / "vllm"), variables_of(root / "vllm" / "envs.py")
        changes = {
            form: [name for name in forms if forms[name] == form != known.get(name)]
            for form in FORMS
        }
        changes["gone"] = list(known.keys() - forms)
        changes["variables"] = list(names - variables)
        changes["variables_gone"] = list(variables - names)
        changes = {key: sorted(found) for key, found in changes.items() if found}
        print(f'    "{folder.name.removeprefix("vllm-")}":{"" if changes else " {}"}')
        for key, found in changes.items():
            print(f"      {key}: [{', '.join(found)}]")
        known, variables = forms, names


def flags_of(package: Path) -> dict[str, str]:
    """Return flag -> form, of what ``vllm serve`` takes."""
    paths = [package / "engine/arg_utils.py", *package.glob("entrypoints/**/cli_args.py")]
    trees = [ast.parse(path.read_text("utf-8")) for path in paths]
    booleans = {name for tree in trees for name, is_bool, _ in fields(tree) if is_bool}
    forms = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_argument"):
                forms.update({name: form_of(name, node, booleans) for name in names_of(node)})
        for name, is_bool, is_generated in fields(tree):
            if is_generated:
                forms[name] = "switch" if is_bool else "value"
    return forms


def fields(tree: ast.Module) -> Iterator[tuple[str, bool, bool]]:
    """Yield fields of the argument classes: flag, whether it is boolean, whether it is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in CLASSES:
            for part in node.body:
                if isinstance(part, ast.AnnAssign):
                    is_bool = BOOL.fullmatch(ast.unparse(part.annotation)) is not None
                    yield dashed(ast.unparse(part.target)), is_bool, node.name in GENERATED


def names_of(call: ast.Call) -> Iterator[str]:
    """Yield the long names of one ``add_argument``."""
    for argument in call.args:
        if isinstance(argument, ast.Constant) and str(argument.value).startswith("--"):
            yield dashed(str(argument.value)[2:])


def form_of(name: str, call: ast.Call, booleans: set[str]) -> str:
    """Return how a flag is written; without an action of its own its field decides."""
    actions = [ast.unparse(word.value) for word in call.keywords if word.arg == "action"]
    if actions:
        return next((form for part, form in ACTIONS.items() if part in actions[0]), "value")
    is_field = any(word.arg is None for word in call.keywords) and name in booleans
    return "switch" if is_field else "value"


def variables_of(path: Path) -> set[str]:
    """Return the variables that vLLM reads."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(value, ast.Dict) and "environment_variables" in map(_name, targets):
            keys = {key.value for key in value.keys if isinstance(key, ast.Constant)}
            return {str(key) for key in keys if str(key).startswith("VLLM_")}
    return set()


def _name(node: ast.AST | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def dashed(name: str) -> str:
    """Return a name as it is written on a command line."""
    return name.replace("_", "-")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
