"""What an evaluation keeps, so that it can be scored again without training or recordings.

A folder holds ``recipe.yaml``, ``folds.json`` (which folds were to be run) and a folder for each
fold: ``decoder.ranvier``, ``predictions.npz``, ``baseline.npz``, ``beside-*.npz`` of other plain
decoders, ``truth/``, and ``fold.json``, which is written last.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ranvier.beside import LagTuning, lag_from
from ranvier.certificate import Certificate
from ranvier.decisions import AlarmRule, Rule
from ranvier.decoder import Decoder, load
from ranvier.decoding import (
    Prediction,
    predictions_from,
    predictions_to,
    rule_as_dict,
    rule_from,
)
from ranvier.formats import FOLDS
from ranvier.recipe import Recipe
from ranvier.splits import PARTS, Fold
from ranvier.training import Training
from ranvier.truth import Truth
from ranvier.truth_files import FORMS, file_name
from ranvier.writing import write_text

OTHER_KIND = "something is missing or of another kind than it must be"
FOLD, RECIPE, TRUTH = "fold.json", "recipe.yaml", "truth"
RESCORED = "rescored"
RUN_AGAIN = "run ranvier evaluate on the recordings once more, which keeps all that is needed"


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What one fold gave.

    Parameters
    ----------
    certificate
        Who was in which part, and what was chosen on what.
    decoder
        Trained without the test subjects.
    predictions, baseline
        For each test recording, by the network and by the baseline.
    truth
        What is annotated in each test recording, by name.
    baseline_rule
        With the threshold that was chosen for the baseline.
    history
        Loss and validation score of each pass.
    beside
        For each test recording, by other plain decoders, by name; for movement.
    lags
        How counts lead the movement in the training part; empty for other tasks.
    """

    certificate: Certificate
    decoder: Decoder
    predictions: Sequence[Prediction]
    baseline: Sequence[Prediction]
    truth: Mapping[str, Truth]
    baseline_rule: Rule
    history: Sequence[Mapping[str, float]]
    beside: Mapping[str, Sequence[Prediction]] = field(default_factory=dict)
    lags: LagTuning = field(default_factory=LagTuning)


def keep_fold(place: Path, key: str, result: FoldResult) -> None:
    """Write what a fold gave; ``fold.json`` comes last, so a fold that has one is whole.

    Parameters
    ----------
    place
        Folder of the fold.
    key
        Digest of all that decided the result.
    result
        What is kept.
    """
    place.mkdir(parents=True, exist_ok=True)
    result.decoder.save(place / "decoder.ranvier")
    predictions_to(place / "predictions.npz", result.predictions)
    predictions_to(place / "baseline.npz", result.baseline)
    for name, predictions in result.beside.items():
        predictions_to(place / _beside_file(name), predictions)
    about = {
        "key": key,
        "certificate": result.certificate.as_dict(),
        "baseline_rule": rule_as_dict(result.baseline_rule),
        "history": result.history,
        "beside": list(result.beside),
        "lags": asdict(result.lags),
        "truth": keep_truth(place / TRUTH, result.truth),
    }
    write_json(place / FOLD, about)


def complete_fold(place: Path, truth: Mapping[str, Truth]) -> None:
    """Add what is annotated to a fold that was kept without it."""
    about = read_json(place / FOLD)
    kept = about.get("truth", {})
    if set(kept) == set(truth) and all(
        (place / TRUTH / one["file"]).exists() for one in kept.values()
    ):
        return
    write_json(place / FOLD, {**about, "truth": keep_truth(place / TRUTH, truth)})


def read_fold(place: Path, truth: Mapping[str, Truth] | None = None) -> FoldResult:
    """Read what ``keep_fold`` wrote.

    Parameters
    ----------
    place
        Folder of the fold.
    truth
        What is annotated, when that is at hand; else it is read as well.

    Raises
    ------
    ValueError
        If a file is missing or broken, or the fold was kept without what is annotated.
    """
    about = read_json(place / FOLD)
    if truth is None and "truth" not in about:
        raise ValueError(f"{place} was kept without what is annotated: {RUN_AGAIN}")
    with reading(place / FOLD):
        certificate = _certificate_from(about["certificate"])
        rule, history = rule_from(about["baseline_rule"]), list(about["history"])
        names, lags = list(map(str, about.get("beside", ()))), lag_from(about.get("lags", {}))
    with reading(place / "decoder.ranvier") as path:
        decoder = load(path)
    predictions, baseline = (_found(place / f"{one}.npz") for one in ("predictions", "baseline"))
    beside = {name: _found(place / _beside_file(name)) for name in names}
    known = read_truth(place, about["truth"]) if truth is None else truth
    every = (*predictions, *baseline, *(one for found in beside.values() for one in found))
    if unknown := sorted({one.name for one in every} - set(known)):
        raise ValueError(f"{place} is broken: it does not say what is annotated in {unknown[0]}")
    parts = certificate, decoder, predictions, baseline, known, rule, history
    return FoldResult(*parts, beside, lags)


def _beside_file(name: str) -> str:
    return Path(f"beside-{name}.npz").name


def _found(path: Path) -> list[Prediction]:
    with reading(path):
        return predictions_from(path)


