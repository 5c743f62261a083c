"""DICOM: what comes out of files and series, held against arrays worked out by hand; what must not come out at all."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)

import fusiondx as fdx
from fusiondx.data.images import ImageData
from fusiondx.data.volumes import Volume
from fusiondx.errors import MissingPackageError

ROWS, COLUMNS, SLICES = 6, 5, 4
AXIAL = (1, 0, 0, 0, 1, 0)
NATIVE = fdx.Image(path="image", size=(ROWS, COLUMNS))
STACK = Volume(path="ct", size=(SLICES, ROWS, COLUMNS))
STORED = np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS) * 100
SERIES = generate_uid()


def dataset(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> FileDataset:
    """A file of one or several frames, ``(rows, columns)``, ``(frames, rows, columns)``, or with 3 at the end."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = syntax
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    grey = pixels[..., 0] if colour else pixels
    file.Rows, file.Columns = grey.shape[-2:]
    if grey.ndim == 3:
        file.NumberOfFrames = len(grey)
    file.SamplesPerPixel, file.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        file.PlanarConfiguration = 0
    file.BitsAllocated = file.BitsStored = 8 * pixels.dtype.itemsize
    file.HighBit, file.PixelRepresentation = file.BitsStored - 1, int(pixels.dtype.kind == "i")
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.SeriesInstanceUID = SERIES
    file.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(file, name, value)
    return file


def save(path: Path, pixels: np.ndarray, **elements: Any) -> Path:
    dataset(pixels, **elements).save_as(path, enforce_file_format=True)
    return path


def place(
    folder: Path,
    values: np.ndarray,
    depths: list[float],
    orientation: tuple[float, ...] = AXIAL,
    normal: tuple[float, ...] = (0, 0, 1),
    **elements: Any,
) -> Path:
    """A series: one file per slice of `values`, named so that the alphabet misleads."""
    folder.mkdir(parents=True)
    for n, (slice, depth) in enumerate(zip(values, depths, strict=True)):
        position = list(np.array([10.0, 20.0, 30.0]) + depth * np.array(normal))
        where = {"ImagePositionPatient": position, "ImageOrientationPatient": list(orientation)}
        save(folder / f"{(7 * n) % 11:02d}.dcm", slice, **({**where, "PixelSpacing": [2.0, 1.0]} | elements))
    return folder


def decoded(path: Path, spec: Any = NATIVE, mask: Path | None = None) -> np.ndarray:
    data = ImageData(spec, [path], [mask] if mask else None, cache=path.parent / "cache")
    return np.array(data.pixels()[0])


def reason(path: Path, spec: Any = STACK) -> str:
    [(_, why)] = ImageData(spec, [path], cache=path.parent / "cache").check()
    return why


