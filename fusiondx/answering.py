"""Answering: what all models share once they can predict: probabilities, risks, curves and a score by target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import NotFittedError

from fusiondx.core.parameters import Nested
from fusiondx.core.predictions import ClassPrediction, Prediction, SurvivalPrediction
from fusiondx.core.targets import TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.errors import ConfigError, listed

Floats = npt.NDArray[np.floating[Any]]


class Answering(Nested, ABC):
    """A model that, once fitted, answers the questions in `targets_` about the patients of a cohort."""

    targets_: Mapping[str, TargetValues]

    @abstractmethod
    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """Predictions by target name, for every patient, whatever modalities they lack."""

    def predict_proba(self, cohort: Cohort, target: str | None = None) -> Floats:
        """Class probabilities, shape ``(patients, classes)``, of the only diagnosis or of `target`."""
        prediction = self.predict(cohort)[self._target("classes", target)]
        assert isinstance(prediction, ClassPrediction)
        return prediction.probability

    def predict_risk(self, cohort: Cohort, target: str | None = None) -> Floats:
        """Risk scores, shape ``(patients,)``, of the only prognosis or of `target`; higher is worse. See
        `SurvivalPrediction.risk`."""
        return self._survival(cohort, target).risk

    def predict_survival(self, cohort: Cohort, times: npt.ArrayLike, target: str | None = None) -> Floats:
        """Probability to be event-free beyond each of `times` (in the target's unit), shape ``(patients, times)``."""
        return self._survival(cohort, target).survival(times)

    def score(self, cohort: Cohort, y: Any = None) -> float:
        """AUROC, concordance index or R squared of the first target: higher is better.

        Raises `DataError` where these patients cannot give it.
        """
        from fusiondx.evaluation.score import score_one

        name = next(iter(self._asked()))
        values = (cohort if y is None else cohort.with_target(name, y)).targets[name]
        return score_one(self.predict(cohort)[name], values)

    def _survival(self, cohort: Cohort, target: str | None) -> SurvivalPrediction:
        prediction = self.predict(cohort)[self._target("survival", target)]
        assert isinstance(prediction, SurvivalPrediction)
        return prediction

    def _asked(self) -> Mapping[str, TargetValues]:
        """The targets of the fitted model."""
        if not hasattr(self, "targets_"):
            name = type(self).__name__
            raise NotFittedError(f"This {name} is not fitted yet. Call fit(cohort) first, or {name}.load.")
        return self.targets_

    def _target(self, kind: str, name: str | None) -> str:
        of_kind = [n for n, t in self._asked().items() if t.spec.kind == kind]
        if name is None and len(of_kind) == 1:
            return of_kind[0]
        if name in of_kind:
            return str(name)
        asked = "none was named" if name is None else f"'{name}' was asked for"
        raise ConfigError(
            f"This needs one target of kind '{kind}'; {asked}. The model has: {listed(of_kind) or 'none'}."
        )


def no_values(spec: Any, classes: tuple[str, ...]) -> TargetValues:
    """A target without patients: its question, not its answers."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "classes": {"label": (0,)},
        "labels": {"label": (0, len(classes)), "told": (0, len(classes))},
        "survival": {"time": (0,), "event": (0,)},
        "competing": {"time": (0,), "event": (0,)},
        "number": {"value": (0,)},
    }
    fields = {name: np.zeros(shape) for name, shape in shapes[spec.kind].items()}
    return TargetValues(spec, fields, np.zeros(0, dtype=bool), classes)
