"""Airflow: when the events of a day are loaded, a stage takes them in and is asked for a refit over HTTP."""

import json
import os
import time
import urllib.request
from datetime import datetime

from airflow.decorators import dag, task

STAGE = os.environ.get("STAGE_URL", "http://127.0.0.1:8080")


def ask(path: str, body: dict | None = None) -> dict:
    """GET, or POST with a body; the answer as JSON."""
    request = urllib.request.Request(
        STAGE + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {os.environ['STAGE_TOKEN']}"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def wait_for(task_id: str, pause: float = 5) -> dict:
    """The result of a task of the stage; raises what went wrong."""
    while (found := ask(f"/api/v1/tasks/{task_id}"))["status"] == "running":
        time.sleep(pause)
    if found["status"] != "done":
        raise RuntimeError(found["error"]["message"])
    return found["result"]


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def refit_recommendations():
    @task(retries=3)
    def fold() -> None:
        wait_for(ask("/api/v1/fold", {})["id"])

    @task(retries=3)
    def refit() -> None:
        wait_for(ask("/api/v1/refit", {})["id"])

    fold() >> refit()


refit_recommendations()
