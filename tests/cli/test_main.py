from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.cli.commands import REPOSITORY, run_commands

REFUSED = {
    # Types and ranges.
    "train data.batch_size=0": ["data.batch_size=0", "at least 1"],
    "train data.batch_size=2.5": ["data.batch_size=2.5", "a whole number"],
    "train data.batch_size=1,2": ["data.batch_size=1,2", "several values", "-m", "[1,2]"],
    "train optimizer.lr=-1": ["optimizer.lr=-1", "above 0"],
    "train optimizer.lr=nan": ["optimizer.lr=nan", "above 0"],
    "train optimizer.lr={a:1}": ["optimizer.lr", "a number"],
    "train split.test_fraction=1.2": ["split.test_fraction=1.2", "above 0 and below 1"],
    "train seed=-1": ["seed=-1", "at least 0"],
    "train trainer.devices=0": ["trainer.devices=0", "a number from 1"],
    "train trainer.limit_train_batches=1.5": ["trainer.limit_train_batches=1.5", "whole number"],
    "train model.pretrained=maybe-a-path": ["model.pretrained=maybe-a-path", "no such file", "true, false"],
    # Unknown keys.
    "train +foo=1": ["foo: no such setting", "allowed: augmentation"],
    "train foo=1": ["foo: no such setting", "allowed: augmentation"],
    "train lr=0.1": ["lr: no such setting", "did you mean 'optimizer.lr'"],
    "train modle.name=x": ["modle: no such setting", "did you mean 'model' or"],
    "train batch_size=4": ["batch_size: no such setting", "did you mean 'data.batch_size'"],
    "train data.batchsize=4": ["data.batchsize: no such setting", "'data.batch_size'", "allowed in data: batch_size"],
    "train data.image_sise=4 data=alkafri": ["data.image_sise: no such", "batch_size, channels, download"],
    "train data={roots:x}": ["data.roots: no such setting", "'data.root'"],
    "train optimizer@second=adam": ["optimizer@second: no such setting", "'optimizer'"],
    "train hydra.run.dirr=x": ["hydra.run.dirr: no such setting", "'hydra.run.dir'"],
    "train ~data": ["data is not set", "data=…"],
    "train split.fold=1": ["split.fold: no such setting", "allowed in split: seed", "; it belongs to split=kfold"],
    "train optimizer.momentum=0.9": ["optimizer.momentum: no such setting", "optimizer=rmsprop or optimizer=sgd"],
    # Groups.
    "train encoder=resnet43": ["encoder=resnet43: unknown", "'resnet34'", "vgg16", "encoder=timm encoder.name=…"],
    "train data=null": ["data=null: not a file of the group", "alkafri, checkpoint, folder, phantom"],
    "train +data=alkafri": ["+data=alkafri", "data=…"],
    "train data=checkpoint": ["data.name=checkpoint: not a data source", "data=phantom"],
    "train hydra/launcher=slurm": ["hydra/launcher=slurm: unknown", "allowed: basic"],
    "train encoder=timm": ["encoder.name is not set"],
    "train encoder=timm encoder.name=efficientnet_b33": ["encoder.name=efficientnet_b33", "efficientnet_b3"],
    "train hparams_search=paper_grid": ["hparams_search=paper_grid", "-m"],
    # Errors of Hydra and OmegaConf.
    "train foo": ["foo: not a setting", "key=value"],
    "train data.root=~/x": ["data.root=~/x: not a setting", "'data.root=\"~/x\"'"],
    "train optimizer.lr=${foo}": ["optimizer.lr=${foo}", "no setting foo"],
    "train hydra.run.dir=null": ["hydra.run.dir=null", "not Optional"],
    "train --multirun --cfg job": ["--multirun --cfg job", "Only one of"],
    "train --config-dir=nowhere": ["nowhere", "not found"],
    "train seed=1 --multirum": ["--multirum: unknown flag", "'--multirun'", "--hydra-help"],
    "train seed=1 --config-dir": ["--config-dir", "expected one argument"],
    "train --cfg jobs seed=1": ["--cfg", "invalid choice: 'jobs'"],
    "train seed=1 -m foo": ["foo: not a setting"],
    # Data.
    "train data=alkafri": ["data.root is not set"],
    "train data=alkafri data.root=nowhere": ["data.root=nowhere: no such folder", "05_Final_Ground_Truth_Data"],
    "train data=alkafri data.root=file": ["data.root=file: a file, not a folder"],
    "train data=alkafri data.root=empty": ["data.root=empty: holds no 05_Final_Ground_Truth_Data/Label_Images"],
    # Splits.
    "train split=patients": ["split=patients: unknown", "'patient'", "allowed: file, image, kfold"],
    "train split=kfold split.fold=5": ["split.fold=5", "numbered 0 to 4"],
    "train split=kfold split.fold=-1": ["split.fold=-1", "at least 0"],
    "train split=kfold split.folds=1": ["split.folds=1", "at least 2"],
    "train -m split=kfold split.folds=3 split.fold=0,1,2,3": ["split.fold=3", "numbered 0 to 2"],
    "train split=file": ["split.file is not set"],
    "train split=file split.file=nowhere.csv": ["split.file=nowhere.csv: no such file", "patient,part or"],
    "train split=file split.file=file": ["split.file=file: empty"],
    "train split=file split.file=split.csv callbacks=early_stopping": ["early_stopping: split=file", "monitor"],
    "prepare split=file split.file=empty": ["split.file=empty: a folder"],
    # Output folders.
    "train paths.logs=": ["paths.logs is empty"],
    "train paths.logs=file": ["file/train/", "cannot be written", "paths.logs=…"],
    "train -m paths.logs=file seed=1,2": ["file/train/", "cannot be written", "paths.logs=…"],
    "train hydra.run.dir=file": ["file: the run directory cannot be written"],
    "train name=../x": ["name=../x", "letters"],
    # Sweeps.
    "train -m optimizer.lr=0.1,abc": ["optimizer.lr=abc", "a number"],
    "train -m model=resunet,vgg16_unet seed=1,2,-3": ["seed=-3", "at least 0"],
    "train -m model=resunet,resnet": ["model=resnet: unknown", "'resunet'"],
    "train -m foo=1,2 model=resunet,vgg16_unet": ["foo: no such setting"],
    "train -m hparams_search=paper_grid data.batch_size=0": ["data.batch_size=0", "at least 1"],
    "train -m experiment=quickstart,paper_resunet": ["data.root is not set"],
    "train -m seed=glob(*)": ["seed=glob(*)", "no value"],
    "train -m optimizer.lr=interval(0.1,1)": ["optimizer.lr=interval(0.1,1)", "only a search", "hparams_search=optuna"],
    "train -m hparams_search=paper_grid data.batchsize=3": ["data.batchsize: no such setting", "'data.batch_size'"],
    "train hparams_search=paper_grid optimizer.lr=0.1": ["hparams_search=paper_grid", "-m"],
    "train sweep=nowhere": ["sweep=nowhere: not a sweep directory"],
    "train -m sweep=run seed=1,2": ["sweep=run: not a sweep directory"],
    "train -m hydra.sweep.dir=. seed=1,2": ["holds other runs, which are never overwritten"],
    # Preparation.
    "prepare data=alkafri": ["data.root is not set"],
    "prepare data=alkafri data.root=nowhere data.raw=true": ["no such folder", "or data.download=true"],
    "prepare data=alkafri data.root=file data.download=true": ["data.root=file: a file, not a folder"],
    "prepare model=resunet": ["model: prepare has no such setting; allowed: data, name"],
    # Evaluation.
    "evaluate": ["ckpt_path is not set", "ckpt_path=…"],
    "evaluate ckpt_path=nowhere": ["ckpt_path=nowhere: no such file"],
    "evaluate ckpt_path=[best.ckpt,nowhere]": ["ckpt_path=nowhere: no such file"],
    "evaluate ckpt_path=[]": ["ckpt_path=[]: no checkpoint given"],
    "evaluate ckpt_path=empty": ["ckpt_path=empty: neither a run directory nor a sweep directory"],
    "evaluate folds=nowhere": ["folds=nowhere: no such file"],
    "evaluate ckpt_path=best.ckpt calibration=nowhere": ["calibration: nowhere: no such folder"],
    "evaluate ckpt_path=best.ckpt calibration=empty": ["calibration: empty: not a run directory (no metrics.json)"],
    "evaluate ckpt_path=best.ckpt calibration=run measurements=false": ["calibration=run with measurements=false"],
    "evaluate folds=run calibration=run": ["calibration=run with folds=[run]", "leave calibration out"],
    "evaluate ckpt_path=best.ckpt model=resunet": ["model: evaluate has no such setting", "checkpoint"],
    "evaluate ckpt_path=best.ckpt data.foo=1": ["data.foo: no such setting", "allowed in data: background, batch_size"],
    "evaluate ckpt_path=best.ckpt data=alkafri data.root=empty": ["data.root=empty: holds no"],
    "evaluate -m ckpt_path=best.ckpt,nowhere": ["ckpt_path=nowhere: no such file"],
    "evaluate ckpt_pth=best.ckpt": ["ckpt_pth: no such setting", "'ckpt_path'"],
    # Comparison.
    "compare": ["runs is not set", "runs=…"],
    "compare runs=empty": ["runs=empty", "a list"],
    "compare runs=[]": ["runs: empty", "two or more"],
    "compare runs=[empty]": ["runs: only empty is given", "two or more"],
    "compare runs=[run,nowhere]": ["runs: run: unfinished", "train.py ckpt_path=run/checkpoints/last.ckpt"],
    "compare runs=[nowhere,run]": ["runs: nowhere: no such folder", "train.py or evaluate.py"],
    "compare runs=[empty,run]": ["runs: empty: not a run directory (no metrics.json)"],
    "compare runs=[run,./run]": ["runs: run: given twice"],
    "compare runs=[run,empty] examples=0": ["examples=0", "at least 1"],
    "compare runs=[run,empty] data=phantom": ["data: compare has no such setting; allowed: examples, name"],
    # Reproduction.
    "reproduce data=alkafri": ["data.root is not set"],
    "reproduce data=alkafri data.root=nowhere": ["data.root=nowhere: no such folder"],
    "reproduce data=alkafri data.root=empty reproduce.size=small": ["reproduce.size=small with data=alkafri"],
    "reproduce reproduce.size=tiny": ["reproduce.size=tiny: unknown", "allowed: paper, small"],
    "reproduce reproduce.models=[resnet]": ["reproduce.models=[resnet]", "resunet, inception_unet, vgg16_unet"],
    "reproduce reproduce.protocols=[image,image]": ["reproduce.protocols=[image, image]", "each once"],
    "reproduce reproduce.sizes.paper.seeds=[]": ["reproduce.sizes.paper.seeds=[]", "one or more"],
    "reproduce reproduce.sizes.paper.seeds=[x]": ["reproduce.sizes.paper.seeds=[x]", "whole number"],
    "reproduce reproduce.sizes.paper.overrides=['optimizer.rl=1']": ["optimizer.rl: no such", "optimizer: lr"],
    "reproduce trainer.max_epoch=3": ["trainer.max_epoch: no such setting", "'trainer.max_epochs'"],
    # Prediction.
    "predict": ["is not set", "=…"],
    "predict ckpt_path=best.ckpt input=file": ["output.folder is not set"],
    "predict ckpt_path=nowhere input=file output=out": ["ckpt_path=nowhere: no such file"],
    "predict ckpt_path=best.ckpt input=nowhere output=out": ["input=nowhere: no such file or folder"],
    "predict ckpt_path=best.ckpt input=file output=run": ["output=run: is not empty", "overwrite=true"],
    "predict ckpt_path=best.ckpt input=file output=run overwrite=true": ["output=run", "only what predict.py wrote"],
    "predict ckpt_path=best.ckpt input=file output=file": ["output=file: is a file"],
    "predict ckpt_path=best.ckpt input=file output=out trainer.devices=2": ["trainer.devices=2", "one device"],
    "predict ckpt_path=best.ckpt input=file output=out levels={slice_01:L6/7}": ["not a lumbar disc", "L5/S1"],
    "predict ckpt_path=best.ckpt input=file output=out output.seg=false": ["output.sr=true with output.seg=false"],
    "predict ckpt_path=best.ckpt input=file output=out tta=flop": ["tta=flop: unknown", "'flip'"],
    "predict ckpt_path=best.ckpt input=file output=out calibration=run": ["calibration: run: unfinished"],
    # Resuming.
    "train ckpt_path=nowhere": ["ckpt_path=nowhere: no such file"],
    "train ckpt_path=": ["ckpt_path=: no such file"],
    "train +ckpt_path=best.ckpt": ["ckpt_path=best.ckpt: not in a run directory"],
    "train ckpt_path=run/checkpoints/last.ckpt -m": ["in a sweep"],
    "train ckpt_path=run/checkpoints/last.ckpt hydra.run.dir=other": ["hydra.run.dir=other: a resumed run"],
    # The console command.
    "lss trian": ["lss trian: no such command", "'train'", "allowed: train, evaluate"],
    "lss train data.batch_size=0": ["data.batch_size=0", "at least 1"],
}  # fmt: skip

