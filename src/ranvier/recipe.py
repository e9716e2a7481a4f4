"""What is trained, and how: one recipe for each network and task lies in the package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from ranvier.decisions import AlarmRule
from ranvier.formats import trim_wake
from ranvier.recording import Recording
from ranvier.splits import PROTOCOLS_IN_TIME
from ranvier.store import Stages
from ranvier.tasks import Task, make_task
from ranvier.tasks.seizure import STAGES
from ranvier.training import Training

SPLITS = ("", "subject", *PROTOCOLS_IN_TIME)


@dataclass(frozen=True)
class Recipe:
    """All that decides a decoder, but for the recordings.

    Parameters
    ----------
    task
        What is decoded: ``"seizure"``, ``"seizure_type"``, ``"sleep"`` or ``"movement"``.
    network
        Name of the network, as in ``networks.NETWORKS``.
    network_settings
        Keywords of the network.
    stages
        Settings of the stages before the network, as for ``stages.build``.
    training
        How the network is fitted.
    rule
        When a probability becomes an alarm; the threshold is chosen on the validation part.
    false_alarms_per_day
        Budget of false alarms for each 24 h, within which the most sensitive threshold is chosen;
        by default the one with the best event F1.
    split
        ``"subject"`` tests on people who are new to the decoder, ``"time"`` on later parts of each
        recording; ``"makin320"``, ``"neurobench"`` and ``"blocked"`` cut recordings in time by the
        rules of ``splits.PROTOCOLS_IN_TIME``; empty for what the task is about.
    weights
        File of ``ranvier import-weights`` to start from, whose settings come before
        ``network_settings``; empty to start at random.
    wake_minutes
        Of wake that count before and after sleep, for ``"sleep"``; epochs further out stay in their
        place as not scored. By default the whole night counts.
    labels
        Set of labels of ``"seizure_type"``: ``"combined"`` or ``"tusz"``; empty for the first.
    seed
        Of everything that is drawn.
    device
        ``"cpu"``, ``"cuda"`` or ``"auto"``.
    """

    task: str = "seizure"
    network: str = "rest"
    network_settings: Mapping[str, Any] = field(default_factory=dict)
    stages: Stages = STAGES
    training: Training = field(default_factory=Training)
    rule: AlarmRule = field(default_factory=AlarmRule)
    false_alarms_per_day: float | None = None
    split: Literal["", "subject", "time", "makin320", "neurobench", "blocked"] = ""
    weights: str = ""
    wake_minutes: float | None = None
    labels: str = ""
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        make_task(self.task, self.labels)
        if not isinstance(self.training, Training) or not isinstance(self.rule, AlarmRule):
            raise ValueError(
                f"Invalid training or rule: {self.training!r} and {self.rule!r}, must be a "
                "Training and an AlarmRule"
            )
        if self.split not in SPLITS:
            raise ValueError(f"Invalid split: {self.split!r}, possible options: {list(SPLITS)}")
        self._refuse_options_of_others()
        budget, wake = self.false_alarms_per_day, self.wake_minutes
        if budget is not None and not 0 < budget < math.inf:
            raise ValueError(f"Invalid false_alarms_per_day: {budget}, must be finite and above 0")
        if wake is not None and not 0 <= wake < math.inf:
            raise ValueError(f"Invalid wake_minutes: {wake}, must be finite and at least 0")
        if not hasattr(self.seed, "__index__") or not 0 <= self.seed < 2**31:
            raise ValueError(f"Invalid seed: {self.seed!r}, must be from 0 to {2**31 - 1}")

    def _refuse_options_of_others(self) -> None:
        """Refuse what another task alone would look at."""
        rule = None if self.rule == AlarmRule() else self.rule
        given = {
            "false_alarms_per_day": (self.false_alarms_per_day, "seizure"),
            "rule": (rule, "seizure"),
            "wake_minutes": (self.wake_minutes, "sleep"),
        }
        for name, (value, task) in given.items():
            if value is not None and self.task != task:
                raise ValueError(
                    f"Invalid {name}: {value} for the task {self.task!r}, must be for {task!r}"
                )

    @property
    def learnt(self) -> Task:
        """What there is to learn."""
        return make_task(self.task, self.labels)

    def begin(self, recording: Recording) -> Recording:
        """Return an annotated recording as it is learnt from and scored, with a note on why."""
        begun = self.learnt.begin(recording)
        if self.wake_minutes is None or begun.hypnogram is None:
            return begun
        trim = trim_wake(begun.hypnogram, minutes=self.wake_minutes)
        return replace(begun, hypnogram=trim.masked()).with_note(f"what counts: {trim}")

    @property
    def in_time(self) -> bool:
        """Whether other parts of the same recordings are tested."""
        return self.split_by != "subject"

    @property
    def split_by(self) -> str:
        """The rule by which parts are made: ``split``, or what the task is about."""
        return self.split or self.learnt.split


DEFAULT_NETWORKS = {
    "seizure": "rest",
    "seizure_type": "rest",
    "sleep": "attn_sleep",
    "movement": "gru",
}


def recipe_from(task: str, **settings: Any) -> Recipe:
    """Make a recipe: that of the package for task and network, with other settings by name.

    Parameters
    ----------
    task
        What is decoded.
    **settings
        Fields of ``Recipe``; those that are None stay as they are.

    Raises
    ------
    ValueError
        If a setting is unknown, or there is no recipe for the network and the task.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    if unknown := set(given) - {one.name for one in fields(Recipe)}:
        options = [one.name for one in fields(Recipe)]
        raise ValueError(f"Invalid settings: {sorted(unknown)}, possible options: {options}")
    network = given.get("network", DEFAULT_NETWORKS.get(task, ""))
    return replace(packaged_recipe(task, network), **given)


