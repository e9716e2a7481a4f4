"""REST: residual state updates on a graph of electrodes.

Afzal, Chrysos, Cevher, Shoaran: REST: Efficient and Accelerated EEG Seizure Analysis through
Residual State Updates, ICML 2024 (arXiv 2406.16906).

Each second, every electrode projects its spectrum into its state and the state is corrected by two
graph convolutions. What differs from the published code:

- At evaluation the random mask of the update is replaced by its expectation (``update``); the
  published code stays random and answers differently each time.
- The graph is normalised by in-degree (``normalise``): as published the state grows without bound
  when it is carried.
- A state that grows beyond a bound is scaled back to it (``bound``): normalising the graph does not
  bound the residual updates, and a network trained on minutes can diverge in an hour.
- The state may be carried through a whole recording (``memory``); published is a clip of seconds.
- The logit of each electrode is kept: a map of where the network speaks from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier.networks.graph import weights_between
from ranvier.networks.readout import LEAST_VALID, Factor, rescale

Update = Literal["expected", "always", "sampled"]
Masks = Callable[[int], Sequence[Tensor | float]]
"""Gives what each update of a step is multiplied by."""


class RESTState(NamedTuple):
    """What is carried from step to step."""

    memory: Tensor
    """Electrodes' states (batch, node, hidden); for clips the projections of the last steps,
    (batch, step, node, hidden)."""
    valid: Tensor
    """For clips, whether the last steps were valid, (batch, step); else empty."""
    age: Tensor
    """Steps since the start or the last gap, (batch,)."""
    seed: Tensor
    """Seed of the masks of each row, (batch,); used by sampled updates alone."""
    drawn: Tensor
    """Outputs for which masks were drawn, (batch,)."""


class GraphConvolution(nn.Module):
    """W Σ_j a[j, i] h_j + b + V h_i: what the neighbours send and what the node keeps."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.neighbours = nn.Linear(hidden, hidden)
        self.own = nn.Linear(hidden, hidden, bias=False)

    def fused(self) -> Tensor:
        """Return the weights of both, side by side: what a node sends and then what it keeps."""
        return torch.cat([self.neighbours.weight, self.own.weight]).T


