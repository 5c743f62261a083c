"""Do image encoders give a grid of tokens on request, at any size, and treat patients apart in small batches?"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fusiondx as fdx
from fusiondx.core.batch import Items
from fusiondx.core.components import ImageShape
from fusiondx.errors import ConfigError

TRAINED: dict[str, Any] = {
    "convnet": fdx.ConvNet(channels=(8, 8)),
    "smallcnn": fdx.SmallCNN(),
    "alexnet": fdx.AlexNet(width=0.1),
    "fcn": fdx.FCN(channels=(8, 8, 8), scores=8),
    "unet": fdx.UNet(channels=4, depth=2),
    "densenet": fdx.DenseNet(),
    "resnet": fdx.ResNet(channels=(8, 8, 16, 16)),
    "timm cnn": fdx.Backbone(name="test_efficientnet"),
    "timm vit": fdx.Backbone(name="test_vit"),
}
VOLUMES = ("convnet", "fcn", "unet", "densenet", "resnet")


def built(spec: Any, shape: ImageShape, dim: int = 6) -> Any:
    torch.manual_seed(0)
    return spec.build(shape, dim)


def items(n: int, channels: int, size: tuple[int, ...]) -> Items:
    torch.manual_seed(1)
    return Items({"pixels": torch.randn(n, channels, *size)}, torch.arange(n), n)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(33, 47), (64, 64), (17, 19, 23)])
@pytest.mark.parametrize("name", TRAINED)
def test_any_channels_and_odd_sizes(name: str, size: tuple[int, ...], channels: int) -> None:
    if len(size) == 3 and name not in VOLUMES:
        pytest.skip("reads photographs only")
    if name == "timm vit" and size == (33, 47):
        with pytest.raises(ConfigError, match=r"cannot read images of 33x47.*multiple of its patches"):
            built(TRAINED[name], ImageShape(channels, size))
        return
    encoder = built(TRAINED[name], ImageShape(channels, size)).train()
    tokens = encoder(items(2, channels, size))
    assert tokens.values.shape == (2, 1, 6)
    assert tokens.values.isfinite().all()


@pytest.mark.parametrize("name", TRAINED)
class TestGrid:
    def test_cells_side_by_side_for_every_image(self, name: str) -> None:
        encoder = built(TRAINED[name].replace(grid=3), ImageShape(3, (64, 48))).eval()
        given = Items({"pixels": torch.randn(3, 3, 64, 48)}, torch.tensor([0, 2, 2]), 4)
        tokens = encoder(given)
        assert tokens.values.shape == (4, 18, 6)
        assert tokens.mask.sum(dim=1).tolist() == [9, 0, 18, 0]

    def test_volumes_have_cells_in_depth_too(self, name: str) -> None:
        if name not in VOLUMES:
            pytest.skip("reads photographs only")
        encoder = built(TRAINED[name].replace(grid=2), ImageShape(1, (24, 24, 24)))
        assert encoder(items(2, 1, (24, 24, 24))).values.shape == (2, 8, 6)

    def test_a_cell_sees_its_own_corner_best(self, name: str) -> None:
        if name == "alexnet":
            pytest.skip("every cell of AlexNet sees 195 pixels")
        encoder = built(TRAINED[name].replace(grid=2), ImageShape(1, (64, 64))).eval()
        before = items(1, 1, (64, 64))
        pixels = before.fields["pixels"].clone()
        pixels[:, :, :20, :20] += 2.0
        after = Items({"pixels": pixels}, before.patient, 1)
        moved = (encoder(after).values - encoder(before).values)[0].norm(dim=1)
        assert moved.argmax() == 0

    def test_nobody_and_everything_learns(self, name: str) -> None:
        encoder = built(TRAINED[name].replace(grid=2), ImageShape(1, (64, 64))).train()
        assert not encoder(items(0, 1, (64, 64))).mask.any()
        values = encoder(items(4, 1, (64, 64))).values
        (values * torch.randn(values.shape)).sum().backward()
        assert encoder.grid.place.grad.abs().sum() > 0
        assert next(p for n, p in encoder.named_parameters() if n.endswith("weight")).grad.abs().sum() > 0


@pytest.mark.parametrize(
    "spec",
    [
        fdx.DenseNet(),
        fdx.ResNet(),
        fdx.Backbone(name="resnet18", norm="group"),
        fdx.Backbone(name="test_efficientnet", norm="group"),
    ],
    ids=lambda spec: spec.kind,
)
def test_with_group_norms_nobody_sees_the_neighbours(spec: Any) -> None:
    encoder = built(spec.replace(dropout=0) if hasattr(spec, "dropout") else spec, ImageShape(1, (48, 48))).train()
    whole = items(4, 1, (48, 48))
    alone = whole.keep(torch.tensor([True, False, False, False]))
    torch.testing.assert_close(encoder(whole).values[0], encoder(alone).values[0], rtol=1e-3, atol=1e-4)
    assert not [m for m in encoder.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]


def test_frozen_statistics_are_those_of_the_weights(tmp_path: Any) -> None:
    from fusiondx.encoders.backbone import create

    body = create(fdx.Backbone(name="test_efficientnet"), 1, (48, 48))
    torch.save(body.state_dict(), tmp_path / "w.pt")
    # the weights' own first convolution reads one channel, as the images here do
    spec = fdx.Backbone(name="test_efficientnet", pretrained=True, norm="frozen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fusiondx.encoders.backbone.create", lambda *a: body)
        encoder = built(spec, ImageShape(1, (48, 48))).train()
    whole = items(4, 1, (48, 48))
    alone = whole.keep(torch.tensor([True, False, False, False]))
    torch.testing.assert_close(encoder(whole).values[0], encoder(alone).values[0], rtol=1e-4, atol=1e-5)
    assert not [m for m in encoder.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize(
    "settings",
    [{"norm": "group", "pretrained": True}, {"norm": "frozen"}, {"freeze": True, "grid": 2}],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"norm|grid"):
        fdx.Backbone(**settings)


@pytest.mark.parametrize("spec", [fdx.DenseNet(), fdx.DenseNet(blocks=(1,) * 6)], ids=["three", "six"])
def test_too_small_is_said_at_once(spec: Any) -> None:
    with pytest.raises(ConfigError, match=r"densenet cannot read images of 4x4x4.*Raise size"):
        built(spec, ImageShape(1, (4, 4, 4)))


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_100", "convnext_atto", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("grid", [1, 2])
def test_timm_networks_take_a_step(name: str, grid: int) -> None:
    encoder = built(fdx.Backbone(name=name, grid=grid), ImageShape(3, (64, 64))).train()
    tokens = encoder(items(2, 3, (64, 64)))
    assert tokens.values.shape == (2, grid**2, 6)
    tokens.values.square().mean().backward()
    assert sum(p.grad is not None for p in encoder.parameters()) > 0.8 * len(list(encoder.parameters()))
