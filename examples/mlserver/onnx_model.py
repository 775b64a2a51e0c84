"""Serves the network of a model folder with MLServer, by the Open Inference Protocol.

MLServer has no runtime for ONNX of its own; this is one. `model-settings.json` names the folder as `parameters.uri`.
"""

import asyncio
import os
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor
from mlserver.utils import get_model_uri

# ONNX Runtime from 1.29 on would tell its maker which networks it runs; it looks when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

# What ONNX Runtime calls an element type, as the protocol names it and as numpy does.
DATATYPES = {
    "tensor(float)": ("FP32", np.float32),
    "tensor(double)": ("FP64", np.float64),
    "tensor(int64)": ("INT64", np.int64),
    "tensor(int32)": ("INT32", np.int32),
    "tensor(uint8)": ("UINT8", np.uint8),
    "tensor(bool)": ("BOOL", np.bool_),
}


class OnnxModel(MLModel):
    async def load(self) -> bool:
        network = Path(await get_model_uri(self.settings, wellknown_filenames=["model.onnx"]))
        if network.is_dir():
            network /= "model.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(network), options)
        self.inputs = [_describe(value) for value in self._session.get_inputs()]
        self.outputs = [_describe(value) for value in self._session.get_outputs()]
        self._types = {value.name: DATATYPES[value.type][1] for value in self._session.get_inputs()}
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        wanted = [output.name for output in payload.outputs or self.outputs]
        try:
            inputs = {
                tensor.name: NumpyCodec.decode_input(tensor).astype(self._types[tensor.name], copy=False)
                for tensor in payload.inputs
            }
            # In a thread, so that the server goes on answering meanwhile.
            results = await asyncio.to_thread(self._session.run, wanted, inputs)
        except Exception as error:
            raise InferenceError(f"{self.name} cannot take these tensors: {error}") from error
        outputs = [NumpyCodec.encode_output(name, value) for name, value in zip(wanted, results, strict=True)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)


def _describe(value: onnxruntime.NodeArg) -> MetadataTensor:
    shape = [size if isinstance(size, int) else -1 for size in value.shape]
    return MetadataTensor(name=value.name, datatype=DATATYPES[value.type][0], shape=shape)
