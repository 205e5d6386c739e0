"""Runs command lines with a fake workflow, and reports what each of them did.

As a program, `python -m tests.cli.commands` reads a list of command lines as JSON and writes a list of results. Its own
process shows which packages are imported.
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
    """Run command lines one after the other, each in its own folder that :func:`furnish` has filled.

    Args:
        lines: Commands with their arguments, separated by spaces. ``lss`` is the console command.
        workflow: An expression. The workflow returns its value, or raises what it raises.

    Returns:
        A dictionary for each line: ``code``, the exit code or None; ``crash``, the class of an exception or None;
        ``output`` and ``errors``, the text on stdout and stderr; ``heavy``, the heavy packages that were imported;
        ``runs``, the learning rate (of training) and the folder of each start of the workflow; ``left``, the files and
        empty folders that are new.
    """
    program = [sys.executable, "-m", "tests.cli.commands"]
    request = json.dumps([list(lines), workflow])
    ended = subprocess.run(program, input=request, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    results: list[Result] = json.loads(ended.stdout)
    return results


def furnish(folder: Path) -> None:
    """Write what command lines may refer to: a file, an empty folder, a checkpoint, and a run that can be resumed."""
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
    before = _list_contents()
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
        "left": sorted(_list_contents() - before),
    }


def _list_contents() -> set[str]:
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
