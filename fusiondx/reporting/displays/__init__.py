"""Displays: figures in scikit-learn's manner, each a frame of numbers that can be plotted.

``CalibrationDisplay.from_predictions(probability, positive).plot(ax)``; ``.frame()`` is what the figure shows.
"""

from fusiondx.reporting.displays.calibration import CalibrationDisplay
from fusiondx.reporting.displays.cox_snell import ACalibrationDisplay, DCalibrationDisplay
from fusiondx.reporting.displays.decision_curve import DecisionCurveDisplay
from fusiondx.reporting.displays.display import Display
from fusiondx.reporting.displays.distribution import DistributionDisplay
from fusiondx.reporting.displays.incidence import IncidenceDisplay
from fusiondx.reporting.displays.kaplan_meier import KaplanMeierDisplay
from fusiondx.reporting.displays.over_time import OverTimeDisplay
from fusiondx.reporting.displays.roc import RocDisplay
from fusiondx.reporting.displays.survival_calibration import SurvivalCalibrationDisplay

__all__ = [
    "ACalibrationDisplay",
    "CalibrationDisplay",
    "DCalibrationDisplay",
    "DecisionCurveDisplay",
    "Display",
    "DistributionDisplay",
    "IncidenceDisplay",
    "KaplanMeierDisplay",
    "OverTimeDisplay",
    "RocDisplay",
    "SurvivalCalibrationDisplay",
]
