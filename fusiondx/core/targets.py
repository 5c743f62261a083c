"""Targets: what is asked of a patient, and the answers known so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from fusiondx.core.spec import Spec, spec
from fusiondx.errors import DataError, listed

Array = npt.NDArray[Any]


@spec
class Classes(Spec):
    """A diagnosis: one of two or more classes, read from `column`.

    `classes` fixes their order; the last of two is the positive class. Left out, they are sorted. With `ordered`, such
    as grades, `classes` must be given, from the lowest to the highest.

    Response to a treatment is asked as any other diagnosis: responder or not, or the ordered classes of RECIST.

    >>> fdx.Classes("diagnosis", classes=("benign", "malignant")).classes[-1]  # the positive class
    'malignant'
    """

    column: str
    classes: tuple[str, ...] | None = None
    ordered: bool = False
    kind: Literal["classes"] = "classes"

    @model_validator(mode="after")
    def _order_is_known(self) -> Self:
        if self.ordered and not self.classes:
            raise ValueError("an ordered target needs its 'classes', from the lowest to the highest")
        return self


@spec
class Labels(Spec):
    """Findings that do not exclude each other: one yes/no column each, such as mutations or metastatic sites.

    Cells hold 1 or 0, yes or no, true or false; each label may be unknown on its own, where its cell is blank.

    >>> patients = pd.read_csv("patients.csv").assign(liver=["yes", "no"] * 30, bone=["no", "no", None] * 20)
    >>> found = {"metastases": fdx.Labels(("liver", "bone"))}
    >>> tables = {"clinical": fdx.Table(numeric=("age_years",))}
    >>> fdx.Cohort.from_frame(patients, modalities=tables, targets=found).y()[:3]
    array([[ 1.,  0.],
           [ 0.,  0.],
           [ 1., nan]])
    """

    columns: tuple[str, ...] = Field(min_length=1)
    kind: Literal["labels"] = "labels"

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("a column is named more than once")
        return self


Unit = Literal["days", "weeks", "months", "years"]


@spec
class Survival(Spec):
    """A prognosis: `time` until death or relapse, or until last seen; `event` is 1 when it happened.

    `strata` names a column of the patient table, such as the hospital, whose groups may have hazards of different
    shapes: a Cox head then compares patients within groups only (Kalbfleisch & Prentice 1980).

    >>> asked = {"survival": fdx.Survival("os_months", "os_event", unit="months")}
    >>> tables = {"clinical": fdx.Table(numeric=("age_years",))}
    >>> fdx.Cohort.from_frame(pd.read_csv("patients.csv"), modalities=tables, targets=asked).y()[:2]
    array([(False, 29.14), ( True, 48.24)],
          dtype=[('event', '?'), ('time', '<f8')])
    """

    time: str
    event: str
    unit: Unit = "months"
    strata: str | None = None
    kind: Literal["survival"] = "survival"


@spec
class CompetingRisks(Spec):
    """A prognosis with several causes, of which the first to happen rules the others out.

    `time` is until that, or until last seen; `event` is 0 for the latter, else the number, from 1, of the cause among
    `causes`.

    >>> patients = pd.DataFrame(
    ...     {"patient_id": ["A", "B", "C"], "age": [61, 70, 55], "months": [9, 4, 7], "why": [0, 2, 1]}
    ... )
    >>> asked = {"first": fdx.CompetingRisks("months", "why", causes=("relapse", "death"))}
    >>> fdx.Cohort.from_frame(patients, modalities={"clinical": fdx.Table(numeric=("age",))}, targets=asked).y()
    array([(0, 9.), (2, 4.), (1, 7.)],
          dtype=[('event', '<i8'), ('time', '<f8')])
    """

    time: str
    event: str
    causes: tuple[str, ...] = Field(min_length=1)
    unit: Unit = "months"
    kind: Literal["competing"] = "competing"

    @model_validator(mode="after")
    def _causes_differ(self) -> Self:
        if len(set(self.causes)) < len(self.causes):
            raise ValueError("a cause is named more than once")
        return self


@spec
class Number(Spec):
    """A quantity, read from `column`, in `unit`: a measurement, a score, or the change of one under treatment.

    >>> tables = {"clinical": fdx.Table(categorical=("stage",))}
    >>> aged = {"age": fdx.Number("age_years", unit="years")}
    >>> fdx.Cohort.from_frame(pd.read_csv("patients.csv"), modalities=tables, targets=aged).y()[:3]
    array([ nan, 65.2, 69.2])
    """

    column: str
    unit: str = ""
    kind: Literal["number"] = "number"


@spec
class Masks(Spec):
    """The tumour's outline in the images of `modality`; not asked for as a target, but judged as one."""

    modality: str
    kind: Literal["mask"] = "mask"