def place_of(fold: Fold) -> str:
    """Return the name of a fold's folder."""
    return f"fold-{fold.number}"


def key_of(place: Path) -> str | None:
    """Return the digest of all that decided what a fold gave; None where it is not finished."""
    if not (place / FOLD).exists():
        return None
    about = read_json(place / FOLD)
    with reading(place / FOLD):
        return str(about["key"])


def _certificate_from(about: Mapping[str, Any]) -> Certificate:
    parts = {part: tuple(about["fold"][part]) for part in PARTS}
    fold = Fold(**{**about["fold"], **parts})
    return Certificate(**{**about, "fold": fold, "assumed": tuple(about["assumed"])})


class Plan(NamedTuple):
    """What an evaluation was to run."""

    recipe: Recipe
    keys: Mapping[str, str]
    """Digest of all that decides the result of each fold, by the name of its folder."""
    versions: Mapping[str, str]
    """Of the packages that computed it."""


def keep_plan(folder: Path, plan: Plan) -> None:
    """Write the recipe, as a file for ``--config``, and which folds there are to be."""
    import yaml

    plain = json.loads(json.dumps(asdict(plan.recipe), default=_listed))
    write_text(folder / RECIPE, yaml.safe_dump(plain, sort_keys=False))
    write_json(folder / FOLDS, {"folds": plan.keys, "versions": plan.versions})


def read_plan(folder: Path) -> Plan:
    """Read what ``keep_plan`` wrote.

    Raises
    ------
    ValueError
        If the folder is missing, holds no evaluation, or a file is broken.
    """
    if not folder.is_dir():
        raise ValueError(f"Cannot read {folder}: no such folder")
    if not (folder / FOLDS).exists() or not (folder / RECIPE).exists():
        old = any(folder.glob(f"fold-*/{FOLD}"))
        why = f"it keeps no recipe and nothing that is annotated: {RUN_AGAIN}"
        raise ValueError(
            f"{folder} cannot be scored again, {why if old else 'it is no evaluation'}"
        )
    about = read_json(folder / FOLDS)
    with reading(folder / FOLDS):
        keys, known = dict(about["folds"]), dict(about["versions"])
    return Plan(read_recipe(folder / RECIPE), keys, known)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe that names every setting.

    Raises
    ------
    ValueError
        If the file is missing or broken, or a setting is unknown or impossible.
    """
    import yaml

    with reading(path):
        try:
            about = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError:
            raise ValueError("it is not YAML") from None
        training, rule = Training(**about.pop("training")), AlarmRule(**about.pop("rule"))
        return Recipe(**about, training=training, rule=rule)


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def keep_truth(folder: Path, truth: Mapping[str, Truth]) -> dict[str, dict[str, Any]]:
    """Write what is annotated, one plain file for each recording.

    Parameters
    ----------
    folder
        For the files: events as HED-SCORE and stages of sleep as BIDS tables, movement as ``npz``.
    truth
        By the name of the recording.

    Returns
    -------
    dict
        For each recording its file, and what the file does not hold, in plain types.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept: dict[str, dict[str, Any]] = {}
    for number, (name, one) in enumerate(truth.items()):
        form = FORMS[type(one).__name__]
        taken = {about["file"].lower() for about in kept.values()}
        stem = file_name(name)
        stem = f"{stem}-{number}" if f"{stem}{form.suffix}".lower() in taken else stem
        form.write(folder / f"{stem}{form.suffix}", one)
        grid = {field: getattr(one, field) for field in form.grid}
        kept[name] = {"kind": type(one).__name__, "file": f"{stem}{form.suffix}", **grid}
    return kept


def read_truth(place: Path, kept: Mapping[str, Mapping[str, Any]]) -> dict[str, Truth]:
    """Read what ``keep_truth`` wrote for the fold in this folder."""
    truth = {}
    for name, about in kept.items():
        with reading(place / FOLD):
            form, file = FORMS[about["kind"]], Path(about["file"]).name
            grid = {field: about[field] for field in form.grid}
        with reading(place / TRUTH / file) as path:
            truth[name] = form.read(path, grid)
    return truth


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Say in one sentence which file is broken."""
    try:
        yield path
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror or error}") from None
    except KeyError as error:
        _broken(path, f"something is missing ({error})")
    except TypeError as error:
        named = re.search(r"argument:? '(\w+)'", str(error))
        _broken(path, f"{named[1]} is missing or unknown" if named else OTHER_KIND)
    except (AttributeError, IndexError):
        _broken(path, OTHER_KIND)
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        _broken(path, " ".join(str(error).split()))


def _broken(path: Path, why: str) -> NoReturn:
    raise ValueError(why if str(path) in why else f"{path} is broken: {why}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of JSON.

    Raises
    ------
    ValueError
        If there is none.
    """
    with reading(path):
        about = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            raise ValueError("it is no object of JSON")
        return about


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write plain types; the file appears whole or not at all."""
    plain = finite(content)
    return write_text(path, json.dumps(plain, indent=1, allow_nan=False, default=str))


def finite(content: Any) -> Any:
    """Return plain types without NaN and infinity, which JSON does not know: None stands there."""
    if isinstance(content, Mapping):
        return {name: finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
