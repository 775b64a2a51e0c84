"""What the tests share: every model folder exported once, and nustream itself through Node."""

import multiprocessing
import os
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from nustream_training import export
from nustream_training.examples import EXAMPLES

ROOT = Path(__file__).resolve().parents[2]
NODE_MAJOR = 24

COMMANDS = {
    "linefit-onnx": ["linefit"],
    **{name: ["example", name] for name in EXAMPLES},
    "transformer-d64x4": ["random-transformer", "--dim", "64", "--layers", "4", "--heads", "4"],
}
COMMITTED = {name: ROOT / ("models" if name == "linefit-onnx" else "test/fixtures/models") / name for name in COMMANDS}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All models by name, made by the command line, in two processes because tracing takes seconds for each."""
    made = {name: tmp_path_factory.mktemp("models") / name for name in COMMANDS}
    commands = [[*command, "--out", str(made[name])] for name, command in COMMANDS.items()]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(export.main, commands)) == [0] * len(commands)
    return made


@pytest.fixture(scope="session")
def node() -> str:
    """A Node that can run nustream. `npm test` puts one first on the path."""
    fetched = (ROOT / ".tools" / "node_modules").glob("node-*/bin/node")
    for path in filter(None, [shutil.which("node"), *map(str, fetched)]):
        version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.removeprefix("v").partition(".")[0]) >= NODE_MAJOR:
            return path
    missing = f"no Node {NODE_MAJOR} on the path or in .tools: run `npm test`, or put one on the path"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def run_node(node: str, arguments: list[str], stdin: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [node, "--disable-warning=ExperimentalWarning", *arguments],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
