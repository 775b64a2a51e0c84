"""Sizes of IceMix, the second-place networks of "IceCube - Neutrinos in Deep Ice", and the ensemble of five.

From the published description (arXiv:2310.15674 and the authors' repository DrHB/icecube-2nd-place).
"""

from dataclasses import dataclass

RELATION_BLOCKS = 4


@dataclass(frozen=True)
class IceMixConfig:
    """All sizes follow from the shapes of a state_dict, except `n_rel` and the columns of `first_graph`."""

    dim: int  # of a token
    base: int  # of one embedded number
    depth: int  # blocks with a cls token
    head: int  # of one attention head
    n_rel: int = 1  # number of first relation blocks that use the relations of pulses
    depth_rel: int = RELATION_BLOCKS
    first_graph: str | None = None  # with a graph network inside: "xyz" or "xyzt", where neighbours are sought

    def __post_init__(self) -> None:
        if min(self.dim, self.base, self.depth, self.head, self.depth_rel) < 1:
            raise ValueError(f"dim, base, depth, head and depth_rel must be at least 1, got {self}")
        if self.base % 4 != 0 or self.head % 2 != 0:
            raise ValueError(f"base must be divisible by 4 and head by 2: sines and cosines come in pairs, got {self}")
        if self.dim % self.head != 0 or self.dim % 2 != 0:
            raise ValueError(f"dim {self.dim} must be even and divisible by head {self.head}")
        if not 0 <= self.n_rel <= self.depth_rel:
            raise ValueError(f"n_rel must be 0 to depth_rel ({self.depth_rel}), got {self.n_rel}")
        if self.first_graph not in (None, "xyz", "xyzt"):
            raise ValueError(f'first_graph must be "xyz" or "xyzt", or None without a graph, got {self.first_graph!r}')

    @property
    def heads(self) -> int:
        return self.dim // self.head

    @property
    def extractor_dim(self) -> int:
        """Width of the extractor's output: the token, or half of it if the graph network gives the other half."""
        return self.dim if self.first_graph is None else self.dim // 2


VARIANTS: dict[str, IceMixConfig] = {
    "t": IceMixConfig(dim=192, base=96, depth=12, head=32),
    "s": IceMixConfig(dim=384, base=128, depth=12, head=32),
    "s-depth8": IceMixConfig(dim=384, base=128, depth=8, head=32),
    "b-d32": IceMixConfig(dim=768, base=192, depth=12, head=32),
    "b-d64": IceMixConfig(dim=768, base=192, depth=12, head=64),
    "b-d32-4rel": IceMixConfig(dim=768, base=192, depth=12, head=32, n_rel=4),
    "v22": IceMixConfig(dim=384, base=128, depth=8, head=32, first_graph="xyz"),
    "v23": IceMixConfig(dim=768, base=192, depth=12, head=64, n_rel=4, first_graph="xyzt"),
}


@dataclass(frozen=True)
class PublishedMember:
    file: str  # of the state_dict, without its ending
    variant: str
    weight: float


# Files and weights of the authors' prediction script; the weights sum to 1.
ENSEMBLE: tuple[PublishedMember, ...] = (
    PublishedMember("baselineV3_BE_globalrel_d32_0_6ema", "b-d32", 0.08255),
    PublishedMember("baselineV3_BE_globalrel_d64_0_3emaFT_2", "b-d64", 0.15351),
    PublishedMember("VFTV3_4RELFT_7", "b-d32-4rel", 0.19367),
    PublishedMember("V22FT6_1", "v22", 0.23597),
    PublishedMember("V23FT5_6", "v23", 0.33430),
)
