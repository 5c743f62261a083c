"""What `FusionModel.fit` costs beside a bare PyTorch loop, and how its memory grows with the number of images.

Run as ``python benchmarks/fit_throughput.py``. Images and table are simulated. Both sides train the same layers
(ResNet-18 at 64 px, a table, gated fusion) for the same number of steps of 32 patients, with the same optimiser and a
validation pass per epoch. The loop holds its tensors in memory and does nothing it could do without. Costs are CPU
seconds of the whole process, all threads counted, taken in turns so that a busy spell hits both alike; `fit` is
measured whole, from checking the cohort to the last weight. The goal is a ratio of at most 1.05.
"""

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import torch
from torch import Tensor, nn

from fusiondx.core.components import ImageShape, TableShape
from fusiondx.core.targets import Classes
from fusiondx.data.batches import Prepared
from fusiondx.data.cohort import Cohort
from fusiondx.data.picture import Image
from fusiondx.data.tables import Table
from fusiondx.encoders import MLP, Backbone, ConvNet
from fusiondx.fusion import Gated
from fusiondx.heads import Diagnosis
from fusiondx.model import FusionModel
from fusiondx.network import Network
from fusiondx.training import Training

SIDE, BATCH, EPOCHS, PATIENTS, COLUMNS, ROUNDS, GOAL = 64, 32, 12, 160, 20, 3, 1.05
# nothing hidden and nothing mirrored, so that both sides do the same arithmetic
PHOTO = Backbone(name="resnet18")
TRAINING = Training(epochs=EPOCHS, batch_size=BATCH, patience=EPOCHS, modality_dropout=0, augment=False, progress=False)


def simulated(folder: Path, patients: int, mode: str = "RGB") -> Cohort:
    """Photographs of smooth noise and a table of noise; labels at random."""
    random = np.random.default_rng(0)
    names = [f"{row:05d}.jpg" for row in range(patients)]
    for name in names:
        coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        PIL.Image.fromarray(coarse).resize((SIDE, SIDE)).convert(mode).save(folder / name, quality=90)
    columns = [f"x{j}" for j in range(COLUMNS)]
    frame = pd.DataFrame(random.normal(size=(patients, COLUMNS)), columns=columns).assign(
        patient_id=[f"P{row}" for row in range(patients)], image=names, label=np.resize(["no", "yes"], patients)
    )
    modalities = {"photo": Image(path="image", size=SIDE), "table": Table(numeric=tuple(columns))}
    return Cohort.from_frame(frame, modalities=modalities, targets={"label": Classes("label")}, data=folder)


class Loop:
    """The same layers, optimiser, steps and validation passes as `model` had, on tensors held in memory."""

    def __init__(self, model: FusionModel, cohort: Cohort) -> None:
        prepared = Prepared(cohort, model.preparations_)
        self.pixels = prepared.items("photo").fields["pixels"]
        self.numeric = prepared.items("table").fields["numeric"]
        self.label = prepared.targets["label"].fields["label"]
        self.inside, self.outside = (torch.from_numpy(part) for part in cohort.folds(5, seed=0)[0])
        self.values = cohort.targets["label"]

    def build(self) -> Network:
        image, table = ImageShape(3, (SIDE, SIDE)), TableShape(tuple(f"x{j}" for j in range(COLUMNS)))
        encoders = {"photo": PHOTO.build(image, 64), "table": MLP().build(table, 64)}
        fusion, heads = Gated().build(tuple(encoders), 64), {"label": Diagnosis().build(self.values, 64)}
        return Network(encoders, fusion, heads, modality_dropout=0)

    def loss(self, network: Network, rows: Tensor) -> Tensor:
        """The network's layers called on plain tensors, without items, tokens or masks."""
        photo, table, fusion = network.encoders["photo"], network.encoders["table"], network.fusion
        means = photo.project(photo.body(self.pixels[rows])), table.body(self.numeric[rows])
        values = torch.stack([torch.tanh(fusion.values[n](m)) for n, m in zip(fusion.names, means, strict=True)], 1)
        weights = torch.softmax(fusion.gates(torch.cat(means, dim=1)).view(values.shape), dim=1)
        logits = network.heads["label"].score((weights * values).sum(dim=1))
        return nn.functional.cross_entropy(logits, self.label[rows])

    def __call__(self) -> None:
        network, steps = self.build(), -(-len(self.inside) // BATCH)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=EPOCHS * steps)
        for _ in range(EPOCHS):
            network.train()
            for rows in self.inside[torch.randperm(len(self.inside))].tensor_split(steps):
                optimiser.zero_grad()
                self.loss(network, rows).backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                decay.step()
            network.eval()
            with torch.inference_mode():
                self.loss(network, self.outside)


def cpu_seconds(run: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(cohort: Cohort, threads: int) -> float:
    """CPU seconds of `fit` through those of the loop, each the best of several rounds."""
    torch.set_num_threads(threads)
    model = FusionModel(encoders={"photo": PHOTO}, fusion=Gated(), training=TRAINING)
    loop = Loop(model.fit(cohort), cohort)
    assert len(model.history_) == EPOCHS
    rounds = np.array([[cpu_seconds(lambda: model.fit(cohort)), cpu_seconds(loop)] for _ in range(ROUNDS)])
    fit, bare = rounds.min(axis=0)
    middle = np.median(rounds[:, 0] / rounds[:, 1])
    print(f"{threads} thread(s): fit {fit:.2f} s, loop {bare:.2f} s, ratio {fit / bare:.3f} (median {middle:.3f})")
    return float(fit / bare)


def anonymous_growth(patients: int) -> None:
    """Print by how many MB anonymous memory peaks while a small network trains one epoch on `patients` images."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FUSIONDX_CACHE"] = folder
        cohort = simulated(Path(folder), patients)
        cohort.modalities["photo"].data.pixels()
        training = Training(epochs=1, batch_size=BATCH, progress=False)
        model = FusionModel(encoders={"photo": ConvNet(channels=(4,))}, training=training)
        model.fit(cohort[:100])  # imports and allocator arenas
        from fusiondx.data import batches

        before, peak, gather = anonymous(), 0, batches.gather

        def watched(*args: object) -> Tensor:
            nonlocal peak
            found = gather(*args)  # type: ignore[arg-type]  # passed on as they came
            peak = max(peak, anonymous())
            return found

        batches.gather = watched
        model.fit(cohort)
        print((peak - before) / 2**20)


def anonymous() -> int:
    """Bytes of this process that no file stands behind."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) * 1024


def grown(patients: int) -> float:
    """The same in a fresh process."""
    done = subprocess.run([sys.executable, __file__, str(patients)], capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        anonymous_growth(int(sys.argv[1]))
        raise SystemExit
    with tempfile.TemporaryDirectory() as made:
        os.environ["FUSIONDX_CACHE"] = made
        photographs = simulated(Path(made), PATIENTS)
        worst = max(compare(photographs, threads) for threads in (1, 2))
    print(f"goal {GOAL}: {'reached' if worst <= GOAL else 'missed'}")
    few, many = grown(500), grown(5000)
    print(f"anonymous memory in training: {few:.0f} MB for 500 images, {many:.0f} MB for 5,000")
