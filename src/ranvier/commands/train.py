"""``ranvier train``: one decoder from all recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ranvier.commands import Answer, check_folder, showing_progress, use_threads
from ranvier.decisions import AlarmRule
from ranvier.training import Training


def train(
    *,
    data: str,
    out: str,
    name: str = "decoder",
    task: str = "seizure",
    network: str = "rest",
    network_settings: dict[str, Any] | None = None,
    stages: list[dict[str, Any]] | None = None,
    training: Training = Training(),  # noqa: B008
    rule: AlarmRule = AlarmRule(),  # noqa: B008
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
) -> Answer:
    """Train one decoder; stopped and started again, it goes on where it was.

    Parameters
    ----------
    data
        Folder of annotated recordings.
    out
        Folder for the decoder and for what is needed to go on.
    name
        Of the decoder file, without its suffix.
    task
        What is decoded: seizure.
    network
        Name of the network: rest.
    network_settings
        Keywords of the network.
    stages
        Settings of the stages before the network.
    training
        How the network is fitted.
    rule
        When a probability becomes an alarm.
    seed
        Of everything that is drawn.
    device
        cpu, cuda or auto.
    threads
        For computing.
    """
    from ranvier.fitting import recipe_from
    from ranvier.fitting import train as fit
    from ranvier.formats import read

    recipe = recipe_from(
        task,
        network=network,
        network_settings=network_settings,
        stages=stages,
        training=training,
        rule=rule,
        seed=seed,
        device=device,
    )
    check_folder(out)
    use_threads(threads)
    recordings = read(data)
    with showing_progress() as progress:
        decoder = fit(task, recordings, recipe=recipe, out=out, progress=progress)
    path = decoder.save(Path(out) / f"{name}.ranvier")
    notes = [f"{one.name}: {note}" for one in recordings for note in one.notes]
    text = (
        f"{path}: trained on {len(recordings)} recordings, threshold {decoder.rule.threshold:.3f}"
    )
    return Answer(text, {"decoder": str(path), **decoder.as_dict()}, notes)
