"""Treatment: what was done to each patient, declared so that its predicted effect may be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fusiondx.core.spec import Spec, spec
from fusiondx.data.modalities import Modality
from fusiondx.data.tables import TableData
from fusiondx.errors import ConfigError, did_you_mean

Array = npt.NDArray[Any]


@spec
class Treatment(Spec):
    """Which treatment each patient received: `column`, a categorical input of one of the tables.

    `randomised` says that chance decided who received which; only then do differences between patients who received
    different treatments speak of the treatments. `reference` is the treatment others are compared with; left out, the
    first in alphabetical order.

    >>> trial = fdx.Cohort.from_frame(
    ...     pd.read_csv("patients.csv").assign(arm=["drug", "placebo"] * 30),
    ...     modalities={"clinical": fdx.Table(numeric=("age_years",), categorical=("arm",))},
    ...     targets={"diagnosis": fdx.Classes("diagnosis")},
    ...     treatment=fdx.Treatment("arm", randomised=True, reference="placebo"),
    ... )
    >>> list(fdx.FusionModel(training=quick).fit(trial).predict_benefit(trial))
    ['diagnosis']
    """

    column: str
    randomised: bool = False
    reference: str | None = None
    kind: Literal["treatment"] = "treatment"


def home(treatment: Treatment, modalities: Mapping[str, Modality]) -> str:
    """The table that has the treatment among its inputs. Raises `ConfigError` where none or several have it."""
    tables = {n: m.data.categorical for n, m in modalities.items() if isinstance(m.data, TableData)}
    found = [name for name, categorical in tables.items() if treatment.column in categorical]
    if len(found) == 1:
        return found[0]
    known = [column for categorical in tables.values() for column in categorical]
    many = "inputs of several tables" if found else "a categorical input of no table"
    raise ConfigError(
        f"treatment: '{treatment.column}' is {many}. Name it under 'categorical' of one table, so that a model can "
        f"learn from it.{did_you_mean(treatment.column, known)}"
    )


def received(modality: Modality, column: str) -> Array:
    """What each patient received, as a category; the last row counts where there are several, None where unknown."""
    assert isinstance(modality.data, TableData)
    found = np.full(len(modality.present), None, dtype=object)
    last = modality.rows[modality.start[1:][modality.present] - 1]
    found[modality.present] = modality.data.categorical[column][last]
    return found


def given(modality: Modality, column: str, treatment: str) -> Modality:
    """The same table as if every patient in it had received `treatment`."""
    assert isinstance(modality.data, TableData)
    everyone = np.full(len(modality.data), treatment, dtype=object)
    data = replace(modality.data, categorical={**modality.data.categorical, column: everyone})
    return replace(modality, data=data)
