"""Validates the Kubernetes objects on standard input (a JSON list) against the published schemas of several versions.

Prints a JSON list of what is wrong; a kind that has no schema there (a custom resource) is in the list `unknown`.
"""

import json
import sys

import kubernetes_validate

VERSIONS = ("1.31", "1.34", kubernetes_validate.latest_version())

faults, unknown = [], set()
for manifest in json.load(sys.stdin):
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            faults.append(f"{name} ({version}): {error.path}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError:
            unknown.add(manifest["kind"])
json.dump({"faults": faults, "unknown": sorted(unknown)}, sys.stdout)
