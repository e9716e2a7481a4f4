"""Files of weights, whatever wrote them: names and numbers come out, and nothing is run.

What a file is, is told by how it begins, not by its name.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ranvier.formats.own_process import in_own_process

LARGEST = 2**30
"""Bytes that the weights of a file may take in memory."""

PATIENCE = 60
"""Seconds that reading weights of Keras may take."""

ADVICE = (
    "where the authors' code runs, write plain weights: torch.save(model.state_dict(), 'plain.pt')"
)

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Under which names a checkpoint keeps its weights, beside the optimiser and the like."""

VARIABLES = {
    "cell": ("kernel", "recurrent_kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layer_normalization": ("gamma", "beta"),
}
"""What Keras 3 numbers in a layer; all others have a kernel and a bias."""

Arrays = dict[str, npt.NDArray[Any]]
Found = tuple[Mapping[str, npt.NDArray[Any]], dict[str, Any]]


def read_weights(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]]:
    """Read the weights of a file by the names that its authors gave them.

    Parameters
    ----------
    path
        Weights in safetensors, ``.npz``, a checkpoint of PyTorch or weights of Keras (``.h5``,
        ``.weights.h5``, ``.keras``). Names lose a part that all have in front (``model.``,
        ``module.``).

    Returns
    -------
    weights
        float32, or int64 where they count.
    config
        What the file says of the network beside its weights; ``order`` has the names in the order
        of their layers where the file keeps one.

    Raises
    ------
    ValueError
        If the file is none of these, is not whole, has more than plain weights in it that are
        needed, or is larger than 1 GiB in memory.
    """
    path = Path(path)
    try:
        weights, config = _reader(path)(path)
        return _plain(weights), config
    except ValueError as error:
        raise ValueError(f"Invalid weights: {path}: {_first_line(error)}") from None
    except (IndexError, AttributeError):
        raise ValueError(f"Invalid weights: {path} is not whole or not what it seems") from None
    except Exception as error:  # what a broken file leads a library to raise is not foreseeable
        reason = _first_line(error) or type(error).__name__
        raise ValueError(
            f"Invalid weights: {path} is not whole or not what it seems ({reason})"
        ) from None


def read_npz(path: str | os.PathLike[str] | IO[bytes]) -> Arrays:
    """Read all arrays of an ``.npz`` file; arrays of Python objects are refused."""
    with zipfile.ZipFile(path) as file:
        _check_size(sum(one.file_size for one in file.infolist()))
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise ValueError(f"it unpacks to {size} bytes, must be at most {LARGEST}")


def _reader(path: Path) -> Callable[[Path], Found]:
    if not path.is_file():
        raise ValueError("there is no such file")
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"PK"):
        return _reader_of_zip(path)
    beginnings: tuple[tuple[bool, Callable[[Path], Found]], ...] = (
        (head.startswith(b"\x89HDF"), _read_h5),
        (head[8:] == b"{", _read_safetensors),
        (head.startswith(b"\x80"), _read_torch),
    )
    for matches, reader in beginnings:
        if matches:
            return reader
    raise ValueError(
        f"{'it begins like none of' if head else 'it is empty, must be one of'} safetensors, npz, "
        "a checkpoint of PyTorch, weights of Keras (h5 or keras)"
    )


def _reader_of_zip(path: Path) -> Callable[[Path], Found]:
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
    if "model.weights.h5" in names:
        return _read_keras
    return _read_npz if any(name.endswith(".npy") for name in names) else _read_torch


def _plain(weights: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    """Make all weights float32 or int64, and refuse what is no number."""
    plain: Arrays = {}
    for name, array in weights.items():
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name!r} holds {array.dtype}, must be real numbers")
        with np.errstate(over="ignore"):
            plain[name] = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        if not np.isfinite(plain[name]).all():
            raise ValueError(f"{name!r} has values that are not finite")
    if not plain:
        raise ValueError("it holds no weights")
    return plain


