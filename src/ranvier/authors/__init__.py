"""The weights that authors published: one file for each network, from their names to ours.

Each module has ``read``, which finds sizes in the weights and gives them our names, ``answers``,
which runs the input of a fixture, and ``SIZES``, what weights cannot tell: names that stand for the
same are together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from ranvier.authors.files import read_npz, read_weights
from ranvier.networks import make_network
from ranvier.networks.sizes import check_sizes
from ranvier.writing import replacing

if TYPE_CHECKING:
    from torch import Tensor

AUTHORS: dict[str, str] = {
    "rest": "ranvier.authors.rest",
    "arnn": "ranvier.authors.arnn",
    "attn_sleep": "ranvier.authors.attn_sleep",
    "inception": "ranvier.authors.inception",
    "temporal_attention_lstm": "ranvier.authors.temporal_attention_lstm",
}
"""The module of each network whose authors published code."""

FORMAT = "1"
"""Version of the files of imported weights that this version of Ranvier writes and reads."""

MISFITS = (KeyError, IndexError, TypeError, AttributeError, RuntimeError)
"""What sizes and names raise that nobody thought of."""


@dataclass(frozen=True)
class Imported:
    """A network as its authors left it.

    Parameters
    ----------
    channels
        Names of the channels or nodes; numbers from 1 where they are not known.
    settings
        Keywords of our network, for the published form with the sizes found in the weights.
    weights
        By our names.
    """

    channels: tuple[str, ...]
    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor]


def load_authors(
    network: str, path: str | os.PathLike[str], *, config: Mapping[str, Any] | None = None
) -> Imported:
    """Read the weights that the authors of a network published, and give them our names.

    Parameters
    ----------
    network
        One of ``AUTHORS``.
    path
        A file that ``files.read_weights`` can read.
    config
        What weights cannot tell, by the authors' names; it goes before what the file says.

    Raises
    ------
    ValueError
        If the network is unknown, the file cannot be read, its weights are those of another
        network, or a size is unknown or impossible.
    """
    module, given = _module(network), dict(config or {})
    known = [name for names in module.SIZES for name in names]
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"Invalid sizes: {unknown}, possible options for {network}: {known}")
    weights, found = read_weights(path)
    told = {name for names in module.SIZES if set(names) & set(given) for name in names}
    kept = {name: value for name, value in found.items() if name not in told}
    try:
        imported: Imported = module.read(weights, {**kept, **given})
        network_with(network, imported)
    except (ValueError, *MISFITS) as error:
        raise ValueError(f"{path} cannot be taken over as {network!r}: {error}") from None
    return imported


def whole_number(config: Mapping[str, Any], name: str, default: int) -> int:
    """Return a size of the config, or the published one.

    Raises
    ------
    ValueError
        If it is no whole number of at least 1.
    """
    size = config.get(name, default)
    check_sizes(**{name: size})
    return int(size)


def network_with(network: str, imported: Imported) -> Any:
    """Make the network with the weights in it.

    Raises
    ------
    ValueError
        If weights are missing, unknown or of another shape.
    """
    made = make_network(network, imported.channels, imported.settings)
    try:
        made.load_state_dict(dict(imported.weights))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Invalid weights for network {network!r}: {reason}") from None
    return made.eval()


def largest_differences(
    imported: Imported, network: str, fixture: str | os.PathLike[str]
) -> dict[str, float]:
    """Run the input of a fixture and compare with what the authors' code answered.

    Parameters
    ----------
    imported
        From ``load_authors``.
    network
        One of ``AUTHORS``.
    fixture
        An ``.npz`` file with ``input`` and outputs of the authors' code.

    Returns
    -------
    dict
        The largest absolute difference of each output; infinite where one is not a number.

    Raises
    ------
    ValueError
        If the fixture has no input or no output that the network gives, or they do not fit.
    """
    try:
        expected = read_npz(fixture)
        found = _module(network).answers(imported, expected)
        compared = {name: found[name] - expected[name] for name in found if name in expected}
    except (ValueError, OSError, EOFError, BadZipFile, *MISFITS) as error:
        raise ValueError(f"Invalid fixture: {fixture} cannot be compared ({error})") from None
    if not compared:
        raise ValueError(f"Invalid fixture: {fixture} has none of the outputs {list(found)}")
    largest = {name: float(np.abs(values).max()) for name, values in compared.items()}
    return {name: float("inf") if np.isnan(one) else one for name, one in largest.items()}


def write_imported(
    path: str | os.PathLike[str], network: str, imported: Imported, *, source: Path
) -> Path:
    """Write imported weights, and what is needed to use them, to one safetensors file.

    Parameters
    ----------
    path
        It appears whole or not at all.
    network
        One of ``AUTHORS``.
    imported
        From ``load_authors``.
    source
        The authors' file, whose SHA-256 is written down.
    """
    from safetensors.torch import save

    weights = {name: one.detach().contiguous().clone() for name, one in imported.weights.items()}
    about = {
        "format": FORMAT,
        "ranvier": version("ranvier"),
        "network": network,
        "channels": json.dumps(list(imported.channels)),
        "settings": json.dumps(dict(imported.settings), default=methodcaller("tolist")),
        "source_sha256": sha256(Path(source).read_bytes()).hexdigest(),
    }
    with replacing(path) as temporary:
        temporary.write_bytes(save(weights, metadata=about))
    return Path(path)


def read_imported(path: str | os.PathLike[str]) -> tuple[str, Imported]:
    """Read what ``write_imported`` wrote: the name of the network, and the network.

    Raises
    ------
    ValueError
        If the file is not whole, or was not written by this version of the format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            about = stored.metadata() or {}
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if about.get("format") != FORMAT:
            raise ValueError("it was not written by ranvier import-weights")
        if broken := [name for name, one in weights.items() if not one.isfinite().all()]:
            raise ValueError(f"{broken[0]} has values that are not finite")
        channels, settings = json.loads(about["channels"]), json.loads(about["settings"])
        return about["network"], Imported(tuple(channels), dict(settings), weights)
    except (ValueError, OSError, SafetensorError, *MISFITS) as error:
        raise ValueError(f"Invalid imported weights: {path} cannot be used ({error})") from None


def _module(network: str) -> Any:
    if network not in AUTHORS:
        raise ValueError(f"Invalid network: {network!r}, possible options: {list(AUTHORS)}")
    return import_module(AUTHORS[network])
