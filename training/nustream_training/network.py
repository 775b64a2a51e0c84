"""The networks of training, from nano to B: their inputs, construction and learning rates."""

from dataclasses import asdict, dataclass

from torch import nn

from nustream_training import icemix_training, nano
from nustream_training.features import Manifest
from nustream_training.icemix_manifest import PULSES_MAX
from nustream_training.icemix_sizes import IceMixConfig
from nustream_training.icemix_state import parse_sizes
from nustream_training.icemix_training import PulsesIceMix
from nustream_training.nano import Nano, NanoConfig

NANO = "nano"
NAMES = (NANO, *icemix_training.SIZES)


@dataclass(frozen=True)
class Recipe:
    """Training defaults of a size for the command line."""

    optimizer: str
    lr: float


# For IceMix, the highest rates that its authors name for S and B.
NANO_RECIPE, ICEMIX_RECIPE, WIDE_RECIPE = Recipe("muon", 2e-3), Recipe("adamw", 5e-4), Recipe("adamw", 1e-4)
WIDE = 768


@dataclass(frozen=True)
class Network:
    """Description of a network. `name` is one of NAMES, or sizes of IceMix as icemix_state.parse_sizes reads."""

    name: str
    config: NanoConfig | IceMixConfig
    pulses_max: int

    @property
    def features(self) -> list[Manifest]:
        """Columns of a pulse, in the order in which the network takes them."""
        return nano.FEATURES if isinstance(self.config, NanoConfig) else icemix_training.FEATURES

    @property
    def recipe(self) -> Recipe:
        if isinstance(self.config, NanoConfig):
            return NANO_RECIPE
        return WIDE_RECIPE if self.config.dim >= WIDE else ICEMIX_RECIPE

    @property
    def takes_half_precision(self) -> bool:
        """Whether matrix products may use bfloat16 while training on a GPU.

        nano's line fit may not, since positions would be off by metres, nor may nearest neighbours in latent columns.
        """
        return isinstance(self.config, IceMixConfig) and self.config.first_graph is None

    def build(self) -> nn.Module:
        """Takes pulses [E, L, F] float32 and mask [E, L] bool, answers vectors to the source [E, 3]."""
        return Nano(self.config) if isinstance(self.config, NanoConfig) else PulsesIceMix(self.config)

    def manifest(self) -> Manifest:
        if isinstance(self.config, NanoConfig):
            return nano.nano_manifest(self.config)
        return icemix_training.training_manifest(self.name, self.config, self.pulses_max)

    def describe(self) -> dict:
        """Form for a checkpoint; `described` is the inverse."""
        if isinstance(self.config, NanoConfig):
            return asdict(self.config)
        return {"size": self.name, "pulses_max": self.pulses_max}


def network(name: str, pulses_max: int | None = None, **of_nano: int) -> Network:
    """Raises ValueError if the size is unknown. `of_nano` are fields of NanoConfig, for nano only."""
    if name == NANO:
        config = NanoConfig(**of_nano, **({} if pulses_max is None else {"pulses_max": pulses_max}))
        return Network(NANO, config, config.pulses_max)
    if of_nano:
        raise ValueError(f"{', '.join(of_nano)} are nano's; size {name!r} says its own")
    if name not in NAMES and "=" not in name:
        raise ValueError(f"no size {name!r}: {', '.join(NAMES)}, or such as dim=64,base=32,depth=2,head=16")
    config = icemix_training.SIZES.get(name) or parse_sizes(name)
    return Network(name, config, PULSES_MAX if pulses_max is None else pulses_max)


def described(values: dict) -> Network:
    """Of a checkpoint."""
    if "size" in values:
        return network(values["size"], values["pulses_max"])
    return network(NANO, **values)
