"""Bags of patch embeddings of the dermoscopic images, as ``bags.yaml`` reads them.

``python patches.py DIR OUT`` looks at every image of the cohort in DIR at 224 x 224 pixels with EfficientNet-Lite0
(ImageNet weights, the extra ``lite0``). It writes the last map, 7 x 7 patches of 1,280 features in half precision, to
``OUT/bags/*.npy``, and ``OUT/cases.csv`` with a column ``bag``.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import PIL.ImageOps
import timm
import torch

from fusiondx.encoders.weights import PACKAGED, from_package, put

SIDE = 224


def network() -> torch.nn.Module:
    body = timm.create_model(PACKAGED, num_classes=0, global_pool="")
    put(body, from_package(), 3, PACKAGED)
    return body.eval()


def patches(body: torch.nn.Module, file: Path) -> np.ndarray:
    """Shape ``(49, 1280)``."""
    with PIL.Image.open(file) as opened:
        image = PIL.ImageOps.exif_transpose(opened).convert("RGB").resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)
    with torch.inference_mode():
        return body(pixels[None])[0].flatten(1).T.numpy()


def main(data: Path, out: Path) -> None:
    (out / "bags").mkdir(parents=True, exist_ok=True)
    cases = pd.read_csv(data / "cases.csv", dtype=str)
    cases["bag"] = "bags/" + cases["patient_id"] + ".npy"
    body = network()
    for image, bag in zip(cases["derm"], cases["bag"], strict=True):
        np.save(out / bag, patches(body, data / image).astype(np.float16))
    cases.to_csv(out / "cases.csv", index=False)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python patches.py DIR OUT")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
