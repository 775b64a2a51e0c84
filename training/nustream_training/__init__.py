"""PyTorch models for nustream: from a torch module to a model folder (docs/models.md)."""

import os

# Disables the telemetry of ONNX Runtime 1.29 and later.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
