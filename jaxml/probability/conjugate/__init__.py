# SPDX-License-Identifier: Apache-2.0
"""Priors whose posteriors are of their own kind, one file for each pair with a likelihood.

Each has `posterior(law, data)`, which is the prior of whatever comes next; `log_predictive(law,
data)`, the density of a new draw with the parameter integrated out; `log_evidence(law, data)`, that
of all draws together and so the sum of what each had before it came; and `maximum_a_posteriori`.
"""

from jaxml.probability.conjugate import (
    beta_binomial,
    dirichlet_categorical,
    gamma_poisson,
    normal_inverse_gamma,
    normal_inverse_wishart,
    normal_known_variance,
)

__all__ = [
    "beta_binomial",
    "dirichlet_categorical",
    "gamma_poisson",
    "normal_inverse_gamma",
    "normal_inverse_wishart",
    "normal_known_variance",
]
