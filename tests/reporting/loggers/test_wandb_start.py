"""Starting W&B runs without an account, without a network, and as a resume."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lss_lightning.config.loggers import WandbConfig
from lss_lightning.errors import UserError
from lss_lightning.reporting.loggers.wandb_start import start_run
from lss_lightning.runs.layout import RunFolder
from tests.reporting.loggers.samples import make_description
from tests.reporting.loggers.wandb_recorder import FAKE_KEY


def log_lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("lss_lightning")]


def test_a_run_without_an_account_is_recorded_offline(record, tmp_path, caplog):
    run = start_run(make_description(tmp_path / "run"), WandbConfig())
    assert run.offline
    [line] = log_lines(caplog)
    assert line.startswith("wandb: no account found (run wandb login or set WANDB_API_KEY); recorded offline")
    assert str(tmp_path / "run" / "wandb") in line
    run.log({"lr": 0.1})
    run.finish(exit_code=0)
    assert json.loads(RunFolder(tmp_path / "run").wandb_identity.read_text())["sent"] is False


def test_an_invalid_key_is_reported(record, tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    run = start_run(make_description(tmp_path / "run"), WandbConfig())
    assert run.offline
    assert "WANDB_API_KEY" in log_lines(caplog)[0]
    assert "\n" not in log_lines(caplog)[0]
    run.finish(exit_code=0)


def test_a_run_without_a_network_is_recorded_offline(record, tmp_path, caplog, monkeypatch):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # the port is taken but does not listen, so no other program can answer
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{bound.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
        run = start_run(make_description(tmp_path / "run"), WandbConfig(timeout=3))
    assert run.offline
    [line] = log_lines(caplog)
    assert line.startswith("wandb: lss_lightning cannot be reached (")
    assert "recorded offline" in line
    assert "\n" not in line
    run.log({"lr": 0.1})
    run.finish(exit_code=0)


class RefusingHandler(BaseHTTPRequestHandler):
    """A server that knows the account but not the entity."""

    status = 403

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"errors": [{"message": "permission denied"}]}).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture(params=[403, 404])
def refusing(request, monkeypatch) -> Iterator[str]:
    """The HTTP status with which the server refuses."""
    handler = type("Handler", (RefusingHandler,), {"status": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    yield str(request.param)
    server.shutdown()
    server.server_close()


def test_an_unknown_entity_is_named_and_the_run_recorded_offline(record, refusing, tmp_path, caplog):
    config = WandbConfig(entity="nobody", project="spines", timeout=10)
    run = start_run(make_description(tmp_path / "run"), config)
    assert run.offline
    [line] = log_lines(caplog)
    assert line.startswith("wandb: nobody/spines cannot be reached (")
    assert refusing in line or "permission denied" in line
    run.finish(exit_code=0)


def test_a_resumed_run_keeps_its_id(record, tmp_path):
    config = WandbConfig(mode="offline")
    for resumed in (False, True):
        start_run(make_description(tmp_path / "run", resumed=resumed), config).finish(exit_code=0)
    first, second = record.runs
    assert first.id == second.id
    assert len(list((tmp_path / "run" / "wandb").glob("offline-run-*"))) == 2


def test_a_new_run_in_a_used_folder_has_a_new_id(record, tmp_path):
    for _ in range(2):
        start_run(make_description(tmp_path / "run"), WandbConfig(mode="offline")).finish(exit_code=0)
    assert record.runs[0].id != record.runs[1].id


@pytest.mark.parametrize(
    ("changes", "beginning"),
    [({"project": "other"}, "project=other: run"), ({"entity": "team"}, "entity=team: run")],
)
def test_resume_refuses_another_project_or_entity(changes, beginning, record, tmp_path):
    start_run(make_description(tmp_path / "run"), WandbConfig(mode="offline")).finish(exit_code=0)
    identity = RunFolder(tmp_path / "run").wandb_identity
    content = identity.read_bytes()
    with pytest.raises(UserError) as raised:
        start_run(make_description(tmp_path / "run", resumed=True), WandbConfig(mode="offline", **changes))
    assert str(raised.value).startswith(beginning)
    assert record.runs[0].id in str(raised.value)
    assert "\n" not in str(raised.value)
    assert identity.read_bytes() == content
    assert len(record.runs) == 1
