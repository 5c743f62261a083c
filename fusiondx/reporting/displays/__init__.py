"""Displays: figures in scikit-learn's manner, each a frame of numbers that can be plotted.

``CalibrationDisplay.from_predictions(probability, positive).plot(ax)``; ``.frame()`` is what the figure shows.
"""

from fusiondx.reporting.displays.calibration import CalibrationDisplay as CalibrationDisplay
from fusiondx.reporting.displays.decision_curve import DecisionCurveDisplay as DecisionCurveDisplay
from fusiondx.reporting.displays.display import Display as Display
from fusiondx.reporting.displays.distribution import DistributionDisplay as DistributionDisplay
from fusiondx.reporting.displays.kaplan_meier import KaplanMeierDisplay as KaplanMeierDisplay
from fusiondx.reporting.displays.over_time import OverTimeDisplay as OverTimeDisplay
from fusiondx.reporting.displays.roc import RocDisplay as RocDisplay
from fusiondx.reporting.displays.survival_calibration import SurvivalCalibrationDisplay as SurvivalCalibrationDisplay
