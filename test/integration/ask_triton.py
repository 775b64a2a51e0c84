"""Asks a model server with Triton's own HTTP client; prints what it found as JSON. Run by tritonclient.test.ts."""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

host, name, version, token = sys.argv[1:5]


def headers():
    # Anew for each call: the client writes headers of its own into the dictionary that it is given.
    return {"Authorization": f"Bearer {token}"}


client = triton.InferenceServerClient(host, concurrency=4)
rng = np.random.default_rng(7)
pulses = rng.normal(size=(3, 5, 6)).astype(np.float32)
padding = np.zeros((3, 5), dtype=bool)
padding[1, 3:] = True
expected = (pulses * ~padding[:, :, None]).sum(1)


def inputs(binary):
    tensors = [triton.InferInput("pulses", pulses.shape, "FP32"), triton.InferInput("padding", padding.shape, "BOOL")]
    tensors[0].set_data_from_numpy(pulses, binary_data=binary)
    tensors[1].set_data_from_numpy(padding, binary_data=binary)
    return tensors


def outputs(names, binary):
    return [triton.InferRequestedOutput(each, binary_data=binary) for each in names]


def check(result, names):
    assert [each["name"] for each in result.get_response()["outputs"]] == list(names), result.get_response()
    close = {"direction": expected[:, :3], "sums": expected}
    for each in names:
        got = result.as_numpy(each)
        if each == "isPulse":
            assert got.dtype == bool and (got == ~padding).all(), got
        else:
            assert got.dtype == np.float32 and np.allclose(got, close[each], atol=1e-5), (got, close[each])


assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready(name, headers=headers()) and client.is_model_ready(name, version, headers=headers())
assert not client.is_model_ready("other", headers=headers())
metadata = client.get_model_metadata(name, headers=headers())
index = client.get_model_repository_index(headers=headers())

every = ["direction", "sums", "isPulse"]
for binary_in in (True, False):
    for binary_out in (True, False):
        for names in (every, ["sums"], ["isPulse", "direction"]):
            answer = client.infer(
                name, inputs(binary_in), outputs=outputs(names, binary_out), request_id="r1", headers=headers()
            )
            check(answer, names)
            assert answer.get_response()["id"] == "r1"
check(client.infer(name, inputs(True), headers=headers()), every)
check(client.infer(name, inputs(True), model_version=version, headers=headers()), every)
mixed = outputs(["direction"], True) + outputs(["sums"], False)
check(client.infer(name, inputs(True), outputs=mixed, headers=headers()), ["direction", "sums"])

pending = [client.async_infer(name, inputs(i % 2 == 0), headers=headers()) for i in range(40)]
for each in pending:
    check(each.get_result(), every)

errors = {}
try:
    client.infer(name, inputs(True)[:1], headers=headers())
except InferenceServerException as error:
    errors["missing"] = [error.status(), error.message()]
try:
    client.infer("other", inputs(True), headers=headers())
except InferenceServerException as error:
    errors["unknown"] = [error.status(), error.message()]
try:
    client.infer(name, inputs(True))
except InferenceServerException as error:
    errors["token"] = [error.status(), error.message()]

print(json.dumps({"metadata": metadata, "index": index, "errors": errors}))