def _without_common_front(weights: Arrays) -> Arrays:
    """Take away ``model.`` and the like, where wrappers put it before all names."""
    while len(fronts := {name.partition(".")[0] for name in weights}) == 1:
        (front,) = fronts
        rest = {name.removeprefix(f"{front}."): array for name, array in weights.items()}
        if not any("." in name for name in rest):
            break
        weights = rest
    return weights


def _read_safetensors(path: Path) -> Found:
    from safetensors.numpy import load

    _check_size(path.stat().st_size)
    return _without_common_front(load(path.read_bytes())), {}


def _read_npz(path: Path) -> Found:
    arrays = read_npz(path)
    config = _literal(arrays.pop("config")) if "config" in arrays else {}
    stored = [str(name) for name in arrays.pop("order", ())]
    marked = {name: array for name, array in arrays.items() if name.startswith("weights/")}
    weights = {name.removeprefix("weights/"): array for name, array in (marked or arrays).items()}
    plain = _without_common_front(weights)
    return plain, {**config, "order": stored or list(plain)}


def _literal(stored: npt.NDArray[Any]) -> dict[str, Any]:
    text = str(stored)
    try:
        found = ast.literal_eval(text) if len(text) < 10_000 else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"its config is {text[:40]!r}, must be a dictionary of plain values")
    return found


