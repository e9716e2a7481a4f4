"""The one place where NumPy meets torch: a network's step as a stage among stages."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from ranvier.recording import Array, Layout
from ranvier.streaming import Stage, State

ENGINES = ("auto", "torch", "onnx", "int8")
"""What may compute a network; by itself its step of eight bits, else torch if it is installed."""


def has_torch() -> bool:
    """Return whether torch is installed."""
    try:
        return find_spec("torch") is not None
    except ValueError:  # it was hidden from this process
        return False


def check_engine(engine: str) -> None:
    """Refuse an engine that is unknown or not installed.

    Raises
    ------
    ValueError
        If it cannot compute anything here.
    """
    if engine not in ENGINES:
        raise ValueError(f"Invalid engine: {engine!r}, possible options: {list(ENGINES)}")
    if engine == "torch" and not has_torch():
        raise ValueError('Torch is missing: pip install "ranvier[train]"')


class NetworkStage(Stage):
    """A network with the contract of a stage, in NumPy.

    Parameters
    ----------
    layout
        Channels and rate of what comes in, (batch, time, channel) or (batch, step, node, feature).
    network
        A ``networks.Network`` in torch; it is put into evaluation mode.
    """

    def __init__(self, layout: Layout, network: Any) -> None:
        self.layout = layout
        self.network = network.eval()
        self.device = next(network.parameters()).device

    @property
    def output(self) -> Layout:
        """One value per site and class, once a hop of the network."""
        return Layout(self.network.sites, self.layout.rate / self.network.hop, "logit")

    @property
    def warm_up(self) -> int:
        """Steps before the first valid output."""
        return int(self.network.warm_up)

    def outputs(self, samples: int) -> int:
        """Return how many outputs are known once this many steps have come in."""
        return int(self.network.outputs(samples))

    def initial_state(self, batch: int) -> State:
        """Return the network's state before the first step."""
        return to_numpy(self.network.initial_state(batch))

    def check(self, chunk: Array) -> None:
        """Refuse what the network cannot take: samples for features, or too few features.

        Raises
        ------
        ValueError
            If the stages before give something else.
        """
        check_tail(chunk, self.network.features)

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Return the logits of the new outputs, (batch, output, site, class)."""
        import torch

        self.check(chunk)
        with torch.inference_mode():
            given = torch.as_tensor(np.array(chunk, dtype=np.float32), device=self.device)
            logits, state = self.network.step(given, _to_torch(state, self.device))
        return logits.cpu().numpy(), to_numpy(state)


def check_tail(chunk: Array, features: int | None) -> None:
    """Refuse samples for features, or another number of features.

    Raises
    ------
    ValueError
        If (batch, step, node[, feature]) does not end as a network wants it.
    """
    wanted = () if features is None else (features,)
    if chunk.shape[3:] != wanted:
        raise ValueError(
            f"Invalid stages: they give {_described(chunk.shape[3:])}, the network takes "
            f"{_described(wanted)}"
        )


def _described(tail: tuple[int, ...]) -> str:
    return f"{tail[0]} features for each step and node" if tail else "plain samples"


def to_numpy(state: Any) -> State:
    """Return a network's state, nested tuples of tensors, with arrays in place of them."""
    if isinstance(state, tuple):
        parts = [to_numpy(part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state.detach().cpu().numpy().copy()  # a view holds the state that it came from


def _to_torch(state: State, device: Any) -> Any:
    import torch

    if isinstance(state, tuple):
        parts = [_to_torch(part, device) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return torch.as_tensor(state, device=device)


def pool_sites(logits: Array) -> Array:
    """Average over the sites that have something to say; NaN where none has.

    Parameters
    ----------
    logits
        (batch, time, site, class).

    Returns
    -------
    ndarray
        (batch, time, class).
    """
    spoken = ~np.isnan(logits)
    count = spoken.sum(axis=2)
    total = np.where(spoken, logits, 0.0).sum(axis=2, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
