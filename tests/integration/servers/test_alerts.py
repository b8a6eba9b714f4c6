"""Alerts on a real Prefect server: set up, and taken away with the webhook."""

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.servers import alerts


def test_without_the_webhook_nothing_of_an_earlier_one_is_left(monkeypatch):
    monkeypatch.setenv(alerts.WEBHOOK, "https://chat.example.org/a-secret-path")
    with get_client(sync_client=True) as client:
        assert alerts.set_up_alerts(client)
        assert all(client.read_automations_by_name(name) for name in alerts.TOLD)
        monkeypatch.delenv(alerts.WEBHOOK)
        for _ in range(2):  # where none was, nothing is to be done
            assert not alerts.set_up_alerts(client)
            assert not any(client.read_automations_by_name(name) for name in alerts.TOLD)
            with pytest.raises(ObjectNotFound):
                client.read_block_document_by_name(alerts.BLOCK, "webhook")
