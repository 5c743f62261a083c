"""What an audit is told beside the cohort, its split and the models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fusiondx.auditing.report import AuditReport, audit
from fusiondx.core.spec import Spec, spec
from fusiondx.data.cohort import Cohort

Index = npt.NDArray[np.integer[Any]]


@spec
class Audit(Spec):
    """Waivers, index time and dates of inputs; see `audit`.

    >>> told = fdx.Audit(waivers={"FDX005": "two sites are all there are"}).of(cohort, cohort.folds(2, group=None), {})
    >>> told.frame()["code"].tolist()[:2]
    ['FDX001', 'FDX002']
    """

    waivers: Mapping[str, str] = Field(default_factory=dict)
    index: str | None = None
    dated: Mapping[str, str] = Field(default_factory=dict)

    def of(self, cohort: Cohort, split: Iterable[tuple[Index, Index]], models: Mapping[str, Any]) -> AuditReport:
        """What the checks find; `split` holds the positions of training and of held-out patients, fold by fold."""
        return audit(cohort, split, models, waivers=self.waivers, index=self.index, dated=self.dated)
