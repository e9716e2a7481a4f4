"""One visible loop that fits a network: carried states, early stopping, checkpoints."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ranvier.checkpoint import Progress, Weights, copy_of, load_checkpoint, save_checkpoint
from ranvier.recording import Array
from ranvier.store import BLOCK, Prepared
from ranvier.training import Training, balance, batches, pad

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric
    from torch import Tensor

log = logging.getLogger("ranvier")


@dataclass(frozen=True)
class Fitted:
    """What training gives.

    Parameters
    ----------
    weights
        Of the best pass, by name, calibrated on the validation recordings.
    history
        Loss and validation score of each pass.
    positive_weight
        How much a step in a seizure counted against one outside, from the training part.
    """

    weights: dict[str, Array]
    history: list[dict[str, float]]
    positive_weight: float


def fit(
    network: Any,
    train: Sequence[Prepared],
    validation: Sequence[Prepared],
    settings: Training,
    folder: Path,
    *,
    about: object = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Fit a network; if ``folder`` holds a checkpoint of the same run, go on from there.

    Every pass draws its stretches and masks from (seed, pass) alone, so a run that was stopped
    and started again ends with the same weights as one that was not.

    Parameters
    ----------
    network
        A ``networks.Network``; it is changed.
    train, validation
        Recordings to learn from, and to choose the best pass on.
    settings
        See ``Training``.
    folder
        Where the checkpoint is kept.
    about
        What else decides the weights, such as the settings of the network and of the stages.
    seed
        Of everything that is drawn.
    device
        As in Lightning Fabric: ``"cpu"``, ``"cuda"``, ``"auto"``.
    progress
        Called after each pass.

    Raises
    ------
    ValueError
        If there is no seizure to learn from, or memory runs out.
    """
    import torch

    fabric = _fabric(device, settings.precision)
    adam = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    model, optimiser = fabric.setup(network, adam)
    positive_weight = balance(train)
    one_pass = partial(_one_pass, fabric, model, optimiser, settings, positive_weight)
    checkpoint = folder / "checkpoint.safetensors"
    run = run_key(network, (train, validation), settings, [about, seed, device])
    weights = Weights(network, copy_of(network), optimiser)
    state = load_checkpoint(checkpoint, run, weights, most=settings.passes)
    while state.passes < settings.passes and state.passes - state.best_pass < settings.patience:
        number = state.passes + 1
        generator = torch.Generator().manual_seed(seed * 100_003 + number)
        chosen = batches(train, settings, seed=[seed, number])
        with _explaining_failure(settings):
            loss = one_pass(chosen, generator)
            score = validate(network, validation, settings.eval_batch)
        state.passes = number
        state.history.append({"loss": loss, "score": score})
        log.info("pass %d: loss %.4f, validation score %.4f", number, loss, score)
        if score > state.best_score or not state.best_pass:
            state.best_pass, state.best_score = number, score
            weights.best = copy_of(network)
        if number % settings.save_every == 0:
            save_checkpoint(checkpoint, run, state, weights)
        if progress:
            progress(state)
    network.load_state_dict(weights.best)
    network.rescale(*calibration(*pooled_logits(network, validation, settings.eval_batch)))
    best = {name: weight.cpu().numpy() for name, weight in copy_of(network).items()}
    return Fitted(best, state.history, positive_weight)


def _fabric(device: str, precision: str) -> Fabric:
    from lightning_fabric import Fabric

    try:
        return Fabric(accelerator=device, devices=1, precision=precision)  # type: ignore[arg-type]
    except Exception as error:  # Lightning has classes of its own for a device that is not there
        raise ValueError(
            f"Invalid device or precision: {device!r} and {precision!r} ({error})"
        ) from None


def _one_pass(  # noqa: PLR0917
    fabric: Fabric,
    model: Any,
    optimiser: Any,
    settings: Training,
    positive_weight: float,
    chosen: Iterable[tuple[Array, Array]],
    generator: torch.Generator,
) -> float:
    import torch

    losses = []
    model.train()
    for read, truth in chosen:
        features, labels = torch.as_tensor(read), torch.as_tensor(truth)
        state = model.initial_state(len(features))
        for part in range(0, features.shape[1], settings.segment):
            chunk = fabric.to_device(features[:, part : part + settings.segment])
            target = fabric.to_device(labels[:, part : part + settings.segment])
            logits, state = model(chunk, state, generator)
            state = _detach(state)
            loss = loss_of(logits, target, positive_weight, settings.loss)
            if loss is not None:
                optimiser.zero_grad()
                fabric.backward(loss)
                fabric.clip_gradients(model, optimiser, max_norm=settings.gradient_norm)
                optimiser.step()
                losses.append(loss.item())
    model.eval()
    if not losses:
        raise ValueError(
            f"Nothing to learn, no output of a pass was valid: stretch {settings.stretch} and the "
            "recordings must be longer than the network's warm-up, and learning_rate "
            f"{settings.learning_rate} so low that training does not diverge"
        )
    return float(np.mean(losses))


