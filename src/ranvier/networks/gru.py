"""A plain recurrent decoder: a GRU over the last bins, or one whose state is carried on.

Cho et al., arXiv 1406.1078. Both forms have the same weights by the same names, so that a decoder
can be trained on windows and carried live, or the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ranvier.networks.carried import CarriedNetwork
from ranvier.networks.sizes import check_dropout, check_sizes, choose
from ranvier.networks.windows import WindowNetwork


class WindowGRU(WindowNetwork):
    """A GRU that reads each window from an empty state; see ``gru``."""

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int,
        hidden: int,
        layers: int,
        dropout: float,
        classes: int,
    ) -> None:
        super().__init__(channels, window=window, hop=1, embedding=hidden, classes=classes)
        self.recurrent = _layers(len(channels), hidden, layers, dropout)
        self.dropout = nn.Dropout(dropout)

    def embed(self, windows: Tensor) -> Tensor:
        """Return the last states, (window, hidden), of windows (window, bin, channel)."""
        states, _ = self.recurrent(windows)
        last: Tensor = self.dropout(states[:, -1])
        return last


class CarriedGRU(CarriedNetwork):
    """A GRU whose state goes on from bin to bin; see ``gru``."""

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int,
        hidden: int,
        layers: int,
        dropout: float,
        classes: int,
    ) -> None:
        super().__init__(channels, segment=1, embedding=hidden, classes=classes, warm_up=window - 1)
        self.recurrent = _layers(len(channels), hidden, layers, dropout)
        self.dropout = nn.Dropout(dropout)

    def start(self, batch: int) -> tuple[Tensor, ...]:
        """Return the empty state, (batch, layer, hidden)."""
        shape = (batch, self.recurrent.num_layers, self.recurrent.hidden_size)
        return (self.readout.weight.new_zeros(shape),)

    def advance(
        self, segments: Tensor, memory: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the state at each bin, (batch, bin, hidden), and after the last one."""
        before = memory[0].transpose(0, 1).contiguous()
        states, after = self.recurrent(segments[:, :, 0], before)
        return self.dropout(states), (after.transpose(0, 1),)


FORMS: dict[str, type[WindowGRU | CarriedGRU]] = {"window": WindowGRU, "carry": CarriedGRU}


def gru(
    channels: Sequence[str],
    *,
    hidden: int = 96,
    layers: int = 1,
    window: int = 10,
    dropout: float = 0.0,
    classes: int = 2,
    memory: Literal["window", "carry"] = "window",
) -> WindowGRU | CarriedGRU:
    """Make a plain recurrent decoder.

    Parameters
    ----------
    channels
        Channels or units, as spike counts.
    hidden, layers
        Size of the state, and how many GRU lie one above the other.
    window
        Bins before the first answer, at the start and after a gap; a window looks at so many.
    dropout
        Share of the states that training leaves out.
    classes
        Axes.
    memory
        ``"window"`` starts anew for each answer; ``"carry"`` goes on and does each bin once.

    Raises
    ------
    ValueError
        If an option is unknown or out of its range.
    """
    check_sizes(hidden=hidden, layers=layers, window=window)
    check_dropout(dropout)
    return choose("memory", memory, FORMS)(
        channels, window=window, hidden=hidden, layers=layers, dropout=dropout, classes=classes
    )


def _layers(channels: int, hidden: int, layers: int, dropout: float) -> nn.GRU:
    between = dropout if layers > 1 else 0.0
    return nn.GRU(channels, hidden, layers, batch_first=True, dropout=between)