class _Ignored:
    """Stands for what else is in a checkpoint; takes anything and does nothing."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def _read_torch(path: Path) -> Found:
    """Read a checkpoint; objects of unknown classes in it are made without their classes."""
    try:
        import torch
    except ModuleNotFoundError:
        raise ValueError('torch is missing: pip install "ranvier[train]"') from None
    _check_size(path.stat().st_size)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_stand_ins(path)):
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{_why_not_loaded(error)}; {ADVICE}") from None
    return _without_common_front(_arrays(_weights_in(found))), {}


def _stand_ins(path: Path) -> list[Any]:
    from torch.serialization import get_unsafe_globals_in_checkpoint

    if not zipfile.is_zipfile(path):
        return []
    return [(_Ignored, name) for name in get_unsafe_globals_in_checkpoint(path)]


def _why_not_loaded(error: Exception) -> str:
    if wanted := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it asks for {wanted[1]} when it is opened, which is refused"
    if "TorchScript" in str(error):
        return "it is a TorchScript program, which is not run"
    return "it cannot be read as a checkpoint of plain weights"


def _weights_in(found: Any) -> dict[str, Any]:
    from torch import Tensor

    outer = found if isinstance(found, dict) else {}
    for inner in (*(outer.get(name) for name in WRAPPERS), outer):
        if isinstance(inner, dict):
            tensors = {name: one for name, one in inner.items() if isinstance(one, Tensor)}
            if tensors:
                return {str(name): one for name, one in tensors.items()}
    what = "a whole pickled object" if isinstance(found, _Ignored) else f"a {type(found).__name__}"
    raise ValueError(f"it is {what} without plain weights in it; {ADVICE}")


def _arrays(tensors: Mapping[str, Any]) -> Arrays:
    import torch

    _check_size(sum(4 * tensor.numel() for tensor in tensors.values()))
    arrays: Arrays = {}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise ValueError(f"{name!r} holds {tensor.type()}, must be real numbers, each stored")
        kind = torch.float32 if tensor.is_floating_point() else torch.int64
        arrays[name] = tensor.detach().to(kind).numpy()
    return arrays


def _read_keras(path: Path) -> Found:
    """Read the form that Keras 3 gives whole models, which tells the order of their layers."""
    with zipfile.ZipFile(path) as file:
        _check_size(sum(one.file_size for one in file.infolist()))
        about = json.loads(file.read("config.json"))
        weights, _ = _read_apart(file.read("model.weights.h5"))
    layers = [str(layer["config"]["name"]) for layer in about["config"]["layers"]]
    order = sorted(weights, key=lambda name: layers.index(name.partition("/")[0]))
    return weights, {"order": order}


def _read_h5(path: Path) -> Found:
    _check_size(path.stat().st_size)
    return _read_apart(path.read_bytes())


def _read_apart(content: bytes) -> Found:
    function, library = f"{__name__}:pass_on", "the HDF5 library"
    found = in_own_process(function, library=library, content=content, patience=PATIENCE)
    arrays = read_npz(io.BytesIO(found))
    config = {"order": arrays.pop("order").tolist()} if "order" in arrays else {}
    return {name.removeprefix("weights/"): one for name, one in arrays.items()}, config


def pass_on() -> None:
    """Read weights of Keras from standard input and write them to standard output as ``.npz``."""
    try:
        weights, config = _open_h5(io.BytesIO(sys.stdin.buffer.read()))
    except (IndexError, AttributeError):
        sys.exit("it is damaged")
    except Exception as error:
        sys.exit(_first_line(error) or type(error).__name__)
    arrays: dict[str, Any] = {f"weights/{name}": array for name, array in weights.items()}
    packed = io.BytesIO()
    np.savez(packed, **arrays, **config)
    sys.stdout.buffer.write(packed.getvalue())


def _open_h5(file: io.BytesIO) -> Found:
    try:
        h5py = import_module("h5py")
    except ModuleNotFoundError:
        raise ValueError('h5py is missing: pip install "ranvier[train]"') from None
    with h5py.File(file, "r") as opened:
        objects: dict[str, Any] = {"": opened}
        opened.visititems(objects.__setitem__)  # follows no link out of the file
        root = "model_weights" if "model_weights" in objects else ""
        in_order = "layer_names" in objects[root].attrs
        found = list(_named(objects, root) if in_order else _numbered(objects))
        _check_datasets(found)
        weights = {name: one[()] for name, one in found}
    return weights, {"order": list(weights)} if in_order else {}


def _check_datasets(named: Sequence[tuple[str, Any]]) -> None:
    _check_size(sum(one.size * one.dtype.itemsize for _, one in named))
    if len(named) != len({name for name, _ in named}):
        raise ValueError("two of its weights have the same name")
    for name, one in named:
        if one.is_virtual or one.external or one.dtype.kind not in "fiub":
            raise ValueError(f"{name!r} holds no numbers of this file")


def _named(objects: Mapping[str, Any], root: str) -> Iterator[tuple[str, Any]]:
    """Walk the form of Keras 2, whose attributes name layers and weights in their order."""
    for layer in _names(objects[root].attrs["layer_names"]):
        place = f"{root}/{layer}".lstrip("/")
        for name in _names(objects[place].attrs["weight_names"]):
            if "seed_generator" not in name:
                yield name if ":" in name else f"{name}:0", objects[f"{place}/{name}"]


def _names(stored: Sequence[bytes | str]) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in stored]


def _numbered(objects: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Walk the form of Keras 3, which numbers weights; its file does not tell their order."""
    paths = [tuple(path.split("/")) for path in objects]
    weights = [
        parts
        for parts in paths
        if parts[0] == "layers" and parts[-2:-1] == ("vars",) and "seed_generator" not in parts
    ]
    for parts in sorted(weights, key=_as_numbered):
        yield _keras_name(objects, parts), objects["/".join(parts)]


def _as_numbered(parts: Sequence[str]) -> tuple[Any, ...]:
    """Sort layers by kind and number, forward before backward, weights by number."""
    kind, number = _kind_and_number(parts[1])
    return kind, number, "backward_layer" in parts, parts[2:-1], int(parts[-1])


def _kind_and_number(layer: str) -> tuple[str, int]:
    kind, _, number = layer.rpartition("_")
    return (kind, int(number)) if kind and number.isdecimal() else (layer, 0)


def _keras_name(objects: Mapping[str, Any], parts: Sequence[str]) -> str:
    """Give a numbered weight its name in the model: layer, cell in it, variable."""
    owners = []
    for depth in range(2, len(parts) - 1):
        attributes = getattr(objects.get("/".join([*parts[:depth], "vars"])), "attrs", {})
        owners.append(str(attributes.get("name", parts[depth - 1])))
    kind = "cell" if "cell" in parts else _kind_and_number(parts[1])[0]
    variables = VARIABLES.get(kind, ("kernel", "bias"))
    return "/".join([*owners, f"{variables[int(parts[-1])]}:0"])
