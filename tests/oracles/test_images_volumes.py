"""Volumes: orientation, spacing, windows and masks against arrays worked out by hand, and real scans."""

import gzip
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from fusiondx.data.images import ImageData
from fusiondx.data.volumes import Volume

SHAPE = (6, 8, 10)
"""Right, anterior, superior: the file's order for RAS."""
X, Y, Z = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
VALUES = (100 * X + 10 * Y + Z - 200).astype(np.int16)
NATIVE = Volume(path="ct", size=SHAPE[::-1])  # depth, height, width


def save(path: Path, values: np.ndarray, axes: str = "RAS", spacing: tuple[float, ...] = (1, 1, 1)) -> Path:
    """`values` in RAS order, written with the axes of the file running as `axes` says."""
    image = nibabel.Nifti1Image(values, np.diag([*spacing, 1.0]))
    start, end = (nibabel.orientations.axcodes2ornt(codes) for codes in ("RAS", axes))
    nibabel.save(image.as_reoriented(nibabel.orientations.ornt_transform(start, end)), path)
    return path


def decoded(spec: Volume, path: Path, mask: Path | None = None) -> np.ndarray:
    return np.array(ImageData(spec, [path], [mask] if mask else None, cache=path.parent / "cache").pixels()[0])


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAR", "PIR", "ALI"])
def test_however_a_file_is_laid_out_depth_height_width_run_superior_anterior_right(axes: str, tmp_path: Path) -> None:
    got = decoded(NATIVE, save(tmp_path / "a.nii.gz", VALUES, axes))
    assert got.dtype == np.int16
    np.testing.assert_array_equal(got[0], VALUES.transpose(2, 1, 0))


@pytest.mark.filterwarnings("error")
def test_an_array_of_floats_is_read_without_a_warning(tmp_path: Path) -> None:
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    np.save(tmp_path / "a.npy", VALUES.astype(np.float32))
    try:
        got = decoded(NATIVE.replace(size=SHAPE), tmp_path / "a.npy")
    finally:
        torch.set_warn_always(before)
    np.testing.assert_array_equal(got[0], VALUES)


def test_spacing_is_resampled_to_in_millimetres(tmp_path: Path) -> None:
    """A ramp of 1 per mm along depth, stored every 4 mm, read at 2 mm: neighbours differ by 2."""
    ramp = np.broadcast_to(4.0 * np.arange(10), SHAPE).astype(np.float32)
    path = save(tmp_path / "a.nii", ramp, spacing=(1, 1, 4))
    got = decoded(NATIVE.replace(spacing=(2, 1, 1), size=(19, 8, 6)), path)
    np.testing.assert_allclose(got[0, :, 4, 3], 2.0 * np.arange(19), atol=1e-3)


def test_one_spacing_makes_cubic_voxels(tmp_path: Path) -> None:
    """A cube of 12 mm stored in voxels of 1 x 2 x 3 mm is as many voxels high, wide and deep at 1 mm."""
    values = np.zeros((40, 20, 14), np.float32)
    values[12:24, 6:12, 4:8] = 100
    path = save(tmp_path / "a.nii", values, spacing=(1, 2, 3))
    got = decoded(Volume(path="ct", spacing=1.0, size=40), path)[0] > 50
    extents = [np.ptp(np.flatnonzero(got.any(axis=tuple({0, 1, 2} - {axis})))) + 1 for axis in range(3)]
    assert max(abs(extent - 12) for extent in extents) <= 1


def test_percentiles_take_gain_and_offset_out_of_a_volume(tmp_path: Path) -> None:
    values = np.where(VALUES == 0, 0, VALUES.astype(np.float32))
    got = decoded(NATIVE.replace(window="percentiles"), save(tmp_path / "a.nii", values))
    louder = decoded(NATIVE.replace(window="percentiles"), save(tmp_path / "b.nii", values * 7))
    assert got.dtype == np.float32
    assert got.min() == 0
    assert got.max() == 1
    np.testing.assert_allclose(got, louder, atol=1e-5)


def test_a_window_clips_and_keeps_units(tmp_path: Path) -> None:
    got = decoded(NATIVE.replace(window=(-100, 150)), save(tmp_path / "a.nii", VALUES))
    np.testing.assert_array_equal(got[0], VALUES.transpose(2, 1, 0).clip(-100, 150))


@pytest.mark.parametrize(
    ("dtype", "window", "kept"),
    [
        (np.int16, None, np.int16),
        (np.uint8, None, np.int16),
        (np.int32, None, np.float32),
        (np.int32, (-1000, 400), np.int16),
        (np.float32, None, np.float32),
        (np.float32, (0, 1), np.float32),
    ],
)
def test_integers_that_fit_are_kept_as_int16(dtype: type, window: tuple | None, kept: type, tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.abs(VALUES % 100).astype(dtype), np.eye(4)), path)
    assert decoded(NATIVE.replace(window=window), path).dtype == kept


def test_a_scaled_file_gives_scaled_values(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VALUES, np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, tmp_path / "a.nii")
    stored = nibabel.load(tmp_path / "a.nii")
    got = decoded(NATIVE, tmp_path / "a.nii")
    np.testing.assert_allclose(got[0], np.asarray(stored.dataobj).transpose(2, 1, 0), atol=1e-3)
    assert got.dtype == np.float32


