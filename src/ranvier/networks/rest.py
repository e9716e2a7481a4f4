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
from numbers import Integral
from typing import Literal

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier.networks.graph import weights_between
from ranvier.networks.readout import LEAST_VALID, Factor, rescale
from ranvier.networks.rest_gradients import Recurrence
from ranvier.networks.rest_graph import GraphConvolution, with_itself
from ranvier.networks.rest_masks import draw_by_row, draw_masks
from ranvier.networks.rest_row import Given, Row
from ranvier.networks.rest_state import RESTState, ages_around
from ranvier.networks.rest_update import Mask, Step, Weights, by_step, held_within, whole
from ranvier.networks.sizes import check_sizes, check_whole

Update = Literal["expected", "always", "sampled"]
Masks = Callable[[int], Sequence[Mask]]
"""Gives what each update of a step is multiplied by."""


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
        check_sizes(hidden=hidden, features=features, clip=clip)
        check_whole(warm_up=warm_up)
        _check_chance(fire_rate, repeats)
        if warm_up < 0 or not bound > 0:
            raise ValueError(
                f"Invalid warm_up or bound: {warm_up} and {bound}, must be at least 0 and above 0"
            )
        self.channels = self.sites = tuple(channels)
        self.features, self.hop = features, 1
        self.window = clip if memory == "clip" else 1
        self.memory, self.clip = memory, clip
        self.bound, self.longest = bound, bound * hidden**0.5
        self.warm_up = clip - 1 if memory == "clip" else warm_up
        self.fire_rate, self.update, self.repeats = fire_rate, update, tuple(repeats)
        self.project = nn.Linear(features, hidden, bias=False)
        self.recur = nn.Linear(hidden, hidden)
        self.first = GraphConvolution(hidden)
        self.second = GraphConvolution(hidden)
        self.readout = nn.Linear(hidden, classes)
        graph = with_itself(weights_between(channels, adjacency), normalise)
        self.register_buffer("graph", graph.flatten(1), persistent=False)
        self.register_buffer("graph_of_row", graph.mT.flatten(0, 1), persistent=False)
        self.graph: Tensor
        self.graph_of_row: Tensor

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

    def steady(self, batch: int) -> tuple[int, RESTState]:
        """Return the steps that the next output takes, and the state when only gaps came before."""
        if self.update == "sampled":
            raise ValueError("Invalid update: 'sampled', a graph cannot draw at random")
        state = self.initial_state(batch)
        if self.memory == "clip":
            shape = (batch, self.clip - 1, *state.memory.shape[2:])
            memory = state.memory.new_zeros(shape)
            valid = memory[..., 0, 0] > 0
            state = state._replace(memory=memory, valid=valid, age=state.age[:0])
        return 1, state._replace(seed=state.seed[:0], drawn=state.drawn[:0])

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
        if self._alone(features, state, generator):
            return self._step_of_row(features, state)
        invalid = features.sum(dim=-1).isnan()  # a sum reads the features only once
        valid = (~invalid).to(features.dtype).mean(dim=-1) >= LEAST_VALID
        projected = self._project(features, invalid)
        follow = self._carry if self.memory == "carry" else self._clips
        states, answering, state = follow(projected, valid, state, generator)
        silent = ~answering[..., None] | invalid[:, invalid.shape[1] - answering.shape[1] :]
        return self.readout(states).masked_fill(silent[..., None], torch.nan), state

    def _alone(self, features: Tensor, state: RESTState, generator: torch.Generator | None) -> bool:
        """Whether a row answers whose updates are all the same, for clips with one output."""
        batch, steps = features.shape[:2]
        if batch != 1 or not steps or generator is not None or self.update == "sampled":
            return False
        if self.memory == "clip" and self.outputs(state.memory.shape[1] + steps) != 1:
            return False
        if torch.compiler.is_exporting():
            return True
        return not (torch.is_grad_enabled() or torch.is_autocast_enabled(features.device.type))

    def _step_of_row(self, features: Tensor, state: RESTState) -> tuple[Tensor, RESTState]:
        given, row = Given.of(features), self._row()
        if self.memory == "carry":
            states, ages, state = row.carry(given, state)
            silent = given.invalid | (ages <= self.warm_up)
        else:
            last, valid, state = row.clip(given, state)
            silent = given.invalid[:, -1:] | ~valid.all(dim=1, keepdim=True)
            states = [last]
        logits = self.readout(torch.stack(states) if len(states) > 1 else states[0])
        return torch.where(silent[..., None], torch.nan, logits), state

    def _row(self) -> Row:
        rate = 1.0 if self.update == "always" else self.fire_rate
        return Row.of(
            (self.project.weight.T, self.recur.weight.T, self.recur.bias),
            (self.first.stacked(), self.first.neighbours.bias),
            (self.second.stacked(), self.second.neighbours.bias),
            self.graph_of_row,
            (rate, round(sum(self.repeats) / 2)),
            self._within_bound,
        )

    def _project(self, features: Tensor, invalid: Tensor) -> Tensor:
        """Return the projections, zero where nothing is known, and the bias of the recurrence."""
        weight, bias = self.project.weight, self.recur.bias
        if not invalid.any():
            return functional.linear(features, weight, bias)
        present = (~invalid).to(features.dtype)[..., None]
        return functional.linear(features.nan_to_num(0.0), weight) * present + bias

    def _carry(
        self, projected: Tensor, valid: Tensor, state: RESTState, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, RESTState]:
        if not projected.shape[1]:
            return projected, valid, state
        before, ages = ages_around(valid[..., None], state.age)
        missing = (before == 0).to(projected.dtype)[..., None]
        entering = torch.addcmul(projected, missing, self.recur.bias, value=-1)
        masks_of = self._masks(state.memory.shape, state, generator)
        going_on = valid[..., None, None].unbind(1)
        steps = (
            Step(masks_of(i), (None, some), goes)
            for i, (some, goes) in enumerate(
                zip(missing[:, :, None].unbind(1), going_on, strict=True)
            )
        )
        states = list(self._follow(entering, 1, state.memory, steps))
        age, drawn = ages[:, -1, 0], state.drawn + len(states)
        after = state._replace(memory=states[-1], age=age, drawn=drawn)
        return torch.stack(states, 1), ages[..., 0] > self.warm_up, after

    def _clips(
        self, projected: Tensor, valid: Tensor, state: RESTState, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, RESTState]:
        if state.memory.shape[1]:
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
            With the bias of the recurrence, (batch, step, node, hidden).
        outputs
            Number of clips.
        masks_of
            Gives what the updates of each step of a clip are multiplied by.

        Returns
        -------
        Tensor
            The state after each clip, (batch, output, node, hidden).
        """
        batch, steps, *each = projected.shape
        memory = projected.new_zeros(batch * outputs, *each)
        taken = (
            Step(masks_of(i), (None if i else -1.0, None), None) for i in range(steps - outputs + 1)
        )
        states = self._follow(projected, outputs, memory, taken)
        return deque(states, maxlen=1).pop().view(batch, outputs, *each)

    def rescale(self, scale: Factor, offset: Factor) -> None:
        """Make every logit ``scale * logit + offset``, by changing the weights of the readout."""
        rescale(self.readout, scale, offset)

    def _follow(
        self, entering: Tensor, width: int, memory: Tensor, steps: Iterable[Step]
    ) -> Iterable[Tensor]:
        """Return the memory after each step; arguments as in ``Recurrence``."""
        if not _learning_in_full(memory):
            return self._go_on(entering, width, memory, steps)
        given = self.longest, entering, memory, *self._weights()
        states: tuple[Tensor, ...] = Recurrence.apply(steps, width, *given)  # type: ignore[no-untyped-call]
        return states

    def _go_on(
        self, entering: Tensor, width: int, memory: Tensor, steps: Iterable[Step]
    ) -> Iterator[Tensor]:
        recur, recur_bias, first, second, bias, kept_bias, graph = self._weights()
        shape, hidden = memory.shape, memory.shape[2]
        graph, bias = graph.expand(shape[0], -1, -1), bias.expand(shape)
        sent, flat = (-1, graph.shape[2], hidden), (-1, hidden)
        for step, given in zip(steps, by_step(entering, width), strict=True):
            for mask, missing in step.updates():
                rows = whole(given, missing, recur_bias)
                entered = torch.addmm(rows, memory.reshape(flat), recur)
                found = torch.mm(entered, first).view(sent)
                found = torch.baddbmm(bias, graph, found).relu_().view(flat)
                change = torch.addmm(kept_bias, found, second).view(sent)
                memory = entered.view(shape)
                if isinstance(mask, Tensor):
                    memory = torch.addcmul(memory, mask, torch.bmm(graph, change))
                else:
                    memory = torch.baddbmm(memory, graph, change, alpha=mask)
            memory = self._within_bound(memory)
            memory = memory if step.going_on is None else memory * step.going_on
            yield memory

    def _weights(self) -> Weights:
        bias, kept_bias = self.first.neighbours.bias, self.second.neighbours.bias
        return Weights(
            recur=self.recur.weight.T,
            recur_bias=self.recur.bias,
            first=self.first.fused(),
            second=self.second.fused(),
            bias=bias,
            kept_bias=functional.pad(kept_bias, (len(bias), 0)),
            graph=self.graph,
        )

    def _within_bound(self, memory: Tensor) -> Tensor:
        return memory if self.longest == torch.inf else held_within(memory, self.longest)[0]

    def _masks(
        self, shape: Sequence[int], state: RESTState, generator: torch.Generator | None
    ) -> Masks:
        """Return what gives the masks of the updates of each step."""
        rate, repeats, device = self.fire_rate, self.repeats, state.seed.device
        if generator is not None:
            return lambda _: [m.to(device) for m in draw_masks(shape, rate, repeats, generator)]
        if self.update == "sampled":
            ahead = torch.arange(shape[0] // len(state.seed), device=device)
            drawn = ((state.drawn[:, None] + ahead) * self.window).flatten()
            seeds = state.seed.repeat_interleave(len(ahead))
            return lambda step: draw_by_row(shape, rate, repeats, seeds, drawn + step)
        fixed = [1.0 if self.update == "always" else rate] * round(sum(repeats) / 2)
        return lambda _: fixed


def _learning_in_full(memory: Tensor) -> bool:
    """Whether gradients are wanted, in the precision of the weights."""
    if not torch.is_grad_enabled():
        return False
    return not torch.is_autocast_enabled(memory.device.type)


def _check_chance(fire_rate: float, repeats: Sequence[int]) -> None:
    if not 0 <= fire_rate <= 1:
        raise ValueError(f"Invalid fire_rate: {fire_rate}, must be from 0 to 1")
    whole = all(isinstance(one, Integral) for one in repeats)
    if not (whole and len(repeats) == 2 and 1 <= repeats[0] <= repeats[1]):
        raise ValueError(
            f"Invalid repeats: {list(repeats)}, must be two whole numbers, the fewest, at least 1, "
            "and the most"
        )


def _check_options(**given: str) -> None:
    allowed = {
        "memory": ("carry", "clip"),
        "normalise": ("in_degree", "none"),
        "update": ("expected", "always", "sampled"),
    }
    for name, value in given.items():
        if value not in allowed[name]:
            raise ValueError(f"Invalid {name}: {value!r}, possible options: {list(allowed[name])}")
