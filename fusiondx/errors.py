"""The errors fusiondx raises, and the phrases they share.

Every message says what is wrong, where, and what to do. Cell values never appear in a message; patient ids and
the paths of absent files do, because a user cannot mend a table without them.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class FusionDxError(Exception):
    """Base of every error raised on purpose by fusiondx.

    >>> try:
    ...     cohort.select(modalities=["omic"])
    ... except fdx.FusionDxError as error:
    ...     print(error)
    The cohort has no modality 'omic'. Did you mean 'omics'? Known: clinical, omics, image.
    """


class DataError(FusionDxError, ValueError):
    """A cohort's files, columns or values cannot be used as they are."""


class ConfigError(FusionDxError, ValueError):
    """A setting, in Python or in YAML, is unknown, of the wrong type or out of range."""


class RunError(FusionDxError, RuntimeError):
    """A run folder or a saved model cannot be written, read or continued."""


class FusionDxWarning(UserWarning):
    """Something in the data was put right or left out; the result is still sound.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always", fdx.FusionDxWarning)
    ...     folds = cohort.folds(k=8)
    >>> str(told[0].message).partition(",")[0]
    '6 sites do not fill 8 parts'
    """


class MissingPackageError(FusionDxError, ImportError):
    """An optional package is absent or does not work on this machine."""


def listed(names: Iterable[object], show: int = 5) -> str:
    """The first few of `names`, for a message: ``P07, P12, P31 and 4 more``."""
    every = [str(name) for name in names]
    more = f" and {len(every) - show} more" if len(every) > show else ""
    return ", ".join(every[:show]) + more


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``1 patient``, ``3 patients``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A closing sentence for an unknown name: the nearest valid one, and all of them when they are few."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"{hint} Known: {listed(known, show=12)}." if known else hint
