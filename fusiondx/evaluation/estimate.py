"""What an evaluation says: an estimate with its interval, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A metric's value with a 95 % interval.

    >>> found = evaluation.estimate_auroc(probability, positive)
    >>> print(f"{found.metric} {found.value:.2f} ({found.low:.2f} to {found.high:.2f}), {found.n} patients")
    auroc 0.80 (0.76 to 0.84), 400 patients
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    """Patients it rests on."""
    events: int | None
    """Events or positive patients among them, where that makes sense."""
    method: str
    """How value and interval were obtained, in words."""
    horizon: float | None = None
    """The time it speaks of, in the unit of the times given; None where it speaks of none."""
    threshold: float | None = None
    """The probability or score from which a patient counts as positive; None where none does."""
    convention: str = ""
    """What definitions of the metric differ in, and the one taken: ties, truncation, orientation."""
    p: float | None = None
    """Two-sided p-value that a difference is 0, or as `method` says; None where nothing is tested."""


@dataclass(frozen=True)
class Undefined:
    """A metric that these patients cannot give, and why.

    >>> evaluation.estimate_auroc([0.3, 0.7], [1, 1])
    Undefined(metric='auroc', reason='no negative patients among 2 patients', n=2, events=2)
    """

    metric: str
    reason: str
    n: int
    events: int | None


Outcome = Estimate | Undefined
