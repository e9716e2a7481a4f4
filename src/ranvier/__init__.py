"""Decoders of brain signals that are trained on files and run live, with the same answer."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranvier.datasets import read as read
    from ranvier.decisions import AlarmRule as AlarmRule
    from ranvier.decoder import Decoder as Decoder
    from ranvier.decoder import load as load
    from ranvier.evaluation import Evaluation as Evaluation
    from ranvier.evaluation import evaluate as evaluate
    from ranvier.fitting import train as train
    from ranvier.formats import read_events as read_events
    from ranvier.formats import write_bids as write_bids
    from ranvier.formats import write_edf as write_edf
    from ranvier.formats import write_events as write_events
    from ranvier.live.runner import certify as certify
    from ranvier.personal import personalise as personalise
    from ranvier.personal.gains import personalised_scores as personalised_scores
    from ranvier.recipe import Recipe as Recipe
    from ranvier.recording import Layout as Layout
    from ranvier.recording import Recording as Recording
    from ranvier.rescoring import load_evaluation as load_evaluation
    from ranvier.simulate import simulate_nights as simulate_nights
    from ranvier.simulate import simulate_reaches as simulate_reaches
    from ranvier.simulate import simulate_seizures as simulate_seizures
    from ranvier.streaming import Pipeline as Pipeline
    from ranvier.streaming import Stage as Stage
    from ranvier.tasks.seizure_scores import score as score
    from ranvier.timesteps import select_timesteps as select_timesteps
    from ranvier.training import Training as Training
    from ranvier.truth import Event as Event
    from ranvier.truth import Events as Events
    from ranvier.truth import Hypnogram as Hypnogram
    from ranvier.truth import Trajectory as Trajectory

    __version__: str

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
"""Where each public name is found; what is imported above is for type checkers alone."""

__all__ = sorted(_NAMES)  # noqa: PLE0605


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first asked for."""
        if name == "__version__":
            return version("ranvier")
        if name not in _NAMES:
            raise AttributeError(f"module 'ranvier' has no attribute {name!r}")
        return getattr(import_module(f"ranvier.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