class TestPictures:
    def test_stored_numbers(self, tmp_path: Path) -> None:
        got = decoded(save(tmp_path / "a", STORED))  # without an ending, as devices write them
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got[0], STORED)

    def test_signed_and_rescaled(self, tmp_path: Path) -> None:
        signed = STORED.astype(np.int16) - 1500
        np.testing.assert_array_equal(decoded(save(tmp_path / "a.dcm", signed))[0], signed)
        scaled = save(tmp_path / "b.dcm", signed, RescaleSlope="0.5", RescaleIntercept="-1024")
        got = decoded(scaled)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got[0], signed * 0.5 - 1024)

    def test_twelve_bits_turned_round_where_white_is_low(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.dcm", STORED, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
        got = decoded(path)
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got[0], 4095 - STORED)

    @pytest.mark.parametrize(("photometric", "rising"), [("MONOCHROME2", True), ("MONOCHROME1", False)])
    def test_the_files_own_window(self, photometric: str, rising: bool, tmp_path: Path) -> None:
        window = {"WindowCenter": "1000", "WindowWidth": "801", "RescaleSlope": "1", "RescaleIntercept": "-100"}
        path = save(tmp_path / "a.dcm", STORED, PhotometricInterpretation=photometric, **window)
        got = decoded(path, NATIVE.replace(intensity="file"))
        shown = pydicom.pixels.apply_windowing(STORED.astype(float) - 100, pydicom.dcmread(path))
        expected = (shown - shown.min()) / np.ptp(shown) * 255
        assert got.dtype == np.uint8
        assert np.abs(got[0] - (expected if rising else 255 - expected)).max() <= 0.51

    def test_several_windows_and_none(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.dcm", STORED, WindowCenter=["1000", "40"], WindowWidth=["2001", "3"])
        got = decoded(path, NATIVE.replace(intensity="file"))
        np.testing.assert_allclose(got[0], (STORED / 2000 * 255).clip(0, 255), atol=0.51)
        assert "no window" in reason(save(tmp_path / "b.dcm", STORED), NATIVE.replace(intensity="file"))

    def test_a_window_of_the_spec(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.dcm", STORED, RescaleSlope="1", RescaleIntercept="-1024")
        got = decoded(path, NATIVE.replace(intensity=(-1000.0, 1000.0)))
        np.testing.assert_allclose(got[0], ((STORED - 24.0) / 2000 * 255).clip(0, 255), atol=0.51)

    def test_colour(self, tmp_path: Path) -> None:
        rgb = np.linspace(0, 255, ROWS * COLUMNS * 3).reshape(ROWS, COLUMNS, 3).astype(np.uint8)
        np.testing.assert_array_equal(decoded(save(tmp_path / "a.dcm", rgb)), np.moveaxis(rgb, -1, 0))
        ybr = np.asarray(PIL.Image.fromarray(rgb).convert("YCbCr"))
        got = decoded(save(tmp_path / "b.dcm", ybr, PhotometricInterpretation="YBR_FULL"))
        assert np.abs(got.astype(int) - np.moveaxis(rgb, -1, 0)).max() <= 2
        np.testing.assert_array_equal(
            decoded(save(tmp_path / "c.dcm", rgb, WindowCenter="9", WindowWidth="9"), NATIVE.replace(intensity="file")),
            np.moveaxis(rgb, -1, 0),
        )

    @pytest.mark.parametrize("bits", [8, 16])
    def test_palette(self, bits: int, tmp_path: Path) -> None:
        index = (np.arange(ROWS * COLUMNS) % 4).reshape(ROWS, COLUMNS).astype(np.uint8)
        table = np.array([[0, 9, 255, 70], [3, 4, 5, 6], [200, 100, 50, 25]], f"u{bits // 8}") * (
            257 if bits > 8 else 1
        )
        file = dataset(index, PhotometricInterpretation="PALETTE COLOR")
        for name, channel in zip(("Red", "Green", "Blue"), table, strict=True):
            setattr(file, f"{name}PaletteColorLookupTableDescriptor", [4, 0, bits])
            setattr(file, f"{name}PaletteColorLookupTableData", channel.tobytes())
        file.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        got = decoded(tmp_path / "a.dcm")
        assert got.dtype == f"u{bits // 8}"
        np.testing.assert_array_equal(got, table[:, index])

    def test_one_frame_of_many(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.dcm", np.stack([STORED, STORED[::-1]]))
        np.testing.assert_array_equal(decoded(path, NATIVE.replace(page=1))[0], STORED[::-1])
        assert "holds 2 frames" in reason(path, NATIVE)
        assert "no frame 2" in reason(path, NATIVE.replace(page=2))

    def test_compressed(self, tmp_path: Path) -> None:
        file = dataset(STORED)
        file.compress(RLELossless)
        file.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        np.testing.assert_array_equal(decoded(tmp_path / "a.dcm")[0], STORED)
        grey = np.full((16, 16), 90, np.uint8)
        packed = io.BytesIO()
        PIL.Image.fromarray(grey).save(packed, "jpeg", quality=100)
        file = dataset(grey, syntax=JPEGBaseline8Bit, PixelData=encapsulate([packed.getvalue()]))
        file["PixelData"].is_undefined_length = True
        file.save_as(tmp_path / "b.dcm", enforce_file_format=True)
        assert np.abs(decoded(tmp_path / "b.dcm", NATIVE.replace(size=16)).astype(int) - 90).max() <= 1

    def test_a_decoder_that_is_not_there_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", False)
        file = dataset(STORED, syntax=JPEGLosslessSV1, PixelData=encapsulate([b"\xff\xd8anything\xff\xd9"]))
        file["PixelData"].is_undefined_length = True
        file.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        with pytest.raises(MissingPackageError, match=r"a\.dcm is compressed as JPEG Lossless.*pylibjpeg"):
            ImageData(NATIVE, [tmp_path / "a.dcm"], cache=tmp_path / "cache").check()

    def test_what_is_no_image(self, tmp_path: Path) -> None:
        text = dataset(STORED)
        for name in ("PixelData", "Rows", "Columns", "PhotometricInterpretation"):
            delattr(text, name)
        text.save_as(tmp_path / "report.dcm", enforce_file_format=True)
        assert "not a DICOM image" in reason(tmp_path / "report.dcm", NATIVE)
        dataset(STORED, syntax=DeflatedExplicitVRLittleEndian).save_as(tmp_path / "b.dcm", enforce_file_format=True)
        assert "deflated" in reason(tmp_path / "b.dcm", NATIVE)
        huge = save(tmp_path / "huge.dcm", STORED, Rows=60000, Columns=60000)
        assert "512 MB" in reason(huge, NATIVE)

    def test_every_truncation_is_refused(self, tmp_path: Path) -> None:
        whole = save(tmp_path / "whole.dcm", STORED).read_bytes()
        for length in range(0, len(whole), 9):
            (tmp_path / f"{length}.dcm").write_bytes(whole[:length])
        cut = sorted(tmp_path.glob("[0-9]*.dcm"))
        refused = ImageData(NATIVE, cut, cache=tmp_path / "cache").check()
        assert {path for path, _ in refused} == set(cut)


VALUES = np.arange(SLICES * ROWS * COLUMNS, dtype=np.int16).reshape(SLICES, ROWS, COLUMNS) - 50
DEPTHS = [0.0, 3.0, 6.0, 9.0]
UPRIGHT = VALUES[:, ::-1, ::-1]
"""Axial slices run to the left and to the back; volumes to the right and to the front."""


class TestSeries:
    def test_slices_lie_in_space_and_not_in_the_alphabet(self, tmp_path: Path) -> None:
        got = decoded(place(tmp_path / "a", VALUES, DEPTHS), STACK)
        assert got.dtype == np.int16
        np.testing.assert_array_equal(got[0], UPRIGHT)
        backwards = place(tmp_path / "b", VALUES, [-depth for depth in DEPTHS])
        np.testing.assert_array_equal(decoded(backwards, STACK)[0], UPRIGHT[::-1])

    @pytest.mark.parametrize(
        ("orientation", "normal", "to_sar"),
        [
            # rows to the left, columns down: slices run to the back
            ((1, 0, 0, 0, 0, -1), (0, 1, 0), lambda v: v.transpose(1, 0, 2)[::-1, ::-1, ::-1]),
            # rows to the back, columns down: slices run to the left (coronal and sagittal)
            ((0, 1, 0, 0, 0, -1), (-1, 0, 0), lambda v: v.transpose(1, 2, 0)[::-1, ::-1, :]),
        ],
    )
    def test_other_planes(self, orientation: Any, normal: Any, to_sar: Any, tmp_path: Path) -> None:
        expected = to_sar(VALUES)
        got = decoded(
            place(tmp_path / "a", VALUES, DEPTHS, orientation, normal), STACK.replace(size=tuple(expected.shape))
        )
        np.testing.assert_array_equal(got[0], expected)

    def test_the_same_as_nifti(self, tmp_path: Path) -> None:
        """Written by hand as NIfTI, with the affine worked out by hand."""
        import nibabel

        affine = np.diag([-1.0, -2.0, 3.0, 1.0])
        affine[:3, 3] = (-10, -20, 30)
        nibabel.save(nibabel.Nifti1Image(VALUES.transpose(2, 1, 0), affine), tmp_path / "a.nii")
        spec = STACK.replace(spacing=(1.5, 1.0, 1.0), size=(7, 12, 5))
        folder = place(tmp_path / "a", VALUES, DEPTHS)
        np.testing.assert_array_equal(decoded(folder, spec), decoded(tmp_path / "a.nii", spec))
        mask = nibabel.Nifti1Image((VALUES.transpose(2, 1, 0) > 0).astype(np.uint8), affine)
        nibabel.save(mask, tmp_path / "mask.nii.gz")
        data = ImageData(STACK, [folder], [tmp_path / "mask.nii.gz"], tmp_path / "cache")
        np.testing.assert_array_equal(data.mask_pixels()[0, 0] > 0, UPRIGHT > 0)

    def test_rescaled_slice_by_slice(self, tmp_path: Path) -> None:
        folder = place(tmp_path / "a", VALUES, DEPTHS)
        for n, path in enumerate(sorted(folder.iterdir(), key=lambda p: pydicom.dcmread(p).ImagePositionPatient[2])):
            file = pydicom.dcmread(path)
            file.RescaleSlope, file.RescaleIntercept = str(n + 0.5), "-7"
            file.save_as(path)
        factors = np.arange(SLICES)[:, None, None] + 0.5
        np.testing.assert_array_equal(decoded(folder, STACK)[0], UPRIGHT * factors - 7)

    def test_windows(self, tmp_path: Path) -> None:
        folder = place(tmp_path / "a", VALUES, DEPTHS, WindowCenter="1", WindowWidth="20")
        np.testing.assert_array_equal(decoded(folder, STACK.replace(window="file"))[0], UPRIGHT.clip(-9, 10))
        np.testing.assert_array_equal(decoded(folder, STACK.replace(window=(-5.0, 5.0)))[0], UPRIGHT.clip(-5, 5))

    def test_one_file_of_many_frames(self, tmp_path: Path) -> None:
        groups = []
        for depth in [6.0, 0.0, 9.0, 3.0]:
            group, where = Dataset(), Dataset()
            where.ImagePositionPatient = [10.0, 20.0, depth]
            group.PlanePositionSequence = [where]
            groups.append(group)
        shared, direction, measures, scale = Dataset(), Dataset(), Dataset(), Dataset()
        direction.ImageOrientationPatient = list(AXIAL)
        measures.PixelSpacing, measures.SliceThickness = [2.0, 1.0], 3.0
        scale.RescaleSlope, scale.RescaleIntercept = "2", "-7"
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [direction], [measures]
        shared.PixelValueTransformationSequence = [scale]
        path = save(
            tmp_path / "a.dcm",
            VALUES[[2, 0, 3, 1]],
            SharedFunctionalGroupsSequence=[shared],
            PerFrameFunctionalGroupsSequence=groups,
        )
        got = decoded(path, STACK)
        np.testing.assert_array_equal(got[0], UPRIGHT * 2 - 7)
        halved = decoded(path, STACK.replace(spacing=(3.0, 2.0, 0.5), size=(SLICES, ROWS, 2 * COLUMNS - 1)))
        np.testing.assert_allclose(halved[0][..., ::2], UPRIGHT * 2 - 7, atol=1)

    def test_frames_without_a_place_stay_as_they_come(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.dcm", VALUES)
        np.testing.assert_array_equal(decoded(path, STACK)[0], VALUES)
        assert "file_spacing" in reason(path, STACK.replace(spacing=1.0))

    @pytest.mark.parametrize(
        ("depths", "said"),
        [
            ([0, 3, 9, 12], "lacks 1 slice"),
            ([0, 3, 3, 6], "copies"),
            ([0, 3, 7.1, 9], "not evenly spaced"),
        ],
    )
    def test_slices_missing_double_or_uneven(self, depths: list[float], said: str, tmp_path: Path) -> None:
        assert said in reason(place(tmp_path / "a", VALUES, depths))

    def test_folders_that_are_no_one_series(self, tmp_path: Path) -> None:
        two = place(tmp_path / "two", VALUES, DEPTHS)
        save(two / "other.dcm", VALUES[0], SeriesInstanceUID=generate_uid(), ImagePositionPatient=[10, 20, 42])
        assert "holds 2 series" in reason(two)
        tall = place(tmp_path / "tall", VALUES, DEPTHS)
        save(tall / "scout.dcm", np.zeros((9, 9), np.int16))
        assert "different sizes" in reason(tall)
        turned = place(tmp_path / "turned", VALUES, DEPTHS)
        save(turned / "scout.dcm", VALUES[0], ImagePositionPatient=[0, 0, 0], PixelSpacing=[2, 1],
             ImageOrientationPatient=[1, 0, 0, 0, 0, -1])  # fmt: skip
        assert "different directions" in reason(turned)
        lost = place(tmp_path / "lost", VALUES, DEPTHS)
        save(lost / "nowhere.dcm", VALUES[0])
        assert "1 slice that do not say where" in reason(lost)
        mixed = place(tmp_path / "mixed", VALUES, DEPTHS)
        (mixed / "notes.txt").write_text("notes")
        assert "other than DICOM" in reason(mixed)
        (mixed / "notes.txt").rename(mixed / ".notes")
        assert ImageData(STACK, [mixed], cache=tmp_path / "cache").check() == []
        (tmp_path / "empty").mkdir()
        assert "empty" in reason(tmp_path / "empty")
        tilted = place(tmp_path / "tilted", VALUES, DEPTHS, normal=(0, 0.2, 1))
        assert "tilted" in reason(tilted)
        cut = place(tmp_path / "cut", VALUES, DEPTHS)
        slice = next(cut.iterdir())
        slice.write_bytes(slice.read_bytes()[:-20])
        assert "truncated" in reason(cut)

    def test_a_link_out_of_the_folder_is_not_followed(self, tmp_path: Path) -> None:
        folder = place(tmp_path / "a", VALUES, DEPTHS)
        outside = save(tmp_path / "outside.dcm", VALUES[0], ImagePositionPatient=[10, 20, 42])
        (folder / "z.dcm").symlink_to(outside)
        assert "other than DICOM" in reason(folder)

    def test_beyond_the_budget(self, tmp_path: Path) -> None:
        folder = place(tmp_path / "a", VALUES, DEPTHS, Rows=9000, Columns=9000)
        assert "512 MB" in reason(folder)
        assert "coarser" in reason(place(tmp_path / "b", VALUES, DEPTHS), STACK.replace(spacing=0.01))

    def test_renaming_slices_changes_nothing(self, tmp_path: Path) -> None:
        folder = place(tmp_path / "a", VALUES, DEPTHS)
        before = ImageData(STACK, [folder], cache=tmp_path / "cache").digest()
        for path in folder.iterdir():
            path.rename(path.with_name(f"x{path.name}"))
        assert ImageData(STACK, [folder], cache=tmp_path / "cache").digest() == before

    def test_a_cohort_of_folders(self, tmp_path: Path) -> None:
        for patient in ("P1", "P2"):
            place(tmp_path / "ct" / patient, VALUES, DEPTHS)
        frame = pd.DataFrame({"patient_id": ["P1", "P2"], "ct": ["ct/P1", "ct/P2"]})
        cohort = fdx.Cohort.from_frame(frame, modalities={"ct": STACK}, data=tmp_path)
        assert cohort.modalities["ct"].present.all()
        with pytest.raises(fdx.FusionDxError, match="cannot be opened, being folders"):
            fdx.Cohort.from_frame(frame, modalities={"ct": NATIVE.replace(path="ct")}, data=tmp_path)


CANARIES = {
    "PatientName": "CANARY^ONE",
    "PatientID": "CANARYTWO",
    "PatientBirthDate": "19010203",
    "AccessionNumber": "CANARYTHREE",
    "StudyDate": "19040506",
    "InstitutionName": "CANARY FOUR",
    "ReferringPhysicianName": "CANARY^FIVE",
    "StudyDescription": "CANARY SIX",
    "SeriesDescription": "CANARY SEVEN",
    "StudyInstanceUID": "1.2.3.77777.1",
    "SeriesInstanceUID": "1.2.3.77777.2 CANARY",
    "FrameOfReferenceUID": "1.2.3.77777.3",
    "PatientAddress": "CANARY EIGHT",
    "SpecificCharacterSet": "CANARYCHARS",
}
NEEDLES = (b"CANARY", b"1.2.3.77777", b"19010203", b"19040506")


class TestNothingLeaks:
    """Values planted in headers of sound and of damaged files: none may be found anywhere afterwards."""

    @pytest.mark.filterwarnings("ignore")
    def test_not_in_errors_logs_caches_fingerprints_or_reports(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        caplog.set_level(logging.DEBUG, logger="pydicom")
        monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
        planted = tmp_path / "data"
        planted.mkdir()
        for n in range(12):
            save(planted / f"{n}.dcm", STORED + np.uint16(1000 * (n % 2)), **CANARIES)
        sound = (planted / "0.dcm").read_bytes()
        assert all(needle in sound for needle in NEEDLES)
        damaged, said = self.damaged(tmp_path / "bad", sound), []
        caplog.clear()  # of what writing the files said
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for n, path in enumerate(damaged):
                try:
                    decoded(path, STACK if n % 2 else NATIVE)
                except fdx.FusionDxError:
                    said.append(traceback.format_exc())
            frame = pd.DataFrame(
                {"patient_id": [f"P{n}" for n in range(12)], "image": [f"{n}.dcm" for n in range(12)]}
            ).assign(ill=["yes", "no"] * 6)
            cohort = fdx.Cohort.from_frame(
                frame, modalities={"x": NATIVE.replace(size=16)}, targets={"ill": fdx.Classes("ill")}, data=planted
            )
            model = fdx.FusionModel(training=fdx.Training(epochs=1), encoders={"x": "smallcnn"}).fit(cohort)
            fdx.evaluate(model, self.renamed(frame, planted), baselines=False).to_html(tmp_path / "report.html")
            model.save(tmp_path / "model")
        assert len(said) > 30
        said += [str(cohort.describe()), cohort.fingerprint, repr(cohort), caplog.text, *capsys.readouterr()]
        said += [str(w.message) for w in caught]
        written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".dcm"]
        assert len(written) > 5
        leaks = [text for text in [*(text.encode() for text in said), *written] if any(n in text for n in NEEDLES)]
        assert leaks == []

    @staticmethod
    def damaged(folder: Path, sound: bytes) -> list[Path]:
        """Cut and altered copies, and the names of elements changed to ones that must be numbers."""
        folder.mkdir()
        random = np.random.default_rng(0)
        for n in range(60):
            copy = bytearray(sound[: len(sound) - n] if n % 3 == 0 else sound)
            for place in random.integers(132, len(copy), 0 if n % 3 == 0 else 4):
                copy[place] = random.integers(256)
            (folder / f"{n}.dcm").write_bytes(copy)
        for name in ("Rows", "BitsStored", "PixelSpacing", "WindowCenter", "RescaleSlope", "ImagePositionPatient"):
            file = dataset(STORED, WindowWidth="1", **CANARIES)
            file.add_new(pydicom.datadict.tag_for_keyword(name), "LO", "CANARY VALUE")
            file.save_as(folder / f"{name}.dcm", enforce_file_format=True)
        return sorted(folder.iterdir())

    @staticmethod
    def renamed(frame: pd.DataFrame, folder: Path) -> fdx.Cohort:
        other = frame.assign(patient_id="Q" + frame["patient_id"])
        return fdx.Cohort.from_frame(
            other, modalities={"x": NATIVE.replace(size=16)}, targets={"ill": fdx.Classes("ill")}, data=folder
        )
