"""What is chosen by its name or by an import path, such as the loss of a training."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

Named = TypeVar("Named")


def by_name(parameter: str, name: str, options: Mapping[str, Named]) -> Named:
    """Return one of the options, the first for an empty name, or what an import path leads to.

    Parameters
    ----------
    parameter
        What is chosen, for the refusal.
    name
        Of an option, or ``"module:name"`` of something that can be called; the module is looked for
        among those that are installed, then in the current folder.
    options
        By name.

    Raises
    ------
    ValueError
        If there is no such thing, its module cannot be imported, or it cannot be called.
    """
    if not name:
        return next(iter(options.values()))
    if name in options:
        return options[name]
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(
            f"Invalid {parameter}: {name!r}, possible options: {[*options, 'module:name']}"
        )
    found: Named = _look_up(parameter, module, attribute)
    if not callable(found):
        raise ValueError(
            f"Invalid {parameter}: {name!r} is a {type(found).__name__}, must be something to call"
        )
    return found


def _look_up(parameter: str, module: str, attribute: str) -> Any:
    try:
        with _also_from_here():
            return getattr(import_module(module), attribute)
    except Exception as error:  # a module of somebody else's can raise whatever it likes
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"Invalid {parameter}: {module}:{attribute} cannot be imported ({reason}), the module "
            "must be installed or lie in the current folder"
        ) from None


@contextmanager
def _also_from_here() -> Iterator[None]:
    """Look for modules in the current folder, too, where a console script does not."""
    here = str(Path.cwd())
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
