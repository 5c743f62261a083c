"""Cohort: patients x modalities x targets, joined by patient id."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.settings import parse
from fusiondx.core.targets import CompetingRisks, Survival, TargetSpec, TargetValues
from fusiondx.data import splits
from fusiondx.data.bags import BagData
from fusiondx.data.cohort_file import read_cohort_file
from fusiondx.data.dates import complete_moments, moment
from fusiondx.data.description import Description, describe_missing, describe_modalities, describe_targets
from fusiondx.data.folds import Folds, read_folds
from fusiondx.data.images import ImageData
from fusiondx.data.modalities import Modality, ModalitySpec, Unknown, read_modality, zeros_apart
from fusiondx.data.outcomes import at_or_before, columns_of, counted_from, flat, read_target, replaced
from fusiondx.data.reading import (
    FileSource,
    FrameSource,
    Source,
    labels,
    need_columns,
    read_ids,
    refuse_duplicate_ids,
    text,
)
from fusiondx.data.tables import TableData
from fusiondx.data.treatment import Treatment, home
from fusiondx.errors import ConfigError, DataError, FusionDxWarning, counted, did_you_mean, listed

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """Patients in order, what is known of each, and what is asked.

    Immutable; a subset shares the values of the whole. Images are not read before they are asked for. Being
    indexable by patient and having a `shape`, a cohort can stand where scikit-learn expects an array of samples.

    >>> cohort = fdx.Cohort.read("cohort.yaml")
    >>> cohort
    <Cohort of 60 patients: clinical (60), omics (46), image (49); targets: survival (60), diagnosis (60)>
    >>> train, test = cohort.split(test=0.4, seed=0)
    >>> cohort[:3].pattern
    array(['clinical+omics+image', 'clinical+omics+image', 'clinical+omics'],
          dtype=object)
    >>> cohort.select(modalities=["clinical", "omics"], targets=["survival"]).having(["omics"])
    <Cohort of 46 patients: clinical (46), omics (46); targets: survival (46)>
    """

    ids: Array
    """Patient ids, text; shape ``(patients,)``."""
    modalities: Mapping[str, Modality]
    targets: Mapping[str, TargetValues]
    site: Array | None
    """Where each patient was seen, text, blank where unknown; shape ``(patients,)``."""
    table: Source
    """The patient table, of the whole cohort."""
    position: npt.NDArray[np.int64]
    """Row of each patient in `table`."""
    title: str = ""
    treatment: Treatment | None = None
    """Which input is a treatment, where one is declared."""
    landmarked: float | None = None
    """The time from which prognoses are counted, where that is later than baseline; see `landmark`."""
    held_out_by: Path | None = None
    """The split file that holds these patients out, beside which it is counted how often they are judged."""

    @classmethod
    def read(cls, path: str | Path, data: str | Path | None = None, unknown: Unknown | None = None) -> Cohort:
        """Read a cohort.yaml; the files it names lie in the folder `data`, or beside it.

        `unknown` "drop" leaves out patients of a modality who are not in the patient table. Raises `ConfigError`
        for the YAML and `DataError` for what it names.
        """
        path = Path(path)
        file = read_cohort_file(path)
        folder = _folder(data if data is not None else path.parent)
        source = FileSource.open(folder, file.patients.file)
        who, rule = file.patients, unknown or file.patients.unknown
        read = cls._assemble(source, who.id, who.site, file.modalities, file.targets, folder, rule, file.title)
        told = read.declare(file.treatment)
        return told if file.landmark is None else told.landmark(file.landmark)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        id: str = "patient_id",
        modalities: Mapping[str, Any],
        targets: Mapping[str, Any] | None = None,
        site: str | None = None,
        data: str | Path | None = None,
        unknown: Unknown = "error",
        treatment: Treatment | Mapping[str, Any] | None = None,
        title: str = "",
    ) -> Cohort:
        """A cohort from a patient table in memory, one row per patient.

        Modalities and targets are specs, or mappings as in YAML. Files and image paths are relative to the folder
        `data`, the current one by default. Raises `ConfigError` and `DataError` as `read` does.
        """
        whole = frame.reset_index() if id not in frame.columns and frame.index.name == id else frame.copy()
        specs = parse(dict[str, ModalitySpec], dict(modalities), "modalities")
        asked = parse(dict[str, TargetSpec], dict(targets or {}), "targets")
        folder = _folder(data if data is not None else ".")
        what = parse(Treatment | None, treatment, "treatment")
        return cls._assemble(FrameSource(whole), id, site, specs, asked, folder, unknown, title).declare(what)

    @classmethod
    def _assemble(
        cls,
        source: Source,
        id: str,
        site: str | None,
        modalities: Mapping[str, Any],
        targets: Mapping[str, Any],
        folder: Path,
        unknown: Unknown,
        title: str,
    ) -> Cohort:
        ids = read_ids(source, id)
        if not len(ids):
            raise DataError(f"{source.name} holds no patients. It needs one row per patient.")
        refuse_duplicate_ids(ids, source.name)
        read = {n: read_modality(n, s, source, ids, id, folder, unknown) for n, s in modalities.items()}
        asked = {name: read_target(target, source, ids) for name, target in targets.items()}
        _warn_of_leaks(read, asked, source.name)
        sites = _column(source, site) if site else None
        return cls(ids, read, asked, sites, source, np.arange(len(ids)), title)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> tuple[int, int]:
        """(patients, modalities)."""
        return len(self), len(self.modalities)

    def __getitem__(self, key: Any) -> Cohort:
        """Some patients, by positions, by a boolean mask or by a slice, in the order asked for.

        Raises `DataError` where a patient is asked for twice: predictions are keyed by patient.
        """
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            key = key[0]  # what scikit-learn asks of an array of samples
        chosen = _positions(key, len(self))
        if len(np.unique(chosen)) < len(chosen):
            raise DataError("A patient was asked for more than once. Ask for each patient once.")
        return replace(
            self,
            ids=self.ids[chosen],
            modalities={name: modality.take(chosen) for name, modality in self.modalities.items()},
            targets={name: values[chosen] for name, values in self.targets.items()},
            site=None if self.site is None else self.site[chosen],
            position=self.position[chosen],
        )

    def __repr__(self) -> str:
        modalities = ", ".join(f"{name} ({int(m.present.sum())})" for name, m in self.modalities.items())
        targets = ", ".join(f"{name} ({int(t.known.sum())})" for name, t in self.targets.items())
        return f"<Cohort of {counted(len(self), 'patient')}: {modalities}; targets: {targets or 'none'}>"

    def take_ids(self, ids: Sequence[str] | Array) -> Cohort:
        """The patients called `ids`, in that order. Raises `DataError` where one is not here."""
        asked = pd.Index(np.asarray(ids, dtype=object))
        at = pd.Index(self.ids).get_indexer(asked)
        if (at < 0).any():
            lost = asked[at < 0]
            hint = " Ids are text: zeros in front count." if zeros_apart(lost, self.ids).any() else ""
            raise DataError(f"{counted(len(lost), 'patient')} not in the cohort: {listed(lost)}.{hint}")
        return self[at]

    def select(self, modalities: Sequence[str] | None = None, targets: Sequence[str] | None = None) -> Cohort:
        """The same patients with only some modalities and targets."""
        return replace(
            self,
            modalities=_only(self.modalities, modalities, "modality"),
            targets=_only(self.targets, targets, "target"),
        )

    def having(self, names: Sequence[str]) -> Cohort:
        """The patients who have all of these modalities and whose answers to these targets are known.

        Raises `ConfigError` for a name that is neither, `DataError` where no patient is left.
        """
        has = {n: t.known for n, t in self.targets.items()} | {n: m.present for n, m in self.modalities.items()}
        for name in names:
            if name not in has:
                raise ConfigError(f"The cohort has no modality or target '{name}'.{did_you_mean(name, list(has))}")
        keep = np.all([has[name] for name in names], axis=0) if names else np.ones(len(self), dtype=bool)
        if not keep.any():
            raise DataError(f"No patient has all of: {listed(names)}. Require less, or check the ids in their files.")
        return self[keep]

    def landmark(self, at: float) -> Cohort:
        """What was known at the time `at` after baseline, of the patients still at risk then (van Houwelingen 2007).

        Observations of timed modalities later than `at` are left out, and so are patients whose event came, or who were
        last seen, at `at` or before; times of prognoses count from `at` on. Modalities without a time are taken as
        known at baseline. A model trained on this refuses later observations. Raises `ConfigError` for a time that is
        not finite, or where a landmark was set before, `DataError` where no patient is left.
        """
        if not np.isfinite(at) or self.landmarked is not None:
            why = "a landmark was set before: go back to the whole cohort" if np.isfinite(at) else "give a finite time"
            raise ConfigError(f"landmark({at:g}): {why}.")
        gone = [at_or_before(values, at) for values in self.targets.values()]
        here = self[np.flatnonzero(~np.any(gone, axis=0))] if gone else self
        if not len(here):
            raise DataError(f"Nobody is at risk at the landmark {at:g}. Choose an earlier one.")
        return replace(
            here,
            modalities={name: modality.until(at) for name, modality in here.modalities.items()},
            targets={name: counted_from(values, at) for name, values in here.targets.items()},
            landmarked=float(at),
        )

    def declare(self, treatment: Treatment | None) -> Cohort:
        """The same patients with one of their inputs declared a treatment, for `FusionModel.predict_benefit`.

        Raises `ConfigError` where no table, or more than one, has it as a categorical input.
        """
        if treatment is not None:
            home(treatment, self.modalities)
        return replace(self, treatment=treatment)

    def with_target(self, name: str, y: npt.ArrayLike) -> Cohort:
        """The same patients with other values for target `name`, in the form that `y` gives them, or of a prognosis a
        frame with the columns ``event`` and ``time``.

        Raises `DataError` where `y` has another length, or values the target cannot take.
        """
        target = _only(self.targets, [name], "target")[name]
        values: Array = np.asarray(y)
        if isinstance(y, pd.DataFrame) and isinstance(target.spec, Survival | CompetingRisks):
            values = y.to_records(index=False)
        return replace(self, targets={**self.targets, name: replaced(target, values, self.ids)})

    def y(self, name: str | None = None) -> Array:
        """A target's values (the first target's) as scikit-learn expects them.

        Classes as text, blank where unknown; numbers, NaN where unknown; labels as 1 and 0, a column each, NaN where
        unknown; or a structured array with the fields ``event`` (bool, or the
        number of the cause) and ``time`` (NaN where unknown).
        """
        return flat(self._target(name))

    def column(self, name: str) -> Array:
        """A column of the patient table as text, blank where empty; not an input, for splits and subgroups."""
        return _column(self.table, name)[self.position]

    def categories(self, column: str) -> Array:
        """A column of the patient table as categories, spelled as a target's or a table's, blank where unknown."""
        found = labels(pd.Series(self.column(column), dtype=object))
        return np.array([value or "" for value in found], dtype=object)

    @property
    def pattern(self) -> Array:
        """The modalities each patient has: ``clinical+omics``, or ``none``."""
        has = {name: m.present for name, m in self.modalities.items()}
        names = ["+".join(name for name in has if has[name][p]) or "none" for p in range(len(self))]
        return np.array(names, dtype=object)

    def split(
        self,
        test: float | Sequence[str] = 0.2,
        *,
        train: Sequence[str] | None = None,
        column: str | None = None,
        group: str | None = "auto",
        stratify: str | None = None,
        seed: int = 0,
        file: str | Path | None = None,
        save: str | Path | None = None,
    ) -> tuple[Cohort, Cohort]:
        """Patients to learn from and patients to test on.

        Drawn at random with the share `test`, alike in the target `stratify` (the first one). Whole groups go to one
        side: with `group` "auto" sites, where the cohort has two or more; "site" or a column of the patient table; or
        None for no groups. Or as written in `column`, whose values `train` and `test` name the two sides; or as in the
        split file `file`. `save` writes a split file. With either, how often the test patients are judged is counted
        beside that file. The order of rows does not count.

        Raises `ConfigError` for arguments that do not go together, `DataError` where groups or patients do not suffice.
        """
        if file is not None:
            return self._parted(read_folds(file, self.ids), file)
        if column is not None:
            if train is None or isinstance(test, int | float):
                raise ConfigError("A split by column needs its values: train=['train'], test=['test'].")
            learn, held = [str(v) for v in train], [str(v) for v in test]
            pair = splits.chosen(self.categories(column), learn, held, column)
            return self._parted(Folds(self.ids, (pair,), {"column": column, "train": learn, "test": held}), save)
        if train is not None or not isinstance(test, int | float):
            raise ConfigError("Values for train and test need a column. Name it, or give test as a share.")
        order = np.argsort(self.ids)
        drawn = splits.holdout(self._strata(stratify)[order], test, self._groups(group, 2, order), seed)
        settings = {"test": test, "group": group, "stratify": stratify, "seed": seed}
        return self._parted(self._folds(order, drawn, settings), save)

    def split_by_time(
        self, column: str, at: float | str, *, gap: float = 0.0, save: str | Path | None = None
    ) -> tuple[Cohort, Cohort]:
        """Patients who came before `at` to learn from, and those who came at `at` or later to test on.

        `column` of the patient table holds numbers, such as a year of diagnosis, or dates such as 2015-03-31. Patients
        from `gap` (in the column's unit, days for dates) before `at` until `at` are on neither side, so that outcomes
        of training patients can have been known when the first test patient came. `save` as in `split`.

        Raises `DataError` where a patient has no time or a side is empty, `ConfigError` for an `at` of another kind.
        """
        times, dated = complete_moments(self.column(column), self.ids, column)
        pair = splits.by_time(times, moment(at, dated, column), gap)
        return self._parted(Folds(self.ids, (pair,), {"time": column, "at": at, "gap": gap}), save)

    def folds(
        self,
        k: int = 5,
        repeats: int = 1,
        *,
        column: str | None = None,
        group: str | None = "auto",
        stratify: str | None = None,
        seed: int = 0,
        file: str | Path | None = None,
    ) -> Folds:
        """Cross-validation: positions to train on and to test on, as scikit-learn's `cv` takes them.

        Drawn as `split` draws, or as written in `column` (patients without a fold there always train), or as in the
        split file `file`. With `group` "auto" folds are site-preserved where the cohort has at least `k` sites; with
        fewer, a warning says that they are not. Raises as `split` does.
        """
        if file is not None:
            return read_folds(file, self.ids)
        if column is not None:
            return Folds(self.ids, tuple(splits.published(self.categories(column), column)), {"column": column})
        order = np.argsort(self.ids)
        drawn = splits.folds(self._strata(stratify)[order], k, repeats, self._groups(group, k, order), seed)
        settings = {"k": k, "repeats": repeats, "group": group, "stratify": stratify, "seed": seed}
        return self._folds(order, drawn, settings)

    def describe(self) -> Description:
        """Patients per combination of modalities, known answers, gaps."""
        patterns = pd.Series(self.pattern, dtype=object).value_counts().rename_axis("modalities")
        return Description(
            title=self.title,
            patients=len(self),
            sites=0 if self.site is None else len(set(self.site)),
            modalities=describe_modalities(self.modalities),
            patterns=patterns.rename("patients").reset_index(),
            targets=describe_targets(self.targets),
            missing=describe_missing(self.modalities),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ids, values, image contents and answers. Where files lie and how rows are ordered do not count.

        Reads every image file once. Raises `DataError` where one cannot be read.
        """
        ordered = self[np.argsort(self.ids)]
        sha = hashlib.sha256(repr(list(ordered.ids)).encode())
        for name in sorted(ordered.modalities):
            sha.update(f"{name!r} {ordered.modalities[name].digest()}".encode())
        for name in sorted(ordered.targets):
            sha.update(f"{name!r} {ordered.targets[name].spec!r} {flat(ordered.targets[name]).tolist()!r}".encode())
        return sha.hexdigest()

    def check(self) -> list[str]:
        """Everything that would stop a training: decodes each image once, and says which cannot be used."""
        return [
            f"{name}: {path}: {reason}"
            for name, modality in self.modalities.items()
            if isinstance(modality.data, ImageData | BagData)
            for path, reason in modality.data.check()
        ]

    def _target(self, name: str | None) -> TargetValues:
        if not self.targets:
            raise ConfigError("The cohort has no target. Name some under 'targets'.")
        wanted = name if name is not None else next(iter(self.targets))
        found: TargetValues = _only(self.targets, [wanted], "target")[wanted]
        return found

    def _strata(self, stratify: str | None) -> Array:
        if not self.targets and stratify is None:
            return np.zeros(len(self), dtype=np.int64)
        return self._target(stratify).strata

    def _groups(self, group: str | None, parts: int, order: Array) -> Array | None:
        """Who must stay together, of patients in `order`; None where nobody must."""
        if group == "auto":
            return self._sites(parts, order)
        if group is None:
            return None
        return (self.site if group == "site" and self.site is not None else self.column(group))[order]

    def _sites(self, parts: int, order: Array) -> Array | None:
        sites = 0 if self.site is None else len(set(self.site))
        if self.site is None or sites < 2:
            return None
        if sites < parts:
            if parts > len(order):
                return None  # which is an error of its own
            splits.warn(
                f"{sites} sites do not fill {parts} parts, so patients of one site are on both sides, and what tells "
                f"sites apart may pass for skill. Ask for {sites}, or say group=None where that is meant."
            )
            return None
        return self.site[order]

    def _folds(self, order: Array, drawn: splits.Drawn, settings: Mapping[str, Any]) -> Folds:
        """Folds drawn of patients in `order`."""
        pairs = tuple((np.sort(order[learn]), np.sort(order[held])) for learn, held in drawn.pairs)
        return Folds(self.ids, pairs, settings, drawn.gap)

    def _parted(self, folds: Folds, file: str | Path | None) -> tuple[Cohort, Cohort]:
        """The two sides of a single split, that `file` holds or is to hold."""
        if len(folds) != 1:
            raise ConfigError(f"{file} holds {counted(len(folds), 'fold')}, not one split. Read it with cohort.folds.")
        if file is not None:
            folds.save(file)  # where it was read from, it is there already
        learn, held = folds[0]
        return self[learn], replace(self[held], held_out_by=None if file is None else Path(file))


def _positions(key: Any, patients: int) -> npt.NDArray[np.int64]:
    everyone: npt.NDArray[np.int64] = np.arange(patients)
    if isinstance(key, slice):
        return everyone[key]
    index = np.atleast_1d(np.asarray(key))
    return everyone[index] if index.size else everyone[:0]


def _folder(path: str | Path) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"The data folder {folder} {'is a file' if folder.exists() else 'does not exist'}.")
    return folder


def _column(source: Source, name: str) -> Array:
    need_columns(source, [name])
    return text(source.frame([name])[name])


def _only(held: Mapping[str, Any], names: Sequence[str] | None, noun: str) -> dict[str, Any]:
    for name in names or ():
        if name not in held:
            raise ConfigError(f"The cohort has no {noun} '{name}'.{did_you_mean(name, list(held))}")
    return {name: held[name] for name in (held if names is None else names)}


def _warn_of_leaks(modalities: Mapping[str, Modality], targets: Mapping[str, TargetValues], file: str) -> None:
    """A column that is both input and answer makes the answer known."""
    answers = {column for values in targets.values() for column in columns_of(values.spec)}
    for name, modality in modalities.items():
        if isinstance(modality.data, TableData) and modality.spec.file in (None, file):
            both = sorted(answers & {*modality.data.names, *modality.data.categorical})
            if both:
                message = f"{file}: both input of '{name}' and a target: {listed(both)}. The answer leaks."
                warnings.warn(message, FusionDxWarning, stacklevel=4)
