"""Alerts: Prefect automations that post a line to a webhook: a run failed or does not start, a schedule is done, scores fell."""

import os
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.automations import AutomationCore
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import emit_event
from prefect.events.actions import ActionTypes, CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.types import SecretDict
from pydantic import SecretStr

from dreamvideo.errors import InputError, UnavailableError

WEBHOOK = "DREAMVIDEO_ALERT_WEBHOOK"  # the environment variable that holds the URL; chat services take {"text": ...}
BLOCK = "dreamvideo-alerts"
REGRESSED = "dreamvideo.benchmark.regressed"
SILENCE = timedelta(minutes=5)  # a run tells every minute that it is there: see HEARTBEAT in flows/servers/services.py
UNSTARTED = timedelta(minutes=30)  # that a scheduled run may wait, as for a GPU that another has

Resource = dict[str, str | list[str]]
_FLOW_RUN: Resource = {"prefect.resource.id": "prefect.flow-run.*"}
# Flow runs that a deployment started: flows within flows would tell everything twice.
_OF_A_DEPLOYMENT: Resource = {"prefect.resource.role": "deployment", "prefect.resource.id": "prefect.deployment.*"}
_OF_A_SCHEDULE: Resource = {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.auto-scheduled"}
_HEARTBEAT = "prefect.flow-run.heartbeat"
_FAILED = {f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "TimedOut")}
_ENDED = _FAILED | {f"prefect.flow-run.{state}" for state in ("Completed", "Cancelled")}

_SILENT = EventTrigger(
    match=_FLOW_RUN,
    match_related=_OF_A_DEPLOYMENT,
    for_each={"prefect.resource.id"},
    after={_HEARTBEAT},
    expect={_HEARTBEAT} | _ENDED,
    posture=Posture.Proactive,
    threshold=1,
    within=SILENCE,
)
_RUN = "{{ deployment.name }} {{ flow_run.state.name | lower }}: {{ flow_run.state.message or flow_run.name }} {{ flow_run | ui_url }}"
# What is told, by the name of its automation: when, and in which words.
TOLD: dict[str, tuple[dict[str, Any], str]] = {
    "DreamVideo: a run failed": (
        {"expect": _FAILED, "match": _FLOW_RUN, "match_related": _OF_A_DEPLOYMENT}, _RUN
    ),
    "DreamVideo: a schedule is done": (
        {"expect": {"prefect.flow-run.Completed"}, "match": _FLOW_RUN, "match_related": _OF_A_SCHEDULE}, _RUN
    ),
    "DreamVideo: a schedule does not start": (
        {
            "after": {"prefect.flow-run.Late", "prefect.flow-run.Pending"},
            "expect": {"prefect.flow-run.Running"} | _ENDED,
            "match": _FLOW_RUN, "match_related": _OF_A_SCHEDULE, "for_each": {"prefect.resource.id"},
            "posture": Posture.Proactive, "within": UNSTARTED,
        },
        "{{ deployment.name }} does not start: is a worker up, and its GPU free? {{ flow_run | ui_url }}",
    ),
    "DreamVideo: scores fell": ({"expect": {REGRESSED}}, "{{ event.payload.text }}"),
}  # fmt: skip


def set_up_alerts(client: SyncPrefectClient) -> bool:
    """Create or renew the alerts on a Prefect server; returns whether there is a webhook for them.

    The URL goes into a block of the Prefect server, which keeps it encrypted, and nowhere else.

    Raises:
        InputError: the text is not a URL.
    """
    url = os.environ.get(WEBHOOK, "")
    if url and not url.startswith(("https://", "http://")):
        raise InputError(f"{WEBHOOK} must begin with https:// or http://")  # its value is a secret
    # A worker that was killed cannot say so.
    gone = ChangeFlowRunState(state=StateType.CRASHED, message="no sign of life; its process or machine is gone")
    _automate(client, "DreamVideo: a run fell silent", _SILENT, gone)
    if url:
        block = _webhook(url)
        for name, (when, words) in TOLD.items():
            trigger = EventTrigger(**{"posture": Posture.Reactive, "threshold": 1, **when})
            payload = '{"text": {% filter tojson %}' + words + "{% endfilter %}}"
            _automate(client, name, trigger, CallWebhook(block_document_id=block, payload=payload))
    else:
        _forget_webhook(client)
    return bool(url)


def tell_regression(run_id: str, text: str) -> None:
    """Tell Prefect that a benchmark scored lower than the one before it."""
    resource = {"prefect.resource.id": f"dreamvideo.benchmark.{run_id}", "prefect.resource.name": f"benchmark {run_id}"}
    emit_event(REGRESSED, resource=resource, payload={"text": text})


def _webhook(url: str) -> UUID:
    try:
        webhook = Webhook(url=SecretStr(url), headers=SecretDict({"Content-Type": "application/json"}))
        saved = webhook.save(BLOCK, overwrite=True)
    except PrefectHTTPStatusError as error:
        # Its own message repeats what was sent.
        raise UnavailableError(f"Prefect does not take the webhook (status {error.response.status_code})") from None
    if not isinstance(saved, UUID):
        raise TypeError("a block is saved by a coroutine only where an event loop runs")
    return saved


def _forget_webhook(client: SyncPrefectClient) -> None:
    """Remove the webhook of an earlier time, so that nothing is sent to it."""
    for name in TOLD:
        for automation in client.read_automations_by_name(name):
            client.delete_automation(automation.id)
    with suppress(ObjectNotFound):
        block = client.read_block_document_by_name(BLOCK, Webhook.get_block_type_slug(), include_secrets=False)
        client.delete_block_document(block.id)


def _automate(client: SyncPrefectClient, name: str, trigger: EventTrigger, action: ActionTypes) -> None:
    """Create an automation, or renew it."""
    automation = AutomationCore(name=name, trigger=trigger, actions=[action])
    there = client.read_automations_by_name(name)
    if there:
        client.update_automation(there[0].id, automation)
    else:
        client.create_automation(automation)
