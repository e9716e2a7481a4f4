"""Networks that carry a memory from segment to segment of the signal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ranvier.networks.readout import LEAST_VALID, Factor, rescale
from ranvier.networks.sizes import check_whole


class CarriedState(NamedTuple):
    """What is carried from call to call."""

    samples: Tensor
    """Of the segment that is not yet full, (batch, sample, channel[, feature])."""
    memory: tuple[Tensor, ...]
    """Of the network; each (batch, ...)."""
    age: Tensor
    """Segments since the start or the last gap, (batch,)."""


class CarriedNetwork(nn.Module):
    """A network that answers once for each segment of the signal, from it and from its memory.

    A subclass builds its layers and writes ``start`` and ``advance``.

    Parameters
    ----------
    channels
        Channels or nodes that come in.
    segment
        Samples or steps from one output to the next.
    embedding
        Size of what ``advance`` gives for each segment.
    classes
        Outputs of the readout.
    features
        Features of each step and node; None for plain samples.
    warm_up
        Segments before the first valid output, at the start and after a gap.

    Raises
    ------
    ValueError
        If the segment or the warm-up is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        segment: int,
        embedding: int,
        classes: int,
        features: int | None = None,
        warm_up: int = 0,
    ) -> None:
        super().__init__()
        check_whole(segment=segment, warm_up=warm_up)
        if segment < 1 or warm_up < 0:
            raise ValueError(
                f"Invalid segment or warm_up: {segment} and {warm_up}, must be at least 1 and 0"
            )
        self.channels, self.features = tuple(channels), features
        self.sites = ("all",)
        self.window = self.hop = segment
        self.silent_segments, self.warm_up = warm_up, (warm_up + 1) * segment - 1
        self.readout = nn.Linear(embedding, classes)

    def start(self, batch: int) -> tuple[Tensor, ...]:
        """Return the memory before the first segment; each tensor (batch, ...)."""
        raise NotImplementedError(f"{type(self).__name__} must define start")

    def advance(
        self, segments: Tensor, memory: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Go through segments in a row.

        Parameters
        ----------
        segments
            Without NaN, (batch, segment, sample, channel[, feature]); at least one segment.
        memory
            From ``start`` or the segment before.

        Returns
        -------
        tuple
            Embeddings (batch, segment, embedding), and the memory after the last segment.
        """
        raise NotImplementedError(f"{type(self).__name__} must define advance")

    def outputs(self, steps: int) -> int:
        """Return how many segments are full once this many steps have come in."""
        return steps // self.hop

    def initial_state(self, batch: int) -> CarriedState:
        """Return the state before the first step."""
        tail = () if self.features is None else (self.features,)
        samples = self.readout.weight.new_zeros(batch, 0, len(self.channels), *tail)
        age = torch.zeros(batch, dtype=torch.int64, device=samples.device)
        return CarriedState(samples, self.start(batch), age)

    def steady(self, batch: int) -> tuple[int, CarriedState]:
        """Return the steps that the next output takes, and a state before them."""
        return self.hop, self.initial_state(batch)

    def step(self, chunk: Tensor, state: CarriedState) -> tuple[Tensor, CarriedState]:
        """Return the logits of the segments that are full, and the state.

        Parameters
        ----------
        chunk
            (batch, sample, channel) or (batch, step, node, feature); NaN where not valid. A sample
            is not valid when fewer than a quarter of the channels are; a segment with such a sample
            has no output and the memory starts anew after it. Else, what is not valid counts as
            zeros.
        state
            From ``initial_state`` or an earlier call.

        Returns
        -------
        logits
            (batch, output, 1, class); NaN where not valid.
        state
            For the next call.
        """
        logits, state, _ = self.forward(chunk, state)
        return logits, state

    def forward(
        self,
        chunk: Tensor,
        state: CarriedState,
        generator: torch.Generator | None = None,  # noqa: ARG002
    ) -> tuple[Tensor, CarriedState, tuple[Tensor, ...]]:
        """Do as ``step``; there are no auxiliary heads."""
        samples = torch.cat([state.samples, chunk], dim=1)
        outputs = self.outputs(samples.shape[1])
        full, kept = samples[:, : outputs * self.hop], samples[:, outputs * self.hop :]
        if not outputs:
            nothing = samples.new_zeros(len(samples), 0, 1, self.readout.out_features)
            return nothing, state._replace(samples=kept), ()
        segments = full.reshape(len(full), outputs, self.hop, *full.shape[2:])
        missing = segments.isnan() if self.features is None else segments.isnan().any(dim=-1)
        valid = ~(missing.float().mean(dim=3) > 1 - LEAST_VALID).any(dim=2)
        embedded, memory, ages = self._follow(segments.nan_to_num(0.0), valid, state)
        logits = self.readout(embedded).masked_fill(
            (ages <= self.silent_segments)[..., None], torch.nan
        )
        return logits[:, :, None], CarriedState(kept, memory, ages[:, -1]), ()

    def _follow(
        self, segments: Tensor, valid: Tensor, state: CarriedState
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Return embeddings, the memory after the last segment, and the age at each segment."""
        memory, age, fresh = state.memory, state.age, self.start(len(segments))
        outputs: list[Tensor] = []
        ages: list[Tensor] = []
        exporting = torch.compiler.is_exporting()
        runs = [(0, 1, False)] if exporting else _runs(valid.all(dim=0).tolist())
        for first, last, whole in runs:
            known, after = self.advance(segments[:, first:last], memory)
            count = torch.arange(1, last - first + 1, device=age.device)
            counted = age[:, None] + count
            if not whole:
                on = valid[:, first]
                after = tuple(_choose(on, a, f) for a, f in zip(after, fresh, strict=True))
                counted = counted * on[:, None]
            memory, age = after, counted[:, -1]
            outputs.append(known)
            ages.append(counted)
        return torch.cat(outputs, dim=1), memory, torch.cat(ages, dim=1)

    def rescale(self, scale: Factor, offset: Factor) -> None:
        """Make every logit ``scale * logit + offset``, by changing the weights of the readout."""
        rescale(self.readout, scale, offset)


def _runs(whole: Sequence[bool]) -> Iterator[tuple[int, int, bool]]:
    """Yield first, last and flag: runs of segments that are valid in all rows, others singly."""
    first = 0
    for flag, group in groupby(whole):
        last = first + sum(1 for _ in group)
        if flag:
            yield first, last, True
        else:
            yield from ((i, i + 1, False) for i in range(first, last))
        first = last


def _choose(rows: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (one.dim() - 1)), one, other)
