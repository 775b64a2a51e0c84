"""Renders the Helm chart of the first argument with the values on standard input (JSON), by Helm's own engine.

Prints {"text": the objects as YAML, "problems": what `helm lint` calls an error}, or {"refused": why} where the values do
not fit the chart's schema.
"""

import json
import sys

from helm_python import chart
from helm_python.errors import HelmError

values = json.load(sys.stdin)
try:
    problems = [str(problem) for problem in chart.lint(sys.argv[1])["errors"]]
    with chart.Chart.load(sys.argv[1]) as loaded:
        rendered = loaded.render(values=values, name="nustream", namespace="nustream")
    documents = "\n---\n".join(rendered.values()).split("\n---\n")
    # A template whose parts are switched off leaves empty documents, which Kubernetes ignores.
    objects = [text for text in documents if "kind:" in text]
    json.dump({"text": "\n---\n".join(objects), "problems": problems}, sys.stdout)
except HelmError as error:
    json.dump({"refused": str(error)}, sys.stdout)
