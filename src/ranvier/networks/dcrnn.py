"""DCRNN: a recurrent network whose gates are diffusions on a graph, which REST is compared with.

Li et al.: Diffusion Convolutional Recurrent Neural Network, ICLR 2018 (arXiv 1707.01926); for EEG
in Tang et al.: Self-Supervised Graph Neural Networks for Improved Electroencephalographic Seizure
Analysis, ICLR 2022 (arXiv 2104.08336). What differs from the published code for EEG:

- The walks are the powers of the steps, as in Li et al.; there they are Chebyshev polynomials,
  which span the same space, but those of the way back begin with what is left of the way forth.
- The largest state over the nodes is read out; there the largest of the nodes' answers, for which
  classes can come from different nodes.
- The graph is that of the distances or is given; the graph of correlations, made anew from each
  window, and the learning without labels beforehand are left out.
- On a graph that is symmetric, as that of the distances, both ways are the same and half of the
  weights say nothing new: ``directions="forward"`` leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ranvier.networks.graph import weights_between
from ranvier.networks.sizes import check_sizes, choose
from ranvier.networks.windows import WindowNetwork

DIRECTIONS = {"both": True, "forward": False}


class DCRNN(WindowNetwork):
    """Gated recurrent units on a graph, the largest node answers; 280,769 weights.

    Parameters
    ----------
    channels
        Electrodes or derivations, one node each.
    features
        Features per node and step.
    window, hop
        Steps that are looked at, and from one window to the next.
    hidden, layers
        Size of a node's state, and layers on top of each other.
    hops
        Steps of the longest walk on the graph.
    directions
        ``"both"`` walks along the edges and against them, ``"forward"`` along them alone.
    adjacency
        Weights from source (row) to target (column), none below 0; by default a Gaussian of the
        distances between electrodes.
    classes
        Outputs of the readout.
    context
        Earlier windows that a one-way GRU looks back on.

    Raises
    ------
    ValueError
        If the directions are unknown, a size is below 1, or the adjacency does not fit.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        features: int = 100,
        window: int = 12,
        hop: int | None = 1,
        hidden: int = 64,
        layers: int = 2,
        hops: int = 2,
        directions: Literal["both", "forward"] = "both",
        adjacency: npt.ArrayLike | None = None,
        classes: int = 1,
        context: int = 0,
    ) -> None:
        check_sizes(features=features, hidden=hidden, layers=layers, hops=hops)
        super().__init__(
            channels,
            window=window,
            hop=hop,
            embedding=hidden,
            classes=classes,
            features=features,
            context=context,
        )
        weights = weights_between(channels, adjacency)
        if (weights < 0).any():
            raise ValueError(f"Invalid adjacency: {weights.min()}, no weight may be below 0")
        ways = [weights, weights.T] if choose("directions", directions, DIRECTIONS) else [weights]
        self.register_buffer("walks", _walks(ways, hops), persistent=False)
        self.walks: Tensor
        count = 1 + hops * len(ways)
        sizes = [features, *[hidden] * (layers - 1)]
        self.layers = nn.ModuleList(DiffusionGRU(size, hidden, count) for size in sizes)

    def embed(self, windows: Tensor) -> Tensor:
        """Return the largest state of the nodes after the last step, (window, hidden)."""
        for layer in self.layers:
            windows = layer(windows, self.walks)
        return torch.relu(windows[:, -1]).amax(dim=1)


class DiffusionGRU(nn.Module):
    """A gated recurrent unit for each node, which sees where walks on the graph come from.

    Parameters
    ----------
    inputs, hidden
        Values that come into a node, and size of its state.
    walks
        Number of walks.
    """

    def __init__(self, inputs: int, hidden: int, walks: int) -> None:
        super().__init__()
        self.enter = nn.Linear(walks * inputs, 3 * hidden)
        self.gates = nn.Linear(walks * hidden, 2 * hidden, bias=False)
        self.candidate = nn.Linear(walks * hidden, hidden, bias=False)

    def forward(self, inputs: Tensor, walks: Tensor) -> Tensor:
        """Return the states after all steps, (window, step, node, hidden).

        Parameters
        ----------
        inputs
            (window, step, node, value).
        walks
            Where each walk to each node comes from, (node * walk, node).
        """
        hidden = self.candidate.out_features
        states = [inputs.new_zeros(inputs.shape[0], inputs.shape[2], hidden)]
        for entered in self.enter(_diffused(inputs, walks)).unbind(1):
            state, (for_gates, new) = states[-1], torch.split(entered, [2 * hidden, hidden], dim=-1)
            gates = torch.sigmoid(for_gates + self.gates(_diffused(state, walks)))
            reset, keep = gates.chunk(2, dim=-1)
            new = torch.tanh(new + self.candidate(_diffused(reset * state, walks)))
            states.append(keep * state + (1 - keep) * new)
        return torch.stack(states[1:], dim=1)


def _diffused(values: Tensor, walks: Tensor) -> Tensor:
    """Return what all walks bring to each node side by side, (..., node, walk * value)."""
    return (walks @ values).reshape(*values.shape[:-1], -1)


def _walks(ways: Sequence[npt.NDArray[np.floating]], hops: int) -> Tensor:
    """Return the shares that walks of 0, 1, ... steps bring from each node, (node * walk, node)."""
    walks = [np.eye(len(ways[0]))]
    for weights in ways:
        total = weights.sum(axis=1, keepdims=True)
        step = weights / np.where(total == 0, 1.0, total)
        walks += [np.linalg.matrix_power(step, count) for count in range(1, hops + 1)]
    by_node = np.stack(walks, axis=1).reshape(-1, len(ways[0]))
    return torch.as_tensor(by_node, dtype=torch.float32)
