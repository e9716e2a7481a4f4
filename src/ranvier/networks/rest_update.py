"""What REST's memory goes through, as training and answering share it.

With a row for each node, what comes into an update ``x``, the memory ``m`` and the mask ``k``:

    e = x + m R                     what entered
    a = relu(b + G (e F))           what the first convolution found
    m = e + k * G (c + a S)         the memory after the update

``F`` and ``S`` hold what a node sends beside what it keeps, and ``G`` adds up by turns what its
neighbours sent and what it kept. After the last update of a step, the memory is held within a
bound, and becomes zero where it does not go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Mask = Tensor | float
Missing = Tensor | float | None


class Weights(NamedTuple):
    """What every update uses, laid out for few and large products; letters as above."""

    recur: Tensor
    """R, (hidden, hidden)."""
    recur_bias: Tensor
    """In ``x``, but for what a step says is missing, (hidden,)."""
    first: Tensor
    """F, (hidden, 2 * hidden)."""
    second: Tensor
    """S, (hidden, 2 * hidden)."""
    bias: Tensor
    """b, (hidden,)."""
    kept_bias: Tensor
    """c, (2 * hidden,), zeros in what is sent."""
    graph: Tensor
    """G, (target, 2 * source), which is not learnt."""


class Step(NamedTuple):
    """What is done in a step, besides what comes in."""

    masks: Sequence[Mask]
    """What each of its updates is multiplied by."""
    missing: tuple[Missing, Missing]
    """How much of the recurrence's bias is missing in what comes into the first update, and into
    the others; one number or (batch, 1, 1, 1), or None."""
    going_on: Tensor | None
    """Whether the memory goes on after it, (row, 1, 1); None if all do."""

    def updates(self) -> list[tuple[Mask, Missing]]:
        """Return of each update its mask, and how much of the bias is missing."""
        return [(mask, self.missing[i > 0]) for i, mask in enumerate(self.masks)]


def by_step(values: Tensor, width: int) -> tuple[Tensor, ...]:
    """Return views of what comes into each step of outputs side by side.

    Parameters
    ----------
    values
        (batch, step, node, hidden).
    width
        Outputs; the first step of each is the second of the one before.

    Returns
    -------
    tuple of Tensor
        For each step (batch, output, node, hidden).
    """
    return values.unfold(1, width, 1).movedim(-1, 2).unbind(1)


def whole(entering: Tensor, missing: Missing, bias: Tensor) -> Tensor:
    """Return what comes into an update with all of the bias, (row * node, hidden)."""
    added = entering if missing is None else entering + missing * bias
    return added.reshape(-1, added.shape[-1])


def held_within(memory: Tensor, longest: float) -> tuple[Tensor, Tensor]:
    """Return a memory with no node longer than this, and what each was divided by."""
    length = torch.linalg.vector_norm(memory, dim=-1, keepdim=True)
    excess = length.clamp(min=longest) / longest
    return memory / excess, excess
