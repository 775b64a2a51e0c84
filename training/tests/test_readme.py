"""What the README shows is run."""

import re

from conftest import ROOT, run_node


def test_the_worked_example_becomes_a_model(node, tmp_path, monkeypatch):
    readme = (ROOT / "training" / "README.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(compile(re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1], "README.md", "exec"), {"__name__": "readme"})
    verified = run_node(node, ["src/cli/main.ts", "models", "verify", str(tmp_path / "mine")])
    assert verified.returncode == 0, verified.stderr
