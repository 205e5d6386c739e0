from __future__ import annotations

import os
import signal

import torch

from lss_lightning.workflows.training.checkpoints import AtomicCheckpointIO


def test_a_kill_while_a_checkpoint_is_written_leaves_the_existing_one(tmp_path, monkeypatch):
    path = tmp_path / "checkpoints/last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 0}, path)
    before = path.read_bytes()

    def write_half_and_die(checkpoint, stream):
        stream.write(b"half of it")
        stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(torch, "save", write_half_and_die)
        AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert path.read_bytes() == before
    AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 2}
    assert list(path.parent.iterdir()) == [path]
