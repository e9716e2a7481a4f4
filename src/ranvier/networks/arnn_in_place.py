"""The recurrence of ARNN when nothing is learnt: in place, and three attentions in one product.

A segment asks the state, is asked by it and asks itself. Their heads lie side by side, and what is
large is written to the same memory for every segment, as new memory is slow. Rows of ones among the
values give the sums that averages are divided by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

USES = 3
"""Attentions of a segment: asking the state, asked by it, and within itself."""

Turn = tuple[Tensor, Tensor]
"""Scale and rotation of features: what they are multiplied by, and what their other halves are."""


class Folded(NamedTuple):
    """The weights in the form in which the recurrence uses them; products have the batch first."""

    turn: Turn
    """Of the state's keys and queries, each (2, 1, feature, sample)."""
    norm: Tensor
    project: Tensor
    join: Tensor
    gate: tuple[Tensor, Tensor]


class Beside(NamedTuple):
    """A segment and the state beside each other; heads are those of all rows of the batch."""

    keys: Tensor
    """(head, sample, feature)."""
    queries: Tensor
    """(head, feature, sample)."""
    values: Tensor
    """(head, feature and ones, sample)."""
    turned: Tensor
    """Where keys and queries of the state go, (batch, 2, head, feature, sample)."""
    given: Tensor
    """Where its values go, (batch, head, feature, sample)."""


def beside(rows: Tensor, turns: Sequence[Turn], batch: int) -> Iterable[Beside]:
    """Lay out what segments are to the state and to themselves, and leave room for the state.

    Parameters
    ----------
    rows
        Queries, keys and values, (segment and batch, 3, head, feature, sample).
    turns
        Of queries and keys, for the state and within a segment.
    batch
        Rows of the batch.
    """
    rows = rows.view(-1, batch, *rows.shape[1:])
    count, _, _, heads, size, samples = rows.shape
    pairs = rows[:, :, :2]
    pairs.mul_(inverse_length(pairs))
    sides = rows.new_empty(2, count, batch, USES, heads, size, samples)
    for side, row, uses in ((0, 1, slice(1, 3)), (1, 0, slice(0, 3, 2))):
        cosine, sine = (
            torch.stack([table[row] for table in part]) for part in zip(*turns, strict=True)
        )
        place, pair = sides[side, :, :, uses], pairs[:, :, None, row]
        torch.mul(pair, cosine, out=place)
        for half, other, part in _halves(place, pair, sine):
            half.addcmul_(other, part)
    values = rows.new_ones(count, batch, USES, heads, rows_of(size), samples)
    values[:, :, 1:, :, :size] = rows[:, :, 2, None]
    keys, queries = sides.flatten(2, 4)
    return map(
        Beside,
        keys.mT.unbind(),
        queries.unbind(),
        values.flatten(1, 3).unbind(),
        sides.diagonal(0, 0, 3).movedim(-1, 2).unbind(),
        values[:, :, 0, :, :size].unbind(),
    )


class InPlace:
    """The recurrence over segments of some size, and the memory it is done in.

    Parameters
    ----------
    folded
        The weights.
    state
        Before the first segment, (batch, vector, hidden).
    heads, size
        Attentions beside each other, and features of a query.
    """

    def __init__(self, folded: Folded, state: Tensor, *, heads: int, size: int) -> None:
        batch, samples, hidden = state.shape
        self.folded, self.state = folded, state.clone()
        self.rows = state.new_empty(batch, 3 * heads * size, samples)
        rows = self.rows.view(batch, 3, heads, size, samples)
        self.pairs, self.values = rows[:, :2], rows[:, 2]
        self.turned = torch.empty_like(self.pairs)
        self.halves = tuple(_halves(self.turned, self.pairs, folded.turn[1]))
        self.scores = state.new_empty(batch * USES * heads, samples, samples)
        self.read = state.new_empty(len(self.scores), rows_of(size), samples)
        self.total, self.weight = self.read[:, :size], self.read[:, size, None]
        self.found = torch.empty_like(self.total)
        self.joined = self.found.view(batch, -1, samples).mT
        self.gates = state.new_empty(batch, samples, 3 * hidden)
        self.new, self.admit, self.keep = self.gates.chunk(3, -1)

    def attend(self, segments: Iterable[Beside]) -> tuple[list[Tensor], Tensor]:
        """Return what each found, (batch, sample, hidden), and the state before the last."""
        attended: list[Tensor] = []
        for segment in segments:
            if attended:
                self._write(attended[-1])
            attended.append(self._exchange(segment))
        return attended, self.state

    def _exchange(self, segment: Beside) -> Tensor:
        normed = torch.layer_norm(self.state, self.state.shape[2:], self.folded.norm)
        torch.bmm(self.folded.project, normed.mT, out=self.rows)
        torch.mul(self.pairs, self.folded.turn[0], out=self.turned)
        for half, other, sine in self.halves:
            half.addcmul_(other, sine)
        torch.mul(self.turned, inverse_length(self.pairs), out=segment.turned)
        segment.given.copy_(self.values)
        torch.bmm(segment.keys, segment.queries, out=self.scores)
        torch.bmm(segment.values, self.scores.exp2_(), out=self.read)
        torch.div(self.total, self.weight, out=self.found)
        return torch.bmm(self.joined, self.folded.join)

    def _write(self, attended: Tensor) -> None:
        weight, bias = self.folded.gate
        torch.baddbmm(bias, attended, weight, out=self.gates).sigmoid_()
        self.state.mul_(self.keep).sub_(self.admit).addcmul_(self.new, self.admit, value=2)


def rows_of(size: int) -> int:
    """Return features and ones together: products of a multiple of 4 are faster."""
    return size + 4 - size % 4


def inverse_length(features: Tensor) -> Tensor:
    """1 / length of (..., feature, sample), at most 1e12."""
    return features.square().sum(-2, keepdim=True).clamp_min_(1e-24).rsqrt_()


def _halves(place: Tensor, features: Tensor, sine: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Return halves of what is turned, with the other halves and what these are multiplied by."""
    first, second = features.chunk(2, -2)
    return zip(place.chunk(2, -2), (second, first), sine.chunk(2, -2), strict=True)
