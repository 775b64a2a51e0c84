"""PyTorch models for nustream: from a torch module to a model folder (docs/models.md)."""
