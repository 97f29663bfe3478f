# SPDX-License-Identifier: Apache-2.0
"""Write `torch_references.npz`: what PyTorch computes in double precision, value and gradients.

    python tests/layers/torch_references.py          (any environment with torch and numpy)

A case is a kind, its options in our words and its arrays in our layout: channels last, kernels
`... c o`, batch before time. `case/in/NAME` enters, `case/out` leaves, `case/cotangent` is what the
outputs are weighed with, `case/gradient/NAME` the derivative of the weighed sum. The entry `cases`
holds kinds and options as JSON.
"""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

FILE = Path(__file__).with_suffix(".npz")
RNG = np.random.default_rng(20)


def draw(*shape):
    """Normal numbers rounded to 1/32, so that they take little room in the file."""
    return np.round(32 * RNG.standard_normal(shape)) / 32


def first(x):
    """Channels before positions, as PyTorch has them."""
    return x.movedim(-1, 1)


def last(x):
    """Channels behind positions."""
    return x.movedim(1, -1)


def kernel_of(kernel):
    """`... c o` to `o c ...`."""
    return kernel.movedim((-1, -2), (0, 1))


def torch_sides(padding):
    """Pairs an axis as `F.pad` wants them: the last axis first."""
    return [side for pair in reversed(padding) for side in pair]


MODES = {"reflect": "reflect", "edge": "replicate", "circular": "circular"}


def convolution(x, kernel, *, padding, mode="zero", stride=1, dilation=1, groups=1):
    """y = conv(pad(x), K)."""
    sides = torch_sides(padding)
    padded = F.pad(first(x), sides, mode=MODES.get(mode, "constant"))
    do = F.conv1d if x.ndim == 3 else F.conv2d
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    return last(do(padded, kernel_of(kernel), **options))


def transposed_convolution(x, kernel, **options):
    """The kernel of the convolution that is transposed is PyTorch's own layout."""
    do = F.conv_transpose1d if x.ndim == 3 else F.conv_transpose2d
    return last(do(first(x), kernel_of(kernel), **options))


def max_pool(x, *, window, stride, padding):
    """Maxima over windows."""
    return last(F.max_pool2d(first(x), window, stride, padding))


def average_pool(x, *, window, stride):
    """Means over windows."""
    return last(F.avg_pool2d(first(x), window, stride))


def batch_norm(x, scale, bias, mean, variance, *, training):
    """PyTorch changes the running statistics in place; they are appended as further positions."""
    mean, variance = mean.detach().clone(), variance.detach().clone()
    y = last(F.batch_norm(first(x), mean, variance, scale, bias, training, 0.1, 1e-5))
    return torch.cat([y.flatten(), mean, variance])


def group_norm(x, scale, bias, *, groups):
    """By groups of channels."""
    return last(F.group_norm(first(x), groups, scale, bias, 1e-5))


def instance_norm(x, scale, bias):
    """By channels."""
    return last(F.instance_norm(first(x), weight=scale, bias=bias, eps=1e-5))


def layer_norm(x, scale, bias):
    """By positions."""
    return F.layer_norm(x, x.shape[-1:], scale, bias, 1e-5)


def rms_norm(x, scale):
    """By positions, without a mean."""
    return F.rms_norm(x, x.shape[-1:], scale, 1e-6)


def weight_norm(direction, length):
    """Filters by their last axis."""
    return torch._weight_norm(direction, length, direction.ndim - 1)


def recurrent(module, x, *, layers, both, **arrays):
    """A stack of nn.LSTM, nn.GRU or nn.RNN with the given parameters: all outputs."""
    n = arrays["0f/recurrent"].shape[0]
    net = module(x.shape[-1], n, layers, batch_first=True, bidirectional=both).double()
    parameters = {}
    for layer, way in itertools.product(range(layers), "fb" if both else "f"):
        suffix = f"l{layer}" + ("_reverse" if way == "b" else "")
        name = f"{layer}{way}/"
        bias, zero = arrays[name + "bias"], torch.zeros_like(arrays[name + "bias"])
        if name + "candidate_bias" in arrays:
            zero = torch.cat([zero[: 2 * n], arrays[name + "candidate_bias"]])
        parameters |= {
            f"weight_ih_{suffix}": arrays[name + "kernel"].T,
            f"weight_hh_{suffix}": arrays[name + "recurrent"].T,
            f"bias_ih_{suffix}": bias,
            f"bias_hh_{suffix}": zero,
        }
    return torch.func.functional_call(net, parameters, (x,))[0]


