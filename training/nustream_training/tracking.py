"""A training run in MLflow by its REST interface, which needs no package. Training never waits for MLflow."""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

EXPERIMENT = "nustream training"
RUN_FILE = "mlflow-run"  # file in the run's folder with the id, so that a resumed training continues the same run
TIMEOUT_S = 10
API = "/api/2.0/mlflow/"


class Tracking:
    """`url` of the tracking server, such as http://127.0.0.1:5000; None tracks nothing."""

    def __init__(self, url: str | None, folder: Path, settings: dict) -> None:
        self.url, self.run = url and url.rstrip("/"), None
        if self.url is None:
            return
        kept = folder / RUN_FILE
        self.run = kept.read_text() if kept.exists() else None
        if self.run is None:
            self.run = self._begin(folder.name, settings)
            if self.run is not None:
                kept.write_text(self.run)
        else:
            self._ask("runs/update", {"run_id": self.run, "status": "RUNNING"})

    def log(self, step: int, values: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [{"key": key, "value": value, "timestamp": now, "step": step} for key, value in values.items()]
        self._tell("runs/log-batch", {"metrics": metrics})

    def end(self, is_finished: bool) -> None:
        status = "FINISHED" if is_finished else "KILLED"
        self._tell("runs/update", {"status": status, "end_time": int(time.time() * 1000)})

    def _begin(self, name: str, settings: dict) -> str | None:
        found = self._ask("experiments/get-by-name", {"experiment_name": EXPERIMENT}, get=True)
        experiment = found["experiment"] if found else self._ask("experiments/create", {"name": EXPERIMENT})
        if experiment is None:
            return None
        body = {"experiment_id": experiment["experiment_id"], "run_name": name, "start_time": int(time.time() * 1000)}
        answer = self._ask("runs/create", body)
        if answer is None:
            return None
        run = answer["run"]["info"]["run_id"]
        params = [{"key": key, "value": str(value)[:500]} for key, value in settings.items()]
        self._ask("runs/log-batch", {"run_id": run, "params": params})
        return run

    def _tell(self, path: str, body: dict) -> None:
        if self.run is not None:
            self._ask(path, {"run_id": self.run, **body})

    def _ask(self, path: str, body: dict, get: bool = False) -> dict | None:
        """None if the server did not answer or refused; each failure is printed."""
        query = f"?{urllib.parse.urlencode(body)}" if get else ""
        data = None if get else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{API}{path}{query}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            is_missing = isinstance(error, urllib.error.HTTPError) and error.code == 404
            if not (get and is_missing):
                print(f"MLflow at {self.url}: {path}: {error}", file=sys.stderr, flush=True)
            return None
