"""Do the image encoders read any size, keep what their papers say, and offer maps to segment from?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fusiondx.core.batch import Items
from fusiondx.core.components import ImageShape
from fusiondx.encoders import FCN, AlexNet, SmallCNN, UNet
from fusiondx.errors import ConfigError

DIM = 4
FLAT = [
    (SmallCNN(), (5, 7)),
    (AlexNet(width=0.05), (32, 47)),
    (AlexNet(width=0.05), (7, 8)),
    (FCN(), (33, 18)),
    (UNet(channels=4), (21, 34)),
]
DEEP = [(FCN(channels=(4, 8, 8)), (9, 13, 6)), (UNet(channels=4, depth=2), (7, 10, 13))]
SMALL = [(SmallCNN(), (1, 1)), (FCN(), (1, 1)), (UNet(), (1, 2)), (FCN(), (1, 1, 3)), (UNet(channels=8), (1, 1, 1))]


def images(channels: int, size: tuple[int, ...]) -> Items:
    random = torch.Generator().manual_seed(0)
    return Items({"pixels": torch.randn(3, channels, *size, generator=random)}, torch.tensor([0, 0, 1]), 2)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(("spec", "size"), FLAT + DEEP)
def test_any_size_and_number_of_channels(spec: Any, size: tuple[int, ...], channels: int) -> None:
    tokens = spec.build(ImageShape(channels, size), DIM).train()(images(channels, size))
    assert tokens.values.shape == (2, 2, DIM)
    assert tokens.mask.tolist() == [[True, True], [True, False]]
    assert torch.isfinite(tokens.values).all()


@pytest.mark.parametrize(("spec", "size"), SMALL)
def test_a_single_pixel_still_trains(spec: Any, size: tuple[int, ...]) -> None:
    encoder = spec.build(ImageShape(1, size), DIM).train()
    encoder(images(1, size)).values.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_alexnet_refuses_images_too_small_for_it() -> None:
    with pytest.raises(ConfigError, match=r"7 pixels.*6x40.*smallcnn"):
        AlexNet().build(ImageShape(3, (6, 40)), DIM)


def test_smallcnn_has_the_layers_of_the_method_it_comes_from() -> None:
    body = SmallCNN().build(ImageShape(3, (64, 64)), DIM).body
    kinds = [type(layer) for layer in body]
    assert [layer.out_channels for layer in body if isinstance(layer, nn.Conv2d)] == [32, 64, 64]
    assert kinds.count(nn.MaxPool2d) == 2
    assert [layer.out_features for layer in body if isinstance(layer, nn.Linear)] == [64]


def test_alexnet_at_width_one_is_the_published_one() -> None:
    encoder = AlexNet(width=1.0).build(ImageShape(3, (224, 224)), DIM)
    convolutions = [layer for layer in encoder.convolutions if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [96, 256, 384, 384, 256]
    assert [layer.out_features for layer in encoder.dense if isinstance(layer, nn.Linear)] == [4096, 4096]
    assert encoder.convolutions(torch.zeros(1, 3, 224, 224)).shape[1:2] == (256,)


def moved(spec: Any, size: tuple[int, ...], places: tuple[slice, ...]) -> torch.Tensor:
    """Where the map changes when pixels at `places` do; weights as built, seeded."""
    torch.manual_seed(0)
    encoder = spec.build(ImageShape(1, size), DIM).eval()
    pixels = images(1, size).fields["pixels"]
    other = pixels.clone()
    other[(slice(None), slice(None), *places)] += 3.0
    with torch.inference_mode():
        return (encoder.maps(pixels) - encoder.maps(other)).abs().amax(dim=(0, 1))


@pytest.mark.parametrize("size", [(21, 34), (9, 13, 6)])
def test_the_map_of_unet_lies_over_the_image(size: tuple[int, ...]) -> None:
    spec = UNet(channels=8, depth=2)
    corner = moved(spec, size, tuple(slice(0, 2) for _ in size))
    assert corner.shape == size
    assert corner[tuple(slice(0, 3) for _ in size)].mean() > 2 * corner[tuple(slice(-3, None) for _ in size)].mean()


@pytest.mark.parametrize("size", [(40, 66), (17, 20, 33)])
def test_the_map_of_fcn_lies_over_the_image(size: tuple[int, ...]) -> None:
    corner = moved(FCN(channels=(8, 8, 8)), size, tuple(slice(0, 4) for _ in size))
    assert corner.shape == tuple(-(-n // 2) for n in size)  # three stages, the first of which halves once
    first, last = tuple(slice(0, 3) for _ in size), tuple(slice(-3, None) for _ in size)
    assert corner[first].mean() > 2 * corner[last].mean()


def test_fcn_adds_the_scores_of_three_depths() -> None:
    encoder = FCN().build(ImageShape(1, (32, 32)), DIM).eval()
    pixels = images(1, (32, 32)).fields["pixels"]
    with torch.inference_mode():
        before = encoder.maps(pixels)
        for score in encoder.scores:
            score.bias += 1.0
        torch.testing.assert_close(encoder.maps(pixels), before + 3.0)


def test_every_skip_of_unet_reaches_its_map() -> None:
    encoder = UNet(channels=8).build(ImageShape(1, (16, 16)), DIM).eval()
    found = encoder.contract(images(1, (16, 16)).fields["pixels"])
    assert [tuple(f.shape[1:]) for f in found] == [(8, 16, 16), (16, 8, 8), (32, 4, 4), (64, 2, 2)]
    for level in range(len(found)):
        without = [torch.zeros_like(f) if i == level else f for i, f in enumerate(found)]
        assert (encoder.expand(found) - encoder.expand(without)).abs().max() > 1e-3
