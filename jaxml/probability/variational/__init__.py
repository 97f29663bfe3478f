# SPDX-License-Identifier: Apache-2.0
"""Variational Bayes: the member q of a family that is nearest to a posterior in KL(q‖p).

log p(x) = ELBO(q) + KL(q‖p(z|x)), so that the bound's greatest value is the least divergence. Its
slopes come from draws, or, for tables of discrete variables, from exact coordinate ascent.
"""

from jaxml.probability.variational import coordinate_ascent
from jaxml.probability.variational.family import BERNOULLI, CATEGORICAL, NORMAL, Family, MeanField
from jaxml.probability.variational.lower_bound import elbo
from jaxml.probability.variational.slope import Control, Slopes, reparameterized, score_function

__all__ = [
    "BERNOULLI",
    "CATEGORICAL",
    "NORMAL",
    "Control",
    "Family",
    "MeanField",
    "Slopes",
    "coordinate_ascent",
    "elbo",
    "reparameterized",
    "score_function",
]
