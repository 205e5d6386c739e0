"""Nothing that may come from somebody else runs code: images, archives, checkpoints, run and sweep directories."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lss_lightning.config.sections import config_folder
from lss_lightning.models.checkpoint import METADATA_KEY
from tests.workflows.prediction.studies import write_checkpoint

PROGRAM = textwrap.dedent(
    """
    import contextlib, io, json, os, sys

    ran = []

    def watch(event, arguments):
        if event == "os.system" or (event == "pickle.find_class" and arguments[:2] == ("posix", "system")):
            ran.append(event)

    sys.addaudithook(watch)
    from lss_lightning.cli.main import run

    results = []
    for name, command, *arguments in json.load(sys.stdin):
        del ran[:]
        code, trace = 0, ""
        sys.argv = [f"{command}.py", *arguments]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
            try:
                run(command)
            except SystemExit as end:
                code = end.code
            except BaseException as error:
                trace = repr(error)
        results.append([name, code, errors.getvalue(), trace, list(ran)])
    json.dump(results, sys.stdout)
    """
)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("security")


@pytest.fixture(scope="module")
def sign(place) -> Path:
    """The file that a payload creates."""
    return place / "PAYLOAD_RAN"


def write_run(folder: Path, text: str = "", /, **changes: object) -> str:
    """Write a run directory whose stored configuration is changed, and return the override that resumes it."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / ".hydra").mkdir()
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("train")
    for path, value in changes.items():
        OmegaConf.update(cfg, path.replace("__", "."), value, force_add=True)
    file = folder / ".hydra" / "config.yaml"
    OmegaConf.save(cfg, file)
    file.write_text(file.read_text() + text)
    return f"ckpt_path={folder}/checkpoints/last.ckpt"


def write_sweep(folder: Path, **parts: list[str]) -> str:
    """Write a sweep directory with changed parts, and return the override that resumes it."""
    folder.mkdir(parents=True)
    content = {"task": ["seed=1,2"], "params": {}, "hydra": [], "flags": [], **parts}
    OmegaConf.save(OmegaConf.create(content), folder / "sweep.yaml")
    return f"sweep={folder}"


PLANTED = """
import os
from dataclasses import dataclass

from torch import nn

from lss_lightning.data.source import DataSource
from lss_lightning.data.splits.fractions import Resubstitution

os.system("touch {sign}")


@dataclass(frozen=True, kw_only=True)
class Source(DataSource):
    pass


@dataclass(frozen=True)
class Split(Resubstitution):
    pass


class Loss(nn.Module):
    pass
"""
"""A module whose import is noticed."""

INTERNAL_SPLIT = "lss_lightning.data.splits.fractions._FractionSplit"


def write_altered_checkpoint(path: Path, section: str, **changes: object) -> Path:
    """Write a checkpoint with changes in a section of its configuration."""
    content = torch.load(write_checkpoint(path), weights_only=True)
    content["lss_lightning"]["config"][section].update(changes)
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def class_attacks(place) -> list[list[str]]:
    """Command lines that read classes and arguments which stored settings may not have."""
    cross_entropy = "lss_lightning.models.losses.CrossEntropy"
    step = {"_target_": "torch.optim.lr_scheduler.LinearLR"}
    sequence = {"_target_": "torch.optim.lr_scheduler.SequentialLR", "schedulers": [step], "milestones": []}
    runs: dict[str, dict[str, object]] = {
        "planted data": {"data___target_": "planted.Source"},
        "planted split": {"split___target_": "planted.Split"},
        "planted loss": {"loss___target_": "planted.Loss"},
        "planted metric": {"metrics__x": {"_target_": "planted.Loss"}},
        "internal split": {"split___target_": INTERNAL_SPLIT},
        "listed elsewhere": {"optimizer___target_": cross_entropy},
        "listed, but nested": {"optimizer__weight_decay": {"_target_": "torch.optim.Adam"}},
        "nested by reference": {"optimizer__weight_decay": "${loss}"},
        "nested in a list": {"scheduler": sequence},
        "unlisted scheduler": {"scheduler": step},
        "metric function": {"metrics__x": {"_target_": "os.system", "command": "true"}},
        "unknown argument": {"loss__evil": 1},
        "positional arguments": {"loss___args_": [1]},
        "partial": {"loss___partial_": True},
        "wrong type": {"optimizer__betas": "planted.Loss"},
        "callable by name": {"loss": {"_target_": "monai.losses.TverskyLoss", "other_act": "os.system"}},
        "mapping": {"scheduler": {"_target_": "torch.optim.lr_scheduler.PolynomialLR", "power": {"a": 1}}},
    }
    lines = [
        [f"run: {name}", "train", write_run(place / f"run {index}", **changes)]
        for index, (name, changes) in enumerate(runs.items())
    ]
    checkpoints: dict[str, tuple[str, dict[str, object]]] = {
        "planted data": ("data", {"_target_": "planted.Source"}),
        "data function": ("data", {"_target_": "os.system"}),
        "nested": ("data", {"spacing": {"_target_": "os.system", "command": "true"}}),
        "unknown argument": ("data", {"evil": 1}),
        "planted split": ("split", {"_target_": "planted.Split"}),
        "internal split": ("split", {"_target_": INTERNAL_SPLIT}),
        "split argument": ("split", {"evil": 1}),
    }
    study = place / "clean"
    study.mkdir()
    for kind in ("T1", "T2"):
        np.save(study / f"a_{kind}.npy", np.full((64, 64), 9, dtype=np.uint8))
    for index, (name, (section, changes)) in enumerate(checkpoints.items()):
        file = write_altered_checkpoint(place / f"altered_{index}.ckpt", section, **changes)
        lines.append([f"evaluate: {name}", "evaluate", f"ckpt_path={file}", "trainer=cpu"])
        if section == "split":
            lines.append([f"folds: {name}", "evaluate", f"folds=[{file}]", "trainer=cpu"])
        else:
            output = f"output={place}/clean_{index}"
            lines.append([f"predict: {name}", "predict", f"ckpt_path={file}", f"input={study}", output, "trainer=cpu"])
    return lines


