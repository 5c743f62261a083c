"""What `FusionModel.predict` costs beside a bare PyTorch loop, for the small CNN.

Run as ``OMP_NUM_THREADS=1 python benchmarks/inference_throughput.py``. Both sides read the same decoded photographs
from the cache, normalise them and run the same layers in batches of 64; the loop calls the layers on plain tensors.
Rates are images per CPU second, all threads counted, taken in turns, each the best of several rounds. The goal is a
ratio of at least 0.9.
"""

import os
import tempfile
import time
from pathlib import Path

import torch
from fit_throughput import simulated
from torch import Tensor

from fusiondx.data.batches import ImageSource
from fusiondx.data.cache import gather
from fusiondx.model import PREDICT_SIZE, FusionModel
from fusiondx.training import Training

PATIENTS, ROUNDS, GOAL = 1000, 7, 0.9


class Loop:
    """The fitted network's layers, from pixels as the cache holds them to class probabilities."""

    def __init__(self, model: FusionModel, source: ImageSource) -> None:
        self.network, self.source = model.networks_[0].eval(), source

    def __call__(self) -> Tensor:
        found = []
        with torch.inference_mode():
            for rows in torch.arange(PATIENTS).split(PREDICT_SIZE):
                pixels = gather(self.source.pixels, rows.numpy()).sub_(self.source.mean).div_(self.source.scale)
                encoder, fusion = self.network.encoders["photo"], self.network.fusion
                vector = encoder.project(encoder.body(pixels))
                value = torch.tanh(fusion.values["photo"](vector))
                found.append(torch.softmax(self.network.heads["label"].score(value), dim=1))
        return torch.cat(found)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FUSIONDX_CACHE"] = folder
        cohort = simulated(Path(folder), PATIENTS).select(modalities=["photo"])
        training = Training(epochs=1, validation=0, progress=False)
        model = FusionModel({"photo": "smallcnn"}, training=training).fit(cohort)
        source = model._batches(cohort).prepared.loaded["photo"].source
        loop = Loop(model, source)
        assert torch.allclose(loop(), torch.from_numpy(model.predict_proba(cohort)).float(), atol=1e-5)
        best = {}
        for _ in range(ROUNDS):
            for name, run in {"predict": lambda: model.predict(cohort), "loop": loop}.items():
                started = time.process_time()
                run()
                best[name] = max(best.get(name, 0.0), PATIENTS / (time.process_time() - started))
    ratio = best["predict"] / best["loop"]
    print(f"predict {best['predict']:,.0f} images/s, loop {best['loop']:,.0f} images/s, ratio {ratio:.3f}")
    print(f"goal {GOAL}: {'reached' if ratio >= GOAL else 'missed'}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
