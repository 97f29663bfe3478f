# SPDX-License-Identifier: Apache-2.0
"""Training steps of recurrent models in PyTorch."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.variant import COMPILED, OF_VECTORS, Work


class CharacterModel(nn.Module):
    """An embedding, recurrent layers, and logits of the next token."""

    def __init__(self, kind: str, width: int, n_layers: int, n_tokens: int):
        super().__init__()
        self.table = nn.Embedding(n_tokens, width)
        self.body = getattr(nn, kind)(width, width, n_layers, batch_first=True)
        self.head = nn.Linear(width, n_tokens)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits after every token."""
        return self.head(self.body(self.table(tokens))[0])


def character_model(
    *, variant: str, kind: str, n: int, length: int, width: int, n_layers: int, n_tokens: int
):
    """One step of Adam on the cross-entropy of the next token."""
    model = CharacterModel(kind, width, n_layers, n_tokens)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    tokens = torch.randint(n_tokens, (n, length + 1))

    def loss(tokens: torch.Tensor) -> torch.Tensor:
        logits = model(tokens[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    function = torch.compile(loss) if variant == COMPILED else loss

    def step() -> None:
        optimizer.zero_grad()
        function(tokens).backward()
        optimizer.step()

    return step


CASES = {"character model": Work(character_model, OF_VECTORS)}
