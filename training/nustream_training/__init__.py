"""PyTorch models for nustream: from a torch module to a model folder (docs/models.md)."""

import os

# ONNX Runtime from 1.29 on would tell its maker which networks it runs.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
