"""Parameters: the settings of an estimator, also those inside its specs, mappings and estimators, as scikit-learn's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator, clone

from fusiondx.core.spec import Spec
from fusiondx.errors import did_you_mean


class Nested(BaseEstimator):
    """An estimator whose parameters may hold specs, mappings and estimators."""

    left_out: ClassVar[Mapping[str, Any]] = {}
    """What stands for a parameter that is None, so that a part of it can be set."""

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also nested: ``fusion="gated"``, ``fusion__dropout=0.3``, ``encoders__omics="snn"``.

        Raises `ValueError` for one that is not there, as scikit-learn does.
        """
        for name, value in sorted(params.items(), key=lambda item: item[0].count("__")):  # a spec, then what is in it
            own, _, inner = name.partition("__")
            if own not in self.get_params(deep=False):
                noun = type(self).__name__
                raise ValueError(f"{noun} has no parameter '{own}'.{did_you_mean(own, self._get_param_names())}")
            held = getattr(self, own) or self.left_out.get(own)
            setattr(self, own, changed(held, inner.split("__"), value, own) if inner else value)
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with `deep` also those inside: ``fusion__dropout``, ``encoders__omics__hidden``."""
        params = dict(super().get_params(deep=False))
        return params | inner_params(params) if deep else params


def inner_params(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings inside specs, mappings and estimators, as ``outer__inner``."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        if prefix:
            found[f"{prefix}{name}"] = value
        found |= inner_params(inside(value), f"{prefix}{name}__")
    return found


def inside(value: Any) -> Mapping[str, Any]:
    """What a setting is made of; nothing for a single value."""
    if isinstance(value, Spec | BaseEstimator):
        return value.get_params(deep=False)
    return value if isinstance(value, Mapping) else {}


def changed(value: Any, path: list[str], new: Any, where: str) -> Any:
    """`value` with the setting at `path` replaced; the original stays as it was."""
    if not path:
        return new
    name, *rest = path
    if isinstance(value, Mapping):
        return {**value, name: changed(value.get(name), rest, new, f"{where}__{name}")}
    if isinstance(value, Spec | BaseEstimator) and name in (held := inside(value)):
        setting = {name: changed(held[name], rest, new, f"{where}__{name}")}
        return value.replace(**setting) if isinstance(value, Spec) else clone(value).set_params(**setting)
    raise ValueError(f"{where} has no parameter '{name}'. Give {where} as a spec, such as fusion=Gated(), to set it.")
