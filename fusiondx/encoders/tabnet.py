"""TabNet."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, Shape, TableShape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.batchnorm import through
from fusiondx.encoders.columns import Columns


@spec
class TabNet(Spec):
    """TabNet (Arik & Pfister 2021) through pytorch-tabnet's network; one token per patient.

    In each of `steps` decisions a sparse mask chooses columns, a category's embedding as one; `relaxation` (gamma) of 1
    lets a column be chosen once only. `sparsity` weighs the masks' entropy in the loss.

    >>> encoders = {"omics": fdx.TabNet(decision=8, steps=2)}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    decision: int = Field(default=16, ge=1)
    """Width of the decision layer and of the attention layer."""
    steps: int = Field(default=3, ge=1)
    relaxation: float = Field(default=1.3, ge=1, allow_inf_nan=False)
    sparsity: float = Field(default=1e-3, ge=0, allow_inf_nan=False)
    momentum: float = Field(default=0.1, gt=0, le=1)
    """Of the batch statistics: higher than the published 0.02, because small cohorts make few steps."""
    kind: Literal["tabnet"] = "tabnet"
    accepts: ClassVar[tuple[str, ...]] = ("table",)

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, TableShape)
        return TabNetEncoder(self, shape, dim)


class TabNetEncoder(Encoder):
    def __init__(self, spec: TabNet, shape: TableShape, dim: int) -> None:
        super().__init__()
        from pytorch_tabnet import tab_network  # late: only those who ask for TabNet need it

        self.columns = Columns(shape, "embedding")
        self.sparsity = spec.sparsity
        groups = column_groups(len(shape.numeric), [table.shape[1] for table in self.columns.tables.parameters()])
        self.body = tab_network.TabNetEncoder(
            *(self.columns.width, dim, spec.decision, spec.decision, spec.steps, spec.relaxation),
            momentum=spec.momentum,
            group_attention_matrix=groups,
        )
        del self.body.group_attention_matrix  # a plain tensor, which would stay behind when the network moves
        self.body.register_buffer("group_attention_matrix", groups, persistent=False)
        self.project = nn.Linear(spec.decision, dim)
        self.entropy = torch.zeros(())

    def penalty(self) -> Float[Tensor, ""]:
        """The masks' mean entropy in the last forward pass, weighted; zero when there were no items."""
        return self.sparsity * self.entropy

    def forward(self, items: Items) -> Tokens:
        if not len(items):
            self.entropy = self.project.bias.new_zeros(())
            return items.tokens(self.project.bias.new_zeros(0, 1, self.project.out_features))
        steps, information = through(self.body, self.columns(items.fields))
        self.entropy = -information.clamp(max=0)  # rounding may leave a hair above
        return items.tokens(self.project(torch.stack(steps).sum(dim=0)).unsqueeze(1))

    def attention(self, items: Items) -> Float[Tensor, "items columns"]:
        """How much each column counted, numeric before categorical, summed over steps as published; use it in eval."""
        counted: Tensor = self.body.forward_masks(self.columns(items.fields))[0]
        groups: Tensor = self.body.group_attention_matrix
        return counted @ (groups > 0).float().T


def column_groups(numeric: int, embedded: list[int]) -> Float[Tensor, "columns width"]:
    """Which inputs belong to which column, each row summing to 1, so that one mask value covers an embedding."""
    sizes = torch.tensor([1] * numeric + embedded)
    owner = torch.arange(len(sizes)).repeat_interleave(sizes)
    return functional.one_hot(owner, len(sizes)).T / sizes.unsqueeze(1)
