"""Judge predictions, whoever made them: NumPy in, numbers out, with intervals or the reason why there is none.

`judge_classes` and its like judge arrays, Series and frames in one call; `score` takes our own `Prediction` beside the
truth, from one held-out set or several folds. What a figure shows comes from the functions that end in ``_frame``.
"""

from fusiondx.evaluation.average_precision import estimate_average_precision, precision_recall_frame
from fusiondx.evaluation.brier import estimate_brier, estimate_brier_skill
from fusiondx.evaluation.calibration import (
    calibration_curve,
    calibration_frame,
    estimate_calibration_errors,
    estimate_calibration_intercept,
    estimate_calibration_slope,
    estimate_observed_expected,
    recalibration,
)
from fusiondx.evaluation.corp import BrierParts, brier_parts, reliability_frame
from fusiondx.evaluation.delong import auroc_difference, estimate_auroc
from fusiondx.evaluation.discrimination import roc_curve
from fusiondx.evaluation.distributions import histogram_frame, quantile_frame
from fusiondx.evaluation.ece import estimate_ece
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.judge import judge_classes, judge_labels, judge_numbers, judge_survival, outcome_frame
from fusiondx.evaluation.metrics import METRICS, Metric, metrics_for, primary_metric
from fusiondx.evaluation.multiclass import estimate_hand_till, estimate_one_vs_rest
from fusiondx.evaluation.net_benefit import estimate_net_benefit, net_benefit_difference, net_benefit_frame
from fusiondx.evaluation.operating_points import (
    MostNetBenefit,
    SensitivityAtLeast,
    SpecificityAtLeast,
    Threshold,
    Youden,
    choose_threshold,
    judge_threshold,
)
from fusiondx.evaluation.parts import Part, class_part, label_part, number_part, survival_part
from fusiondx.evaluation.pooled import pool, pooled_difference
from fusiondx.evaluation.score import difference, score, score_one

__all__ = [
    "METRICS",
    "BrierParts",
    "Estimate",
    "Metric",
    "MostNetBenefit",
    "Outcome",
    "Part",
    "SensitivityAtLeast",
    "SpecificityAtLeast",
    "Threshold",
    "Undefined",
    "Youden",
    "auroc_difference",
    "brier_parts",
    "calibration_curve",
    "calibration_frame",
    "choose_threshold",
    "class_part",
    "difference",
    "estimate_auroc",
    "estimate_average_precision",
    "estimate_brier",
    "estimate_brier_skill",
    "estimate_calibration_errors",
    "estimate_calibration_intercept",
    "estimate_calibration_slope",
    "estimate_ece",
    "estimate_hand_till",
    "estimate_net_benefit",
    "estimate_observed_expected",
    "estimate_one_vs_rest",
    "histogram_frame",
    "judge_classes",
    "judge_labels",
    "judge_numbers",
    "judge_survival",
    "judge_threshold",
    "label_part",
    "metrics_for",
    "net_benefit_difference",
    "net_benefit_frame",
    "number_part",
    "outcome_frame",
    "pool",
    "pooled_difference",
    "precision_recall_frame",
    "primary_metric",
    "quantile_frame",
    "recalibration",
    "reliability_frame",
    "roc_curve",
    "score",
    "score_one",
    "survival_part",
]
