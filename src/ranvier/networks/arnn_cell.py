"""The recurrence of ARNN: attention of a segment within itself, and with a state.

What does not depend on the state is computed for all segments at once. With S segments, per segment
and head, features as rows and samples as columns,

    found = W [state asked by segment; segment asked by state; segment by itself]
    state = keep * state + admit * new        (keep, admit, new: gates of what was found)

Queries and keys have unit length, then a learned scale, then a rotation by their place. The scale,
the size of scores and the change from exp to powers of two, which are faster, are in the tables of
cosines; a row of ones among the values gives the sums that averages are divided by.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier.networks.arnn_gradients import Attention

SELF, SEGMENT, STATE = range(3)
"""Rows of the scales: queries and keys within a segment, those of a segment for the state, and
keys and queries of the state for a segment."""


class Folded(NamedTuple):
    """The weights in the form in which the recurrence uses them."""

    turns: Sequence[tuple[Tensor, Tensor]]
    """Scale and rotation of queries and keys, by use: twice (2, 1, feature, sample)."""
    norm: Tensor
    project: Tensor
    """From the state to its keys, queries and values, with rows for ``ones``."""
    ones: Tensor
    join: Tensor
    gate: tuple[Tensor, Tensor]
    room: Sequence[Tensor | None]
    """Where scores are written when nothing is learnt, for new memory is slow: those of many heads,
    of a segment and the state, and the halves of these."""


class Segment(NamedTuple):
    """What a segment is to the state; heads of all rows of the batch follow one another."""

    queries: Tensor
    """(head, feature, sample)."""
    keys: Tensor
    """(head, sample, feature)."""
    values: Tensor
    """(head, feature and a one, sample)."""
    found: Tensor
    """What it found in itself, (batch, sample, hidden)."""


class Cell(nn.Module):
    """One block, run over segments; parameters as in ``arnn.WindowARNN``."""

    cosine: Tensor
    sine: Tensor
    ones: Tensor
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
        for name, table in _tables(hidden, heads, head_size, segment).items():
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
        folded = self._fold(state.shape[0])
        attended: list[Tensor] = []
        for segment in self._hoist(segments, folded):
            if attended:
                state = _write(attended[-1], state, folded.gate)
            attended.append(self._exchange(segment, state, folded))
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
        """Fold in the shifts, and for what is written that tanh(x) = 2 sigmoid(2x) - 1."""
        bias = torch.addcmul(self.shift, self.gates.bias, self.gain)
        return self.gates.weight * self.gain[:, None], bias

    def _fold(self, batch: int) -> Folded:
        largest = _largest_scale(self.head_size)
        scales = self.scales.clamp(-largest, largest)[:, :, None, :, None]
        sines = scales.roll(self.head_size // 2, 3) * self.sine
        pairs, values = torch.split(self.state_project.weight, [2 * self.joined, self.joined])
        values = functional.pad(values.view(self.heads, self.head_size, -1), (0, 0, 0, 1))
        return Folded(
            turns=tuple(zip((scales * self.cosine).unbind(), sines.unbind(), strict=True)),
            norm=self.state_norm.weight,
            project=torch.cat([pairs, values.flatten(0, 1)]).expand(batch, -1, -1),
            ones=self.ones,
            join=self.join.weight.mT[: 2 * self.joined].expand(batch, -1, -1),
            gate=self._gate(),
            room=self._room(batch),
        )

    def _room(self, batch: int) -> Sequence[Tensor | None]:
        if torch.is_grad_enabled() or torch.compiler.is_exporting():
            return (None,) * 4
        samples = len(self.first_state)
        room = self.first_state.new_empty(4 * batch * self.heads, samples, samples)
        one, two, *_ = room.chunk(4)
        return room, room[: 2 * batch * self.heads], one, two

    def _hoist(self, segments: Tensor, folded: Folded) -> Iterable[Segment]:
        """Do for all segments at once what does not depend on the state."""
        count, batch, samples, _ = segments.shape
        heads, size = self.heads, self.head_size
        tokens = self.norm(self.embed(segments)).flatten(0, 1)
        rows = torch.bmm(self.project.weight.expand(tokens.shape[0], -1, -1), tokens.mT)
        rows = rows.view(-1, 3, heads, size, samples)
        pairs = rows[:, :2] * _inverse_length(rows[:, :2])
        rolled = pairs.roll(size // 2, -2)
        queries, keys, cross_queries, cross_keys = (
            _turn(*each).flatten(0, 1)
            for cosine, sine in (folded.turns[SELF], folded.turns[SEGMENT])
            for each in zip(pairs.unbind(1), rolled.unbind(1), cosine, sine, strict=True)
        )
        values = functional.pad(rows[:, 2], (0, 0, 0, 1), value=1.0).flatten(0, 1)
        found = self._find(queries, keys, values, folded.room[0], 4 * batch * heads)
        return map(
            Segment,
            cross_queries.view(count, -1, size, samples).unbind(),
            cross_keys.view(count, -1, size, samples).mT.unbind(),
            values.view(count, -1, size + 1, samples).unbind(),
            found.view(count, batch, samples, -1).unbind(),
        )

    def _find(
        self, queries: Tensor, keys: Tensor, values: Tensor, room: Tensor | None, at_once: int
    ) -> Tensor:
        """Self attention, (segment and batch, sample, hidden), of many heads at a time."""
        pieces = (torch.split(each, at_once) for each in (queries, keys, values))
        found = [_average(q, k.mT, v, room) for q, k, v in zip(*pieces, strict=True)]
        joined = torch.cat(found).view(-1, self.joined, queries.shape[-1]).mT
        weight = self.join.weight.mT[2 * self.joined :]
        return torch.bmm(joined, weight.expand(joined.shape[0], -1, -1))

    def _exchange(self, segment: Segment, state: Tensor, folded: Folded) -> Tensor:
        """Return what a segment found in the state, the state in it, and it in itself."""
        batch, samples, hidden = state.shape
        heads, size, joined = self.heads, self.head_size, self.joined
        normed = torch.layer_norm(state, (hidden,), folded.norm)
        rows = torch.baddbmm(folded.ones, folded.project, normed.mT)
        pairs, values = rows.split_with_sizes([2 * joined, joined + heads], 1)
        pairs = pairs.view(batch, 2, heads, size, samples)
        turned = _turn(pairs, pairs.roll(size // 2, -2), *folded.turns[STATE])
        turned = turned.mul_(_inverse_length(pairs)).transpose(0, 1)
        keys, queries = turned.reshape(-1, size, samples).chunk(2)
        both, values = folded.room[1], values.reshape(-1, size + 1, samples)
        if both is None:
            asking = _average(segment.queries, keys.mT, values)
            asked = _average(queries, segment.keys, segment.values)
            found = torch.stack([asking, asked])
        else:
            torch.bmm(keys.mT, segment.queries, out=folded.room[2])
            torch.bmm(segment.keys, queries, out=folded.room[3])
            found = _read(both, torch.cat([values, segment.values]))
        found = found.view(2, batch, joined, samples).permute(1, 3, 0, 2)
        return torch.baddbmm(segment.found, found.reshape(batch, samples, -1), folded.join)


def _largest_scale(head_size: int) -> float:
    """Of queries and keys, so that no exponential exceeds 2 ** 100."""
    return math.sqrt(100 * math.log(2) * math.sqrt(head_size))


def _tables(hidden: int, heads: int, head_size: int, samples: int) -> dict[str, Tensor]:
    """Constants: rotations for scores that are powers of two, rows of ones, gates' gain and shift.

    A half that is rolled past the other takes the sign in ``sine``.
    """
    half, joined = head_size // 2, heads * head_size
    frequency = 10000.0 ** (-torch.arange(half) / half)
    angle = torch.outer(frequency.repeat(2), torch.arange(samples))
    size = torch.full((head_size, 1), math.sqrt(math.log2(math.e) / math.sqrt(head_size)))
    ones = torch.zeros(3 * joined + heads, samples)
    ones[2 * joined + head_size :: head_size + 1] = 1
    part = torch.ones(hidden)
    return {
        "cosine": size * angle.cos(),
        "sine": torch.cat([-size[:half], size[half:]]) * angle.sin(),
        "ones": ones,
        "gain": torch.cat([2 * part, part, part]),
        "shift": torch.cat([0 * part, -part, part]),
    }


def _turn(pairs: Tensor, rolled: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    return (pairs * cosine).addcmul_(rolled, sine)


def _inverse_length(features: Tensor) -> Tensor:
    """1 / length of (..., feature, sample), at most 1e12."""
    return features.square().sum(-2, keepdim=True).clamp_min_(1e-24).rsqrt_()


def _average(queries: Tensor, keys: Tensor, values: Tensor, room: Tensor | None = None) -> Tensor:
    """Average values by what keys and queries have in common; shapes as in ``Attention``."""
    if _learning_in_full(values):
        found: Tensor = Attention.apply(queries, keys, values)  # type: ignore[no-untyped-call]
        return found
    return _read(torch.bmm(keys, queries, out=None if room is None else room[: len(keys)]), values)


def _read(scores: Tensor, values: Tensor) -> Tensor:
    """Average values, (head, feature and a one, key), by scores, (head, key, query)."""
    exporting = torch.compiler.is_exporting()  # ONNX has powers of any base, which are slow
    powers = (scores * math.log(2)).exp() if exporting else scores.exp2_()
    read = torch.bmm(values, powers)
    total, weight = read.split_with_sizes([read.shape[1] - 1, 1], 1)
    return total / weight


def _write(attended: Tensor, state: Tensor, gate: tuple[Tensor, Tensor]) -> Tensor:
    new, admit, keep = functional.linear(attended, *gate).sigmoid_().chunk(3, -1)
    return (state * keep).sub_(admit).addcmul_(new, admit, value=2)


def _learning_in_full(values: Tensor) -> bool:
    """Whether gradients are wanted, in the precision of the weights."""
    if not torch.is_grad_enabled() or torch.compiler.is_exporting():
        return False
    return not torch.is_autocast_enabled(values.device.type)