@pytest.fixture(scope="module")
def attacks(place, sign, class_attacks) -> list[list[str]]:
    """Command lines, each of which reads a file with a payload."""
    payload = Payload(sign)
    (place / "planted.py").write_text(PLANTED.format(sign=sign))
    pickled = place / "payload.pkl"
    pickled.write_bytes(pickle.dumps(payload))
    call = {"_target_": "os.system", "command": f"touch {sign}"}
    callback = f"hydra:\n  callbacks:\n    x:\n      _target_: os.system\n      command: touch {sign}\n"
    tag = f'evil: !!python/object/apply:os.system ["touch {sign}"]\n'
    outside = place / "outside" / "evil.yaml"
    outside.parent.mkdir()
    outside.write_text(f"# @package hydra.callbacks\nx:\n  _target_: os.system\n  command: touch {sign}\n")
    traversal = os.path.relpath(outside.with_suffix(""), config_folder() / "experiment")

    runs = {
        "run: hydra section": write_run(place / "a", callback),
        "run: python tag": write_run(place / "b", tag),
        "run: loss class": write_run(place / "c", loss=call),
        "run: nested class": write_run(place / "d", optimizer__weight_decay=call),
        "run: scheduler function": write_run(place / "e", scheduler__T_max=call),
        "run: data class": write_run(place / "f", data___target_="os.system"),
        "run: resolver": write_run(place / "g", name="${oc.env:HOME}"),
    }
    sweeps = {
        "sweep: flag": write_sweep(place / "s1", flags=[f"--experimental-rerun={pickled}"]),
        "sweep: own YAML": write_sweep(place / "s2", flags=[f"--config-dir={outside.parent}"]),
        "sweep: hydra callback": write_sweep(
            place / "s3", hydra=["+hydra.callbacks.x._target_=os.system", f"+hydra.callbacks.x.command='touch {sign}'"]
        ),
        "sweep: launcher command": write_sweep(place / "s4", hydra=[f"hydra.launcher.setup=['touch {sign}']"]),
        "sweep: class": write_sweep(place / "s5", task=["loss._target_=os.system", f"+loss.command='touch {sign}'"]),
        "sweep: nested class": write_sweep(place / "s6", task=[f"+optimizer.x={{_target_: os.system, c: {sign}}}"]),
        "sweep: file outside": write_sweep(place / "s7", task=[f"+experiment={traversal}"]),
        "sweep: hydra in task": write_sweep(place / "s8", task=["+hydra.callbacks.x._target_=os.system"]),
    }
    checkpoint = place / "evil.ckpt"
    torch.save({"lss_lightning": {}, "state_dict": payload}, checkpoint)
    good = write_checkpoint(place / "good.ckpt")
    content = torch.load(good, weights_only=True)
    network = {"model": "evil", "target": "os.system", "in_channels": 3, "classes": 6, "divisor": 1, "min_size": 1}
    network |= {"arguments": {"command": f"touch {sign}"}, "weight_arguments": []}
    content[METADATA_KEY]["network"] = network
    torch.save(content, place / "network.ckpt")
    study = place / "study"
    study.mkdir()
    for kind in ("T1", "T2"):
        np.save(study / f"a_{kind}.npy", np.array([payload], dtype=object), allow_pickle=True)
    archive = place / "study.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.write(study / "a_T1.npy", "s/a_T1.npy")
        stream.writestr("../PAYLOAD_RAN", "")
    images = place / "images"
    for kind in ("images", "masks"):
        (images / kind).mkdir(parents=True)
        np.save(images / kind / "p1.npy", np.array([payload], dtype=object), allow_pickle=True)
    finished = [place / "r1", place / "r2"]
    for run in finished:
        run.mkdir()
        (run / "metrics.json").write_text(json.dumps({"schema": 1, "iou": {"other": 1.0}, "data": {}}))
        np.savez(run / "counts.npz", counts=np.array([payload], dtype=object), digest=[], patient=[], level=[])
    split = place / "split.csv"
    split.write_text(f'patient,part\n"!!python/object/apply:os.system [touch {sign}]",train\n=os.system(),test\n')
    return [
        *([name, "train", line] for name, line in {**runs, **sweeps}.items()),
        *class_attacks,
        ["flag: rerun", "train", f"--experimental-rerun={pickled}"],
        ["checkpoint: evaluate", "evaluate", f"ckpt_path={checkpoint}"],
        ["checkpoint: predict", "predict", f"ckpt_path={checkpoint}", f"input={study}", f"output={place}/o1"],
        ["checkpoint: network", "evaluate", f"ckpt_path={place}/network.ckpt"],
        ["study: arrays", "predict", f"ckpt_path={good}", f"input={study}", f"output={place}/o2", "trainer=cpu"],
        ["study: archive", "predict", f"ckpt_path={good}", f"input={archive}", f"output={place}/o3", "trainer=cpu"],
        [
            *("images: arrays", "train", "data=folder", "split=resubstitution", f"data.root={images}"),
            "data.classes={a: 0, b: 1}",
        ],
        ["run: counts", "compare", f"runs=[{finished[0]},{finished[1]}]"],
        ["split: table", "train", "data=phantom", "split=file", f"split.file={split}", "data.patients=2"],
    ]


