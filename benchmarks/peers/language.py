# SPDX-License-Identifier: Apache-2.0
"""A transformer and an LSTM on characters in PyTorch: steps of training, and sequences drawn.

Drawing is eager, with keys and values in room that is allocated once: the length that attention
reads differs at every character, so that each would be compiled for itself.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.variant import COMPILED, EAGER, OF_VECTORS, Work

Cache = list[tuple[torch.Tensor, torch.Tensor]]


class Block(nn.Module):
    """Attention and an MLP, each behind a layer norm and added."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: torch.Tensor, cache: tuple[torch.Tensor, torch.Tensor] | None, start: int
    ) -> torch.Tensor:
        """The block's output, of a sequence or of one more of its elements."""
        n, t, width = x.shape
        heads = self.qkv(self.before(x)).view(n, t, 3, self.n_heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        if cache is not None:
            for room, new in zip(cache, (k, v), strict=True):
                room[:, :, start : start + t] = new
            k, v = (room[:, :, : start + t] for room in cache)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, width))
        hidden = functional.gelu(self.up(self.between(x)), approximate="tanh")
        return x + self.down(hidden)


class Transformer(nn.Module):
    """Logits of the next token; token number n_tokens is the start."""

    def __init__(self, length: int, width: int, n_layers: int, n_heads: int, n_tokens: int):
        super().__init__()
        self.tokens = nn.Embedding(n_tokens + 1, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, n_heads) for _ in range(n_layers))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, n_tokens)

    def forward(
        self, tokens: torch.Tensor, cache: Cache | None = None, start: int = 0
    ) -> torch.Tensor:
        """Logits after every token that is given."""
        x = self.tokens(tokens) + self.positions[start : start + tokens.shape[1]]
        for i, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache[i], start)
        return self.last(self.norm(x))


def step(*, variant: str, n: int, length: int, n_tokens: int, **sizes: Any) -> Callable[[], None]:
    """One step of Adam on the cross-entropy of every token."""
    model = Transformer(length, n_tokens=n_tokens, **sizes)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    tokens = torch.randint(n_tokens, (n, length))

    def loss(tokens: torch.Tensor) -> torch.Tensor:
        start = torch.full((n, 1), n_tokens)
        logits = model(torch.cat([start, tokens[:, :-1]], dim=1))
        return functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    function = torch.compile(loss) if variant == COMPILED else loss

    def update() -> None:
        optimizer.zero_grad()
        function(tokens).backward()
        optimizer.step()

    return update


def transformer_sampling(
    *, variant: str, n: int, length: int, n_tokens: int, **sizes: Any
) -> Callable[[], Any]:
    """Sequences of a transformer that keeps keys and values."""
    del variant
    model = Transformer(length, n_tokens=n_tokens, **sizes).eval()
    n_heads, d = sizes["n_heads"], sizes["width"] // sizes["n_heads"]
    room = torch.zeros(n, n_heads, length, d)
    cache = [(room.clone(), room.clone()) for _ in range(sizes["n_layers"])]
    return by_character(
        lambda token, _, i: (model(token, cache, i)[:, -1], None), n, length, n_tokens
    )


def lstm_sampling(
    *, variant: str, n: int, length: int, width: int, n_tokens: int
) -> Callable[[], Any]:
    """The same of an LSTM that reads one-hot characters."""
    del variant
    body, head = nn.LSTM(n_tokens + 1, width, batch_first=True), nn.Linear(width, n_tokens)

    def extend(token: torch.Tensor, state: Any, i: int) -> tuple[torch.Tensor, Any]:
        del i
        x = functional.one_hot(token, n_tokens + 1).float()
        h, state = body(x, state)
        return head(h[:, -1]), state

    return by_character(extend, n, length, n_tokens)


def by_character(
    extend: Callable[[torch.Tensor, Any, int], tuple[torch.Tensor, Any]],
    n: int,
    length: int,
    n_tokens: int,
) -> Callable[[], torch.Tensor]:
    """Draws n sequences at a call."""

    @torch.inference_mode()
    def draw() -> torch.Tensor:
        token, state, drawn = torch.full((n, 1), n_tokens), None, []
        for i in range(length):
            logits, state = extend(token, state, i)
            token = torch.multinomial(torch.softmax(logits, dim=-1), 1)
            drawn.append(token)
        return torch.cat(drawn, dim=1)

    return draw


CASES = {
    "transformer step": Work(step, OF_VECTORS),
    "transformer sampling": Work(transformer_sampling, (EAGER,)),
    "LSTM sampling": Work(lstm_sampling, (EAGER,)),
}
