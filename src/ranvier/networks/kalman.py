"""Kalman filter: movement as a hidden state that spike counts tell of.

Wu, Gao, Bienenstock, Donoghue, Black: Bayesian Population Decoding of Motor Cortical Activity Using
a Kalman Filter, Neural Computation 2006, 18, 80-118. With movement x and counts z in bin t,

    x[t] = A x[t - 1] + a + w,  w of covariance W
    z[t - lag] = H x[t] + h + q,  q of covariance Q

The constants a and h stand for the centring of the paper. The movement is what the targets are:
velocity, or position and velocity. Mean and covariance of the state are carried, and each bin's
gain follows from them. What the counts tell is reduced to Hᵀ Q⁻¹ (z - h) at once, which has the
size of the state and not of the channels.

Faults that are often seen, and not here: a filter that starts from the first target of the test;
data taken for centred without being so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ranvier.networks.carried import CarriedNetwork
from ranvier.networks.sizes import check_whole


class Model(NamedTuple):
    """What the filter computes with; the state has as many values as there are classes."""

    transition: Tensor
    """A, (state, state)."""
    drift: Tensor
    """a, (state,)."""
    process: Tensor
    """W, (state, state)."""
    evidence: Tensor
    """Hᵀ Q⁻¹, (state, channel)."""
    evidence_offset: Tensor
    """Hᵀ Q⁻¹ h, (state,)."""
    information: Tensor
    """Hᵀ Q⁻¹ H, (state, state)."""
    first_mean: Tensor
    """Of the state before the first bin and after a gap, (state,)."""
    first_covariance: Tensor
    """(state, state)."""


class Linear(NamedTuple):
    """A linear law: ``weights @ x + offset``, and the covariance of what is left."""

    weights: Tensor
    offset: Tensor
    noise: Tensor


class Known(NamedTuple):
    """Bins of training data that belong together, one a row; none across a gap."""

    before: Tensor
    """States, (transition, state)."""
    after: Tensor
    """The states one bin later."""
    states: Tensor
    """(observation, state)."""
    counts: Tensor
    """The counts that tell of them, (observation, channel)."""


NOTHING_NEW = 1e-6
"""Share of a channel's noise beyond which the other channels do not say it all."""


