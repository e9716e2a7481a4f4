"""Temporal-attention LSTM: movement from the spike counts of the last bins.

Yang et al.: Selection of Essential Neural Activity Timesteps for Intracortical Brain-Computer
Interface Based on Recurrent Neural Network, Sensors 2021, 21, 6372 (doi 10.3390/s21196372).

An LSTM reads the window both ways, a second one reads what it gives, and attention over the bins
(or the last state) leads to a dense layer. As in the authors' Keras: gates in the order i, f, g, o,
one bias for each LSTM, LayerNorm with 1e-3, Glorot and orthogonal initial weights, a forget gate
that begins at 1. Counts come in as they are. Published faults, and what is done here:

- The score of the code (bottleneck, LayerNorm, tanh) is not that of the paper (ReLU); ``score``
  offers both.
- One network for each axis; ``classes`` are axes that are decoded together.
- Windows bridged gaps; here a window with a gap has no answer.
- The states that are weighed have seen the whole window, so that attention says nothing sure about
  single bins; and it was averaged over test windows to choose their number. ``attend`` gives the
  weights of any windows, for a choice on training data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ranvier.networks.sizes import check_dropout, check_sizes, choose
from ranvier.networks.windows import WindowNetwork

SMALLEST = 1e-3
"""What Keras adds to the variance in LayerNorm."""


class TemporalAttentionLSTM(WindowNetwork):
    """Two LSTM and attention over bins; 1,757,826 weights at 192 channels and one axis.

    Parameters
    ----------
    channels
        Channels or units, as spike counts.
    window, hop
        Bins that are looked at, and from one answer to the next.
    hidden
        Size of the state of each LSTM, and of each direction of the first.
    dense
        Size of the layer before the readout.
    attention
        Whether the states of all bins are weighed; else the last one is taken, which is the form
        that is trained anew after the choice of bins.
    score
        How a state gets its weight: ``"code"`` or ``"paper"``.
    classes
        Axes.
    dropout
        Share that training leaves out between the LSTM and before the readout; none as published.
    context
        Earlier windows that a GRU looks back on.
    least
        Newest bins that must be there; what lies before them, or before a gap, counts as zeros.
        None for the whole window.

    Raises
    ------
    ValueError
        If an option is unknown or out of its range.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int = 20,
        hop: int = 1,
        hidden: int = 256,
        dense: int = 64,
        attention: bool = True,
        score: Literal["code", "paper"] = "code",
        classes: int = 2,
        dropout: float = 0.0,
        context: int = 0,
        least: int | None = None,
    ) -> None:
        weigh = choose("score", score, SCORES)
        check_sizes(2, hidden=hidden)
        check_sizes(dense=dense)
        check_dropout(dropout)
        super().__init__(
            channels,
            window=window,
            hop=hop,
            embedding=dense,
            classes=classes,
            context=context,
            least=least,
        )
        self.both_ways = nn.LSTM(len(channels), hidden, batch_first=True, bidirectional=True)
        self.normalise = nn.LayerNorm(2 * hidden, eps=SMALLEST)
        self.onward = nn.LSTM(2 * hidden, hidden, batch_first=True)
        self.score = weigh(hidden) if attention else None
        self.dense = nn.Linear(hidden, dense)
        self.dropout = nn.Dropout(dropout)
        self.begin_as(_start_as_in_keras)

    def embed(self, windows: Tensor) -> Tensor:
        """Return the embeddings, (window, dense), of windows (window, bin, channel)."""
        states = self._states(windows)
        pooled = states[:, -1]
        if self.score is not None:
            pooled = torch.einsum("wb,wbh->wh", _weigh(self.score, states), states)
        dropped: Tensor = self.dropout(torch.relu(self.dense(pooled)))
        return dropped

    def attend(self, windows: Tensor) -> Tensor:
        """Return how much each bin's state counts, (window, bin); each row sums to 1.

        Parameters
        ----------
        windows
            Without NaN, (window, bin, channel).

        Raises
        ------
        ValueError
            If the network takes the last state alone.
        """
        if self.score is None:
            raise ValueError("Invalid attention: False, must be True for weights of bins")
        return _weigh(self.score, self._states(windows))

    def _states(self, windows: Tensor) -> Tensor:
        both, _ = self.both_ways(windows)
        states: Tensor = self.onward(self.dropout(self.normalise(both)))[0]
        return states


def _code_score(hidden: int) -> nn.Sequential:
    reduced = hidden // 2
    normalise = nn.LayerNorm(reduced, eps=SMALLEST)
    return nn.Sequential(nn.Linear(hidden, reduced), normalise, nn.Tanh(), nn.Linear(reduced, 1))


def _paper_score(hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1, bias=False))


SCORES = {"code": _code_score, "paper": _paper_score}


def _weigh(score: nn.Module, states: Tensor) -> Tensor:
    return torch.softmax(score(states)[..., 0], dim=1)


def _start_as_in_keras(layer: nn.Module) -> None:
    if isinstance(layer, nn.LSTM):
        _start_lstm(layer)
    elif isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _start_lstm(layer: nn.LSTM) -> None:
    for name, weight in layer.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(weight)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(weight)
        else:
            nn.init.zeros_(weight)
        if name.startswith("bias_ih"):
            nn.init.ones_(weight.detach()[layer.hidden_size : 2 * layer.hidden_size])
        weight.requires_grad_(not name.startswith("bias_hh"))