def test_shrinking_averages_whole_cells(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
    got = decoded(Volume(path="ct", size=4), save(tmp_path / "a.nii", noise))
    cells = noise.transpose(2, 1, 0).reshape(4, 8, 4, 8, 4, 8).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(got[0], cells, atol=1e-5)


@pytest.mark.parametrize("axes", ["RAS", "LPI"])
@pytest.mark.parametrize("side", [8, 16, 24, 48])
def test_a_resized_mask_stays_on_its_tumour(side: int, axes: str, tmp_path: Path) -> None:
    tumour = np.zeros((24, 24, 24), np.uint8)
    tumour[3:12, 6:18, 15:24] = 1
    volume = save(tmp_path / "ct.nii.gz", tumour.astype(np.int16) * 1000, axes)
    mask = save(tmp_path / "mask.nii.gz", tumour, axes)
    data = ImageData(Volume(path="ct", size=side), [volume], [mask], tmp_path / "cache")
    assert data.mask_pixels().shape == (1, 1, side, side, side)
    assert set(np.unique(data.mask_pixels())) == {0, 255}
    bright, inside = data.pixels()[0, 0] > 500, data.mask_pixels()[0, 0] > 0
    assert (bright == inside).mean() >= 0.995


def test_mask_crop_cuts_to_the_bounding_box(tmp_path: Path) -> None:
    inside = np.zeros(SHAPE, np.uint8)
    inside[1:4, 2:6, 5:10] = 1
    mask = save(tmp_path / "mask.nii", inside)
    spec = NATIVE.replace(mask_use="crop", margin=0, size=(5, 4, 3))
    got = decoded(spec, save(tmp_path / "a.nii", VALUES), mask)
    np.testing.assert_array_equal(got[0], VALUES[1:4, 2:6, 5:10].transpose(2, 1, 0))
    empty = save(tmp_path / "empty.nii", np.zeros(SHAPE, np.uint8))
    whole = decoded(NATIVE.replace(mask_use="crop"), tmp_path / "a.nii", empty)
    np.testing.assert_array_equal(whole[0], VALUES.transpose(2, 1, 0))


def reason(path: Path, spec: Volume = NATIVE, mask: Path | None = None) -> str:
    [(_, why)] = ImageData(spec, [path], [mask] if mask else None, path.parent / "cache").check()
    return why


@pytest.mark.parametrize("part", [0.0, 0.2, 0.6, 0.99])
@pytest.mark.parametrize("kind", ["nii", "nii.gz"])
def test_truncated_volumes_are_refused(kind: str, part: float, tmp_path: Path) -> None:
    content = save(tmp_path / f"a.{kind}", VALUES).read_bytes()
    (tmp_path / f"cut.{kind}").write_bytes(content[: int(part * len(content))])
    assert reason(tmp_path / f"cut.{kind}")


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    content = bytearray(save(tmp_path / "a.nii.gz", VALUES).read_bytes())
    content[-6] ^= 1
    (tmp_path / "flipped.nii.gz").write_bytes(content)
    assert "damaged" in reason(tmp_path / "flipped.nii.gz")


def test_headers_that_claim_too_much_are_refused(tmp_path: Path) -> None:
    image = nibabel.load(save(tmp_path / "a.nii", VALUES))
    image.header.set_data_shape((3000, 3000, 3000))
    (tmp_path / "huge.nii.gz").write_bytes(gzip.compress(image.header.binaryblock + bytes(4) + VALUES.tobytes()))
    assert "512 MB" in reason(tmp_path / "huge.nii.gz")
    assert "coarser" in reason(tmp_path / "a.nii", NATIVE.replace(spacing=0.001))


def test_odd_volumes_are_refused(tmp_path: Path) -> None:
    odd = {
        "four": np.zeros((4, 4, 4, 3), np.int16),
        "flat": np.zeros((4, 4), np.int16),
        "nan": np.full((4, 4, 4), np.nan, np.float32),
        "complex": np.zeros((4, 4, 4), np.complex64),
    }
    for name, values in odd.items():
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / f"{name}.nii")
        assert reason(tmp_path / f"{name}.nii")
    (tmp_path / "text.nii").write_text("no volume")
    assert reason(tmp_path / "text.nii")
    assert reason(tmp_path / "absent.nii") == "there is no such file"


def test_masks_on_another_grid_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", VALUES)
    small = save(tmp_path / "small.nii", np.ones((3, 3, 3), np.uint8))
    moved = save(tmp_path / "moved.nii", np.ones(SHAPE, np.uint8), spacing=(2, 1, 1))
    assert "same grid" in reason(path, mask=small)
    assert "elsewhere" in reason(path, mask=moved)


@pytest.mark.cohorts
def test_real_scans(tmp_path: Path) -> None:
    default = Path(__file__).resolve().parents[2] / "../shared/data"
    folder = Path(os.environ.get("FUSIONDX_DATA", default)) / "nsclc_ct"
    if not folder.is_dir():
        pytest.skip(f"the nsclc_ct cohort is not at {folder} (FUSIONDX_DATA)")
    scans = sorted((folder / "ct").glob("*.nii.gz"))[:8]
    masks = [folder / "mask" / scan.name for scan in scans]
    data = ImageData(Volume(path="ct", mask="mask", size=46, window=(-1000, 400)), scans, masks, tmp_path)
    assert data.check() == []
    assert data.pixels().dtype == np.int16
    for row, (scan, mask) in enumerate(zip(scans, masks, strict=True)):
        values = nibabel.as_closest_canonical(nibabel.load(scan)).get_fdata()
        inside = nibabel.as_closest_canonical(nibabel.load(mask)).get_fdata() > 0
        np.testing.assert_array_equal(data.pixels()[row, 0], values.transpose(2, 1, 0).clip(-1000, 400))
        np.testing.assert_array_equal(data.mask_pixels()[row, 0] > 0, inside.transpose(2, 1, 0))
