"""The one place where NumPy meets torch: a network's step as a stage among stages."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.recording import Array, Layout
from ranvier.streaming import Stage, State


class NetworkStage(Stage):
    """A network with the contract of a stage, in NumPy.

    Parameters
    ----------
    layout
        Nodes and rate of the features that come in, (batch, step, node, feature).
    network
        A ``networks.Network`` in torch; it is put into evaluation mode.
    """

    def __init__(self, layout: Layout, network: Any) -> None:
        self.layout = layout
        self.network = network.eval()
        self.device = next(network.parameters()).device

    @property
    def output(self) -> Layout:
        """One value per site, at the rate of the steps."""
        return Layout(self.network.channels, self.layout.rate, "logit")

    def outputs(self, samples: int) -> int:
        """Return how many outputs are known once this many steps have come in."""
        return int(self.network.outputs(samples))

    def initial_state(self, batch: int) -> State:
        """Return the network's state before the first step."""
        return _to_numpy(self.network.initial_state(batch))

    def check(self, chunk: Array) -> None:
        """Refuse features that the network cannot take, whose number it knows.

        Raises
        ------
        ValueError
            If there are more or fewer of them.
        """
        if chunk.ndim != 4 or chunk.shape[3] != self.network.features:
            raise ValueError(
                f"Invalid stages: they give {chunk.shape[3:] or 'no'} features for each step and "
                f"node, the network takes {self.network.features}"
            )

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Return the logits of the new outputs, (batch, output, site, class)."""
        import torch

        self.check(chunk)
        with torch.inference_mode():
            features = torch.as_tensor(np.ascontiguousarray(chunk), device=self.device)
            logits, state = self.network.step(features, _to_torch(state, self.device))
        return logits.cpu().numpy(), _to_numpy(state)


def _to_numpy(state: Any) -> State:
    if isinstance(state, tuple):
        parts = [_to_numpy(part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state.detach().cpu().numpy()


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


def sigmoid(logits: Array) -> Array:
    """Turn logits into probabilities without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))
