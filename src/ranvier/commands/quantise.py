"""``ranvier quantise``: a decoder in eight bits, unless that costs too much."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ranvier.commands import Answer, check_folder, use_threads


def quantise(
    decoder: str,
    *,
    data: str,
    out: str,
    check: str = "",
    margin: float = 0.01,
    method: Literal["", "static", "dynamic"] = "",
    windows: int = 256,
    threads: int = 1,
) -> Answer:
    """Give a decoder a step of eight bits; refused where it costs more than a margin.

    Both are compared on recordings that were not calibrated on. If the one of eight bits decides
    otherwise too often, or loses too much of a score, nothing is written and the exit code is 1.

    Parameters
    ----------
    decoder
        A .ranvier file.
    data
        Folder of the recordings that it was trained on; recordings of its test part are refused.
    out
        The .ranvier file to write; it holds both steps, and computes with that of eight bits.
    check
        Folder of recordings to compare on; by default those in data that it was chosen on.
    margin
        Agreement that may be missing, and what each score may lose.
    method
        static or dynamic; by default the one that makes the network faster.
    windows
        Most windows that are calibrated on.
    threads
        For what torch computes; ONNX Runtime takes one.
    """
    from ranvier.datasets import read
    from ranvier.decoder import load
    from ranvier.quantise import quantise as quantised

    path = Path(out)
    if path.suffix != ".ranvier":
        raise ValueError(f"Invalid out: {out}, must be the name of a .ranvier file")
    if path.exists() and path.samefile(decoder):
        raise ValueError(f"Invalid out: {out} is the decoder that is given, must be another file")
    check_folder(str(path.parent))
    use_threads(threads)
    made = quantised(
        load(decoder),
        read(data),
        check=read(check) if check else (),
        margin=margin,
        method=method,
        windows=windows,
    )
    refused = made.cost.refusals
    content = {**made.cost.as_dict(), "refused": refused, "decoder": None if refused else str(path)}
    said = [*made.cost.lines(), "nothing was written" if refused else f"{path} was written"]
    if not refused:
        made.save(path)
    return Answer("\n".join(said), content, failed=bool(refused))