def chosen_recipe(task: str, recipe: Recipe | None, settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe that is given, or make it of settings.

    Raises
    ------
    ValueError
        If both are given, or the recipe is none or of another task.
    """
    if recipe is None:
        return recipe_from(task, **settings)
    if not isinstance(recipe, Recipe):
        raise ValueError(
            f"Invalid recipe: {recipe!r}, must be a Recipe; its network and other settings are "
            "keywords of their own"
        )
    if settings:
        raise ValueError(
            f"Invalid settings: {sorted(settings)} beside a recipe, must be fields of the recipe"
        )
    if recipe.task != task:
        raise ValueError(f"Invalid task: {task!r}, must be that of the recipe, {recipe.task!r}")
    return recipe


def packaged_recipe(task: str, network: str) -> Recipe:
    """Read the recipe of the package for a network and a task.

    Raises
    ------
    ValueError
        If there is none.
    """
    about = packaged_settings(task, network)
    training = Training(**about.pop("training", {}))
    rule = AlarmRule(**about.pop("rule", {}))
    return Recipe(**about, training=training, rule=rule)


def published() -> dict[str, Path]:
    """Return the files of published experiments that lie in the package, by name."""
    folder = Path(str(files("ranvier") / "recipes" / "published"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def named_files() -> dict[str, Path]:
    """Return the files of all recipes and published experiments of the package, by name."""
    folder = Path(str(files("ranvier") / "recipes"))
    return {path.stem: path for path in sorted(folder.rglob("*.yaml"))}


def packaged_settings(task: str, network: str) -> dict[str, Any]:
    """Read the recipe of the package for a network and a task, in plain types.

    Raises
    ------
    ValueError
        If there is none.
    """
    import yaml

    make_task(task)
    folder = files("ranvier") / "recipes"
    path = folder / f"{network}_{task}.yaml"
    if not path.is_file():
        ending = f"_{task}.yaml"
        names = (one.name for one in folder.iterdir())
        possible = sorted(one.removesuffix(ending) for one in names if one.endswith(ending))
        raise ValueError(f"Invalid network: {network!r}, possible options for {task}: {possible}")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
