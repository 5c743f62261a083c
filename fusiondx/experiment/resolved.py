"""Settings in force: those of a file with everything it leaves out, and how two files differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fusiondx.core.settings import parse, read_yaml
from fusiondx.data.cohort_file import CohortFile
from fusiondx.experiment.file import Experiment, flat, is_experiment, plain, read_experiment
from fusiondx.experiment.overrides import overridden

Settings = dict[str, Any]


def resolved(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """All settings of a cohort.yaml or an experiment.yaml, defaults spelt out; what is not set is left out.

    Raises `ConfigError` for whatever is wrong with them.
    """
    settings = read_yaml(path)
    if is_experiment(settings):
        return plain(Experiment, read_experiment(path, overrides))
    file = parse(CohortFile, settings, path.name)
    return plain(CohortFile, parse(CohortFile, overridden(settings, overrides), "--set") if overrides else file)


def differences(a: Settings, b: Settings) -> list[str]:
    """One line per setting that differs: ``model.fusion.kind: gated -> mean``."""
    left, right = dict(flat(a)), dict(flat(b))
    return [
        f"{path}: {shown(left, path)} -> {shown(right, path)}"
        for path in dict.fromkeys((*left, *right))
        if left.get(path, ...) != right.get(path, ...)
    ]


def shown(settings: Mapping[str, Any], path: str) -> str:
    if path not in settings:
        return "(not set)"
    return yaml.safe_dump(settings[path], default_flow_style=True, allow_unicode=True).removesuffix("\n...\n").strip()
