"""REST on one row, with updates that are all the same: what answers live, and what becomes a graph.

The states are matrices with a row for each node, so that there are few and plain products. Let
``[A e | e]`` hold what the neighbours of each node send beside what it is itself. With the rate
``k`` of all updates, the one of ``rest_update`` is

    e = x + k c + m R
    a = relu([A e | e] F + d)
    m = e + k [A a | a] S

The bias ``c`` comes in with the projections, of all steps at once, and ``d`` is the bias ``b`` less
what that does to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import starmap
from typing import NamedTuple

import torch
from torch import Tensor

from ranvier.networks.readout import LEAST_VALID
from ranvier.networks.rest_state import RESTState, ages_around


class Given(NamedTuple):
    """Features of a row, and what is known of them."""

    features: Tensor
    """(step * node, feature)."""
    invalid: Tensor
    """Which nodes are not valid, (1, step, node)."""
    valid: Tensor
    """Which steps are no gap, (1, step, 1)."""

    @classmethod
    def of(cls, features: Tensor) -> Given:
        """Look at features, (1, step, node, feature)."""
        invalid = features.sum(dim=-1).isnan()
        missing = invalid.sum(dim=-1, keepdim=True, dtype=features.dtype)
        valid = missing <= (1 - LEAST_VALID) * invalid.shape[2]
        return cls(features.flatten(0, 2), invalid, valid)


class Entering(NamedTuple):
    """What comes into the updates of a step, (node, hidden), with ``k c``."""

    first: Tensor
    """Into the first update."""
    later: Tensor
    """Into the others."""
    going_on: Tensor | None = None
    """What the memory before it is multiplied by; None if it goes on."""


class Row(NamedTuple):
    """What every step uses; letters as above."""

    project: Tensor
    """From features, (feature, hidden)."""
    recur: Tensor
    """R, (hidden, hidden)."""
    recur_bias: Tensor
    """In ``x``, but for the first update after a gap, (hidden,)."""
    first: Tensor
    """F, (2 * hidden, hidden)."""
    second: Tensor
    """S, (2 * hidden, hidden)."""
    bias: Tensor
    """d, (node, hidden)."""
    shift: Tensor
    """k c, (hidden,)."""
    graph: Tensor
    """A and the unit matrix, row by row in turns, (2 * node, node)."""
    rate: float
    """k."""
    updates: int
    """Of a step."""
    held: Callable[[Tensor], Tensor]
    """Holds a memory within its bound."""
    scratch: tuple[Tensor, Tensor] | None
    """Where [A v | v] is put, as (2 * node, hidden) and as (node, 2 * hidden); None in a graph."""

    @classmethod
    def of(  # noqa: PLR0917
        cls,
        entering: tuple[Tensor, Tensor, Tensor],
        first: tuple[Tensor, Tensor],
        second: tuple[Tensor, Tensor],
        graph: Tensor,
        updates: tuple[float, int],
        held: Callable[[Tensor], Tensor],
    ) -> Row:
        """Take the weights of a network.

        Parameters
        ----------
        entering
            Weights of the projection, and weights and bias of the recurrence.
        first, second
            F or S, and the bias.
        graph, held
            As of the row.
        updates
            Their rate, and how many a step has.
        """
        rate, count = updates
        shift = second[1] * rate
        sent = torch.mm(graph, shift.expand(len(graph) // 2, -1))
        pairs = sent.view(-1, len(first[0]))
        bias = torch.addmm(first[1], pairs, first[0], alpha=-1)
        scratch = None if torch.compiler.is_exporting() else (sent, pairs)
        laid = first[0], second[0], bias, shift, graph
        return cls(*entering, *laid, rate, count, held, scratch)

    def carry(self, given: Given, state: RESTState) -> tuple[list[Tensor], Tensor, RESTState]:
        """Go on from a memory; return those after each step, (node, hidden), ages and the state."""
        nodes, steps = given.invalid.shape[2], given.valid.shape[1]
        before, ages = ages_around(given.valid, state.age)
        added = self.shift + (before[0] > 0) * self.recur_bias
        added = added if steps == 1 else added.repeat_interleave(nodes, dim=0)
        first = later = self._projected(given, added)
        if self.updates > 1:
            later = self._projected(given, self.shift + self.recur_bias)
        goes = given.valid.to(first.dtype)
        going_on = None, *goes[:, :-1].unbind(1)
        parts = zip(_by_node(first, nodes), _by_node(later, nodes), going_on, strict=True)
        memory = state.memory.reshape(nodes, -1)
        states = list(self._follow(starmap(Entering, parts), memory))
        memory, age = states[-1] * _last(goes), _last(ages).view(-1)
        return states, ages, state._replace(memory=memory, age=age)

    def clip(self, given: Given, state: RESTState) -> tuple[Tensor, Tensor, RESTState]:
        """Fill a clip; return the memory after it, whether each step is valid, and the state."""
        nodes, valid = given.invalid.shape[2], given.valid
        projected = self._projected(given, self.recur_bias)
        if state.memory.shape[1]:
            projected = torch.cat([state.memory.flatten(0, 2), projected])
            valid = torch.cat([state.valid[..., None], valid], dim=1)
        kept = projected[nodes:].view(1, valid.shape[1] - 1, nodes, projected.shape[1])
        later = _by_node(projected + self.shift, nodes)
        first = later[0] - self.recur_bias, *later[1:]
        *_, memory = self._follow(map(Entering, first, later), None)
        return memory, valid, state._replace(memory=kept, valid=valid[:, 1:, 0])

    def _projected(self, given: Given, added: Tensor) -> Tensor:
        """Return the projections and what is added to them, which is all where nothing is valid."""
        projected = torch.addmm(added, given.features, self.project)
        return torch.where(given.invalid.view(-1, 1), added, projected)

    def _follow(self, steps: Iterable[Entering], memory: Tensor | None) -> Iterator[Tensor]:
        """Return the memory after each step; before them it may be nothing."""
        for first, later, going_on in steps:
            if memory is not None and going_on is not None:
                memory = memory * going_on
            for i in range(self.updates):
                memory = self._updated(later if i else first, memory)
            memory = self.held(memory)  # type: ignore[arg-type]
            yield memory

    def _updated(self, entering: Tensor, memory: Tensor | None) -> Tensor:
        entered = entering if memory is None else torch.addmm(entering, memory, self.recur)
        found = torch.addmm(self.bias, self._gathered(entered), self.first).relu_()
        return torch.addmm(entered, self._gathered(found), self.second, alpha=self.rate)

    def _gathered(self, values: Tensor) -> Tensor:
        """Return [A v | v], (node, 2 * hidden)."""
        if self.scratch is None:
            return torch.mm(self.graph, values).view(len(values), -1)
        torch.mm(self.graph, values, out=self.scratch[0])
        return self.scratch[1]


def _by_node(rows: Tensor, nodes: int) -> tuple[Tensor, ...]:
    """Return the rows of each step, (node, hidden)."""
    if len(rows) == nodes:
        return (rows,)
    return tuple(rows.split(nodes))  # type: ignore[no-untyped-call]


def _last(steps: Tensor) -> Tensor:
    return steps if steps.shape[1] == 1 else steps[:, -1:]
