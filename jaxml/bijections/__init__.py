# SPDX-License-Identifier: Apache-2.0
"""Bijections: `(x, params) -> (y, log_det)` with their inverses, and what composes them."""

from jaxml.bijections import ode
from jaxml.bijections.affine import Affine, actnorm, affine, affine_inverse
from jaxml.bijections.bijection import Bijection, sum_last
from jaxml.bijections.compose import (
    chain,
    conditional,
    independent,
    invert,
    scan,
    side_by_side,
)
from jaxml.bijections.continuous import Path, transport
from jaxml.bijections.dequantization import dequantize, quantize, uniform_noise
from jaxml.bijections.elementary import (
    arctanh,
    from_positive,
    leaky_relu,
    leaky_relu_inverse,
    logit,
    sigmoid,
    tanh,
    to_positive,
)
from jaxml.bijections.linear import (
    Triangular,
    linear,
    linear_inverse,
    lu_linear,
    lu_linear_inverse,
    lu_rotation,
)
from jaxml.bijections.monotone import Sigmoids, sigmoids, sigmoids_inverse
from jaxml.bijections.permutation import permutation, reverse
from jaxml.bijections.planar import (
    Planar,
    Radial,
    planar,
    planar_inverse,
    radial,
    radial_inverse,
)
from jaxml.bijections.residual import (
    fixed_point,
    log_det_series,
    residual,
    residual_inverse,
    series_bound,
)
from jaxml.bijections.root import root
from jaxml.bijections.spline import (
    Limit,
    Spline,
    circular_spline,
    circular_spline_inverse,
    interval_spline,
    interval_spline_inverse,
    rotate,
    rotate_inverse,
    spline,
    spline_inverse,
)
from jaxml.bijections.squeeze import join, split, squeeze
from jaxml.bijections.sylvester import Sylvester, orthonormal, sylvester, sylvester_inverse
from jaxml.bijections.trace import Trace, exact_trace, hutchinson_trace

__all__ = [
    "Affine",
    "Bijection",
    "Limit",
    "Path",
    "Planar",
    "Radial",
    "Sigmoids",
    "Spline",
    "Sylvester",
    "Trace",
    "Triangular",
    "actnorm",
    "affine",
    "affine_inverse",
    "arctanh",
    "chain",
    "circular_spline",
    "circular_spline_inverse",
    "conditional",
    "dequantize",
    "exact_trace",
    "fixed_point",
    "from_positive",
    "hutchinson_trace",
    "independent",
    "interval_spline",
    "interval_spline_inverse",
    "invert",
    "join",
    "leaky_relu",
    "leaky_relu_inverse",
    "linear",
    "linear_inverse",
    "log_det_series",
    "logit",
    "lu_linear",
    "lu_linear_inverse",
    "lu_rotation",
    "ode",
    "orthonormal",
    "permutation",
    "planar",
    "planar_inverse",
    "quantize",
    "radial",
    "radial_inverse",
    "residual",
    "residual_inverse",
    "reverse",
    "root",
    "rotate",
    "rotate_inverse",
    "scan",
    "series_bound",
    "side_by_side",
    "sigmoid",
    "sigmoids",
    "sigmoids_inverse",
    "spline",
    "spline_inverse",
    "split",
    "squeeze",
    "sum_last",
    "sylvester",
    "sylvester_inverse",
    "tanh",
    "to_positive",
    "transport",
    "uniform_noise",
]