REFUSED_IN_A_RESUMED_RUN = {
    "train ckpt_path=run/checkpoints/last.ckpt model=vgg16_unet": ["model: a resumed run keeps"],
    "train ckpt_path=run/checkpoints/last.ckpt trainer.max_epoch=3": ["trainer.max_epoch: no such setting"],
    "train ckpt_path=run/checkpoints/last.ckpt trainer.max_epochs=0": ["trainer.max_epochs=0", "at least 1"],
}

ALLOWED: dict[str, list[list[Any]]] = {
    "train name=a": [[0.0001, "logs/train/a/*"]],
    "train hydra.run.dir=here": [[0.0001, "here"]],
    "train ckpt_path=null hydra.run.dir=here": [[0.0001, "here"]],
    "train ckpt_path=run/checkpoints/last.ckpt": [[0.25, "run"]],
    "train ckpt_path=run/checkpoints/last.ckpt optimizer.lr=0.5": [[0.5, "run"]],
    "train ckpt_path=run/checkpoints/last.ckpt hydra.run.dir=run": [[0.25, "run"]],
    "train -m optimizer.lr=0.1,0.2 name=a": [[0.1, "logs/train/a/*/0"], [0.2, "logs/train/a/*/1"]],
    "train -m split=kfold split.fold=0,1,2,3,4 name=a": [[0.0001, f"logs/train/a/*/{fold}"] for fold in range(5)],
    "train split=file split.file=split.csv name=a": [[0.0001, "logs/train/a/*"]],
    "train -m optimizer.lr=0.1 model=resunet,vgg16_unet": [
        [0.1, "logs/train/sweep/*/0"],
        [0.1, "logs/train/sweep/*/1"],
    ],
    "train -m optimizer.lr=0.1,0.2 model=vgg16_unet": [
        [0.1, "logs/train/vgg16_unet-vgg16/*/0"],
        [0.2, "logs/train/vgg16_unet-vgg16/*/1"],
    ],
    "train -m seed=1,2 hydra.sweep.dir=here": [[0.0001, "here/0"], [0.0001, "here/1"]],
    "train optimizer.lr=0.1 -m seed=1,2 --config-dir run hydra.sweep.dir=here": [[0.1, "here/0"], [0.1, "here/1"]],
    "train hparams_search=paper_grid optimizer.lr=0.1 data.batch_size=2 hydra.run.dir=here": [[0.1, "here"]],
    "evaluate ckpt_path=best.ckpt": [[None, "logs/evaluate/evaluation/*"]],
    "evaluate ckpt_path=[best.ckpt,run] tta=flip": [[None, "logs/evaluate/evaluation/*"]],
    "evaluate folds=run": [[None, "logs/evaluate/evaluation/*"]],
    "lss evaluate ckpt_path=best.ckpt subset=all": [[None, "logs/evaluate/evaluation/*"]],
    "reproduce reproduce.size=small trainer.max_epochs=3": [[None, "logs/reproduce/phantom-small/*"]],
    "predict ckpt_path=best.ckpt input=file output=out": [[None, "logs/predict/prediction/*"]],
    "lss predict ckpt_path=[best.ckpt,run] input=file output=empty": [[None, "logs/predict/prediction/*"]],
}


