"""The loss that a language model ends at, by a published scaling law, and along the way."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScalingLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta, in nats a token, of N parameters and D tokens."""

    irreducible: float
    a: float
    alpha: float
    b: float
    beta: float
    source: str

    def loss(self, parameters: float, tokens: float) -> float:
        """The loss of so many parameters after so many tokens, each seen once."""
        lacks_size, lacks_data = parameters**-self.alpha, tokens**-self.beta
        return float(self.irreducible + self.a * lacks_size + self.b * lacks_data)

    def optimal(self, flops: float) -> tuple[float, float]:
        """Parameters and tokens that make the loss least for C = 6 N D operations.

        The minimum along C = 6 N D, where alpha A / N^alpha = beta B / D^beta (Hoffmann et al.
        2022, arXiv:2203.15556, equation 4).
        """
        ratio = (self.alpha * self.a / (self.beta * self.b)) ** (1 / (self.alpha + self.beta))
        parameters = ratio * (flops / 6) ** (self.beta / (self.alpha + self.beta))
        return parameters, flops / 6 / parameters


CHINCHILLA = ScalingLaw(
    irreducible=1.8172,
    a=482.01,
    alpha=0.3478,
    b=2085.43,
    beta=0.3658,
    source="Besiroglu et al. 2024, arXiv:2404.10102: Chinchilla's fit, estimated again",
)


def loss_after(tokens: float, *, total_tokens: float, first: float, final: float) -> float:
    """The loss on the way from `first` to `final`, by the law's shape in tokens.

    The law holds for runs that end; along one of them the same powers are stretched so that the
    curve begins at ln V, as an untrained model does, and ends where the whole run is said to.
    """

    def shape(seen: float) -> float:
        return float((1 + seen / 2e-4 / total_tokens) ** -CHINCHILLA.beta)

    share = (shape(tokens) - shape(total_tokens)) / (1 - shape(total_tokens))
    return final + (first - final) * share


def perplexity(loss: float) -> float:
    """e to the loss; infinity where that is beyond a float."""
    return math.exp(loss) if loss < 700 else math.inf
