"""Command line: published IceMix weights to model folders. `python -m nustream_training.convert --help`"""

import argparse
import logging
import re
import sys
from pathlib import Path

import torch

from nustream_training.events import draw_parity_events
from nustream_training.folder import write_folder, write_json
from nustream_training.icemix import IceMix, draw_all
from nustream_training.icemix_manifest import PULSES_MAX, icemix_manifest
from nustream_training.icemix_sizes import ENSEMBLE, VARIANTS, IceMixConfig, PublishedMember
from nustream_training.icemix_state import StateError, load, parse_sizes, read_state, recognise
from nustream_training.onnx_graph import ExportError

# One pulse, fewer than a graph has neighbours, typical numbers, and more than the maximum.
PARITY_LENGTHS = (1, 2, 9, 30, 63, 100)
TOLERANCE_RAD = 5e-4  # float32 against float64 differs by 1e-4 with weights drawn at random
ENDINGS = ("", ".pth", ".pt", ".bin", ".ckpt")
ENSEMBLE_NAME = "icemix"
VECTOR_CLIP = 1000  # of each component of a member, before the sum, as published
DEFAULT_ORIGIN = "published weights of IceMix, second place of IceCube - Neutrinos in Deep Ice (DrHB/icecube-2nd-place)"
RANDOM = re.compile(r"random(?::(\d+))?")
DEFAULT_LICENCE = "not stated with the weights: ask their authors before passing them on"

EPILOG = """examples:
  python -m nustream_training.convert ice-cube-final-models --out models/icemix
  python -m nustream_training.convert ice-cube-final-models/V22FT6_1.pth --out models/icemix-v22
  python -m nustream_training.convert mine.pth --variant s --pulses-max 512 --out models/mine
  python -m nustream_training.convert random:7 --variant b-d32 --out /tmp/random-b

A folder becomes five model folders and the ensemble of them (OUT/icemix), a file becomes one model folder. random:SEED
draws every parameter, for measuring speed and parity without weights.
Then: nustream models verify FOLDER. docs/icemix.md names the source of the weights and the differences.
"""


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    # The exporter's notes on optional packages that are not needed here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    try:
        if match := RANDOM.fullmatch(str(options.weights)):
            convert_random(int(match[1] or 7), options)
        elif options.weights.is_dir():
            convert_folder(options)
        else:
            convert_file(options.weights, options.out, options)
    except (StateError, ExportError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def convert_folder(options: argparse.Namespace) -> None:
    """Writes five model folders and the ensemble; reads no file before all five are found."""
    if options.variant or options.sizes or options.name:
        raise ValueError("--variant, --sizes and --name are for a single file; in a folder, file names are used")
    files = {member: find(options.weights, member) for member in ENSEMBLE}
    members = []
    for member, path in files.items():
        folder = f"icemix-{member.variant}"
        convert_file(path, options.out / folder, options)
        members.append({"folder": f"../{folder}", "weight": member.weight})
    folder = options.out / ENSEMBLE_NAME
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "model.json", ensemble_manifest(members, options))
    print(f"{folder}: {ENSEMBLE_NAME}, weighted sum of {len(members)} members")


