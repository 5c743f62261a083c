"""Design: a simulated cohort in which it is known what each modality tells."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator
from scipy.optimize import brentq
from scipy.special import expit

from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Classes, Survival
from fusiondx.data.cohort import Cohort
from fusiondx.data.missingness import MAR, MCAR, MNAR, ampute
from fusiondx.data.synthetic import survival_times
from fusiondx.data.tables import Table
from fusiondx.errors import ConfigError

Floats = npt.NDArray[np.float64]
Effect = Annotated[float, Field(ge=-10, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
Missing = Annotated[MCAR | MAR | MNAR, Field(discriminator="kind")]
CARRIERS = 3
"""Columns of a modality that may tell something: its own factor, the shared one, its side of the interaction."""


@spec
class Planted(Spec):
    """What one simulated modality, a table, tells; left as it is, nothing: a dead modality.

    In the terms of partial information decomposition (Williams & Beer 2010): `uniqueness` is the effect of a factor
    that this modality alone shows; `redundancy` how well it shows the factor that all redundant modalities share, 1
    without loss; with `synergy` it shows a sign that tells something only together with those of the others. Beyond the
    three columns that carry these, `columns` are noise. `noise` is the standard deviation of measurement error.

    >>> dead, telling = fdx.Planted(), fdx.Planted(uniqueness=1.0)
    >>> fdx.Design({"omics": telling, "mri": dead}).live
    {'omics': True, 'mri': False}
    """

    uniqueness: Effect = 0.0
    redundancy: Share = 0.0
    synergy: bool = False
    columns: int = Field(default=4, ge=CARRIERS, le=10_000)
    noise: float = Field(default=0.5, ge=0, le=100)
    kind: Literal["planted"] = "planted"


@spec
class Design(Spec):
    """A cohort to simulate. Effects are log odds of the positive class or log hazard ratios, per standard deviation.

    `shared` is the effect of the shared factor, `synergy` that of the interaction: plus or minus it, as the product of
    the signs that synergistic modalities show, an exclusive or of them. Patients come from `sites`, whose columns are
    shifted by `site_shift` and whose outcomes by `site_effect` (standard deviations over sites). `missing` takes
    modalities away. Of a class, `prevalence` is the share of positives; of a survival time, `censoring` that of the
    censored.

    >>> told = fdx.Planted(uniqueness=0.5, redundancy=0.8)
    >>> design = fdx.Design({"omics": told, "mri": told}, shared=1.0, missing=fdx.MCAR(0.2))
    >>> design.draw(100, seed=0)
    <Cohort of 100 patients: omics (85), mri (81); targets: outcome (100)>
    """

    modalities: dict[str, Planted] = Field(min_length=1)
    shared: Effect = 0.0
    synergy: Effect = 0.0
    target: Literal["classes", "survival"] = "classes"
    prevalence: float = Field(default=0.5, gt=0, lt=1)
    censoring: float = Field(default=0.4, ge=0, lt=1)
    sites: int = Field(default=1, ge=1)
    site_shift: float = Field(default=0.0, ge=0, le=100)
    site_effect: float = Field(default=0.0, ge=0, le=10)
    missing: Missing | None = None
    kind: Literal["design"] = "design"

    @model_validator(mode="after")
    def _interaction_has_sides(self) -> Self:
        if self.synergy and sum(planted.synergy for planted in self.modalities.values()) < 2:
            raise ValueError("synergy takes two modalities or more with synergy: true")
        return self

    @property
    def live(self) -> dict[str, bool]:
        """Whether each modality tells anything, by name."""
        return {
            name: bool(p.uniqueness or (p.redundancy and self.shared) or (p.synergy and self.synergy))
            for name, p in self.modalities.items()
        }

    def draw(self, patients: int, seed: int = 0) -> Cohort:
        """A cohort of this design, with the target ``outcome``; the column ``true_risk`` holds log odds or log hazards.

        Columns of a modality: ``name_0`` carries its own factor, ``name_1`` the shared one, ``name_2`` its sign. Raises
        `ConfigError` for fewer than two patients, or a missing rate that cannot be reached.
        """
        if patients < 2:
            raise ConfigError(f"draw({patients}): give two or more patients.")
        random = np.random.default_rng(seed)
        table = pd.DataFrame({"patient_id": [f"S{row:05d}" for row in range(patients)]})
        site = random.integers(self.sites, size=patients)
        shared = random.normal(size=patients)
        risk = self.shared * shared + self.site_effect * random.normal(size=self.sites)[site]
        together = np.full(patients, self.synergy)
        for name, planted in self.modalities.items():
            own, sign = random.normal(size=patients), random.choice([-1.0, 1.0], patients)
            risk = risk + planted.uniqueness * own
            together = together * (sign if planted.synergy else 1.0)
            carried = [bool(planted.uniqueness) * own, planted.redundancy * shared, planted.synergy * sign]
            table = table.join(self._columns(name, carried, site, random))
        table = table.assign(true_risk=risk + together, site=[f"site {number}" for number in site])
        cohort = self._asked(table.join(self._outcome(risk + together, random)))
        return cohort if self.missing is None else ampute(cohort, self.missing, seed=seed)

    def _columns(
        self, name: str, carried: list[Floats], site: npt.NDArray[Any], random: np.random.Generator
    ) -> pd.DataFrame:
        """One modality: what is carried, measured with error, and noise."""
        planted = self.modalities[name]
        values = random.normal(size=(len(site), planted.columns))
        values[:, :CARRIERS] = np.stack(carried, axis=1) + planted.noise * values[:, :CARRIERS]
        shift = self.site_shift * random.normal(size=(self.sites, planted.columns))
        return pd.DataFrame(values + shift[site], columns=[f"{name}_{j}" for j in range(planted.columns)])

    def _outcome(self, risk: Floats, random: np.random.Generator) -> pd.DataFrame:
        if self.target == "survival":
            months, event = survival_times(risk, random, self.censoring)
            return pd.DataFrame({"os_months": months, "os_event": event.astype(int)})
        middle = brentq(lambda a: float(expit(a + risk).mean()) - self.prevalence, -100, 100)
        positive = random.random(len(risk)) < expit(middle + risk)
        return pd.DataFrame({"label": np.where(positive, "yes", "no")})

    def _asked(self, table: pd.DataFrame) -> Cohort:
        target = Survival("os_months", "os_event") if self.target == "survival" else Classes("label", ("no", "yes"))
        tables = {
            name: Table(numeric=tuple(f"{name}_{j}" for j in range(planted.columns)))
            for name, planted in self.modalities.items()
        }
        where = "site" if self.sites > 1 else None
        return Cohort.from_frame(
            table, modalities=tables, targets={"outcome": target}, site=where, title="SIMULATED: by design"
        )
