"""Does training on all patients beat training on complete cases? Glioma survival on the five published folds.

    python configs/glioma/complete_cases.py DIR [--fusion gated] [--mri frozen] [--seeds 3]

trains the same model twice in every fold, once on all training patients and once on those who have clinical table,
omics and MRI, and judges both on the same held-out patients: all of them, and those who have all three. MRI is read by
the small convolutional network of ``survival.yaml``, which trains, or by features of a network pretrained on
photographs (`frozen`, needs the extra lite0).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fusiondx as fdx
from fusiondx.core.predictions import Prediction
from fusiondx.core.targets import TargetValues
from fusiondx.encoders import PRETRAINED
from fusiondx.evaluation.score import Part, difference, score
from fusiondx.reporting.words import outcome

MRI = {"trained": fdx.ConvNet(channels=(8, 16, 32)), "frozen": PRETRAINED}


def complete(cohort: fdx.Cohort) -> np.ndarray:
    """Which patients have every modality."""
    return np.all([modality.present for modality in cohort.modalities.values()], axis=0)


def trained(model: fdx.FusionModel, cohort: fdx.Cohort, only_complete: bool) -> Iterator[Part]:
    """What the model says of each fold's held-out patients, beside the truth."""
    for train, test in cohort.folds(column="published_fold"):
        chosen = train[complete(cohort)[train]] if only_complete else train
        held_out = cohort[test]
        yield model.fit(cohort[chosen]).predict(held_out)["survival"], held_out.targets["survival"]


def among(parts: list[Part], ids: set[str]) -> list[Part]:
    """The same for some patients."""

    def confined(prediction: Prediction, truth: TargetValues) -> Part:
        kept = np.flatnonzero(np.isin(prediction.ids.astype(str), sorted(ids)))
        return prediction.take(kept), truth[kept]

    return [confined(*part) for part in parts]


def main() -> None:
    """Train, judge, print a table."""
    asked = argparse.ArgumentParser()
    asked.add_argument("data", type=Path)
    asked.add_argument("--fusion", default="gated")
    asked.add_argument("--mri", choices=list(MRI), default="trained")
    asked.add_argument("--seeds", type=int, default=3)
    given = asked.parse_args()
    cohort = fdx.Cohort.read(Path(__file__).with_name("cohort.yaml"), data=given.data)
    models = [fdx.FusionModel({"mri": MRI[given.mri]}, fusion=given.fusion, seed=seed) for seed in range(given.seeds)]
    every = [part for model in models for part in trained(model, cohort, only_complete=False)]
    few = [part for model in models for part in trained(model, cohort, only_complete=True)]
    print(f"Glioma survival, C-index: {given.fusion}, MRI {given.mri}, seeds 0 to {given.seeds - 1}\n")
    print("| judged on | patients | trained on all | on complete cases | difference |\n|---|---|---|---|---|")
    groups = {"all held-out patients": cohort.ids, "complete cases": cohort.ids[complete(cohort)]}
    for name, ids in groups.items():
        ours, theirs = (among(parts, set(map(str, ids))) for parts in (every, few))
        found = score(ours)[0], score(theirs)[0], difference(ours, theirs, "c_index")
        print(f"| {name} | {found[0].n} | {' | '.join(map(outcome, found))} |")


if __name__ == "__main__":
    main()
