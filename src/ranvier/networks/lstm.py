"""LSTM: the long short-term memory that ARNN is compared with.

Hochreiter, Schmidhuber: Long Short-Term Memory, Neural Computation 9, 1997; as a comparison in
Rukhsar, Tiwari: ARNN, arXiv 2403.03276. What differs from the published comparison:

- The channels go straight into the gates; there, a linear layer stands before them, which adds no
  function as long as it is no narrower than the channels.
- The memory may be carried through a whole recording (``memory``); published is a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from ranvier.networks.carried import CarriedNetwork
from ranvier.networks.sizes import check_sizes, choose
from ranvier.networks.windows import WindowNetwork


class WindowLSTM(WindowNetwork):
    """An LSTM over the samples of a window; 9,641 weights at 18 channels.

    Parameters
    ----------
    channels
        Channels that come in; samples of about unit size.
    window, hop
        Samples that are looked at, and from one window to the next.
    hidden
        Size of its state.
    layers
        LSTMs on top of each other.
    classes
        Outputs of the readout.
    context
        Earlier windows that a one-way GRU looks back on.

    Raises
    ------
    ValueError
        If a size is below 1.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int = 1024,
        hop: int | None = None,
        hidden: int = 40,
        layers: int = 1,
        classes: int = 1,
        context: int = 0,
    ) -> None:
        check_sizes(hidden=hidden, layers=layers)
        super().__init__(
            channels, window=window, hop=hop, embedding=hidden, classes=classes, context=context
        )
        self.lstm = nn.LSTM(len(channels), hidden, layers, batch_first=True)

    def embed(self, windows: Tensor) -> Tensor:
        """Return the state after the last sample, (window, hidden)."""
        _, (hidden, _) = self.lstm(windows)
        newest: Tensor = hidden[-1]
        return newest


class CarriedLSTM(CarriedNetwork):
    """An LSTM whose state goes on from segment to segment; weights as in ``WindowLSTM``.

    Parameters
    ----------
    channels
        Channels that come in; samples of about unit size.
    segment
        Samples from one output to the next.
    hidden
        Size of its state.
    layers
        LSTMs on top of each other.
    classes
        Outputs of the readout.
    warm_up
        Segments before the first valid output, at the start and after a gap.

    Raises
    ------
    ValueError
        If a size is below 1.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        segment: int = 64,
        hidden: int = 40,
        layers: int = 1,
        classes: int = 1,
        warm_up: int = 0,
    ) -> None:
        check_sizes(hidden=hidden, layers=layers)
        super().__init__(
            channels, segment=segment, embedding=hidden, classes=classes, warm_up=warm_up
        )
        self.lstm = nn.LSTM(len(channels), hidden, layers, batch_first=True)

    def start(self, batch: int) -> tuple[Tensor, ...]:
        """Return zeros: the hidden and the cell state, each (batch, layer, hidden)."""
        zeros = self.readout.weight.new_zeros(batch, self.lstm.num_layers, self.lstm.hidden_size)
        return zeros, zeros

    def advance(
        self, segments: Tensor, memory: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the state after the last sample of each segment, and the memory."""
        hidden, cell = (part.transpose(0, 1).contiguous() for part in memory)
        outputs, (hidden, cell) = self.lstm(segments.flatten(1, 2), (hidden, cell))
        newest = outputs[:, self.hop - 1 :: self.hop]
        return newest, (hidden.transpose(0, 1), cell.transpose(0, 1))


FORMS = {"window": WindowLSTM, "carry": CarriedLSTM}
"""What ``memory`` may be."""


def lstm(
    channels: Sequence[str], *, memory: Literal["window", "carry"] = "window", **options: Any
) -> WindowLSTM | CarriedLSTM:
    """Make an LSTM in one of its two forms, whose weights have the same names and shapes.

    Parameters
    ----------
    channels
        Channels that come in.
    memory
        ``"window"`` starts anew in each window, as published; ``"carry"`` never forgets, for live
        use.
    **options
        Of ``WindowLSTM`` or ``CarriedLSTM``.

    Raises
    ------
    ValueError
        If the memory or a size is not allowed.
    """
    made: WindowLSTM | CarriedLSTM = choose("memory", memory, FORMS)(channels, **options)
    return made