def run_all(lines: list[list[str]], folder: Path) -> list[tuple[str, int, str, str, list[str]]]:
    """Run command lines in a process, and return name, exit code, errors, traceback and events of each."""
    program = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        program, input=json.dumps(lines), capture_output=True, text=True, check=False, cwd=folder, timeout=600
    )
    assert done.returncode == 0, done.stderr
    results: list[tuple[str, int, str, str, list[str]]] = json.loads(done.stdout)
    assert len(results) == len(lines)
    return results


def test_no_payload_runs(attacks, class_attacks, place, sign):
    results = run_all(attacks, place)
    assert not sign.exists()
    for name, code, errors, trace, ran in results:
        assert not ran, name
        assert not trace, (name, trace)
        assert code in (1, 2), (name, code, errors)
        assert errors.startswith("error: ") or "\nerror: " in errors, (name, errors)
    refusals = {name: errors for name, _, errors, _, _ in results}
    for name, *_ in class_attacks:
        reasons = (
            "stored settings may only name classes",
            "has no such argument",
            "not of the type that",
            "no run stores",
            "not of the allowed type",
        )
        assert any(reason in refusals[name] for reason in reasons), (name, refusals[name])
    assert "if you trust this one, add trust=[planted.Source]" in refusals["evaluate: planted data"]
    assert "if you trust this one, add trust=[planted.Split]" in refusals["folds: planted split"]
    assert "CrossEntropy has no such argument" in refusals["run: unknown argument"]


def test_trusted_classes_are_imported(place):
    lines = []
    for number, (section, name) in enumerate({"data": "Source", "split": "Split"}.items()):
        for command in ("train", "evaluate"):
            module, target = f"planted_{command}_{number}", f"planted_{command}_{number}.{name}"
            (place / f"{module}.py").write_text(PLANTED.format(sign=place / module))
            run = write_run(place / f"run of {module}", **{f"{section}___target_": target})
            checkpoint = write_altered_checkpoint(place / f"{module}.ckpt", section, _target_=target)
            line = run if command == "train" else f"ckpt_path={checkpoint}"
            small = ["data.patients=2", "data.image_size=64"] if (command, section) == ("evaluate", "split") else []
            arguments = [command, line, *small, *(["trainer=cpu"] if command == "evaluate" else [])]
            lines += [[trust, *arguments, f"trust=[{trust}]"] for trust in ("os.path.join", target)]
    for trust, code, errors, trace, ran in run_all(lines, place):
        is_trusted = trust.startswith("planted")
        assert (code, trace) == (2, ""), errors
        assert ("stored settings may only name classes" in errors) is not is_trusted
        assert ran == ["os.system"] * is_trusted, errors


def test_a_class_is_used_once_the_user_trusts_it(place):
    from lss_lightning.config.stored import load_stored_config
    from lss_lightning.errors import UserError
    from lss_lightning.runs.trust import trust_classes

    write_run(place / "trusted", optimizer={"_target_": "torch.optim.NAdam", "lr": 0.1})
    file = place / "trusted" / ".hydra" / "config.yaml"
    with pytest.raises(UserError, match=r"if you trust this one, add trust=\[torch.optim.NAdam\]"):
        load_stored_config(file)
    trust_classes(["torch.optim.NAdam"])
    assert load_stored_config(file)["optimizer"]["_target_"] == "torch.optim.NAdam"
