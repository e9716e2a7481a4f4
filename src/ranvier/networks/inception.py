"""The Inception seizure detector: a fixed filter bank and dilated convolutions side by side.

No paper; the authors' code is github.com/TuziUsagi/AISeizureDetector (TensorFlow 1.14), read at
commits 6564186 (network) and 2214537 (README).

Each window of one channel goes through seven fixed band-pass filters; units that look with wide
and narrow dilation, and pool by maximum or average, see the bands, and a trunk joins what they
found. Each unit has a head of its own in training. What differs from the published code:

- Four units as its README describes are the default (``pooling``); the code runs the two that pool
  by maximum.
- The published network expects windows of zero mean within [-1, 1] and leaves that to whoever makes
  the data; here each window is scaled by itself (``scale_windows``), and a flat one becomes zeros.
- Each channel of a recording is answered for by itself; the published network knows only one.
- The published code builds the heads of the units at inference too, where nobody reads them; here
  they are computed in training alone.
- Moving variances are taken with n - 1, as torch does, and not with n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier.networks.sizes import check_dropout, check_sizes
from ranvier.networks.windows import WindowNetwork

FILTERS, FILTER_TAPS = 7, 128
LOWEST, HIGHEST = 1.5, 65.5
"""Of the bank, in Hz."""

EMBEDDING = 16
POOLS: dict[str, Callable[..., nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}

Pooling = Literal["max", "average"]


class Block(nn.Module):
    """Convolution, swish, norm, and every two samples pooled; (batch, map, 1, time).

    Signals are images of height 1, since their layout in memory with the maps last is faster to
    convolve than what PyTorch has for signals of one dimension.
    """

    def __init__(
        self, inputs: int, maps: int, taps: int, *, dilation: int = 1, pooling: Pooling = "max"
    ) -> None:
        super().__init__()
        self.padding = _same_padding(taps, dilation)
        self.convolution = nn.Conv2d(inputs, maps, (1, taps), dilation=(1, dilation))
        self.norm = _norm(maps)
        self.pool = POOLS[pooling]((1, 2), ceil_mode=True)

    def forward(self, maps: Tensor) -> Tensor:
        """Return half the samples; an odd last one stands for itself."""
        found = self.convolution(functional.pad(maps, self.padding))
        pooled: Tensor = self.pool(self.norm(functional.silu(found)))
        return pooled


class Dense(nn.Module):
    """All maps, time-major, to an embedding: linear, swish, norm and dropout."""

    def __init__(self, inputs: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, EMBEDDING)
        self.norm = nn.BatchNorm1d(EMBEDDING, eps=1e-3, momentum=0.01)
        self.dropout = nn.Dropout(dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """(batch, map, 1, time) to (batch, embedding)."""
        found = self.linear(maps.permute(0, 2, 3, 1).flatten(1))
        embedded: Tensor = self.dropout(self.norm(functional.silu(found)))
        return embedded


class Inception(WindowNetwork):
    """Filter bank, units side by side and a trunk; 215,650 values with four units.

    Values are counted as Keras does: 214,114 that are learnt, 640 moving statistics and 896 of the
    bank; with two units 115,310, 352 and 896 make 116,558.

    Parameters
    ----------
    channels
        Each is looked at by itself.
    pooling
        ``"max"`` and ``"average"``: each makes two units, one with wide and one with narrow
        dilation. The published code runs ``("max",)``.
    window, hop
        Samples, see ``WindowNetwork``.
    upsample
        How many samples are made of one, by cubic interpolation within the window.
    rate
        Samples per second of what comes in, Hz.
    classes
        2 with a softmax as published, or 1 with a sigmoid.
    double
        Whether the filter bank computes in double precision.
    scale_windows
        Whether each window is brought to zero mean and a largest magnitude of 1.
    dropout
        Share of each embedding that is left out in training.
    context
        See ``WindowNetwork``.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        pooling: Sequence[Pooling] = ("max", "average"),
        window: int = 1024,
        hop: int | None = None,
        upsample: int = 1,
        rate: float = 250.0,
        classes: int = 2,
        double: bool = False,
        scale_windows: bool = True,
        dropout: float = 0.4,
        context: int = 0,
    ) -> None:
        _check(pooling, upsample, rate, classes, dropout)
        super().__init__(
            channels,
            window=window,
            hop=hop,
            embedding=EMBEDDING,
            classes=classes,
            per_channel=True,
            context=context,
        )
        self.upsample, self.scale_windows = upsample, scale_windows
        samples = -(-window * upsample // 8)
        bank = filter_bank(rate * upsample)
        self.register_buffer("bank", bank if double else bank.float())
        self.bank: Tensor
        self.norm = _norm(FILTERS + 1)
        units = list(product(pooling, (4 * upsample, upsample)))
        self.units = nn.ModuleList(_unit(*unit) for unit in units)
        self.heads = nn.ModuleList(_head(*unit, samples, classes, dropout) for unit in units)
        self.trunk = Block(32 * len(self.units), 8, 16)
        self.dense = Dense(8 * samples, dropout)
        self.begin_as(_initialise)

    def embed(self, windows: Tensor) -> Tensor:
        """Return what the trunk makes of (window, sample, 1), (window, 16)."""
        if not torch.compiler.is_exporting() and len(windows) == 1:  # PyTorch's slow way
            return self.embed(windows.expand(2, -1, -1))[:1]
        return self._join(self._branches(windows))

    def embed_for_training(self, windows: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return also the logits of each unit, wide before narrow, in the order of pooling."""
        branches = self._branches(windows)
        answers = (head(branch) for head, branch in zip(self.heads, branches, strict=True))
        return self._join(branches), tuple(answers)

    def _branches(self, windows: Tensor) -> list[Tensor]:
        signal = windows.movedim(2, 1)[:, :, None]
        signal = scaled(signal) if self.scale_windows else signal
        bands = self._bands(upsampled(signal, self.upsample) if self.upsample > 1 else signal)
        return [unit(bands) for unit in self.units]

    def _bands(self, signal: Tensor) -> Tensor:
        padded = functional.pad(signal.to(self.bank.dtype), _same_padding(FILTER_TAPS))
        filtered = functional.conv2d(padded, self.bank).to(signal.dtype)
        bands = torch.cat([signal, filtered], dim=1).contiguous(memory_format=torch.channels_last)
        normed: Tensor = self.norm(functional.silu(bands))
        return normed

    def _join(self, branches: list[Tensor]) -> Tensor:
        embedded: Tensor = self.dense(self.trunk(torch.cat(branches, dim=1)))
        return embedded


def _unit(pooling: Pooling, dilation: int) -> nn.Sequential:
    """From the bands to 32 maps with a quarter of the samples."""
    return nn.Sequential(
        Block(FILTERS + 1, 16, 64, dilation=dilation, pooling=pooling),
        Block(16, 32, 32, dilation=dilation, pooling=pooling),
    )


def _head(
    pooling: Pooling, dilation: int, samples: int, classes: int, dropout: float
) -> nn.Sequential:
    """From a unit's maps to its own logits."""
    return nn.Sequential(
        Block(32, 8, 16, dilation=dilation, pooling=pooling),
        Dense(8 * samples, dropout),
        nn.Linear(EMBEDDING, classes),
    )


def scaled(signal: Tensor) -> Tensor:
    """Bring each signal, along the last axis, to zero mean and a largest magnitude of 1.

    A flat one becomes zeros, whatever rounding leaves of it.
    """
    lowest, highest = torch.aminmax(signal, dim=-1, keepdim=True)
    centred = signal - signal.mean(dim=-1, keepdim=True)
    largest = centred.abs().amax(dim=-1, keepdim=True)
    return (centred / largest).masked_fill(lowest == highest, 0.0)


def upsampled(signal: Tensor, factor: int) -> Tensor:
    """Make ``factor`` samples of one by cubic interpolation, the first where it was.

    Parameters
    ----------
    signal
        (batch, map, 1, time).
    factor
        Samples for each.

    Returns
    -------
    Tensor
        (batch, map, 1, time * factor); the last sample is held beyond the end.
    """
    held = functional.pad(signal, (0, 1, 0, 0), mode="replicate")
    size = (1, signal.shape[-1] * factor + 1)
    return functional.interpolate(held, size, mode="bicubic", align_corners=True)[..., :-1]


def filter_bank(rate: float) -> Tensor:
    """Return band-pass filters side by side from 1.5 to 65.5 Hz, (filter, 1, 1, tap), float64."""
    from scipy.signal import firwin

    edges = np.linspace(LOWEST, HIGHEST, FILTERS + 1)
    taps = [firwin(FILTER_TAPS, band, pass_zero=False, fs=rate) for band in pairwise(edges)]
    return torch.as_tensor(np.array(taps))[:, None, None]


def _same_padding(taps: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and after, as many samples out as in; Keras puts the smaller half before."""
    total = (taps - 1) * dilation
    return total // 2, total - total // 2


def _norm(maps: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(maps, eps=1e-3, momentum=0.01)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _check(
    pooling: Sequence[str], upsample: int, rate: float, classes: int, dropout: float
) -> None:
    if not pooling or not set(pooling) <= set(POOLS):
        raise ValueError(f"Invalid pooling: {pooling!r}, must be some of {list(POOLS)}")
    check_sizes(upsample=upsample, classes=classes)
    check_dropout(dropout)
    if not 2 * HIGHEST < rate * upsample < float("inf"):
        raise ValueError(
            f"Invalid rate: {rate} Hz, must be finite and, times upsample, above {2 * HIGHEST}"
        )