class REST(nn.Module):
    """Residual state updates on a graph; 8,449 weights at 100 features and 32 hidden units.

    Parameters
    ----------
    channels
        Electrodes or derivations, one node each.
    features
        Features per node and step.
    hidden
        Size of a node's state.
    classes
        Outputs per node; 1 for detection, 4 for typing.
    adjacency
        Weights from source (row) to target (column); by default a Gaussian of the distances
        between electrodes.
    normalise
        ``"in_degree"`` divides by the sum of the weights into each node; ``"none"`` is the
        published form, whose state diverges when it is carried.
    memory
        ``"carry"`` hands the state on without end; ``"clip"`` starts anew for each output, as in
        the paper.
    clip
        Steps of a clip.
    bound
        Largest root mean square of a node's state after a step; a larger state is scaled down to
        it. Infinite in the published form.
    warm_up
        Steps before the first valid output of a carried state, at the start and after a gap.
    fire_rate
        Share of the state's elements that an update changes.
    update
        At evaluation: ``"expected"`` scales each update by the fire rate; ``"always"`` updates
        every element (DS in the paper); ``"sampled"`` draws masks, from seeds in the state.
    repeats
        Fewest and most updates per step: (1, 1), or (1, 9) for the paper's RM. Evaluation without
        sampling takes the rounded mean.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        features: int = 100,
        hidden: int = 32,
        classes: int = 1,
        adjacency: npt.ArrayLike | None = None,
        normalise: Literal["in_degree", "none"] = "in_degree",
        memory: Literal["carry", "clip"] = "carry",
        clip: int = 12,
        bound: float = 5.0,
        warm_up: int = 4,
        fire_rate: float = 0.5,
        update: Update = "expected",
        repeats: Sequence[int] = (1, 1),
    ) -> None:
        super().__init__()
        _check_options(memory=memory, normalise=normalise, update=update)
        for name, least in (("hidden", hidden), ("features", features), ("clip", clip)):
            if least < 1:
                raise ValueError(f"Invalid {name}: {least}, must be at least 1")
        if warm_up < 0 or not bound > 0:
            raise ValueError(
                f"Invalid warm_up or bound: {warm_up} and {bound}, must be at least 0 and above 0"
            )
        self.channels = self.sites = tuple(channels)
        self.features, self.hop = features, 1
        self.window = clip if memory == "clip" else 1
        self.memory, self.clip, self.bound = memory, clip, bound
        self.warm_up = clip - 1 if memory == "clip" else warm_up
        self.fire_rate, self.update, self.repeats = fire_rate, update, tuple(repeats)
        self.project = nn.Linear(features, hidden, bias=False)
        self.recur = nn.Linear(hidden, hidden)
        self.first = GraphConvolution(hidden)
        self.second = GraphConvolution(hidden)
        self.readout = nn.Linear(hidden, classes)
        graph = _paired(weights_between(channels, adjacency), normalise)
        self.register_buffer("graph", graph, persistent=False)
        self.graph: Tensor

    def outputs(self, steps: int) -> int:
        """Return how many outputs are known: one a step, for clips once the first is full."""
        return steps if self.memory == "carry" else max(0, steps - self.clip + 1)

    def initial_state(self, batch: int, *, seed: int = 0) -> RESTState:
        """Return the state before the first step; ``seed`` begins the masks of sampled updates."""
        nodes, hidden = len(self.channels), self.recur.in_features
        shape = (batch, nodes, hidden) if self.memory == "carry" else (batch, 0, nodes, hidden)
        count = torch.zeros(batch, dtype=torch.int64, device=self.graph.device)
        return RESTState(
            memory=self.recur.weight.new_zeros(shape),
            valid=torch.zeros((batch, 0), dtype=torch.bool, device=self.graph.device),
            age=count,
            seed=count + seed,
            drawn=count,
        )

    def forward(
        self, features: Tensor, state: RESTState, generator: torch.Generator | None = None
    ) -> tuple[Tensor, RESTState, tuple[Tensor, ...]]:
        """Do as ``step``; with a generator, updates are sampled from it, as in training."""
        return *self.step(features, state, generator=generator), ()

    def step(
        self, features: Tensor, state: RESTState, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, RESTState]:
        """Take new steps and return the logits they make known.

        Parameters
        ----------
        features
            (batch, step, node, feature); NaN in a node that is not valid. A step in which less
            than a quarter of the nodes are valid is a gap: it has no output and the state starts
            anew.
        state
            From ``initial_state`` or an earlier call.
        generator
            Draws the masks of sampled updates in training.

        Returns
        -------
        logits
            (batch, output, node, class), NaN where not valid.
        state
            For the next call.
        """
        invalid = features.sum(dim=-1).isnan()  # a sum reads the features only once
        present = (~invalid).to(features.dtype)
        projected = self.project(features.nan_to_num(0.0)) * present[..., None]
        valid = present.mean(dim=-1) >= LEAST_VALID
        follow = self._carry if self.memory == "carry" else self._clips
        states, answering, state = follow(projected, valid, state, generator)
        silent = ~answering[..., None] | invalid[:, invalid.shape[1] - answering.shape[1] :]
        return self.readout(states).masked_fill(silent[..., None], torch.nan), state

    def _carry(
        self, projected: Tensor, valid: Tensor, state: RESTState, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, RESTState]:
        if not projected.shape[1]:
            return projected, valid, state
        ages = _ages(valid, state.age)
        started = torch.cat([state.age[:, None], ages[:, :-1]], dim=1) > 0
        later = projected + self.recur.bias
        first = torch.where(started[..., None, None], later, projected)
        steps = (part.transpose(0, 1).flatten(1, 2).unbind(0) for part in (first, later))
        masks_of = self._masks(state.memory.shape, state, generator)
        going_on = valid[..., None, None].unbind(1)
        states = list(self._follow(zip(*steps, strict=True), state.memory, masks_of, going_on))
        after = state._replace(memory=states[-1], age=ages[:, -1], drawn=state.drawn + len(states))
        return torch.stack(states, 1), ages > self.warm_up, after

    def _clips(
        self, projected: Tensor, valid: Tensor, state: RESTState, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, RESTState]:
        projected = torch.cat([state.memory, projected], dim=1)
        valid = torch.cat([state.valid, valid], dim=1)
        steps = projected.shape[1]
        outputs, kept = self.outputs(steps), min(self.clip - 1, steps)
        after = state._replace(
            memory=projected[:, steps - kept :],
            valid=valid[:, steps - kept :],
            drawn=state.drawn + outputs,
        )
        if not outputs:
            return projected[:, :0], valid[:, :0], after
        shape = (outputs * len(projected), *projected.shape[2:])
        states = self.follow_clips(projected, outputs, self._masks(shape, state, generator))
        return states, valid.unfold(1, self.clip, 1).all(dim=-1), after

    def follow_clips(self, projected: Tensor, outputs: int, masks_of: Masks) -> Tensor:
        """Go through clips that begin one step after the other, all at once.

        Parameters
        ----------
        projected
            (batch, step, node, hidden).
        outputs
            Number of clips.
        masks_of
            Gives what the updates of each step of a clip are multiplied by.

        Returns
        -------
        Tensor
            The state after each clip, (batch, output, node, hidden).
        """
        batch, _, nodes, hidden = projected.shape
        memory = projected.new_zeros(outputs * batch, nodes, hidden)
        laid, rows = projected.transpose(0, 1).reshape(-1, hidden), outputs * batch * nodes
        later = (laid + self.recur.bias).unfold(0, rows, batch * nodes).transpose(1, 2).unbind(0)
        first = (laid[:rows], *later[1:])
        states = self._follow(zip(first, later, strict=True), memory, masks_of)
        return deque(states, maxlen=1).pop().view(outputs, batch, nodes, hidden).transpose(0, 1)

    def rescale(self, scale: Factor, offset: Factor) -> None:
        """Make every logit ``scale * logit + offset``, by changing the weights of the readout."""
        rescale(self.readout, scale, offset)

    def _follow(
        self,
        inputs: Iterable[tuple[Tensor, Tensor]],
        memory: Tensor,
        masks_of: Masks,
        going_on: Sequence[Tensor] | None = None,
    ) -> Iterator[Tensor]:
        """Go from step to step: one update for each mask, the state held within its bound.

        Parameters
        ----------
        inputs
            For each step what comes into its first update and into all others, (row * node,
            hidden): the projected features, with the bias of the recurrence after the very first.
        memory
            (row, node, hidden).
        masks_of
            Gives what the updates of a step are multiplied by.
        going_on
            For each step whether the memory goes on after it, (row, 1, 1).
        """
        sent = (len(memory), 2 * memory.shape[1], memory.shape[2])
        recur, first, second, bias, kept_bias, graph = self._fused(len(memory))
        for step, entering in enumerate(inputs):
            for i, mask in enumerate(masks_of(step)):
                entered = torch.addmm(entering[i > 0], memory.flatten(0, 1), recur)
                hidden = torch.mm(entered, first).view(sent)
                hidden = torch.baddbmm(bias, graph, hidden).relu_().flatten(0, 1)
                hidden = torch.addmm(kept_bias, hidden, second).view(sent)
                memory = entered.view_as(memory)
                if isinstance(mask, Tensor):
                    memory = torch.addcmul(memory, mask, torch.bmm(graph, hidden))
                else:
                    memory = torch.baddbmm(memory, graph, hidden, alpha=mask)
            if self.bound < float("inf"):
                memory = self._within_bound(memory)
            if going_on is not None:
                memory = memory * going_on[step]
            yield memory

    def _fused(self, rows: int) -> tuple[Tensor, ...]:
        """Return the weights of an update, laid out for few and large products.

        These are the recurrence; of each convolution, what a node sends and what it keeps side by
        side, (hidden, 2 * hidden); their biases; and the graph, (row, target, 2 * source).
        """
        bias, kept_bias = self.first.neighbours.bias, self.second.neighbours.bias
        nodes, hidden = len(self.channels), len(bias)
        return (
            self.recur.weight.T,
            self.first.fused(),
            self.second.fused(),
            bias.expand(rows, nodes, -1),
            functional.pad(kept_bias, (hidden, 0)).expand(rows * nodes, -1),
            self.graph.expand(rows, -1, -1),
        )

    def _within_bound(self, memory: Tensor) -> Tensor:
        longest = self.bound * memory.shape[-1] ** 0.5
        length = torch.linalg.vector_norm(memory, dim=-1, keepdim=True)
        held: Tensor = memory * (longest / length.clamp(min=longest))
        return held

    def _masks(
        self, shape: Sequence[int], state: RESTState, generator: torch.Generator | None
    ) -> Masks:
        """Return what gives the masks of the updates of each step."""
        if generator is not None:
            return lambda _: self._draw(shape, state.seed.device, generator)
        if self.update == "sampled":
            ahead = torch.arange(shape[0] // len(state.seed), device=state.seed.device)[:, None]
            drawn = ((state.drawn + ahead) * self.window).flatten()
            seed = state.seed.repeat(len(ahead))
            return lambda step: self._draw_by_row(shape, seed, drawn + step)
        rate = 1.0 if self.update == "always" else self.fire_rate
        fixed = [rate] * round(sum(self.repeats) / 2)
        return lambda _: fixed

    def _draw(
        self, shape: Sequence[int], device: torch.device, generator: torch.Generator
    ) -> list[Tensor]:
        fewest, most = self.repeats
        count = int(torch.randint(fewest, most + 1, (), generator=generator))
        draws = torch.rand((count, *shape), generator=generator, device=generator.device)
        return list((draws < self.fire_rate).float().to(device))

    def _draw_by_row(self, shape: Sequence[int], seed: Tensor, drawn: Tensor) -> list[Tensor]:
        """Rows draw on their own, so that they do not depend on each other nor on the cut."""
        rows = []
        for row_seed, count in zip(seed.tolist(), drawn.tolist(), strict=True):
            generator = torch.Generator().manual_seed(row_seed * 1_000_003 + count)
            rows.append(self._draw(shape[1:], seed.device, generator))
        most, unchanged = max(map(len, rows)), torch.zeros_like(rows[0][0])
        padded = [[*row, *[unchanged] * (most - len(row))] for row in rows]
        return [torch.stack(masks) for masks in zip(*padded, strict=True)]


def _check_options(**given: str) -> None:
    allowed = {
        "memory": ("carry", "clip"),
        "normalise": ("in_degree", "none"),
        "update": ("expected", "always", "sampled"),
    }
    for name, value in given.items():
        if value not in allowed[name]:
            raise ValueError(f"Invalid {name}: {value!r}, possible options: {list(allowed[name])}")


def _paired(weights: npt.NDArray[np.floating], normalise: str) -> Tensor:
    """Return for each target, by turns, the weight of each source and whether it is the target."""
    incoming = torch.as_tensor(weights, dtype=torch.float32).T
    if normalise == "in_degree":
        degree = incoming.sum(dim=1, keepdim=True)
        incoming = incoming / torch.where(degree == 0, 1.0, degree)
    return torch.stack([incoming, torch.eye(len(incoming))], dim=-1).flatten(1)


def _ages(valid: Tensor, age: Tensor) -> Tensor:
    """Return steps since the start or the last gap, (batch, step), from the age before them."""
    count = torch.arange(1, valid.shape[1] + 1, device=valid.device)
    last_gap = (count * ~valid).cummax(dim=1).values
    return count - last_gap + age[:, None] * (last_gap == 0)
