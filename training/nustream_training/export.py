"""Command line: makes model folders. `python -m nustream_training.export --help`"""

import argparse
import logging
import sys
from pathlib import Path

import torch
from torch import nn

from nustream_training.events import LENGTHS, draw_parity_events
from nustream_training.examples import EXAMPLES
from nustream_training.features import Manifest
from nustream_training.folder import write_folder
from nustream_training.linefit import LineFit, linefit_manifest
from nustream_training.onnx_graph import ExportError
from nustream_training.transformer import Transformer, TransformerConfig, transformer_manifest

DEFAULT_SEED = 7

EPILOG = """examples:
  python -m nustream_training.export linefit --out models/linefit-onnx
  python -m nustream_training.export example icemix-axes --out test/fixtures/models/icemix-axes
  python -m nustream_training.export run --run runs/nano --held-out simulated/held-out --out models/nano
  python -m nustream_training.export random-transformer --dim 64 --layers 4 --heads 4 --out /tmp/d64x4

Then: nustream models verify FOLDER. The same seed gives the same folder.
"""


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    # The exporter's notes on optional packages that are not needed here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # sums in the same order each time
    try:
        if options.what == "run":
            return export_run(options)
        module, manifest = build(options)
        seeded = {**manifest, "training": {**manifest["training"], "seed": options.seed}}
        # One event with more pulses than the line fit's limit of 256.
        events = draw_parity_events(options.seed, (*LENGTHS, 700) if options.what == "linefit" else LENGTHS)
        write_folder(options.out, module, seeded, events, options.tolerance)
    except (ExportError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    files = ", ".join(f"{path.name} {path.stat().st_size / 1000:.0f} kB" for path in sorted(options.out.iterdir()))
    print(f"{options.out}: {manifest['name']}, {len(events)} parity events; {files}")
    return 0


def export_run(options: argparse.Namespace) -> int:
    # Only training needs pyarrow.
    from nustream_training.finish import digest_of_all, finish

    data_digest = digest_of_all(options.data) if options.data else None
    told = finish(options.run, options.held_out, options.out, options.seed, options.tolerance, data_digest)
    print(f"{options.out}: of {options.run}; {told}")
    return 0


def build(options: argparse.Namespace) -> tuple[nn.Module, Manifest]:
    match options.what:
        case "linefit":
            return LineFit(), linefit_manifest()
        case "example":
            return EXAMPLES[options.name]()
        case _:
            config = TransformerConfig(dim=options.dim, layers=options.layers, heads=options.heads, mlp=options.mlp)
            return Transformer(config), transformer_manifest(config)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    common.add_argument("--seed", type=int, default=DEFAULT_SEED, help="for weights and events (default %(default)s)")
    common.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        metavar="RAD",
        help="largest angle between ONNX Runtime and torch (default %(default)s)",
    )
    parser = argparse.ArgumentParser(
        prog="python -m nustream_training.export",
        description="Makes a model folder: model.onnx, model.json and parity.json (docs/models.md).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    what.add_parser("linefit", parents=[common], help="the robust line fit as a network")
    example = what.add_parser("example", parents=[common], help="a tiny model with random weights")
    example.add_argument("name", choices=EXAMPLES, metavar="NAME", help=", ".join(EXAMPLES))
    transformer = what.add_parser(
        "random-transformer", parents=[common], help="a transformer with random weights, for measuring speed"
    )
    run = what.add_parser("run", parents=[common], help="a run of nustream_training.train, kappa calibrated")
    run.add_argument("--run", type=Path, required=True, metavar="DIR", help="folder of the training run")
    run.add_argument("--held-out", type=Path, required=True, metavar="DIR", help="data set to calibrate kappa on")
    run.add_argument("--data", type=Path, nargs="+", metavar="DIR", help="its training data, for their digest")
    defaults = TransformerConfig()
    transformer.add_argument("--dim", type=int, default=defaults.dim, help="width (default %(default)s)")
    transformer.add_argument("--layers", type=int, default=defaults.layers, help="default %(default)s")
    transformer.add_argument("--heads", type=int, default=defaults.heads, help="default %(default)s")
    transformer.add_argument("--mlp", type=int, default=defaults.mlp, help="in multiples of dim (default %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
