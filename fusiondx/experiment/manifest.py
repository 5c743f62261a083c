"""The manifest: what a run was made of, so that it can be made again."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from fusiondx.data.cohort import Cohort
from fusiondx.data.folds import Folds
from fusiondx.experiment.file import Experiment
from fusiondx.experiment.folder import FORMAT

PACKAGES = ("fusiondx", "torch", "lightning", "numpy", "pandas", "scipy", "scikit-learn", "pillow", "timm", "monai")


@dataclass(frozen=True)
class Clock:
    """When a run started."""

    date: datetime = field(default_factory=lambda: datetime.now(UTC))
    ticks: float = field(default_factory=time.monotonic)

    def manifest(
        self, experiment: Experiment, cohort: Cohort, models: dict[str, str], parts: Folds, home: Path
    ) -> dict[str, Any]:
        """Everything about a run that now ends; `models` are folders by model name, `home` is where the experiment.yaml
        lies."""
        return {
            "format": FORMAT,
            "title": experiment.title,
            "cohort": cohort.title,
            "cohort_fingerprint": cohort.fingerprint,
            "patients": len(cohort),
            "models": models,
            "split_sha256": parts.sha256,
            "git": revision(home),
            "jobs": experiment.jobs,
            "threads": torch.get_num_threads(),
            "seeds": seeds(experiment),
            "started": self.date.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_seconds": round(time.monotonic() - self.ticks, 1),
            "peak_memory_mb": peak_memory(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": {name: found for name in PACKAGES if (found := installed(name))},
        }


def seeds(experiment: Experiment) -> dict[str, int]:
    """Every seed that the numbers rest on."""
    parting = experiment.split or experiment.folds
    models = {f"model {name}".strip(): model.seed for name, model in experiment.settings.items()}
    drawn = {"patients": parting.seed} if parting and parting.column is None else {}
    return {**drawn, **models, "evaluation": experiment.evaluation.seed}


def revision(folder: Path) -> dict[str, Any] | None:
    """The git commit a folder is at and whether anything in it was changed since; None where git does not know it."""
    try:
        commit = _git(folder, "rev-parse", "HEAD").strip()
        return {"commit": commit, "changed": bool(_git(folder, "status", "--porcelain", "--", "."))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=20).stdout


def peak_memory() -> float | None:
    """The most memory this process has held, in megabytes; None where the system does not say."""
    try:
        import resource  # Unix only
    except ImportError:
        return None
    units = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units, 1)


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
