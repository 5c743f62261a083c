"""Do bags of any size train, in any format, without padding and within memory?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import fusiondx as fdx
from fusiondx.core.batch import Items
from fusiondx.core.components import BagShape
from fusiondx.data import batches
from fusiondx.data.bags import Bag, BagData
from fusiondx.data.batches import Batches, Prepared
from fusiondx.errors import DataError
from fusiondx.model import Ints

N, WIDTH = 48, 6
TRAINING = fdx.Training(epochs=30, batch_size=16, learning_rate=5e-3, validation=0, modality_dropout=0)


def write(path: Path, patches: Any) -> None:
    if path.suffix == ".npy":
        np.save(path, patches)
    elif path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file({"anything": patches}, path)
    else:
        import h5py

        with h5py.File(path, "w") as file:
            file["features"] = patches
            file["coords"] = np.zeros((len(patches), 2), np.int64)


def planted(folder: Path, ending: str = ".npy", **settings: Any) -> fdx.Cohort:
    """Hundreds of patches of noise; in the ill, three are marked. P0 has two files, P1 none."""
    random, rows = np.random.default_rng(0), []
    folder.mkdir(exist_ok=True)
    for p in [*range(N), 0]:
        patches = random.normal(5, 2, (int(random.integers(50, 300)), WIDTH)).astype(np.float32)
        if p % 2:
            patches[random.choice(len(patches), 3, replace=False), 2] += 14
        name = f"b{len(rows)}{ending}"
        write(folder / name, patches)
        rows.append({"patient_id": f"P{p}", "bag": "" if p == 1 else name})
    pd.DataFrame(rows).to_csv(folder / "bags.csv", index=False)
    frame = pd.DataFrame({"patient_id": [f"P{p}" for p in range(N)], "ill": [str(p % 2) for p in range(N)]})
    return fdx.Cohort.from_frame(
        frame,
        modalities={"slide": {"kind": "bag", "file": "bags.csv", "path": "bag"} | settings},
        targets={"ill": {"kind": "classes", "column": "ill"}},
        data=folder,
    )


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> fdx.Cohort:
    return planted(tmp_path_factory.mktemp("bags") / "a")


@pytest.fixture(scope="module")
def model(cohort: fdx.Cohort) -> fdx.FusionModel:
    return fdx.FusionModel(training=TRAINING).fit(cohort[:32])


def test_few_marked_patches_among_hundreds_are_found(model: fdx.FusionModel, cohort: fdx.Cohort) -> None:
    assert model.specs_[0] == {"slide": fdx.GatedAttention()}
    assert model.score(cohort[32:]) > 0.9
    prepared = Prepared(cohort[32:], model.preparations_)
    items = prepared.items("slide")
    with torch.inference_mode():
        attention = model.networks_[0].encoders["slide"].attention(items)[:, 0]
    marked = items.fields["patches"][:, 2] > 4
    ill = torch.from_numpy(np.arange(32, N) % 2 == 1)[items.patient]
    assert attention[marked & ill].mean() > 5 * attention[~marked & ill].mean()


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".h5"])
def test_every_format_gives_the_same(ending: str, model: fdx.FusionModel, cohort: fdx.Cohort, tmp_path: Path) -> None:
    other = planted(tmp_path / "b", ending)
    assert other.check() == []
    np.testing.assert_allclose(model.predict_proba(other), model.predict_proba(cohort), atol=1e-6)


def test_saved_missing_and_described(model: fdx.FusionModel, cohort: fdx.Cohort, tmp_path: Path) -> None:
    loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict_proba(cohort), model.predict_proba(cohort))
    assert np.isfinite(model.predict_proba(cohort[[1]])).all()
    assert cohort.describe().modalities.iloc[0][["kind", "patients", "items"]].tolist() == ["bag", N - 1, N]
    assert cohort.fingerprint == planted(tmp_path / "elsewhere").fingerprint


def test_memory_decides_how_many_slides_lie_together(
    model: fdx.FusionModel, cohort: fdx.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.predict_proba(cohort)
    monkeypatch.setattr(batches, "BYTES", 4 * WIDTH * 400)
    prepared = Prepared(cohort, model.preparations_)
    everyone = Batches(prepared, np.arange(N), 64)
    sizes = [len(batch) for batch in everyone]
    assert len(sizes) == len(everyone) > N / 5
    assert sum(sizes) == N
    assert all(len(b.inputs["slide"]) <= 400 or len(b) == 1 for b in everyone)
    np.testing.assert_allclose(model.predict_proba(cohort), whole, atol=1e-6)


def test_training_looks_at_a_sample_drawn_for_each_patient_anew(cohort: fdx.Cohort, tmp_path: Path) -> None:
    few = planted(tmp_path / "few", sample=10)
    fitted = fdx.FusionModel(training=TRAINING.replace(epochs=1)).fit(few)
    prepared = Prepared(few, fitted.preparations_)

    def seen(size: int, patients: Ints) -> list[dict[str, Any]]:
        source, passes = Batches(prepared, patients, size, seed=3), []
        for _ in range(2):
            found = {}
            for batch in source:
                items = batch.inputs["slide"]
                assert int(items.counts.max()) <= 10
                found |= {id: items.fields["patches"][items.patient == n] for n, id in enumerate(batch.ids)}
            passes.append(found)
        return passes

    once, again = seen(7, np.arange(N)), seen(48, np.arange(N)[::-1])
    for first, second in zip(once, again, strict=True):
        assert all(torch.equal(first[id], second[id]) for id in first)  # whoever lies beside them
    assert not torch.equal(once[0]["P5"], once[1]["P5"])


class TestEncoder:
    def built(self, heads: int = 1) -> Any:
        torch.manual_seed(0)
        return fdx.GatedAttention(heads=heads).build(BagShape(WIDTH), 4).eval()

    def test_the_order_of_patches_does_not_matter(self) -> None:
        encoder, patches = self.built(3), torch.randn(20, WIDTH)
        owner = torch.tensor([0] * 12 + [2] * 8)
        order = torch.cat([torch.randperm(12), 12 + torch.randperm(8)])
        found = encoder(Items({"patches": patches}, owner, 3))
        assert found.values.shape == (3, 3, 4)
        assert found.mask.tolist() == [[True] * 3, [False] * 3, [True] * 3]
        torch.testing.assert_close(found.values, encoder(Items({"patches": patches[order]}, owner, 3)).values)

    def test_attention_sums_to_one_for_each_patient(self) -> None:
        patches = 100 * torch.randn(20, WIDTH)
        owner = torch.tensor([0] * 12 + [2] * 8)
        weights = self.built(2).attention(Items({"patches": patches}, owner, 3))
        sums = torch.zeros(3, 2).index_add(0, owner, weights)
        torch.testing.assert_close(sums[[0, 2]], torch.ones(2, 2))


class TestRefused:
    def data(self, *paths: Path, **settings: Any) -> BagData:
        return BagData(Bag(path="x", **settings), paths)

    def test_what_is_no_matrix_of_numbers(self, tmp_path: Path) -> None:
        bad = {
            "cube.npy": np.zeros((2, 3, 4)),
            "empty.npy": np.zeros((0, 4), np.float32),
            "text.npy": np.array([["a", "b"]]),
            "infinite.npy": np.array([[1.0, np.inf]]),
        }
        for name, values in bad.items():
            np.save(tmp_path / name, values)
        np.save(tmp_path / "pickled.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
        (tmp_path / "cut.npy").write_bytes((tmp_path / "cube.npy").read_bytes()[:90])
        (tmp_path / "slide.pt").write_bytes(b"x")
        (tmp_path / "bad.h5").write_bytes(b"x" * 100)
        (tmp_path / "bad.safetensors").write_bytes(b"x" * 100)
        reasons = {path.name: reason for file in sorted(tmp_path.iterdir()) for path, reason in self.data(file).check()}
        assert set(reasons) == {file.name for file in tmp_path.iterdir()}
        assert reasons["cube.npy"] == "holds 2x3x4, not patches by features"
        assert "not finite" in reasons["infinite.npy"]
        assert "are read" in reasons["slide.pt"]

    def test_widths_that_differ(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.zeros((3, 4)))
        np.save(tmp_path / "b.npy", np.zeros((3, 5)))
        with pytest.raises(DataError, match=r"5 features per patch where .*a.npy has 4"):
            _ = self.data(tmp_path / "a.npy", tmp_path / "b.npy").lengths
        assert len(self.data(tmp_path / "a.npy", tmp_path / "b.npy").check()) == 1

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.int8, torch.uint8])
    def test_every_number_a_safetensors_file_can_hold_is_read(self, dtype: torch.dtype, tmp_path: Path) -> None:
        from safetensors.torch import save_file

        held = torch.arange(12).reshape(3, 4).to(dtype)
        save_file({"x": held}, tmp_path / "a.safetensors")
        data = self.data(tmp_path / "a.safetensors")
        assert data.patches(0, np.array([0, 2])).tolist() == held[[0, 2]].tolist()
        assert data.patches(0, slice(1, 3)).tolist() == held[1:].tolist()

    def test_a_file_written_anew_meanwhile(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.zeros((3, 4)))
        data = self.data(tmp_path / "a.npy")
        assert data.lengths.tolist() == [3]
        np.save(tmp_path / "a.npy", np.zeros((2, 4)))
        with pytest.raises(DataError, match=r"a.npy: has changed since the cohort was read"):
            data.patches(0, np.array([0, 2]))

    def test_several_matrices_need_a_key(self, tmp_path: Path) -> None:
        from safetensors.numpy import save_file

        both = {"one": np.zeros((3, 4), np.float32), "two": np.ones((5, 4), np.float32)}
        save_file(both, tmp_path / "a.safetensors")
        with pytest.raises(DataError, match="Say which with `key`"):
            _ = self.data(tmp_path / "a.safetensors").lengths
        assert self.data(tmp_path / "a.safetensors", key="two").lengths.tolist() == [5]

    def test_embeddings_of_another_network(self, model: fdx.FusionModel, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.zeros((3, WIDTH + 1)))
        frame = pd.DataFrame({"patient_id": ["X"], "bag": ["a.npy"]})
        other = fdx.Cohort.from_frame(frame, modalities={"slide": {"kind": "bag", "path": "bag"}}, data=tmp_path)
        with pytest.raises(DataError, match=r"7 features.*trained on 6"):
            model.predict(other)


SLIDES = """
import resource, sys
import numpy as np, pandas as pd
import fusiondx as fdx
folder, sample, size = sys.argv[1], eval_none(sys.argv[2]), int(sys.argv[3])
frame = pd.DataFrame({"patient_id": [f"P{p}" for p in range(6)], "bag": [f"{p}.npy" for p in range(6)],
                      "ill": [str(p % 2) for p in range(6)]})
cohort = fdx.Cohort.from_frame(frame, modalities={"slide": fdx.Bag(path="bag", sample=sample)},
                               targets={"ill": {"kind": "classes", "column": "ill"}}, data=folder)
training = fdx.Training(epochs=2, batch_size=size, validation=0, progress=False)
fdx.FusionModel(training=training).fit(cohort).predict(cohort)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
""".replace("eval_none(sys.argv[2])", "int(sys.argv[2]) or None")


@pytest.mark.slow
@pytest.mark.parametrize(("sample", "size"), [(1024, 64), (0, 2)])
def test_slides_of_20000_patches_train_within_2_gb(tmp_path: Path, sample: int, size: int) -> None:
    random = np.random.default_rng(0)
    for p in range(6):
        np.save(tmp_path / f"{p}.npy", random.normal(size=(20_000, 1024)).astype(np.float32))
    command = [sys.executable, "-c", SLIDES, str(tmp_path), str(sample), str(size)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(found.stdout.split()[-1]) < 2.0
