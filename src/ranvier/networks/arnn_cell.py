"""The recurrence of ARNN: attention of a segment within itself, and with a state.

What does not depend on the state is computed for all segments at once. With S segments, per segment
and head, features as rows and samples as columns,

    found = W [state asked by segment; segment asked by state; segment by itself]
    state = keep * state + admit * new        (keep, admit, new: gates of what was found)

Queries and keys have unit length, then a learned scale, then a rotation by their place. The scale,
the size of scores and the change from exp to powers of two, which are faster, are in the tables of
cosines. When nothing is learnt, ``arnn_in_place`` does it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier.networks.arnn_gradients import Attention
from ranvier.networks.arnn_in_place import Folded, InPlace, Turn, beside, inverse_length

SELF, SEGMENT, STATE = range(3)
"""Rows of the scales: queries and keys within a segment, those of a segment for the state, and
keys and queries of the state for a segment."""

SELVES_AT_ONCE = 4
"""How many segments attend to themselves together, so that they stay in the cache."""


class Segment(NamedTuple):
    """What a segment is to the state: (batch, head, feature, sample)."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    found: Tensor
    """What it found in itself."""


class Cell(nn.Module):
    """One block, run over segments; parameters as in ``arnn.WindowARNN``."""

    cosine: Tensor
    sine: Tensor
    gain: Tensor
    shift: Tensor

    def __init__(
        self,
        channels: int,
        *,
        segment: int,
        hidden: int,
        heads: int,
        head_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.heads, self.head_size, self.joined = heads, head_size, heads * head_size
        self.embed = nn.Linear(channels, hidden)
        self.norm = nn.LayerNorm(hidden, bias=False)
        self.first_state = nn.Parameter(torch.randn(segment, hidden))
        self.project = nn.Linear(hidden, 3 * self.joined, bias=False)  # queries, keys, values
        self.state_norm = nn.LayerNorm(hidden, bias=False)
        self.state_project = nn.Linear(hidden, 3 * self.joined, bias=False)  # keys, queries, values
        self.scales = nn.Parameter(torch.ones(3, 2, head_size))
        self.join = nn.Linear(3 * self.joined, hidden, bias=False)  # asking the state, asked, self
        self.gates = nn.Linear(hidden, 3 * hidden)  # new, admit, keep
        self.mix_norm = nn.LayerNorm(hidden, bias=False)
        self.mix = nn.Linear(hidden, hidden, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, hidden)
        for name, table in _tables(hidden, head_size, segment).items():
            self.register_buffer(name, table, persistent=False)

    def attend(self, segments: Tensor, state: Tensor) -> tuple[list[Tensor], Tensor]:
        """Go through segments in a row.

        Parameters
        ----------
        segments
            (segment, batch, sample, channel).
        state
            Before the first of them, (batch, vector, hidden).

        Returns
        -------
        attended
            What each segment found, (batch, sample, hidden).
        state
            Before the last segment; ``update`` takes it past that.
        """
        if _in_full(state) and not torch.is_grad_enabled():
            return self._attend_in_place(segments, state)
        turns, gate = self._turns(), self._gate()
        cosine, sine = (table.repeat(1, self.heads, 1, 1).flatten(0, 1) for table in turns[STATE])
        attended: list[Tensor] = []
        alone = torch.compiler.is_exporting()  # a graph has one row, and is faster without it
        if alone:
            state = state[0]
        for segment in self._hoist(segments, turns):
            if attended:
                state = _write(attended[-1], state, gate)
            attended.append(self._exchange(segment, state, (cosine, sine)))
        if alone:
            return [each[None] for each in attended], state[None]
        return attended, state

    def update(self, attended: Tensor, state: Tensor) -> Tensor:
        """Return the state after a segment, from what it found and the state before it."""
        return _write(attended, state, self._gate())

    def output(self, attended: Tensor) -> Tensor:
        """Return what a segment says, in the shape of what it found."""
        said: Tensor = attended + self.dropout(self.mix(self.mix_norm(attended)))
        return said

    def answer(self, attended: Tensor) -> Tensor:
        """Return the embedding, sample by sample in a row."""
        answer: Tensor = self.head(self.output(attended))
        return answer.flatten(-2)

    def _gate(self) -> tuple[Tensor, Tensor]:
        """Fold in the shifts, and for what is written that tanh(x) = 2 sigmoid(2x) - 1.

        In a graph tanh is as fast, and one operator with the product before it.
        """
        if torch.compiler.is_exporting():
            return self.gates.weight, self.gates.bias + self.shift
        bias = torch.addcmul(self.shift, self.gates.bias, self.gain)
        return self.gates.weight * self.gain[:, None], bias

    def _attend_in_place(self, segments: Tensor, state: Tensor) -> tuple[list[Tensor], Tensor]:
        batch, turns, (gate, bias) = state.shape[0], self._turns(), self._gate()
        rows = self._heads(self.project.weight, self._tokens(segments))
        rows = rows.view(len(rows), 3, self.heads, self.head_size, -1)
        folded = Folded(
            turn=turns[STATE],
            norm=self.state_norm.weight,
            project=self.state_project.weight.expand(batch, -1, -1),
            join=self.join.weight.mT.contiguous().expand(batch, -1, -1),
            gate=(gate.mT.contiguous().expand(batch, -1, -1), bias),
        )
        place = InPlace(folded, state, heads=self.heads, size=self.head_size)
        return place.attend(beside(rows, (turns[SEGMENT], turns[SELF]), batch))

    def _turns(self) -> Sequence[Turn]:
        """Return scales and rotations by use, each twice (2, 1, feature, sample)."""
        largest = _largest_scale(self.head_size)
        scales = self.scales.clamp(-largest, largest)[:, :, None, :, None]
        if torch.compiler.is_exporting():
            scales = scales * math.sqrt(math.log(2))
        sines = scales.roll(self.head_size // 2, 3) * self.sine
        return tuple(zip((scales * self.cosine).unbind(), sines.unbind(), strict=True))

    def _tokens(self, segments: Tensor) -> Tensor:
        """Return (segment and batch, hidden, sample)."""
        normed: Tensor = self.norm(self.embed(segments))
        return normed.flatten(0, 1).mT

    def _heads(self, weight: Tensor, tokens: Tensor) -> Tensor:
        """Return (batch, head, feature, sample) of (batch, hidden, sample)."""
        heads = len(weight) // self.head_size
        return _product(weight, tokens).view(-1, heads, self.head_size, tokens.shape[-1])

    def _hoist(self, segments: Tensor, turns: Sequence[Turn]) -> Iterable[Segment]:
        """Do for all segments at once what does not depend on the state."""
        batch, tokens = segments.shape[1], self._tokens(segments)
        weights = (self.project.weight[i * self.joined : (i + 1) * self.joined] for i in range(3))
        queries, keys, values = (self._heads(weight, tokens) for weight in weights)
        (asking, own_queries), (asked, own_keys) = (
            _turned(
                _unit(each),
                [(cosine[row], sine[row]) for cosine, sine in (turns[SEGMENT], turns[SELF])],
            )
            for row, each in enumerate((queries, keys))
        )
        found = _average_in_turn(own_queries, own_keys, values, SELVES_AT_ONCE * batch)
        for first in range(0, len(tokens), batch):
            parts = (asking, asked, values, found)
            yield Segment(*(part[first : first + batch] for part in parts))

    def _exchange(self, segment: Segment, state: Tensor, turn: Turn) -> Tensor:
        """Return what a segment found in the state, the state in it, and it in itself."""
        *batch, samples, hidden = state.shape
        normed = torch.layer_norm(state, (hidden,), self.state_norm.weight).mT
        pairs = self._heads(self.state_project.weight[: 2 * self.joined], normed)
        values = self._heads(self.state_project.weight[2 * self.joined :], normed)
        (turned,) = _turned(_unit(pairs), [turn])
        asking = _average(segment.queries, turned[:, : self.heads], values)
        asked = _average(turned[:, self.heads :], segment.keys, segment.values)
        found = torch.cat([asking, asked, segment.found], dim=1).view(*batch, -1, samples).mT
        return _product(found, self.join.weight.mT)


def _largest_scale(head_size: int) -> float:
    """Of queries and keys, so that no exponential exceeds 2 ** 100."""
    return math.sqrt(100 * math.log(2) * math.sqrt(head_size))


def _tables(hidden: int, head_size: int, samples: int) -> dict[str, Tensor]:
    """Constants: rotations for scores that are powers of two, gates' gain and shift.

    A half that is rolled past the other takes the sign in ``sine``.
    """
    half = head_size // 2
    frequency = 10000.0 ** (-torch.arange(half) / half)
    angle = torch.outer(frequency.repeat(2), torch.arange(samples))
    size = torch.full((head_size, 1), math.sqrt(math.log2(math.e) / math.sqrt(head_size)))
    part = torch.ones(hidden)
    return {
        "cosine": size * angle.cos(),
        "sine": torch.cat([-size[:half], size[half:]]) * angle.sin(),
        "gain": torch.cat([2 * part, part, part]),
        "shift": torch.cat([0 * part, -part, part]),
    }


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Multiply matrices, one of which is the same for all rows of the batch."""
    if torch.compiler.is_exporting():
        return torch.matmul(left, right)
    batch = len(left) if left.dim() > right.dim() else len(right)
    return torch.bmm(left.expand(batch, -1, -1), right.expand(batch, -1, -1))


def _unit(features: Tensor) -> Tensor:
    """Bring (..., feature, sample) to a length of 1; what is below 1e-12 stays shorter."""
    if torch.compiler.is_exporting():  # one operator
        length: Tensor = torch.linalg.vector_norm(features, dim=-2, keepdim=True)
        return features / length.clamp_min(1e-12)
    return features * inverse_length(features)


def _turned(features: Tensor, turns: Iterable[Turn]) -> list[Tensor]:
    rolled = features.roll(features.shape[-2] // 2, -2)
    return [(features * cosine).addcmul_(rolled, sine) for cosine, sine in turns]


def _average(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Average values by what keys and queries have in common, (batch, head, feature, sample)."""
    if _learning_in_full(values):
        heads = (each.flatten(0, 1) for each in (queries, keys, values))
        found: Tensor = Attention.apply(*heads)  # type: ignore[no-untyped-call]
        return found.view_as(queries)
    scores = keys.mT @ queries
    powers = scores.exp() if torch.compiler.is_exporting() else scores.exp2()
    return torch.matmul(values, powers) / powers.sum(-2, keepdim=True)


def _average_in_turn(queries: Tensor, keys: Tensor, values: Tensor, at_once: int) -> Tensor:
    """Do as ``_average``, for some rows of the batch at a time."""
    pieces = (torch.split(each, at_once) for each in (queries, keys, values))
    return torch.cat([_average(*piece) for piece in zip(*pieces, strict=True)])


def _write(attended: Tensor, state: Tensor, gate: tuple[Tensor, Tensor]) -> Tensor:
    if torch.compiler.is_exporting():
        parts = zip(*(part.chunk(3) for part in gate), strict=True)
        new, admit, keep = (functional.linear(attended, *part) for part in parts)
        return state * keep.sigmoid() + new.tanh() * admit.sigmoid()
    new, admit, keep = functional.linear(attended, *gate).sigmoid_().chunk(3, -1)
    return (state * keep).sub_(admit).addcmul_(new, admit, value=2)


def _learning_in_full(values: Tensor) -> bool:
    return _in_full(values) and torch.is_grad_enabled()


def _in_full(values: Tensor) -> bool:
    """Whether it is computed, not made a graph, and in the precision of the weights."""
    if torch.compiler.is_exporting():
        return False
    return not torch.is_autocast_enabled(values.device.type)
