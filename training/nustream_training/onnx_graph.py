"""Exports a torch module to an ONNX file with dynamic axes."""

import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from nustream_training.directions import output_names
from nustream_training.features import Manifest, Tensors

OPSET = 20
EXTERNAL_DATA_BYTES = 1_500_000_000  # protobuf ends at 2 GiB; beyond this weights go into a file beside it

# Which axes of an input change from run to run. `pulses` is the padded length, `tokens` the pulses of all events.
DYNAMIC_AXES = {
    "padded": ("events", "pulses", None),
    "padded-transposed": ("events", None, "pulses"),
    "padded-column": ("events", "pulses"),
    "flat": ("tokens", None),
    "flat-column": ("tokens",),
    "event": ("events", None),
    "event-column": ("events",),
    "mask": ("events", "pulses"),
    "lengths": ("events",),
    "event-index": ("tokens",),
}


class ExportError(Exception):
    """The module cannot be exported to a model folder; the message gives the reason and a remedy."""


def export_onnx(module: nn.Module, manifest: Manifest, example: Tensors) -> onnx.ModelProto:
    """`module` takes the manifest's inputs by position and answers its outputs, as a tensor or a tuple.

    `example` holds one run of at least two events and two pulses each: torch takes an axis of size 1 for constant.
    """
    dims = {name: torch.export.Dim(name) for name in ("events", "pulses", "tokens")}
    shapes = [_dynamic_shape(spec, manifest, dims) for spec in manifest["inputs"]]
    with warnings.catch_warnings():
        # Warnings about inputs that share an axis on purpose, and about internals of torch.
        warnings.filterwarnings("ignore", message=".*axis name.*")
        warnings.filterwarnings("ignore", message="The tensor attributes.*")  # of nn.LSTM
        warnings.filterwarnings("ignore", category=FutureWarning)
        program = torch.onnx.export(
            module,
            tuple(torch.from_numpy(example[spec["name"]]) for spec in manifest["inputs"]),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[spec["name"] for spec in manifest["inputs"]],
            output_names=output_names(manifest["output"]),
            dynamic_shapes={"inputs": tuple(shapes)} if _is_variadic(module) else tuple(shapes),
        )
    model = program.model_proto
    _forget_where_it_was_made(model)
    onnx.checker.check_model(model)
    return model


def save_onnx(model: onnx.ModelProto, path: str) -> None:
    is_large = model.ByteSize() > EXTERNAL_DATA_BYTES
    onnx.save(model, path, save_as_external_data=is_large, location="model.onnx.data" if is_large else None)


def open_session(path: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, session_options())


def session_options() -> onnxruntime.SessionOptions:
    """Session options of nustream: one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def run_session(session: onnxruntime.InferenceSession, tensors: Tensors) -> Tensors:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, tensors), strict=True))


def run_module(module: nn.Module, manifest: Manifest, tensors: Tensors) -> Tensors:
    with torch.no_grad():
        outputs = module(*(torch.from_numpy(tensors[spec["name"]]) for spec in manifest["inputs"]))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    names = output_names(manifest["output"])
    if len(outputs) != len(names):
        raise ExportError(f"the module returns {len(outputs)} tensors, the manifest's output names {names}")
    return {name: np.asarray(output) for name, output in zip(names, outputs, strict=True)}


def _dynamic_shape(spec: Manifest, manifest: Manifest, dims: dict) -> dict:
    if spec["layout"] == "offsets":
        return {0: dims["events"] + 1}
    axes = DYNAMIC_AXES[spec["layout"]]
    is_fixed = "fixed" in manifest.get("paddedLength", {})
    return {i: dims[axis] for i, axis in enumerate(axes) if axis and not (is_fixed and axis == "pulses")}


def _is_variadic(module: nn.Module) -> bool:
    """Whether forward takes *inputs, which torch addresses by that one name."""
    return module.forward.__code__.co_flags & 0x04 != 0


def _forget_where_it_was_made(model: onnx.ModelProto) -> None:
    """Removes stack traces and paths, so that the same seed gives the same bytes anywhere."""
    del model.metadata_props[:]
    for graph in (model.graph, *model.functions):
        del graph.metadata_props[:]
        del graph.value_info[:]
        graph.doc_string = ""
        for part in _parts(graph):
            del part.metadata_props[:]
            part.doc_string = ""


def _parts(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator:
    yield from graph.node
    if isinstance(graph, onnx.GraphProto):
        yield from graph.initializer
        yield from graph.input
        yield from graph.output
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _parts(attribute.g)