@pytest.fixture(scope="module")
def refused():
    lines = [*REFUSED, *REFUSED_IN_A_RESUMED_RUN]
    return dict(zip(lines, run_commands(lines), strict=True))


@pytest.mark.parametrize(("line", "parts"), (REFUSED | REFUSED_IN_A_RESUMED_RUN).items(), ids=str)
def test_mistake_is_one_line_and_starts_nothing(refused, line, parts):
    result = refused[line]
    assert (result["code"], result["crash"], result["runs"]) == (2, None, [])
    assert result["output"] == ""
    message = result["errors"]
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert [part for part in parts if part not in message] == [], message
    assert result["heavy"] == []
    # The directory of a resumed run exists, and its log is opened before the configuration is checked.
    assert set(result["left"]) <= ({"run/train.log"} if line in REFUSED_IN_A_RESUMED_RUN else set())


def test_allowed_command_line_starts_the_workflow():
    results = run_commands(list(ALLOWED))
    for result, (line, expected) in zip(results, ALLOWED.items(), strict=True):
        assert (result["code"], result["crash"]) == (None, None), line
        assert len(result["runs"]) == len(expected), line
        for (rate, folder), (expected_rate, pattern) in zip(result["runs"], expected, strict=True):
            assert rate == expected_rate, line
            before, _, after = pattern.partition("*")
            assert folder.startswith(before), line
            assert folder.endswith(after), line
            assert any(left.startswith(folder) for left in result["left"]), line


