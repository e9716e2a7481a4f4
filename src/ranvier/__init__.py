"""Decoders of brain signals that are trained on files and run live, with the same answer."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

_NAMES = {
    "AlarmRule": "decisions",
    "Decoder": "decoder",
    "Evaluation": "evaluation",
    "Event": "truth",
    "Events": "truth",
    "Hypnogram": "truth",
    "Layout": "recording",
    "Pipeline": "streaming",
    "Recipe": "recipe",
    "Recording": "recording",
    "Stage": "streaming",
    "Training": "training",
    "Trajectory": "truth",
    "certify": "live.runner",
    "evaluate": "evaluation",
    "load": "decoder",
    "load_evaluation": "rescoring",
    "personalise": "personal",
    "personalised_scores": "personal.gains",
    "read": "datasets",
    "read_events": "formats",
    "score": "tasks.seizure_scores",
    "select_timesteps": "timesteps",
    "simulate_nights": "simulate",
    "simulate_reaches": "simulate",
    "simulate_seizures": "simulate",
    "train": "fitting",
    "write_bids": "formats",
    "write_edf": "formats",
    "write_events": "formats",
}
"""Where each public name is found; type checkers read ``__init__.pyi``."""

__all__ = sorted(_NAMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "__version__":
        return version("ranvier")
    if name not in _NAMES:
        raise AttributeError(f"module 'ranvier' has no attribute {name!r}")
    return getattr(import_module(f"ranvier.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