class Kalman(CarriedNetwork):
    """A Kalman filter over spike counts; ``solve`` fits it, before that its model is random.

    Parameters
    ----------
    channels
        Channels or units, as spike counts.
    classes
        Axes of the state, each of which is answered.
    lag
        Bins by which counts come before the movement that they tell of.
    ridge
        Share of each channel's noise variance that is added to it, so that channels that repeat
        each other do no harm; 0 as published.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    def __init__(
        self, channels: Sequence[str], *, classes: int = 2, lag: int = 0, ridge: float = 1e-3
    ) -> None:
        check_whole(lag=lag)
        if lag < 0 or not 0 <= ridge < float("inf"):
            raise ValueError(f"Invalid lag or ridge: {lag} and {ridge}, must be finite, at least 0")
        super().__init__(channels, segment=1, embedding=classes, classes=classes, warm_up=lag)
        self.lag, self.ridge = lag, ridge
        for name, values in _random_model(len(channels), classes)._asdict().items():
            self.register_buffer(name, values.clone())
        self._answer_the_state()

    def start(self, batch: int) -> tuple[Tensor, ...]:
        """Return mean and covariance of the state, and the counts that still wait: none."""
        mean, covariance = self.model.first_mean, self.model.first_covariance
        waiting = mean.new_zeros(batch, self.lag, len(mean))
        first = mean.expand(batch, -1), covariance.expand(batch, -1, -1)
        return *first, waiting, torch.zeros_like(waiting[..., :1])

    def advance(
        self, segments: Tensor, memory: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the mean of the state in each bin, (batch, bin, state), and the memory."""
        mean, covariance, waiting, told = memory
        model, bins = self.model, segments.shape[1]
        evidence = segments[:, :, 0] @ model.evidence.T - model.evidence_offset
        waiting = torch.cat([waiting, evidence], dim=1)
        told = torch.cat([told, torch.ones_like(evidence[..., :1])], dim=1)
        means = []
        for i in range(bins):
            mean, covariance = _predict(model, mean, covariance)
            mean, covariance = _correct(model, mean, covariance, waiting[:, i], told[:, i])
            means.append(mean)
        return torch.stack(means, dim=1), (mean, covariance, waiting[:, bins:], told[:, bins:])

    @property
    def model(self) -> Model:
        """What the filter computes with."""
        return Model(*(self.get_buffer(name) for name in Model._fields))

    def solve(self, inputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Fit the model by least squares; the filter starts from the mean of these targets.

        Parameters
        ----------
        inputs
            Whole recordings, (bin, channel); NaN in gaps, over which nothing is fitted.
        targets
            The state in each of their bins, (bin, class); NaN where unknown.

        Raises
        ------
        ValueError
            If targets do not fit their recording, or too few of them are known, or the noise of
            channels cannot be told apart.
        """
        self._check(inputs, targets)
        parts = [_align(x, y, self.lag) for x, y in zip(inputs, targets, strict=True)]
        known = Known(*(torch.cat(rows) for rows in zip(*parts, strict=True)))
        least = self.readout.in_features + 2
        if min(len(known.before), len(known.states)) < least:
            raise ValueError(
                f"Invalid targets: {len(known.before)} pairs of bins in a row are known, must be "
                f"at least {least}"
            )
        model = _fit(known, self.ridge)
        with torch.no_grad():
            for name, values in model._asdict().items():
                self.get_buffer(name).copy_(values)
        self._answer_the_state()

    def _answer_the_state(self) -> None:
        with torch.no_grad():
            torch.nn.init.eye_(self.readout.weight)
            torch.nn.init.zeros_(self.readout.bias)

    def _check(self, inputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        found = [tuple(target.shape) for target in targets]
        wanted = [(len(samples), self.readout.out_features) for samples in inputs]
        if found != wanted or not found:
            raise ValueError(f"Invalid targets: shapes {found}, must be {wanted} for these inputs")


def _predict(model: Model, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    spread = model.transition @ covariance @ model.transition.T
    return mean @ model.transition.T + model.drift, spread + model.process


def _correct(
    model: Model, mean: Tensor, covariance: Tensor, evidence: Tensor, told: Tensor
) -> tuple[Tensor, Tensor]:
    """Weigh in the evidence, (batch, state), of the rows that are told something, (batch, 1)."""
    information = told[..., None] * model.information
    unit = torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device)
    covariance = _solve(unit + covariance @ information, covariance)
    covariance = (covariance + covariance.mT) / 2
    surprise = evidence[..., None] - information @ mean[..., None]
    return mean + (covariance @ surprise)[..., 0], covariance


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve for (batch, state, column); in a graph, which has no such operator, by elimination."""
    if not torch.compiler.is_exporting():
        solved: Tensor = torch.linalg.solve(matrix, right)
        return solved
    rows, size = torch.cat([matrix, right], dim=-1), matrix.shape[-1]
    free = torch.ones_like(matrix[..., 0])
    pivots = []
    for column in range(size):
        largest = (rows[..., column].abs() * free).argmax(dim=-1)
        pivot = functional.one_hot(largest, size).to(rows.dtype)
        row = pivot[:, None] @ rows
        row = row / row[..., column, None]
        rows = rows - (rows[..., column] - pivot)[..., None] * row
        free = free - pivot
        pivots.append(pivot)
    return torch.stack(pivots, dim=1) @ rows[..., size:]


def _align(samples: Tensor, target: Tensor, lag: int) -> Known:
    samples, states = samples.cpu().double(), target.cpu().double()
    valid = samples.isnan().double().mean(dim=1) <= 0.5
    known = valid & states.isfinite().all(dim=1)
    linked = known[:-1] & known[1:]
    unbroken = known.clone()
    unbroken[:lag] = False
    for back in range(1, lag + 1):
        unbroken[back:] &= valid[:-back]
    told = unbroken.nonzero()[:, 0]
    counts = samples.nan_to_num(0.0)[told - lag]
    return Known(states[:-1][linked], states[1:][linked], states[told], counts)


def _fit(known: Known, ridge: float) -> Model:
    law, tuning = _regress(known.before, known.after), _regress(known.states, known.counts)
    own = tuning.noise.diagonal()
    silent = own <= 1e-12 * own.max()
    noise = tuning.noise + torch.where(silent, 1.0, ridge * own).diag()
    factor, failed = torch.linalg.cholesky_ex(noise)
    left_over = factor.diagonal() / noise.diagonal().sqrt()
    if failed or left_over.min() < NOTHING_NEW:
        raise ValueError(f"Invalid ridge: {ridge}, must be larger for channels that repeat others")
    mean = known.states.mean(dim=0)
    centred = known.states - mean
    spread = centred.T @ centred / len(centred)
    return _model(law, tuning._replace(noise=noise), mean, spread)


def _regress(values: Tensor, answers: Tensor) -> Linear:
    design = torch.cat([values, torch.ones_like(values[:, :1])], dim=1)
    solution = torch.linalg.lstsq(design, answers).solution
    left = answers - design @ solution
    return Linear(solution[:-1].T, solution[-1], left.T @ left / len(left))


def _model(law: Linear, tuning: Linear, mean: Tensor, spread: Tensor) -> Model:
    evidence = torch.linalg.solve(tuning.noise, tuning.weights).T
    offset, information = evidence @ tuning.offset, evidence @ tuning.weights
    return Model(*law, evidence, offset, information, mean, spread)


def _random_model(channels: int, states: int) -> Model:
    unit, nothing = torch.eye(states), torch.zeros(states)
    law = Linear(0.9 * unit, nothing, 0.1 * unit)
    weights = torch.randn(channels, states) / channels**0.5
    tuning = Linear(weights, torch.zeros(channels), torch.eye(channels))
    return _model(law, tuning, nothing, unit)
