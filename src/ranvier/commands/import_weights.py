"""``ranvier import-weights``: the weights that authors published, under our names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.commands import Answer, check_folder, use_threads

if TYPE_CHECKING:
    from ranvier.authors import Imported

BOUND = 1e-4
"""Largest difference from the authors' outputs with which weights are taken over."""


def import_weights(
    network: str,
    file: str,
    out: str,
    *,
    check: str | None = None,
    sizes: dict[str, int | float] | None = None,
) -> Answer:
    """Take over weights that the authors of a network published; nothing in the file is run.

    Parameters
    ----------
    network
        rest, arnn, attn_sleep, inception or temporal_attention_lstm.
    file
        Weights in safetensors, npz, a PyTorch checkpoint or Keras weights.
    out
        The safetensors file to be written.
    check
        An npz file with input and outputs of the authors' code. If the answers differ by more
        than 0.0001, nothing is written and the exit code is 1.
    sizes
        What weights cannot tell, by the authors' names, such as {"bins": 5}.
    """
    use_threads(1)
    from ranvier.authors import largest_differences, load_authors, write_imported

    if Path(out).exists() and Path(out).samefile(file):
        raise ValueError(f"Invalid out: {out} is the file that is read, must be another")
    imported = load_authors(network, file, config=sizes)
    differences = largest_differences(imported, network, check) if check else {}
    failed = any(one > BOUND for one in differences.values())
    if not failed:
        check_folder(str(Path(out).parent))
        write_imported(out, network, imported, source=Path(file))
    content = {
        "file": None if failed else out,
        "network": network,
        "channels": len(imported.channels),
        "settings": {name: _described(one) for name, one in imported.settings.items()},
        "weights": count(network, imported),
        "bound": BOUND,
        "differences": {name: _described(one) for name, one in differences.items()},
    }
    return Answer(say(content, out), content, failed=failed)


def count(network: str, imported: Imported) -> dict[str, int]:
    """Count the weights: those that are trained, those that stay, those that nothing reads."""
    from ranvier.authors import network_with

    made = network_with(network, imported)
    trained = {name for name, weight in made.named_parameters() if weight.requires_grad}
    counts = {"trainable": 0, "frozen": 0, "unused": 0}
    for name, weight in made.state_dict().items():
        if weight.is_floating_point():
            kind = "unused" if name.startswith("unused.") else "frozen"
            counts["trainable" if name in trained else kind] += weight.numel()
    return counts


def say(content: Mapping[str, Any], out: str) -> str:
    """Say in some lines what was found."""
    settings = [f"{name} {value}" for name, value in content["settings"].items()]
    counts = [f"{number:,} {kind}" for kind, number in content["weights"].items()]
    return "\n".join(
        [
            f"{content['network']}, {content['channels']} channels: {', '.join(settings)}",
            f"weights: {', '.join(counts)}",
            *(_compared(name, one) for name, one in content["differences"].items()),
            f"{out} was {'written' if content['file'] else 'not written'}",
        ]
    )


def _compared(name: str, difference: float | str) -> str:
    within = not isinstance(difference, str) and difference <= BOUND
    shown = difference if isinstance(difference, str) else f"{difference:.1e}"
    return f"{name}: largest difference {shown}, {'within' if within else 'above'} {BOUND:.0e}"


def _described(value: Any) -> Any:
    """Put a setting or a difference into a few words, where JSON has no number for it."""
    import numpy as np

    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if np.ndim(value) > 1:
        return " × ".join(map(str, np.shape(value)))
    return list(value) if isinstance(value, tuple) else value
