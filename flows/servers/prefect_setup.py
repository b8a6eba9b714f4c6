"""Tell a Prefect server what it can start: the work pool, the deployments of prefect.yaml, the alerts."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from dreamvideo.errors import InputError, UnavailableError
from flows.servers.alerts import WEBHOOK, set_up_alerts
from flows.servers.services import POOL

DEPLOYMENTS = Path("prefect.yaml")


def register(api: str, say: Callable[[str], None]) -> None:
    """Create or renew the work pool, the deployments and the alerts.

    Args:
        api: URL of the Prefect server's API.
        say: told of every step.

    Raises:
        InputError: no prefect.yaml here, or a webhook that is none.
        UnavailableError: Prefect refuses the deployments.
    """
    if not DEPLOYMENTS.exists():
        raise InputError(f"{DEPLOYMENTS}: no such file; run from the repository's folder")
    with _client(api) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        alerted = set_up_alerts(client)
    say(f"alerts go to the webhook of {WEBHOOK}" if alerted else f"{WEBHOOK} is not set, so no alerts are set up")
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        env=os.environ | {"PREFECT_API_URL": api},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise UnavailableError(f"prefect deploy --all: {' '.join((done.stdout + done.stderr).split())[-1000:]}")
    say(f"registered the deployments of {DEPLOYMENTS}")


def workers_online(api: str, since: float = 0.0) -> set[str]:
    """Names of the workers that Prefect hears from.

    Args:
        api: URL of the Prefect server's API.
        since: seconds since the epoch; workers last heard of before do not count.
    """
    with _client(api) as client:
        workers = client.read_workers_for_work_pool(POOL)
    return {
        worker.name
        for worker in workers
        if worker.status == "ONLINE" and worker.last_heartbeat_time and worker.last_heartbeat_time.timestamp() >= since
    }


@contextmanager
def _client(api: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        yield client
