"""Published state_dicts of IceMix: read safely, recognised by shapes, loaded without a key too many or too few."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from zipfile import is_zipfile

import torch
from torch import Tensor

from nustream_training.icemix import IceMix
from nustream_training.icemix_sizes import ENSEMBLE, VARIANTS, IceMixConfig

State = dict[str, Tensor]
WRAPPERS = ("model", "state_dict", "model_state_dict")
PREFIXES = ("module.", "_orig_mod.", "model.")
KEYS_SHOWN = 8
ZIP, PICKLE = b"PK", b"\x80"  # how files of torch.save begin, the second ones of before 2020


class StateError(Exception):
    """A file is not a state_dict of the expected network; the message names the keys."""


@dataclass(frozen=True)
class Recognised:
    name: str  # of VARIANTS, or "custom"
    config: IceMixConfig


def read_state(path: Path) -> State:
    """The tensors of a file that torch.save wrote, as float32. Code in the file is never run."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, KeyError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:  # not there; without a name it is torch's
            raise
        raise StateError(f"{path} {_why_not_read(path)}") from error
    return unwrap(content, str(path))


def _why_not_read(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(2)
    if start != ZIP and start[:1] != PICKLE:
        return "was not written by torch.save: it is neither a zip file nor a pickle"
    if start == ZIP and not is_zipfile(path):
        return "is damaged or truncated: download it again"
    return (
        "is not a state_dict that can be read without running code from the file; it may also be damaged. "
        "Save it again with torch.save(model.state_dict(), FILE)"
    )


def unwrap(content: object, where: str) -> State:
    """Extracts the state_dict from wrappers such as {"model": …} and from prefixes of wrapping modules."""
    while wrapped := next((content[name] for name in WRAPPERS if _holds_dict(content, name)), None):
        content = wrapped
    if not isinstance(content, dict) or not content:
        raise StateError(f"{where} holds {type(content).__name__}, not a state_dict (a dictionary of tensors)")
    strange = [str(key) for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strange:
        raise StateError(f"{where} is not a state_dict: no tensors under {_some(strange)}")
    state = {str(key): value for key, value in content.items()}
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    broken = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise StateError(f"{where} holds NaN or infinity in {_some(broken)}")
    return {key: value.to(torch.float32) for key, value in state.items()}


def recognise(state: State, where: str, variant: str | None = None, file: str = "") -> Recognised:
    """Identifies the network: `variant`, or by shapes and, if two variants have the same shapes, by the file's name."""
    if variant is not None:
        return Recognised(variant, VARIANTS[variant])
    found = sizes(state, where)
    alike = [name for name in VARIANTS if _widths(VARIANTS[name]) == _widths(found)]
    if not alike:
        raise StateError(
            f"{where}: {_describe(found)} is not one of the published variants ({', '.join(VARIANTS)}); "
            f"for a network of other sizes give them all: --sizes {sizes_text(found)}"
        )
    # A file with missing or extra blocks is compared with the nearest variant; the error names the keys.
    near = min(abs(VARIANTS[name].depth - found.depth) for name in alike)
    alike = [name for name in alike if abs(VARIANTS[name].depth - found.depth) == near]
    published = {member.file: member.variant for member in ENSEMBLE}
    named = [name for name in alike if name in (file.lower(), published.get(file))]
    chosen = alike if len(alike) == 1 else named
    if len(chosen) != 1:
        raise StateError(
            f"{where} can be {' or '.join(alike)}: their tensors have the same shapes, and the file's name is not "
            f"the published one of either; select one with --variant"
        )
    return Recognised(chosen[0], VARIANTS[chosen[0]])


def load(state: State, config: IceMixConfig, where: str) -> IceMix:
    """A network with these weights. Raises StateError that names every kind of key that does not fit."""
    with torch.device("meta"):
        wanted = {key: tuple(value.shape) for key, value in IceMix(config).state_dict().items()}
    faults = []
    if missing := [key for key in wanted if key not in state]:
        faults.append(f"missing {_some(missing)}")
    if unknown := [key for key in state if key not in wanted]:
        faults.append(f"unknown {_some(unknown)}")
    misshaped = [
        f"{key} is {list(state[key].shape)}, must be {list(shape)}"
        for key, shape in wanted.items()
        if key in state and tuple(state[key].shape) != shape
    ]
    if misshaped:
        faults.append(f"misshaped {_some(misshaped)}")
    if faults:
        raise StateError(f"{where} is not a state_dict of {_describe(config)}: {'; '.join(faults)}")
    module = IceMix(config)
    module.load_state_dict(state)
    return module.eval()


def sizes(state: State, where: str) -> IceMixConfig:
    """Sizes from the shapes, with defaults for n_rel and the columns of the first graph."""
    try:
        dim = state["cls_token.weight"].shape[1]
        base = 2 * state["extractor.aux_emb.weight"].shape[1]
        head = state["rel_pos.proj.weight"].shape[0]
    except (KeyError, IndexError) as error:
        keys = "cls_token.weight [1, dim], extractor.aux_emb.weight [2, base / 2], rel_pos.proj.weight [head, head]"
        lacking = error.args[0] if isinstance(error, KeyError) else "one of the right shape"
        raise StateError(
            f"{where} is not a state_dict of IceMix: it lacks {lacking}; every one holds {keys}"
        ) from error
    has_graph = any(key.startswith("local_root.") for key in state)
    try:
        return IceMixConfig(
            dim=dim,
            base=base,
            depth=_count(state, r"blocks\.(\d+)\."),
            head=head,
            depth_rel=_count(state, r"sandwich\.(\d+)\."),
            first_graph="xyz" if has_graph else None,
        )
    except ValueError as error:
        raise StateError(f"{where} is not a state_dict of IceMix: {error}") from error


def parse_sizes(text: str) -> IceMixConfig:
    """`dim=64,base=32,depth=2,head=16[,n_rel=1][,depth_rel=4][,first_graph=xyz]`"""
    fields: dict[str, int | str] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        is_field = name in IceMixConfig.__dataclass_fields__
        if not is_field or not value or (name != "first_graph" and not value.isdecimal()):
            raise ValueError(
                f"{part!r} in {text!r} is not one of dim, base, depth, head, n_rel, depth_rel, first_graph"
            )
        fields[name] = value if name == "first_graph" else int(value)
    lacking = [name for name in ("dim", "base", "depth", "head") if name not in fields]
    if lacking:
        raise ValueError(f"{text!r} lacks {', '.join(lacking)}")
    return IceMixConfig(**fields)


def sizes_text(config: IceMixConfig) -> str:
    text = f"dim={config.dim},base={config.base},depth={config.depth},head={config.head},n_rel=1"
    if config.depth_rel != IceMixConfig.depth_rel:
        text += f",depth_rel={config.depth_rel}"
    return text if config.first_graph is None else text + ",first_graph=xyz (or xyzt)"


def _holds_dict(content: object, name: str) -> bool:
    return isinstance(content, dict) and isinstance(content.get(name), dict)


def _widths(config: IceMixConfig) -> IceMixConfig:
    """A config with only the fields that shapes of single tensors determine."""
    graph = None if config.first_graph is None else "xyz"
    return replace(config, depth=1, depth_rel=1, n_rel=1, first_graph=graph)


def _count(state: State, pattern: str) -> int:
    return 1 + max((int(match[1]) for key in state if (match := re.match(pattern, key))), default=-1)


def _describe(config: IceMixConfig) -> str:
    graph = "" if config.first_graph is None else " with a graph network"
    return f"IceMix{graph} of dim {config.dim}, base {config.base}, depth {config.depth}, head {config.head}"


def _some(items: list[str]) -> str:
    shown = ", ".join(items[:KEYS_SHOWN])
    return shown if len(items) <= KEYS_SHOWN else f"{shown} and {len(items) - KEYS_SHOWN} more"
