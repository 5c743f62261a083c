"""Pathway tokens: one token per gene set."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor, nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, Shape, TableShape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.columns import Columns
from fusiondx.encoders.genesets import by_affix, gene_of, read_gmt
from fusiondx.errors import ConfigError, FusionDxWarning, counted, listed

REST = "rest"
"""Name of the token of all that no set covers."""


@spec
class Pathways(Spec):
    """One token per gene set, in the order of the sets, for fusions that attend (after Chen et al. 2021; Jaume et al.
    2024).

    `sets` is the path of a GMT file, the sets themselves by name, or "suffix" or "prefix", which groups the columns
    by their names: with "suffix", ``TP53_cnv`` belongs to the set "cnv". A fitted or saved model holds the sets
    themselves and needs the file no more.

    `strip` says which gene a column is of: with ``("*_rnaseq", "*_cnv")`` the columns ``EGFR_rnaseq`` and ``EGFR_cnv``
    both are of EGFR. Sets of which the table has fewer than `min_genes` genes get no token. What no set covers, and
    categories, share one last token, "rest", or with `rest` off are not used; a warning counts them.

    A set's columns pass through a layer of `width` units of its own; from there to the token all sets share a layer
    but for the bias. Raises `ConfigError` where no token is left.

    >>> sets = {"repair": ("gene_00", "gene_01", "gene_02"), "growth": ("gene_02", "gene_03")}
    >>> encoders = {"omics": fdx.Pathways(sets)}  # three tokens: "repair", "growth" and "rest"
    >>> model = fdx.FusionModel(encoders, "attention", training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    sets: dict[str, tuple[str, ...]] | str = "suffix"
    strip: tuple[str, ...] = ()
    min_genes: int = Field(default=1, ge=1)
    rest: bool = True
    width: int = Field(default=16, ge=1)
    input_dropout: float = Field(default=0.5, ge=0, lt=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["pathways"] = "pathways"
    accepts: ClassVar[tuple[str, ...]] = ("table",)

    @field_validator("strip")
    @classmethod
    def _one_star_each(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if pattern.count("*") != 1:
                raise ValueError(f"'{pattern}' needs one '*', which stands for the gene")
        return patterns

    def resolved(self) -> Self:
        """The same with the sets of its GMT file in the place of the path; raises `ConfigError` or `DataError`."""
        if not isinstance(self.sets, str) or self.sets in ("suffix", "prefix"):
            return self
        return self.replace(sets=read_gmt(Path(self.sets)))

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, TableShape)
        return PathwaysEncoder(self.resolved(), shape, dim)


class PathwaysEncoder(Encoder):
    """`names` are those of the tokens, in their order."""

    columns_of_set: Tensor

    def __init__(self, spec: Pathways, shape: TableShape, dim: int) -> None:
        super().__init__()
        self.columns = Columns(shape, "onehot")
        self.cover = Cover(spec, shape)
        members = self.cover.members(self.columns.width)
        if not members:
            raise ConfigError(
                f"pathways: no set has {counted(spec.min_genes, 'gene')} in the table. Name the columns' genes by "
                "'strip', lower 'min_genes', or leave 'rest' on."
            )
        self.names = tuple(members)
        self.sizes = [len(columns) for columns in members.values()]
        everyone = [column for columns in members.values() for column in columns]
        self.register_buffer("columns_of_set", torch.tensor(everyone, dtype=torch.int64))
        self.gather = nn.Identity()  # where an explanation finds each set's columns apart from those of other sets
        self.input_dropout = nn.Dropout(spec.input_dropout)
        start = torch.tensor(self.sizes).rsqrt().repeat_interleave(torch.tensor(self.sizes))
        self.weight = nn.Parameter(torch.randn(len(everyone), spec.width) * start.unsqueeze(1))
        self.offset = nn.Parameter(torch.zeros(len(self.sizes), spec.width))
        self.activate = nn.Sequential(nn.GELU(), nn.Dropout(spec.dropout))
        self.project = nn.Linear(spec.width, dim, bias=False)
        self.bias = nn.Parameter(torch.randn(len(self.sizes), dim) * dim**-0.5)

    def prime(self, items: Items) -> None:
        """Nothing to fit; says what is not used, when a model is fitted and not when it is read."""
        self.cover.report()

    def forward(self, items: Items) -> Tokens:
        return items.tokens(self.tokens(self.input_dropout(self.columns(items.fields))))

    def tokens(self, columns: Float[Tensor, "items width"]) -> Float[Tensor, "items sets dim"]:
        """One product per set: no weights, and no work, for genes outside it."""
        inside = torch.split(self.gather(columns[:, self.columns_of_set]), self.sizes, dim=1)
        sums = [x @ w for x, w in zip(inside, torch.split(self.weight, self.sizes), strict=True)]
        tokens: Tensor = self.project(self.activate(torch.stack(sums, dim=1) + self.offset))
        return tokens + self.bias

    def contributions(self, items: Items) -> Float[Tensor, "items sets"]:
        """How far each token lies from that of the average training patient; zero or more. Use it in eval."""
        columns = self.columns(items.fields)
        far: Tensor = torch.linalg.vector_norm(self.tokens(columns) - self.tokens(torch.zeros_like(columns)), dim=2)
        return far

    def gene_weights(self) -> dict[str, dict[str, float]]:
        """Per set, the length of each numeric column's weights: how strongly it can move the token."""
        norms = torch.split(torch.linalg.vector_norm(self.weight.detach(), dim=1), self.sizes)
        places = torch.split(self.columns_of_set, self.sizes)
        numeric = self.cover.numeric
        return {
            name: {numeric[p]: float(n) for p, n in zip(place.tolist(), norm, strict=True) if p < len(numeric)}
            for name, place, norm in zip(self.names, places, norms, strict=True)
        }


class Cover:
    """Which columns belong to which set."""

    def __init__(self, spec: Pathways, shape: TableShape) -> None:
        self.numeric, self.min_genes, self.rest = shape.numeric, spec.min_genes, spec.rest
        known = set(shape.numeric)
        # that a value is missing is told of the same gene as the value
        of = [n.removesuffix(" missing") if n.removesuffix(" missing") in known else n for n in shape.numeric]
        if isinstance(spec.sets, str):
            sets, genes = by_affix(dict.fromkeys(of), spec.sets), of
        else:
            sets, genes = dict(spec.sets), [gene_of(name, spec.strip) for name in of]
        self.places: dict[str, list[int]] = {}
        for place, gene in enumerate(genes):
            self.places.setdefault(gene, []).append(place)
        found = {name: [g for g in dict.fromkeys(members) if g in self.places] for name, members in sets.items()}
        self.sets = {name: members for name, members in found.items() if len(members) >= spec.min_genes}
        self.absent = [name for name, members in found.items() if not members]
        self.small = [name for name, members in found.items() if 0 < len(members) < spec.min_genes]
        covered = {gene for members in self.sets.values() for gene in members}
        self.uncovered = [gene for gene in self.places if gene not in covered]

    def members(self, width: int) -> Mapping[str, list[int]]:
        """Places of the columns of each token; those from the number of numeric columns to `width` are categories."""
        tokens = {name: [p for gene in genes for p in self.places[gene]] for name, genes in self.sets.items()}
        left = [p for gene in self.uncovered for p in self.places[gene]] + list(range(len(self.numeric), width))
        if self.rest and left:
            tokens[REST if REST not in tokens else f"{REST} of the columns"] = left
        return tokens

    def report(self) -> None:
        """Warn of sets without a token and of genes outside all sets."""
        said = [
            f"{counted(len(names), what)} {why}: {listed(names)}"
            for names, what, why in (
                (self.absent, "set", "with no gene in the table"),
                (self.small, "set", f"with fewer than {self.min_genes} genes in the table"),
                (self.uncovered, "gene", f"in no set, {f'together as {REST!r}' if self.rest else 'not used'}"),
            )
            if names
        ]
        if said:
            warnings.warn(f"pathways: {'; '.join(said)}.", FusionDxWarning, stacklevel=2)