@contextmanager
def _explaining_failure(settings: Training) -> Iterator[None]:
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if "non-finite" in str(error):
            raise ValueError(
                f"Training diverged at learning_rate {settings.learning_rate}: lower it"
            ) from None
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise ValueError(
            f"Memory ran out at batch {settings.batch}, stretch {settings.stretch} and eval_batch "
            f"{settings.eval_batch}: lower one of them"
        ) from error


def run_key(
    network: Any, parts: Sequence[Sequence[Prepared]], settings: Training, about: object
) -> str:
    """Name a run by all that decides its weights, but for how long it may go on."""
    decisive = {**asdict(settings), "passes": 0, "patience": 0, "save_every": 0}
    recordings = [[[one.path.name, one.name, str(one.events)] for one in part] for part in parts]
    initial = hashlib.sha256()
    for name, weight in network.state_dict().items():
        initial.update(name.encode() + weight.detach().cpu().numpy().tobytes())
    described = json.dumps([decisive, recordings, about, initial.hexdigest()], default=str)
    return hashlib.sha256(described.encode()).hexdigest()


def loss_of(logits: Tensor, labels: Tensor, positive_weight: float, kind: str) -> Tensor | None:
    """Return the weighted loss over valid outputs, or None if there is none.

    Parameters
    ----------
    logits
        (batch, output, site, class); NaN where not valid.
    labels
        (batch, step); the outputs belong to the last of them.
    positive_weight
        How much a label of 1 counts against one of 0.
    kind
        As ``Training.loss``.
    """
    from torch.nn import functional

    spoken = ~logits.isnan()
    valid = spoken.any(dim=2)[..., 0]
    if not valid.any():
        return None
    pooled = logits.masked_fill(~spoken, 0.0).sum(dim=2) / spoken.sum(dim=2).clamp(min=1)
    chosen, target = pooled[..., 0][valid], _last(labels, logits.shape[1])[valid]
    weight = 1.0 + (positive_weight - 1.0) * target
    if kind == "squared_error":
        losses = (chosen.sigmoid() - target) ** 2
    else:
        losses = functional.binary_cross_entropy_with_logits(chosen, target, reduction="none")
    return (losses * weight).sum() / weight.sum()


Rows = TypeVar("Rows", Array, "Tensor")


def _last(labels: Rows, outputs: int) -> Rows:
    return labels[:, labels.shape[1] - outputs :]


def pooled_logits(network: Any, recordings: Sequence[Prepared], batch: int) -> tuple[Array, Array]:
    """Return the logits of all valid outputs, and their labels.

    Parameters
    ----------
    network
        In evaluation mode.
    recordings
        Decoded from their first step to the last.
    batch
        How many side by side.
    """
    import torch

    scores, labels = [], []
    ordered = sorted(recordings, key=len)
    device = next(network.parameters()).device
    for start in range(0, len(ordered), batch):
        group = ordered[start : start + batch]
        state, parts = network.initial_state(len(group)), []
        for first in range(0, max(1, len(group[-1])), BLOCK):
            block = pad([one.features(first, first + BLOCK) for one in group])
            with torch.inference_mode():
                logits, state = network.step(torch.as_tensor(block, device=device), state)
            parts.append(logits[..., 0].nanmean(dim=2).cpu().numpy())
        pooled = np.concatenate(parts, axis=1)
        truth = _last(pad([one.labels() for one in group]), pooled.shape[1])
        valid = ~np.isnan(pooled) & ~np.isnan(truth)
        scores.append(pooled[valid])
        labels.append(truth[valid])
    return np.concatenate(scores).astype(np.float64), np.concatenate(labels)


def validate(network: Any, recordings: Sequence[Prepared], batch: int) -> float:
    """Return the area under the ROC over all recordings; minus the loss if that has no meaning."""
    from sklearn.metrics import roc_auc_score

    score, label = pooled_logits(network, recordings, batch)
    if len(np.unique(label)) == 2:
        return float(roc_auc_score(label, score))
    if not len(score):
        raise ValueError(
            "Nothing to choose on, no output of the validation recordings is valid: they must be "
            "longer than the network's warm-up, and learning_rate so low that training does not "
            "diverge"
        )
    return -float(np.mean(np.logaddexp(0, score)))


def calibration(logits: Array, labels: Array) -> tuple[float, float]:
    """Return the scale and offset that make probabilities mean what they say (Platt scaling).

    Parameters
    ----------
    logits, labels
        Of outputs that the network was not trained on.

    Returns
    -------
    scale, offset
        (1, 0) where there is nothing to learn, or the logits point the wrong way.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) < 2 or not logits.std():
        return 1.0, 0.0
    spread = float(logits.std())
    fitted = LogisticRegression(C=1.0).fit(logits[:, None] / spread, labels)
    scale = float(fitted.coef_[0, 0]) / spread
    return (scale, float(fitted.intercept_[0])) if scale > 0 else (1.0, 0.0)


def _detach(state: Any) -> Any:
    if isinstance(state, tuple):
        parts = [_detach(part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state.detach()
