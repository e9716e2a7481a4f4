"""Where training stands, on disk: so that a run that was stopped goes on as if it had not been."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.writing import replacing

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger("ranvier")

BROKEN = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError)
"""What a file that is no checkpoint of this run raises."""


@dataclass
class Progress:
    """Where training stands after a pass: all that a checkpoint holds besides weights."""

    passes: int = 0
    best_pass: int = 0
    best_score: float = float("-inf")
    history: list[dict[str, float]] = field(default_factory=list)

    def goes_on(self, most: int, patience: int) -> bool:
        """Return whether one more pass is due."""
        return self.passes < most and self.passes - self.best_pass < patience

    def take(self, loss: float, score: float) -> bool:
        """Take down a pass, and return whether it is the best so far."""
        self.passes += 1
        self.history.append({"loss": loss, "score": score})
        if self.best_pass and not score > self.best_score:
            return False
        self.best_pass, self.best_score = self.passes, score
        return True

    def would_be_reached(self, most: int, patience: int) -> bool:
        """Return whether a run with these settings would have come as far as this."""
        again = Progress()
        for one in self.history:
            if not again.goes_on(most, patience):
                return False
            again.take(one["loss"], one["score"])
        return True


@dataclass
class Weights:
    """What a checkpoint holds in tensors: the weights now, the best so far, Adam's moments."""

    network: nn.Module
    best: dict[str, Tensor]
    optimiser: Any


def copy_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights by name, as they are now."""
    return {name: weight.detach().clone() for name, weight in network.state_dict().items()}


def save_checkpoint(path: Path, run: str, progress: Progress, weights: Weights) -> None:
    """Write all that is needed to go on; a stop in the middle leaves the last one whole."""
    from safetensors.torch import save

    tensors = {f"now.{name}": tensor for name, tensor in copy_of(weights.network).items()}
    tensors |= {f"best.{name}": tensor for name, tensor in weights.best.items()}
    for number, moments in weights.optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    about = {"run": run, "progress": json.dumps(vars(progress))}
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(save(plain, metadata=about))
    except OSError as error:
        raise ValueError(f"Cannot write {path}, the disk may be full ({error})") from None


def load_checkpoint(
    path: Path, run: str, weights: Weights, *, most: int, patience: int
) -> Progress:
    """Put the weights where they were, if there is a checkpoint of the same run; else begin.

    One that a run of at most so many passes and so much patience would not have come to is not
    used, nor is one that is broken.
    """
    if not path.exists():
        return Progress()
    begun, best = copy_of(weights.network), weights.best
    try:
        return _go_on(path, run, weights, most=most, patience=patience)
    except BROKEN:
        log.info("the checkpoint is broken; beginning anew")
    weights.network.load_state_dict(begun)
    weights.best = best
    return Progress()


def _go_on(path: Path, run: str, weights: Weights, *, most: int, patience: int) -> Progress:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            about = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    if about.get("run") != run:
        log.info("the checkpoint is of another run; beginning anew")
        return Progress()
    progress = Progress(**json.loads(about["progress"]))
    if not progress.would_be_reached(most, patience):
        log.info("the checkpoint has %d passes already; beginning anew", progress.passes)
        return Progress()
    best = _part(tensors, "best.")
    if set(best) != set(weights.best):
        raise ValueError("weights of the best pass are missing")
    weights.network.load_state_dict(_part(tensors, "now."))
    weights.best = best
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _part(tensors, "adam.").items():
        number, _, kind = name.partition(".")
        moments.setdefault(int(number), {})[kind] = tensor
    settings = weights.optimiser.state_dict()
    weights.optimiser.load_state_dict({**settings, "state": moments})
    log.info("going on after pass %d", progress.passes)
    return progress


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
