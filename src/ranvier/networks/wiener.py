"""Wiener decoder: ridge regression of movement on the spike counts of the last bins.

The linear decoder that others must beat (Carmena et al., PLoS Biology 2003, 1, e42, use ten bins
of 100 ms). Its weights are solved for, not trained by gradients; the strength of the ridge is
chosen on contiguous blocks of the training data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ranvier.networks.sizes import check_whole
from ranvier.networks.windows import WindowNetwork

RIDGES = tuple(10.0**power for power in range(-4, 2))
"""Strengths to choose from, in multiples of the mean sum of squares of a lagged channel."""
BLOCKS = 5
"""Of the training data; each is held out once."""
ROWS = 4096
"""Windows that are looked at together while solving."""


class Wiener(WindowNetwork):
    """A linear readout of the last bins.

    Parameters
    ----------
    channels
        Channels or units, as spike counts.
    window, hop
        Bins that are looked at, and from one answer to the next.
    classes
        Axes.
    ridge
        Penalty on the squared weights, as ``alpha`` of scikit-learn's Ridge; if None, ``solve``
        chooses it.
    least
        Newest bins that must be there; what lies before them, or before a gap, counts as zeros.
        None for the whole window.

    Attributes
    ----------
    penalty : float or None
        The ridge that was last used.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int = 4,
        hop: int = 1,
        classes: int = 2,
        ridge: float | None = None,
        least: int | None = None,
    ) -> None:
        if ridge is not None and not 0 < ridge < float("inf"):
            raise ValueError(f"Invalid ridge: {ridge}, must be finite and above 0, or None")
        check_whole(window=window)
        size = window * len(channels)
        super().__init__(
            channels, window=window, hop=hop, embedding=size, classes=classes, least=least
        )
        self.ridge = self.penalty = ridge

    def embed(self, windows: Tensor) -> Tensor:
        """Return the counts of windows (window, bin, channel) in a row, oldest bin first."""
        return windows.flatten(1)

    def solve(self, inputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Set the weights to those of least squares with a ridge.

        Parameters
        ----------
        inputs
            Whole recordings, (bin, channel); NaN in gaps, over which no window goes.
        targets
            What ``step`` is to answer for each of them, (output, class); NaN where unknown.

        Raises
        ------
        ValueError
            If targets do not fit their recording, too few of them are known, or the ridge is too
            small for channels that repeat each other.
        """
        self._check(inputs, targets)
        known = sum(len(rows) for rows, _ in self._rows(inputs, targets))
        self._check_enough(known)
        blocks = self._sum_blocks(inputs, targets, known)
        together = blocks.sum(dim=0)
        self.penalty = self.ridge or _choose(blocks[:BLOCKS], together, self.embedding)
        weights, offset = _regress(together, self.embedding, self.penalty)
        with torch.no_grad():
            self.readout.weight.copy_(weights.T)
            self.readout.bias.copy_(offset)

    @property
    def _overlap(self) -> int:
        """Windows that share bins with a given one before them."""
        return (self.span - 1) // self.hop

    def _check(self, inputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        found = [tuple(target.shape) for target in targets]
        classes = self.readout.out_features
        wanted = [(self.outputs(len(samples)), classes) for samples in inputs]
        if found != wanted:
            raise ValueError(f"Invalid targets: shapes {found}, must be {wanted} for these inputs")

    def _check_enough(self, known: int) -> None:
        least = 2 if self.ridge is not None else 2 * BLOCKS * (self._overlap + 1)
        if known < least:
            raise ValueError(
                f"Invalid targets: {known} are known in windows without a gap, must be at least "
                f"{least} for ridge={self.ridge}"
            )

    def _rows(
        self, inputs: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield lagged counts (row, bin * channel) and targets (row, class), in their order."""
        before = self.initial_state(1).samples[0].cpu()
        for given, target in zip(inputs, targets, strict=True):
            samples = torch.cat([before, given.cpu()])
            for first in range(0, len(target), ROWS):
                part = target[first : first + ROWS].cpu().double()
                start = first * self.hop
                stop = start + (len(part) - 1) * self.hop + self.span
                windows, valid = self._cut(samples[None, start:stop])
                known = valid[0, :, 0] & part.isfinite().all(dim=1)
                yield windows[0, known, 0].flatten(1).double(), part[known]

    def _sum_blocks(
        self, inputs: Sequence[Tensor], targets: Sequence[Tensor], known: int
    ) -> Tensor:
        """Return sums of products of (counts, targets, 1) in each block, and on their borders.

        The first windows of a block share bins with the block before: they count at the end only.
        """
        size = self.embedding + self.readout.out_features + 1
        sums = torch.zeros(BLOCKS + 1, size, size, dtype=torch.float64)
        starts = torch.arange(BLOCKS) * known // BLOCKS
        first = 0
        for counts, target in self._rows(inputs, targets):
            rows = torch.cat([counts, target, torch.ones_like(target[:, :1])], dim=1)
            row = torch.arange(first, first + len(rows))
            block = torch.searchsorted(starts, row, right=True) - 1
            border = (block > 0) & (row - starts[block] < self._overlap)
            block = torch.where(border, BLOCKS, block)
            for i in range(BLOCKS + 1):
                sums[i].addmm_(rows[block == i].T, rows[block == i])
            first += len(rows)
        return sums


def _choose(blocks: Tensor, together: Tensor, size: int) -> float:
    """Return the penalty whose share of the counts' spread errs least on blocks held out."""
    inside = blocks.sum(dim=0)
    spread = _centre(inside)[size:, size:].diagonal()
    errors = torch.zeros(len(RIDGES), dtype=torch.float64)
    for held in blocks:
        scale = _scale(inside - held, size)
        for i, share in enumerate(RIDGES):
            lost = _lost(held, *_regress(inside - held, size, share * scale))
            errors[i] += torch.where(spread > 0, lost / spread, 0.0).sum()
    return RIDGES[int(errors.argmin())] * _scale(together, size)


def _centre(sums: Tensor) -> Tensor:
    """Turn sums of products of (values, 1) into those of the values less their means."""
    return sums[:-1, :-1] - torch.outer(sums[:-1, -1], sums[-1, :-1]) / sums[-1, -1]


def _scale(sums: Tensor, size: int) -> float:
    return max(float(_centre(sums)[:size, :size].diagonal().mean()), 1e-12)


def _regress(sums: Tensor, size: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Return weights (counts, class) and offsets (class)."""
    products, means = _centre(sums), sums[:-1, -1] / sums[-1, -1]
    ridge = penalty * torch.eye(size, dtype=sums.dtype)
    factor, failed = torch.linalg.cholesky_ex(products[:size, :size] + ridge)
    if failed:
        raise ValueError(
            f"Invalid ridge: {penalty}, must be larger for channels that repeat others"
        )
    weights = torch.cholesky_solve(products[:size, size:], factor)
    return weights, means[size:] - means[:size] @ weights


def _lost(sums: Tensor, weights: Tensor, offset: Tensor) -> Tensor:
    """Return the sum of squared errors of each class."""
    classes = torch.eye(len(offset), dtype=sums.dtype)
    error = torch.cat([weights, -classes, offset[None]])
    return torch.einsum("ic,ij,jc->c", error, sums, error)
