"""The certificate: what a result was made from and chosen on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ranvier.splits import OFFICIAL, PARTS, PROTOCOLS_IN_TIME, Fold

ONLY_ASSUMED = "who is who is only assumed"
"""Said of people where the files do not name them."""


@dataclass(frozen=True)
class Certificate:
    """What a result was made from and chosen on.

    Parameters
    ----------
    fold
        Who was in which part.
    chosen_on
        For each thing that was chosen or fitted, the part that it saw; empty for what stayed as it
        was, because the validation part did not tell.
    scorer
        Name and version of the scorer.
    trims
        What was left out of scoring.
    assumed
        Subjects that the files do not name, for whom another name stands.
    audit
        What the auditor said, as ``Audit.as_dict``; empty where nobody asked.
    """

    fold: Fold
    chosen_on: Mapping[str, str] = field(default_factory=dict)
    scorer: str = ""
    trims: str = "none"
    assumed: tuple[str, ...] = ()
    audit: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain types, for JSON."""
        return asdict(self)

    @property
    def apart(self) -> str:
        """How the parts are kept apart."""
        if self.fold.protocol == OFFICIAL:
            return "protocol official: the data set itself says the parts; no person is in two"
        if self.fold.protocol:
            rule = PROTOCOLS_IN_TIME[self.fold.protocol]
            return f"protocol {self.fold.protocol}: {rule}; no window reaches over a border"
        if self.fold.in_time:
            return PROTOCOLS_IN_TIME["time"]
        return "no person is in two parts" + (f", but {ONLY_ASSUMED}" if self.assumed else "")

    def sentences(self) -> list[str]:
        """Say it in words."""
        parts = [f"{part}: {', '.join(getattr(self.fold, part)) or 'nobody'}" for part in PARTS]
        chosen = [f"{what} from the {part} part" for what, part in self.chosen_on.items() if part]
        left = [what for what, part in self.chosen_on.items() if not part]
        kept = f"Left as they were, as the validation part does not tell: {', '.join(left)}."
        doubt = [
            f"{len(self.assumed)} subjects are not named in the files: it is assumed that each "
            "is another person"
        ]
        return [
            f"Fold {self.fold.number + 1}; {'; '.join(parts)}; {self.apart}.",
            f"Chosen: {', '.join(chosen)}.",
            *([kept] if left else []),
            f"Scorer: {self.scorer}. Left out of scoring: {self.trims}.",
            *(doubt if self.assumed else []),
            *self._audited(),
        ]

    def _audited(self) -> list[str]:
        if not self.audit:
            return ["Not audited."]
        faults = [f"{one['name']}: {one['text']}." for one in self.audit["faults"]]
        verdict = str(self.audit["verdict"])
        return [f"{verdict[:1].upper()}{verdict[1:]}.", *faults]
