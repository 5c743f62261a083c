"""Validation: models judged on patients they never saw, always beside their baselines."""

from fusiondx.validation.bootstrap import bootstrap_632plus as bootstrap_632plus
from fusiondx.validation.contender import Contender as Contender
from fusiondx.validation.contender import judged as judged
from fusiondx.validation.external import ExternalValidation as ExternalValidation
from fusiondx.validation.external import external_validate as external_validate
from fusiondx.validation.judging import cross_validate as cross_validate
from fusiondx.validation.judging import evaluate as evaluate
from fusiondx.validation.judging import refuse_overlap as refuse_overlap
from fusiondx.validation.judging import run as run
from fusiondx.validation.judging import train_test as train_test
from fusiondx.validation.reports import report as report
from fusiondx.validation.rivals import confined as confined
from fusiondx.validation.rivals import named as named
from fusiondx.validation.tuning import Tuned as Tuned
from fusiondx.validation.tuning import nested_cross_validate as nested_cross_validate

__all__ = [
    "ExternalValidation",
    "Tuned",
    "bootstrap_632plus",
    "cross_validate",
    "evaluate",
    "external_validate",
    "nested_cross_validate",
    "train_test",
]