def lstm(x, **rest):
    """All hidden states."""
    return recurrent(torch.nn.LSTM, x, **rest)


def gru(x, **rest):
    """All hidden states."""
    return recurrent(torch.nn.GRU, x, **rest)


def rnn(x, **rest):
    """All hidden states."""
    return recurrent(torch.nn.RNN, x, **rest)


def attention(q, k, v, bias=None, *, causal=False):
    """Heads in the axis before the last; fewer of k and v are shared by groups."""
    q, k, v = (a.transpose(-3, -2) for a in (q, k, v))
    shared = q.shape[-3] != k.shape[-3]
    o = F.scaled_dot_product_attention(q, k, v, bias, is_causal=causal, enable_gqa=shared)
    return o.transpose(-3, -2)


def cases():
    """`(name, kind, options, arrays)`."""
    square, none = [[1, 1], [1, 1]], [[0, 0], [0, 0]]
    for stride, dilation, groups in itertools.product((1, 2, 3), (1, 2), (1, 2, 4)):
        yield (
            f"convolution, stride {stride}, dilation {dilation}, groups {groups}",
            "convolution",
            {"stride": stride, "dilation": dilation, "groups": groups, "padding": square},
            {"x": draw(2, 7, 6, 4), "kernel": draw(3, 3, 4 // groups, 4)},
        )
    pads = {"none": none, "pairs": [[2, 1], [0, 3]], "wide": [[3, 3], [3, 3]]}
    for name, padding in pads.items():
        for stride in (1, 2):
            yield (
                f"convolution, padding {name}, stride {stride}",
                "convolution",
                {"stride": stride, "padding": padding},
                {"x": draw(2, 6, 5, 3), "kernel": draw(4, 3, 3, 4)},
            )
    for mode in MODES:
        yield (
            f"convolution, {mode} padding",
            "convolution",
            {"padding": [[2, 1], [1, 2]], "mode": mode},
            {"x": draw(2, 6, 5, 3), "kernel": draw(3, 3, 3, 4)},
        )
    yield ("convolution 1 x 1", "convolution", {"padding": none},
           {"x": draw(2, 5, 5, 6), "kernel": draw(1, 1, 6, 4)})  # fmt: skip
    yield ("depthwise 5 x 5", "convolution", {"padding": [[2, 2], [2, 2]], "groups": 6},
           {"x": draw(2, 7, 7, 6), "kernel": draw(5, 5, 1, 6)})  # fmt: skip
    yield ("convolution of sequences", "convolution",
           {"padding": [[4, 0]], "dilation": 2, "stride": 1},
           {"x": draw(2, 11, 3), "kernel": draw(3, 3, 4)})  # fmt: skip
    strides = [(1, 0, 1, 1), (2, 0, 1, 1), (2, 1, 1, 1), (3, 2, 1, 1)]
    for stride, extra, dilation, groups in [*strides, (3, 1, 2, 1), (2, 1, 1, 2), (2, 0, 2, 4)]:
        for padding in (0, 1):
            yield (
                f"transposed, stride {stride}, padding {padding}, output padding {extra}, "
                f"dilation {dilation}, groups {groups}",
                "transposed_convolution",
                {"stride": stride, "padding": padding, "output_padding": extra,
                 "dilation": dilation, "groups": groups},
                {"x": draw(2, 3, 4, 4), "kernel": draw(4, 3, 4 // groups, 4)},
            )  # fmt: skip
    yield ("transposed, sequences", "transposed_convolution",
           {"stride": 2, "padding": 1, "output_padding": 1, "dilation": 1, "groups": 1},
           {"x": draw(2, 6, 4), "kernel": draw(4, 3, 4)})  # fmt: skip
    # No two alike: where the largest are equal, ours share the gradient and one of PyTorch has it.
    yield ("max pooling", "max_pool", {"window": 3, "stride": 2, "padding": 1},
           {"x": RNG.permutation(336).reshape(2, 7, 8, 3) / 32})  # fmt: skip
    yield "average pooling", "average_pool", {"window": 3, "stride": 2}, {"x": draw(2, 7, 9, 3)}
    affine = {"scale": 1 + 0.3 * draw(6), "bias": draw(6)}
    image = {"x": 2 + 3 * draw(3, 4, 5, 6)}
    state = {"mean": draw(6), "variance": 1 + np.square(draw(6))}
    for training in (True, False):
        name = "training" if training else "evaluation"
        yield f"batch norm, {name}", "batch_norm", {"training": training}, image | affine | state
    for groups in (1, 2, 3):
        yield f"group norm, {groups} groups", "group_norm", {"groups": groups}, image | affine
    yield "instance norm", "instance_norm", {}, image | affine
    yield "layer norm", "layer_norm", {}, image | affine
    yield "rms norm", "rms_norm", {}, image | {"scale": affine["scale"]}
    yield ("weight norm", "weight_norm", {},
           {"direction": draw(3, 3, 4, 5), "length": draw(5)})  # fmt: skip
    for kind, gates, layers, both in itertools.product(
        ("lstm", "gru", "rnn"), (4, 3, 1), (1, 2), (False, True)
    ):
        if gates == {"lstm": 4, "gru": 3, "rnn": 1}[kind]:
            name = f"{kind}, {layers} layers{', both ways' if both else ''}"
            arrays = {"x": draw(2, 6, 3)} | parameters(kind, gates, layers, both)
            yield name, kind, {"layers": layers, "both": both}, arrays
    heads = {"q": draw(2, 5, 4, 3), "k": draw(2, 5, 4, 3), "v": draw(2, 5, 4, 6)}
    yield "attention", "attention", {}, heads
    yield "attention, causal", "attention", {"causal": True}, heads
    yield "attention, bias", "attention", {}, heads | {"bias": draw(2, 4, 5, 5)}
    yield ("attention, across", "attention", {},
           heads | {"k": draw(2, 7, 4, 3), "v": draw(2, 7, 4, 2)})  # fmt: skip
    yield ("attention, grouped and causal", "attention", {"causal": True},
           heads | {"k": draw(2, 5, 2, 3), "v": draw(2, 5, 2, 3)})  # fmt: skip


def parameters(kind, gates, layers, both, n=4):
    """Of every layer and way: W, U, b, and what the kind has beside them."""
    found = {}
    for layer, way in itertools.product(range(layers), "fb" if both else "f"):
        n_in = 3 if layer == 0 else n * (2 if both else 1)
        shapes = {"kernel": (n_in, gates * n), "recurrent": (n, gates * n), "bias": (gates * n,)}
        shapes |= {"candidate_bias": (n,)} if kind == "gru" else {}
        found |= {f"{layer}{way}/{name}": 0.5 * draw(*shape) for name, shape in shapes.items()}
    return found


def references():
    """All arrays of the file."""
    found, told = {}, {}
    for name, kind, options, arrays in cases():
        told[name] = {"kind": kind, "options": options}
        tensors = {key: torch.tensor(a, requires_grad=True) for key, a in arrays.items()}
        out = globals()[kind](**tensors, **options)
        cotangent = draw(*out.shape)
        gradients = torch.autograd.grad(
            (out * torch.tensor(cotangent)).sum(), list(tensors.values()), allow_unused=True
        )
        found |= {f"{name}/in/{key}": a for key, a in arrays.items()}
        found |= {f"{name}/out": out.detach().numpy(), f"{name}/cotangent": cotangent}
        for key, gradient in zip(tensors, gradients, strict=True):
            if gradient is not None:
                found[f"{name}/gradient/{key}"] = gradient.numpy()
    return found | {"cases": np.array(json.dumps(told)), "torch": np.array(torch.__version__)}


if __name__ == "__main__":
    arrays = references()
    np.savez_compressed(FILE, **arrays)
    sys.stdout.write(f"{FILE.name}: {len(arrays)} arrays, {FILE.stat().st_size // 1024} kB\n")