def find(folder: Path, member: PublishedMember) -> Path:
    """The file of one member, anywhere below the folder."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_named(path, member.file)]
    if len(paths) == 1:
        return paths[0]
    if paths:
        raise ValueError(f"{member.file} exists {len(paths)} times: {', '.join(map(str, paths))}; leave one")
    names = ", ".join(f"{each.file}.pth" for each in ENSEMBLE)
    raise ValueError(f"{folder} has no {member.file}.pth ({member.variant}); the ensemble is made of {names}")


def convert_file(path: Path, out: Path, options: argparse.Namespace) -> None:
    state = read_state(path)
    if options.sizes:
        variant, config = "custom", parse_sizes(options.sizes)
    else:
        recognised = recognise(state, str(path), options.variant, _stem(path))
        variant, config = recognised.name, recognised.config
    module = load(state, config, str(path))
    del state
    texts = {"version": _stem(path), "licence": DEFAULT_LICENCE, "origin": f"{DEFAULT_ORIGIN}, file {path.name}"}
    write_model(module, variant, out, options, texts)


def convert_random(seed: int, options: argparse.Namespace) -> None:
    if not options.sizes and not options.variant:
        raise ValueError("random weights have no shapes to identify the network: give --variant or --sizes")
    config = parse_sizes(options.sizes) if options.sizes else VARIANTS[options.variant]
    torch.manual_seed(seed)
    module = IceMix(config)
    draw_all(module)
    texts = {"version": f"random-{seed}", "licence": "Apache-2.0", "origin": f"drawn at random, seed {seed}"}
    write_model(module, options.variant or "custom", options.out, options, texts)


def write_model(module: IceMix, variant: str, out: Path, options: argparse.Namespace, texts: dict[str, str]) -> None:
    """`texts`: version, licence and origin, unless the command line sets them."""
    said = {name: getattr(options, name) or text for name, text in texts.items()}
    manifest = icemix_manifest(
        module.config,
        name=options.name or f"icemix-{variant}",
        description=describe(variant, module.config),
        pulses_max=options.pulses_max,
        **said,
    )
    events = draw_parity_events(lengths=(*PARITY_LENGTHS, options.pulses_max + 8))
    write_folder(out, module.eval(), manifest, events, options.tolerance)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(f"{out}: {manifest['name']}, up to {options.pulses_max} pulses, {size:.1f} MB")


def describe(variant: str, config: IceMixConfig) -> str:
    graph = "" if config.first_graph is None else f", graph network on {config.first_graph}"
    return (
        f"IceMix {variant}: {config.depth_rel} + {config.depth} blocks of {config.dim}, {config.heads} heads of "
        f"{config.head}, space-time relations in {config.n_rel}{graph}"
    )


def ensemble_manifest(members: list[dict], options: argparse.Namespace) -> dict:
    return {
        "formatVersion": 1,
        "name": ENSEMBLE_NAME,
        "version": options.version or "published",
        "description": "Weighted sum of the vectors of five IceMix networks",
        "licence": options.licence or DEFAULT_LICENCE,
        "origin": options.origin or DEFAULT_ORIGIN,
        "training": {"dataDigest": None},
        "members": members,
        "clip": VECTOR_CLIP,
    }


def _is_named(path: Path, stem: str) -> bool:
    return path.name in [stem + ending for ending in ENDINGS]


def _stem(path: Path) -> str:
    """Not Path.stem: a name without extension may contain a dot."""
    ending = next((ending for ending in ENDINGS[1:] if path.name.endswith(ending)), "")
    return path.name.removesuffix(ending)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nustream_training.convert",
        description="Makes model folders of published IceMix weights (state_dicts saved by torch).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "weights", type=Path, metavar="FILE|FOLDER|random[:SEED]", help="a state_dict, or the folder with all five"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--variant", choices=VARIANTS, metavar="NAME", help=f"{', '.join(VARIANTS)} (default: by shapes and file name)"
    )
    which.add_argument(
        "--sizes",
        metavar="LIST",
        help="sizes of another network: dim=64,base=32,depth=2,head=16 and, if they are not 1, 4 and "
        "none, n_rel=, depth_rel=, first_graph=xyz or xyzt",
    )
    parser.add_argument(
        "--pulses-max",
        type=_pulses,
        default=PULSES_MAX,
        metavar="N",
        help="most pulses of an event that the network sees (default %(default)s, as in training; 512 and 768 are "
        "slower and were found better)",
    )
    parser.add_argument("--name", help="name of the model (default icemix-VARIANT)")
    parser.add_argument("--version", help="version of the model (default: the file's name)")
    parser.add_argument("--licence", help=f"default: {DEFAULT_LICENCE}")
    parser.add_argument("--origin", help=f"default: {DEFAULT_ORIGIN}")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE_RAD,
        metavar="RAD",
        help="largest angle between ONNX Runtime and torch (default %(default)s)",
    )
    return parser.parse_args(arguments)


def _pulses(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 4096")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
