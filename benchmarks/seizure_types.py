"""REST against logistic regression on band powers: which type a simulated seizure is of.

    python benchmarks/seizure_types.py OUT [FORM ...]

Eight patients of 50 minutes are simulated, each with two focal, generalised, absence and tonic
seizures, and tested by patient in four folds with the recipe of the package, or with another of its
``FORMS``. What is done is kept in OUT and not run again.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import ranvier as rv
from ranvier.commands.evaluate import aligned
from ranvier.recipe import packaged_recipe

TYPES = ("focal", "generalised", "absence", "tonic")
FORMS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "recipe": ({}, {}),
    "clips": ({"memory": "clip", "clip": 12}, {}),
    "unweighted": ({}, {"class_weights": False}),
}
"""Changes of the network's settings and of the training."""


def evaluated(name: str, out: Path) -> rv.Evaluation:
    network, training = FORMS[name]
    recipe = packaged_recipe("seizure_type", "rest")
    recipe = replace(
        recipe,
        network_settings={**recipe.network_settings, **network},
        training=replace(recipe.training, **training),
    )
    recordings = rv.simulate_seizures(subjects=8, minutes=50.0, types=TYPES)
    return rv.evaluate("seizure_type", recordings, recipe=recipe, out=out / name, folds=4)


def main() -> None:
    torch.set_num_threads(1)
    out, *names = sys.argv[1:]
    for name in names or ["recipe"]:
        found = evaluated(name, Path(out))
        print(f"\n{name}: {found.scores.headline()}")
        print("\n".join(aligned(found.scores.table(found.baseline_scores))))
        differences = found.scores.as_dict(found.baseline_scores)["differences_to_baseline"]
        print("network minus baseline", json.dumps(differences))
        for which, scores in (("network", found.scores), ("baseline", found.baseline_scores)):
            print(which, json.dumps(scores.as_dict()["intervals"]))
            print("outputs", scores.pooled.outputs.confusion.tolist())
            print("seizures", json.dumps(scores.pooled.seizures.as_dict()))


if __name__ == "__main__":
    main()