@spec
class Cause(Spec):
    """One of several competing causes; not asked for as a target, but judged as one."""

    cause: str
    unit: Unit = "months"
    kind: Literal["cause"] = "cause"


AnyTarget = Classes | Labels | Survival | CompetingRisks | Number
"""What may be asked of a patient."""
TargetSpec = Annotated[AnyTarget, Field(discriminator="kind")]


@dataclass(frozen=True)
class TargetValues:
    """The true values of one target for an ordered set of patients.

    `fields` holds arrays of shape ``(patients,)``: ``label`` (integer index into `classes`) for a diagnosis,
    ``time`` and ``event`` (0/1, or the number of the cause) for a prognosis, with strata also ``stratum`` (index into
    `classes`), ``value`` for a number or for the size of a mask in pixels. For labels
    they are of shape ``(patients, labels)``: ``label`` (0/1), and ``told``, whether it is known. Entries where `known`,
    or ``told``, is False mean nothing.
    """

    spec: AnyTarget | Masks | Cause
    fields: Mapping[str, Array]
    known: npt.NDArray[np.bool_]
    """Whether anything is known of the patient. Shape ``(patients,)``."""
    classes: tuple[str, ...] = ()
    """Names of the classes, of the labels, of the strata or of the causes."""

    def __len__(self) -> int:
        return len(self.known)

    def __getitem__(self, index: Array) -> TargetValues:
        return TargetValues(self.spec, {n: v[index] for n, v in self.fields.items()}, self.known[index], self.classes)

    @property
    def strata(self) -> npt.NDArray[np.int64]:
        """A label to stratify splits by: the class, the rarest label a patient has, the event or its cause, or the
        third of a number; -1 where unknown."""
        if isinstance(self.spec, Classes):
            label = self.fields["label"].astype(np.int64)
        elif isinstance(self.spec, Labels):
            has = (self.fields["label"] == 1) & self.fields["told"]
            rarest = np.argsort(has.sum(axis=0), kind="stable")
            label = np.where(has.any(axis=1), 1 + has[:, rarest].argmax(axis=1), 0)
        elif isinstance(self.spec, Survival | CompetingRisks | Cause):
            label = self.fields["event"].astype(np.int64)
        else:
            value = self.fields["value"]
            cuts = np.quantile(value[self.known], [1 / 3, 2 / 3]) if self.known.any() else [0.0]
            label = np.searchsorted(cuts, value).astype(np.int64)
        return np.where(self.known, label, -1)

    def of_label(self, name: str) -> TargetValues:
        """One of several labels as a diagnosis of its own, ``no`` or ``yes``. Raises `DataError` where it is none."""
        at = self._place(name)
        spec = Classes(column=name, classes=("no", "yes"))
        return TargetValues(spec, {"label": self.fields["label"][:, at]}, self.fields["told"][:, at], ("no", "yes"))

    def of_cause(self, name: str) -> TargetValues:
        """One of several causes on its own: event 1 where it came first, 2 where another one did. Raises `DataError`
        where it is none."""
        assert isinstance(self.spec, CompetingRisks)
        met = self.fields["event"]
        event = np.where(met == 1 + self._place(name), 1, np.where(met > 0, 2, 0)).astype(np.int64)
        return TargetValues(Cause(name, self.spec.unit), {"time": self.fields["time"], "event": event}, self.known)

    def _place(self, name: str) -> int:
        if name not in self.classes:
            raise DataError(f"'{name}' was predicted, which is none of {listed(self.classes)}. Predict what is asked.")
        return self.classes.index(name)
