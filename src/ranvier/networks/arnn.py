"""ARNN: attention within a segment of the signal, and between it and a state of as many vectors.

Rukhsar, Tiwari: ARNN: Attentive Recurrent Neural Network for Multi-channel EEG Signals to Identify
Epileptic Seizures, Neurocomputing (arXiv 2403.03276; code github.com/Salim-Lysiun/ARNN, 81986db).

A window is cut into segments. Each attends to itself, asks the state and is asked by it; gates as
in an LSTM write what was found into the state, and the last segment gives the answer. What differs
from the published code:

- The state may be carried through a whole recording, with an answer for each segment (``memory``).
  As published it starts anew in every window, so that a stream is computed again and again.
- Scales of queries and keys beyond ±15 (for heads of 10) count as that: attention then picks one
  sample anyhow, and the exponential, which is not shifted here, could overflow.

Nothing here scales the input. The published evaluation scaled each class by its own statistics and
shuffled windows of one patient between training and test: its 99.99 % say nothing about a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ranvier.networks.arnn_cell import Cell
from ranvier.networks.carried import CarriedNetwork
from ranvier.networks.sizes import check_dropout, check_sizes, check_whole, choose
from ranvier.networks.windows import WindowNetwork

WINDOWS_AT_ONCE = 4
SEGMENTS_AT_ONCE = 16
"""How much is looked at together when nothing is learnt, so that it stays in the cache."""


class WindowARNN(WindowNetwork):
    """ARNN that starts anew in each window; 32,061 weights at 23 channels, 3,240 never used.

    Parameters
    ----------
    channels
        Channels that come in; samples of about unit size.
    window, hop
        Samples that are looked at, and from one window to the next.
    segment
        Samples of a segment, and vectors of the state; the window is a multiple of it.
    hidden
        Size of an embedded sample and of a vector of the state.
    heads, head_size
        Attentions beside each other, and features of a query; even, as they turn in pairs.
    classes
        Outputs of the readout.
    dropout
        Share of the output that is left out in training.
    context
        Earlier windows that a one-way GRU looks back on.

    Raises
    ------
    ValueError
        If a size or the dropout is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int = 1024,
        hop: int | None = None,
        segment: int = 64,
        hidden: int = 40,
        heads: int = 4,
        head_size: int = 10,
        classes: int = 1,
        dropout: float = 0.1,
        context: int = 0,
    ) -> None:
        _check(
            segment=segment,
            hidden=hidden,
            heads=heads,
            head_size=head_size,
            classes=classes,
            dropout=dropout,
        )
        if window < segment or window % segment:
            raise ValueError(f"Invalid window: {window}, must be a multiple of segment, {segment}")
        super().__init__(
            channels,
            window=window,
            hop=hop,
            embedding=segment * hidden,
            classes=classes,
            context=context,
        )
        self.segment = segment
        self.cell = Cell(
            len(self.channels),
            segment=segment,
            hidden=hidden,
            heads=heads,
            head_size=head_size,
            dropout=dropout,
        )
        self.unused = _never_read(hidden)

    def attend(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the last segment found, (window, sample, hidden), and the state before it."""
        segments = windows.reshape(windows.shape[0], -1, self.segment, windows.shape[2])
        state = self.cell.first_state.expand(windows.shape[0], -1, -1)
        attended, state = self.cell.attend(segments.transpose(0, 1), state)
        return attended[-1], state

    def embed(self, windows: Tensor) -> Tensor:
        """Return the answer of the last segment, (window, sample and hidden)."""
        if torch.is_grad_enabled() or torch.compiler.is_exporting():
            return self.cell.answer(self.attend(windows)[0])
        pieces = torch.split(windows, WINDOWS_AT_ONCE)
        return torch.cat([self.cell.answer(self.attend(piece)[0]) for piece in pieces])


class CarriedARNN(CarriedNetwork):
    """ARNN whose state goes on from segment to segment; weights as in ``WindowARNN``.

    Parameters
    ----------
    channels
        Channels that come in; samples of about unit size.
    segment
        Samples from one output to the next, and vectors of the state.
    hidden
        Size of an embedded sample and of a vector of the state.
    heads, head_size
        Attentions beside each other, and features of a query; even, as they turn in pairs.
    classes
        Outputs of the readout.
    dropout
        Share of the output that is left out in training.
    warm_up
        Segments before the first valid output, at the start and after a gap; by default it has
        then seen as much as the published window.

    Raises
    ------
    ValueError
        If a size, the dropout or the warm-up is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        segment: int = 64,
        hidden: int = 40,
        heads: int = 4,
        head_size: int = 10,
        classes: int = 1,
        dropout: float = 0.1,
        warm_up: int = 15,
    ) -> None:
        _check(
            segment=segment,
            hidden=hidden,
            heads=heads,
            head_size=head_size,
            classes=classes,
            dropout=dropout,
        )
        super().__init__(
            channels,
            segment=segment,
            embedding=segment * hidden,
            classes=classes,
            warm_up=warm_up,
        )
        self.cell = Cell(
            len(self.channels),
            segment=segment,
            hidden=hidden,
            heads=heads,
            head_size=head_size,
            dropout=dropout,
        )
        self.unused = _never_read(hidden)

    def start(self, batch: int) -> tuple[Tensor, ...]:
        """Return the learned state, (batch, vector, hidden)."""
        return (self.cell.first_state.expand(batch, -1, -1),)

    def advance(
        self, segments: Tensor, memory: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the answers of the segments, and the state after the last."""
        (state,), answers = memory, []
        for piece in torch.split(segments, SEGMENTS_AT_ONCE, dim=1):
            attended, state = self.cell.attend(piece.transpose(0, 1), state)
            state = self.cell.update(attended[-1], state)
            answers.append(self.cell.answer(torch.stack(attended, dim=1)))
        return torch.cat(answers, dim=1), (state,)


FORMS = {"window": WindowARNN, "carry": CarriedARNN}
"""What ``memory`` may be."""


def arnn(
    channels: Sequence[str], *, memory: Literal["window", "carry"] = "window", **options: Any
) -> WindowARNN | CarriedARNN:
    """Make an ARNN in one of its two forms, whose weights have the same names and shapes.

    Parameters
    ----------
    channels
        Channels that come in.
    memory
        ``"window"`` starts anew in each window, as published; ``"carry"`` hands the state on, for
        live use.
    **options
        Of ``WindowARNN`` or ``CarriedARNN``.

    Raises
    ------
    ValueError
        If the memory or an option is not allowed.
    """
    made: WindowARNN | CarriedARNN = choose("memory", memory, FORMS)(channels, **options)
    return made


def _never_read(hidden: int) -> nn.ModuleDict:
    """Layers that the published network has and never uses."""
    layers = {
        "out_proj": nn.Linear(hidden, hidden, bias=False),
        "state_out_to_gate": nn.Linear(hidden, hidden),
    }
    return nn.ModuleDict(layers).requires_grad_(requires_grad=False)


def _check(*, head_size: int, dropout: float, **sizes: int) -> None:
    check_sizes(**sizes)
    check_whole(head_size=head_size)
    check_dropout(dropout)
    if head_size < 2 or head_size % 2:
        raise ValueError(f"Invalid head_size: {head_size}, must be even and at least 2")
