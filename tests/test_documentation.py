"""Every module says what it offers, explains it, and does nothing when it is imported."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import os
import pkgutil
import threading
from types import ModuleType

import pytest

import hwval

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(hwval.__path__, "hwval.")
    if not info.name.endswith("__main__")
)


@pytest.fixture(params=["hwval", *MODULES])
def module(request: pytest.FixtureRequest) -> ModuleType:
    """Each module of hwval in turn."""
    return importlib.import_module(request.param)


def documented(module: ModuleType) -> dict[str, object]:
    """Return public functions and classes of a module's own, and the public parts of classes."""
    found: dict[str, object] = {}
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if getattr(value, "__module__", None) != module.__name__:
            continue
        found[name] = value
        if inspect.isclass(value):
            members = {key: part for key, part in vars(value).items() if not key.startswith("_")}
            found |= {
                f"{name}.{key}": part
                for key, part in members.items()
                if inspect.isfunction(part) or isinstance(part, property | classmethod)
            }
    return found


def test_names_offered_are_sorted_and_there(module: ModuleType) -> None:
    """`__all__` is what a reader may rely on."""
    offered = list(getattr(module, "__all__", ()))
    # As the linter sorts them: constants, then classes, then the rest.
    constants = [name for name in offered if name.isupper()]
    classes = [name for name in offered if not name.isupper() and name[:1].isupper()]
    rest = [name for name in offered if name not in {*constants, *classes}]

    assert offered == sorted(constants) + sorted(classes) + sorted(rest)
    assert len(set(offered)) == len(offered)
    assert [name for name in offered if not hasattr(module, name)] == []


def test_modules_offer_something(module: ModuleType) -> None:
    """A module without `__all__` is a package that only holds others, or a script."""
    scripts = {"hwval.engine.keeper"}

    assert hasattr(module, "__all__") or module.__name__ in scripts or hasattr(module, "__path__")


def test_public_names_are_explained(module: ModuleType) -> None:
    """Each module, function, class, method and property has a docstring of its own."""
    silent = [name for name, value in documented(module).items() if not inspect.getdoc(value)]

    assert (module.__doc__ or "").strip()
    assert silent == []


def test_examples_are_true(module: ModuleType) -> None:
    """Examples in docstrings run as they stand."""
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)

    assert result.failed == 0


def test_some_examples_are_found() -> None:
    """The search for examples finds those that are known to be there."""
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module("hwval.units"))

    assert sum(bool(test.examples) for test in found) >= 3


@pytest.mark.parametrize("name", MODULES)
def test_import_leaves_the_process_alone(name: str) -> None:
    """Importing a module changes no variable, folder or thread, and reads no command line."""
    module = importlib.import_module(name)
    before = (dict(os.environ), os.getcwd(), threading.active_count())  # noqa: PTH109 - compared as they are
    spec = module.__spec__
    assert spec is not None
    assert spec.loader is not None
    # A second copy: the first one stays what everybody else has imported.
    spec.loader.exec_module(importlib.util.module_from_spec(spec))

    assert (dict(os.environ), os.getcwd(), threading.active_count()) == before  # noqa: PTH109 - compared as they are
