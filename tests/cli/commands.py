"""Runs command lines with a workflow in the place of the real one, and reports what each did.

Started as a program it does so in a process of its own, which shows what was imported: `python -m tests.cli.commands`
reads a list of cases as JSON and writes a list of results.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lss_lightning.cli import main as cli
from lss_lightning.cli.check import COMMANDS
from lss_lightning.config.sections import config_folder

REPOSITORY = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "timm", "monai", "matplotlib", "wandb", "pytorch_lightning")

Result = dict[str, Any]


def run_commands(lines: Sequence[str], workflow: str = "None") -> list[Result]:
    """Run command lines, one after the other, each in a folder of its own that :func:`furnish` has filled.

    Args:
        lines: Each a command and its arguments, parted by spaces; the command ``lss`` is the console command.
        workflow: An expression that the workflow evaluates in the end: its value is returned, or it raises.

    Returns:
        For each: ``code``, the exit code or None; ``crash``, an exception's class; ``output`` and ``errors``;
        ``heavy``, what was imported; ``runs``, learning rate (of training) and folder for each start of the workflow;
        ``left``, the files and empty folders that it left.
    """
    program = [sys.executable, "-m", "tests.cli.commands"]
    request = json.dumps([list(lines), workflow])
    done = subprocess.run(program, input=request, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    return json.loads(done.stdout)


def furnish(folder: Path) -> None:
    """What command lines may name: a file, an empty folder, a checkpoint, and a run that can be resumed."""
    (folder / "file").write_text("")
    (folder / "split.csv").write_text("patient,part\n0001,train\n0002,test\n")
    (folder / "empty").mkdir()
    (folder / "best.ckpt").write_text("")
    (folder / "run" / "checkpoints").mkdir(parents=True)
    (folder / "run" / "checkpoints" / "last.ckpt").write_text("")
    (folder / "run" / ".hydra").mkdir()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", ["optimizer.lr=0.25"])
    OmegaConf.save(config, folder / "run" / ".hydra" / "config.yaml")


def _run(line: str, workflow: str) -> Result:
    runs: list[Any] = []

    def work(config: Any, folder: Path) -> Any:
        optimizer = getattr(config, "optimizer", {})
        runs.append([optimizer.get("lr"), str(folder.relative_to(Path.cwd()))])
        return eval(workflow)

    for command in COMMANDS:
        sys.modules[f"lss_lightning.workflows.{command}"] = SimpleNamespace(run=work)  # type: ignore[assignment]
    command, *arguments = line.split()
    sys.argv = [f"{command}.py", *arguments]
    before = _contents()
    code, crash = None, None
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            if command == "lss":
                cli.main()
            else:
                cli.run(command)
        except SystemExit as end:
            code = end.code
        except Exception as error:
            crash = type(error).__name__
    logging.shutdown()
    return {
        "code": code,
        "crash": crash,
        "output": output.getvalue(),
        "errors": errors.getvalue(),
        "heavy": [name for name in HEAVY if name in sys.modules],
        "runs": runs,
        "left": sorted(_contents() - before),
    }


def _contents() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file() or not any(path.iterdir())}


if __name__ == "__main__":
    lines, workflow = json.load(sys.stdin)
    results = []
    with tempfile.TemporaryDirectory() as furnished:
        furnish(Path(furnished))
        for line in lines:
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(furnished, folder, dirs_exist_ok=True)
                os.chdir(folder)
                results.append(_run(line, workflow))
                os.chdir(furnished)
    json.dump(results, sys.stdout)
