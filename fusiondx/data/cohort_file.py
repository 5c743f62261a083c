"""cohort.yaml: which file and column is what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fusiondx.core.settings import parse, read_yaml
from fusiondx.core.spec import Name, Spec, spec
from fusiondx.core.targets import TargetSpec
from fusiondx.data.modalities import ModalitySpec, Unknown
from fusiondx.data.treatment import Treatment


@spec
class Patients(Spec):
    """The patient table: one row per patient. `site` is a grouping column, not an input.

    `unknown` says what to do with patients of a modality who are not in this table.
    """

    file: str
    id: str = "patient_id"
    site: str | None = None
    unknown: Unknown = "error"


@spec
class CohortFile(Spec):
    """All of a cohort.yaml."""

    patients: Patients
    modalities: Mapping[Name, ModalitySpec] = Field(min_length=1)
    targets: Mapping[Name, TargetSpec] = Field(default_factory=dict)
    treatment: Treatment | None = None
    landmark: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """See `Cohort.landmark`."""
    title: str = ""


def read_cohort_file(path: Path) -> CohortFile:
    """Read and check a cohort.yaml. Raises `ConfigError` with the place and the nearest valid name."""
    file: CohortFile = parse(CohortFile, read_yaml(path), path.name)
    return file
