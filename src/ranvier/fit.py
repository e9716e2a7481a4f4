"""One visible loop that fits a network: carried states, early stopping, checkpoints."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.checkpoint import Progress, Weights, copy_of, load_checkpoint, save_checkpoint
from ranvier.import_paths import by_name
from ranvier.lesson import Lesson, pooled_outputs, validate
from ranvier.recording import Array
from ranvier.schedules import SCHEDULES
from ranvier.store import Prepared
from ranvier.tasks import Task
from ranvier.training import Training, batches, check_shift

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
    class_weights
        How much each class counted, from the training part; None where all count the same.
    solved
        Whether the weights come from a closed form, so that there was no pass to choose.
    calibration
        Scale and offset of the logits, from the validation recordings; they are in the weights.
    """

    weights: dict[str, Array]
    history: list[dict[str, float]]
    class_weights: Array | None
    solved: bool = False
    calibration: tuple[Any, Any] | None = None


def fit(  # noqa: PLR0917
    network: Any,
    task: Task,
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

    A network that looks back on earlier windows learns first without them, and then, where
    ``settings.context`` says how, what they add. A network that can be solved in closed form is
    solved. Every pass draws its stretches, masks and dropout from (seed, pass) alone, so a run
    that was stopped and started again ends with the same weights as one that was not.

    Parameters
    ----------
    network
        A ``networks.Network``; it is changed.
    task
        What it is to decode.
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
        If there is nothing to learn from, or memory runs out.
    """
    if hasattr(network, "solve"):
        lesson = Lesson.of(task, network, train, settings)
        return _solve(network, lesson, train, validation, settings.eval_batch)
    history: list[dict[str, float]] = []
    for now, place in _rounds(network, settings, folder):
        lesson = Lesson.of(task, network, train, now)
        run = run_key(network, (train, validation), now, [about, seed, device])
        round_of = _Round(network, lesson, train, validation, now, seed, device)
        history += _fit_round(round_of, place / "checkpoint.safetensors", run, progress)
    network.rescale(lesson.spread.tolist(), lesson.centre.tolist())
    factors = task.calibration(*pooled_outputs(network, validation, settings.eval_batch))
    network.rescale(*factors)
    return Fitted(_plain_weights(network), history, lesson.class_weights, calibration=factors)


def _rounds(network: Any, settings: Training, folder: Path) -> Iterator[tuple[Training, Path]]:
    """Give what is learnt in turn: what a window says by itself, then what those before it add."""
    if settings.context and getattr(network, "context", None) is not None:
        network.learn_alone()
        yield settings, folder / "alone"
        network.learn_to_look_back()
        settings = settings.second_round()
    yield settings, folder


@dataclass(frozen=True)
class _Round:
    """What is learnt now, and how."""

    network: Any
    lesson: Lesson
    train: Sequence[Prepared]
    validation: Sequence[Prepared]
    settings: Training
    seed: int
    device: str


def _fit_round(
    given: _Round, checkpoint: Path, run: str, progress: Callable[[Progress], None] | None
) -> list[dict[str, float]]:
    """Leave the weights of the best pass in the network, and return loss and score of each."""
    network, settings, train = given.network, given.settings, given.train
    check_shift(train[0].hop, network, settings)
    fabric = make_fabric(given.device, settings.precision)
    model, optimiser = fabric.setup(network, make_optimiser(network, settings))
    weights = Weights(network, copy_of(network), optimiser)
    limits = {"most": settings.passes, "patience": settings.patience}
    state = load_checkpoint(checkpoint, run, weights, **limits)
    schedule = by_name("schedule", settings.schedule, SCHEDULES)
    segment = max(1, round(settings.segment / train[0].hop))
    one_pass = partial(_one_pass, fabric, model, optimiser, given.lesson, settings, segment)
    while state.goes_on(**limits):
        number = state.passes + 1
        rate = schedule(settings.learning_rate, state.history, **settings.schedule_settings)
        for group in optimiser.param_groups:
            group["lr"] = rate
        chosen = batches(train, network, given.lesson.task, settings, seed=[given.seed, number])
        with _explaining_failure(settings), _drawing(given.seed * 100_003 + number) as generator:
            loss = one_pass(chosen, generator)
            score = validate(network, given.lesson, given.validation, settings.eval_batch)
        log.info("pass %d: loss %.4f, validation score %.4f", number, loss, score)
        if state.take(loss, score):
            weights.best = copy_of(network)
        if number % settings.save_every == 0:
            save_checkpoint(checkpoint, run, state, weights)
        if progress:
            progress(state)
    network.load_state_dict(weights.best)
    return state.history


def _solve(
    network: Any,
    lesson: Lesson,
    train: Sequence[Prepared],
    validation: Sequence[Prepared],
    batch: int,
) -> Fitted:
    import torch

    inputs = [torch.tensor(one.features()) for one in train]
    window, hop = network.window, network.hop
    targets = [torch.as_tensor(one.targets(window, hop), dtype=torch.float32) for one in train]
    network.solve(inputs, targets)
    network.eval()
    lesson = replace(lesson, centre=np.zeros(()), spread=np.ones(()))
    score = validate(network, lesson, validation, batch)
    history = [{"loss": 0.0, "score": score}]
    return Fitted(_plain_weights(network), history, lesson.class_weights, solved=True)


def _plain_weights(network: Any) -> dict[str, Array]:
    return {name: weight.cpu().numpy() for name, weight in copy_of(network).items()}


def make_optimiser(network: Any, settings: Training) -> torch.optim.Optimizer:
    """Make the optimiser of all that is to be learnt.

    Raises
    ------
    ValueError
        If it is unknown or does not take its settings.
    """
    import torch

    fused = settings.precision == "32-true"
    options: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": partial(torch.optim.AdamW, fused=fused),
        "adam": partial(torch.optim.Adam, fused=fused),
        "sgd": torch.optim.SGD,
    }
    make = by_name("optimiser", settings.optimiser, options)
    learnt = [weight for weight in network.parameters() if weight.requires_grad]
    spared = [] if settings.decay == "all" else [one for one in learnt if one.dim() < 2]
    decaying = [one for one in learnt if not any(one is other for other in spared)]
    groups: list[dict[str, Any]] = [{"params": decaying, "weight_decay": settings.weight_decay}]
    groups += [{"params": spared, "weight_decay": 0.0}] if spared else []
    try:
        return make(groups, lr=settings.learning_rate, **settings.optimiser_settings)
    except Exception as error:  # an optimiser of somebody else's can raise whatever it likes
        raise ValueError(f"Invalid optimiser_settings of {settings.optimiser!r}: {error}") from None


def try_optimiser(settings: Training) -> None:
    """Refuse an optimiser that cannot make a step, or keeps what no checkpoint can hold.

    Raises
    ------
    ValueError
        If it is unknown, does not take its settings, or fails.
    """
    import torch

    network = torch.nn.ParameterList([torch.ones(2, 2), torch.ones(2)])
    optimiser = make_optimiser(network, settings)
    try:
        torch.autograd.backward(tuple(weight.sum() for weight in network))
        optimiser.step()
        kept = [one for moments in optimiser.state.values() for one in moments.values()]
    except Exception as error:
        raise ValueError(
            f"Invalid optimiser: {settings.optimiser!r} cannot make a step ({error})"
        ) from None
    if not all(isinstance(one, torch.Tensor) for one in kept):
        raise ValueError(
            f"Invalid optimiser: {settings.optimiser!r} keeps other things than tensors from step "
            "to step, which a checkpoint cannot hold"
        )


@contextmanager
def _drawing(seed: int) -> Iterator[torch.Generator]:
    """Draw everything from this seed, and leave torch's own generator as it was."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def make_fabric(device: str, precision: str) -> Fabric:
    """Make what computes on a device in a precision.

    Raises
    ------
    ValueError
        If there is no such device, or it does not compute in this precision.
    """
    from lightning_fabric import Fabric

    try:
        kind = Fabric(accelerator=device, devices=1).device.type
        if precision != "16-mixed" or kind != "cpu":
            return Fabric(accelerator=device, devices=1, precision=precision)  # type: ignore[arg-type]
    except Exception as error:  # Lightning has classes of its own for a device that is not there
        raise ValueError(
            f"Invalid device or precision: {device!r} and {precision!r} ({error})"
        ) from None
    raise ValueError("Invalid precision: '16-mixed' on the CPU, must be '32-true' or 'bf16-mixed'")


def _one_pass(  # noqa: PLR0917
    fabric: Fabric,
    model: Any,
    optimiser: Any,
    lesson: Lesson,
    settings: Training,
    segment: int,
    chosen: Iterable[tuple[Array, Array]],
    generator: torch.Generator,
) -> float:
    import torch

    losses = []
    model.train()
    for read, truth in chosen:
        signal, targets = torch.as_tensor(read), fabric.to_device(torch.as_tensor(truth))
        state, known = model.initial_state(len(signal)), 0
        for chunk in torch.split(signal, segment, dim=1):
            logits, state, heads = model(fabric.to_device(chunk), state, generator)
            state = _detach(state)
            due = targets[:, known : known + logits.shape[1]]
            known += logits.shape[1]
            loss = lesson.loss_of(logits, due)
            if loss is None:
                continue
            for head in heads:
                loss = loss + settings.auxiliary * _sure(lesson.loss_of(head, due), loss)
            optimiser.zero_grad()
            fabric.backward(loss)
            fabric.clip_gradients(model, optimiser, max_norm=settings.gradient_norm)
            optimiser.step()
            losses.append(loss.item())
    model.eval()
    if not losses:
        raise ValueError(
            f"Nothing to learn, no output of a pass was valid: stretch {settings.stretch} and the "
            "recordings must be longer than the network's warm-up, learning_rate "
            f"{settings.learning_rate} so low that training does not diverge, and batch "
            f"{settings.batch} at least 2 for a network with BatchNorm"
        )
    return float(np.mean(losses))


def _sure(loss: Tensor | None, like: Tensor) -> Tensor:
    return like.new_zeros(()) if loss is None else loss


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
    recordings = [[[one.path.name, one.name, str(one.truth)] for one in part] for part in parts]
    initial = hashlib.sha256()
    for name, weight in network.state_dict().items():
        initial.update(name.encode() + weight.detach().cpu().numpy().tobytes())
    described = json.dumps([decisive, recordings, about, initial.hexdigest()], default=str)
    return hashlib.sha256(described.encode()).hexdigest()


def _detach(state: Any) -> Any:
    if isinstance(state, tuple):
        parts = [_detach(part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state.detach()
