"""How fast images come out of the cache as float batches, and what filling it costs beside bare Pillow.

Run as ``OMP_NUM_THREADS=1 python benchmarks/image_cache.py``. Images are made up; rates are images per CPU second,
all threads counted, so that a busy machine changes little.
"""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from fusiondx.data.cache import gather
from fusiondx.data.images import THREADS, Image, ImageData

BATCH, FILES, SIDE, SOURCE = 32, 1024, 128, 256
FOLDERS = count()


def make(folder: Path, mode: str) -> list[Path]:
    """Pictures of smooth noise, all different: JPEG, at 16 bit PNG."""
    rng = np.random.default_rng(0)
    deep = mode == "I;16"
    paths = [folder / f"{row}.{'png' if deep else 'jpg'}" for row in range(FILES)]
    folder.mkdir()
    for path in paths:
        coarse = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        picture = PIL.Image.fromarray(coarse).resize((SOURCE, SOURCE)).convert("L" if deep else mode)
        if deep:
            picture = PIL.Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
        picture.save(path, **({} if deep else {"quality": 90}))
    return paths


def rates(jobs: dict[str, tuple[Callable[[], object], int]], rounds: int = 5) -> dict[str, float]:
    """Images per CPU second of each job, taken in turns so that a busy spell hits them alike; the best round."""
    best = dict.fromkeys(jobs, 0.0)
    for _ in range(rounds):
        for name, (run, images) in jobs.items():
            start = time.process_time()
            run()
            best[name] = max(best[name], images / (time.process_time() - start))
    return best


def bare(path: Path) -> np.ndarray:
    with PIL.Image.open(path) as image:
        return np.asarray(image.resize((SIDE, SIDE), PIL.Image.Resampling.BILINEAR))


def batches() -> list[np.ndarray]:
    return list(np.random.default_rng(1).permutation(FILES).reshape(-1, BATCH))


def decoded_each_time(paths: list[Path]) -> None:
    for rows in batches():
        torch.from_numpy(np.stack([bare(paths[row]) for row in rows])).float()


def fill(paths: list[Path], folder: Path) -> None:
    ImageData(Image(path="image", size=SIDE), paths, cache=folder / f"cache{next(FOLDERS)}").pixels()


def fill_bare(paths: list[Path]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        np.stack(list(pool.map(bare, paths)))


def measure(folder: Path, mode: str) -> None:
    paths = make(folder, mode)
    pixels = ImageData(Image(path="image", size=SIDE), paths, cache=folder / "cache").pixels()
    found = rates(
        {
            "from the cache": (lambda: [gather(pixels, r) for _ in range(10) for r in batches()], 10 * FILES),
            "decoding each time": (lambda: decoded_each_time(paths), FILES),
            "filling the cache": (lambda: fill(paths, folder), FILES),
            "bare Pillow": (lambda: fill_bare(paths), FILES),
        }
    )
    for name, rate in found.items():
        print(f"{mode:4} {name:20} {rate:10,.0f} images/s")
    print(f"{mode:4} cache / decoding     {found['from the cache'] / found['decoding each time']:10.1f}")
    print(f"{mode:4} filling / Pillow     {found['filling the cache'] / found['bare Pillow']:10.2f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, mode in (("rgb", "RGB"), ("grey", "L"), ("deep", "I;16")):
            measure(Path(folder) / name, mode)