@pytest.mark.parametrize(
    "error",
    [
        "open('nowhere')",
        "int('x')",
        "__import__('omegaconf').OmegaConf.create({'a': '${b}'}).a",
        "__import__('hydra').utils.instantiate({'_target_': 'no.such.thing'})",
    ],
)
def test_programming_error_shows_its_traceback(error):
    *runs, sweep = run_commands(["train", "evaluate ckpt_path=best.ckpt", "train -m seed=1,2"], error)
    for result in runs:
        assert result["code"] is None
        assert result["crash"] == runs[0]["crash"] is not None
        assert "error: " not in result["errors"]
        assert len(result["runs"]) == 1
    assert (sweep["code"], sweep["crash"], len(sweep["runs"])) == (1, None, 2)
    assert sweep["errors"].count("Traceback") >= 2
    assert sweep["output"].count(f", failed: {runs[0]['crash']}") == 2


def test_programming_error_ends_with_a_traceback_and_exit_code_1():
    program = (
        "import sys, types\n"
        "from lss_lightning.cli.main import run\n"
        "def work(config, folder): raise ValueError('a bug')\n"
        "sys.modules['lss_lightning.workflows.train'] = types.SimpleNamespace(run=work)\n"
        "run('train', ['hydra.run.dir=.', 'hydra.output_subdir=null', 'hydra/job_logging=none'])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY)
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert ended.stderr.endswith("ValueError: a bug\n")


def test_mistake_that_the_workflow_finds_is_one_line():
    error = "(_ for _ in ()).throw(__import__('lss_lightning.errors').errors.UserError('the thing,\\nthe remedy'))"
    run, sweep = run_commands(["train", "train -m seed=1,2"], error)
    assert (run["code"], len(run["runs"])) == (2, 1)
    assert run["errors"] == "error: the thing, the remedy\n"
    assert (sweep["code"], len(sweep["runs"])) == (1, 2)
    assert sweep["errors"] == "".join(f"error: job {job}: the thing, the remedy\n" for job in "01")
    assert sweep["output"].count("failed: the thing, the remedy") == 2


def test_help_and_configuration_are_shown_without_a_run():
    expected = {
        "train --help": ["encoder: convnext_tiny", "batch_size: 8", "ckpt_path=logs/…/last.ckpt", "--hydra-help"],
        "lss train --help": ["encoder: convnext_tiny", "batch_size: 8"],
        "evaluate --help": ["ckpt_path: null", "tta: none", "subset: null", "data=alkafri"],
        "predict --help": ["input: ???", "keep_identity: false", "Research use only"],
        "train --cfg job --resolve": ["name: resunet-resnet34", "root: data/phantom"],
        "train ckpt_path=run/checkpoints/last.ckpt --cfg job": ["lr: 0.25"],
        "train --cfg job --package optimizer": ["_target_: torch.optim.Adam"],
        "lss": ["lss train", "lss evaluate"],
        "lss --help": ["lss train", "lss evaluate"],
    }
    for result, (line, parts) in zip(run_commands(list(expected)), expected.items(), strict=True):
        assert result["code"] in (None, 0), line
        assert [part for part in parts if part not in result["output"]] == [], line
        assert (result["crash"], result["heavy"], result["runs"], result["left"]) == (None, [], [], []), line


@pytest.mark.parametrize(
    "program",
    [
        ["train.py"],
        ["-m", "lss_lightning", "train"],
        ["-c", "from lss_lightning.__main__ import main; main()", "train"],
    ],
)
def test_scripts_and_console_command_are_equivalent(program):
    ended = subprocess.run(
        [sys.executable, *program, "data.batch_size=0"], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == "error: data.batch_size=0: out of range; it must be at least 1\n"


def test_evaluate_script_runs_evaluate():
    ended = subprocess.run([sys.executable, "evaluate.py"], capture_output=True, text=True, cwd=REPOSITORY)
    assert (ended.returncode, ended.stderr) == (
        2,
        "error: ckpt_path is not set: give ckpt_path=…, or folds=… of a cross-validation\n",
    )


def test_signal_in_a_job_ends_the_sweep():
    [result] = run_commands(["train -m seed=1,2,3"], "len(runs) > 1 and exit(143)")
    assert (result["code"], len(result["runs"])) == (143, 2)
    assert "unfinished" in result["output"]
    assert "python train.py sweep=logs/train/resunet-resnet34/" in result["output"]


def test_sweep_writes_its_table_beside_its_jobs():
    [result] = run_commands(["train -m seed=1,2 hydra.sweep.dir=here"])
    assert result["code"] is None
    assert {"here/sweep.md", "here/sweep.csv", "here/sweep.yaml", "here/0/job.json", "here/1/job.json"} <= set(
        result["left"]
    )


def without_optuna(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run train.py without Hydra's plugin for Optuna."""
    program = (
        "import pkgutil, sys\n"
        "usual = pkgutil.walk_packages\n"
        "pkgutil.walk_packages = lambda *a, **k: (module for module in usual(*a, **k) if 'optuna' not in module.name)\n"
        "from lss_lightning.cli.main import run\n"
        "run('train', sys.argv[1:])\n"
    )
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=REPOSITORY)


@pytest.mark.parametrize("line", [["-m", "hparams_search=optuna"], ["-m", "hydra/sweeper=optuna", "seed=1,2"]])
def test_search_without_its_package_says_how_to_install_it(line):
    ended = without_optuna(*line)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(
        "error: hydra/sweeper=optuna: not installed; run pip install 'lss-lightning[optuna]'"
    )
    assert ended.stderr.count("\n") == 1


def test_search_needs_an_objective_and_the_flag_m():
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install -e .[optuna]")
    mistakes = {
        "train hparams_search=optuna": ["hparams_search=optuna", "add -m"],
        "train -m hparams_search=optuna split=image": ["no validation set"],
        "train -m hparams_search=optuna optimizer.lr=interval(-1,1)": ["optimizer.lr=-1", "above 0"],
        "train -m hparams_search=optuna data.batch_size=choice(0,2)": ["data.batch_size=0", "at least 1"],
    }
    for result, (line, parts) in zip(run_commands(list(mistakes)), mistakes.items(), strict=True):
        assert (result["code"], result["crash"], result["runs"], result["left"]) == (2, None, [], []), line
        assert [part for part in parts if part not in result["errors"]] == [], line
