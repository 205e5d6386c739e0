from __future__ import annotations

from lss_lightning.reporting.loggers.tensorboard import TensorBoardLogger
from tests.reporting.loggers.samples import make_case, make_description, make_result


def test_tensorboard_records_scalars_images_texts_and_hyperparameters(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger()
    logger.describe_run(make_description(tmp_path / "run"))
    logger.log_hyperparams({"model": "resunet"})
    for number in (0, 1):
        logger.log_examples(number, [make_case(shift=1)])
        logger.log_metrics({"val/mean_iou": 0.5 + number / 10}, number)
        logger.save()
    logger.finalize("success")  # Lightning does this after the fit
    logger.log_result(make_result(tmp_path / "report"))
    logger.end_run(failed=False)
    assert [path.name.split(".")[0] for path in (tmp_path / "run" / "tensorboard").iterdir()] == ["events"]
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"val/mean_iou", "test/iou/thecal_sac", "hparam/objective"} <= set(tags["scalars"])
    assert [(event.step, round(event.value, 6)) for event in events.Scalars("val/mean_iou")] == [(0, 0.5), (1, 0.6)]
    assert {"val/slices", "figure/confusion", "figure/curves"} <= set(tags["images"])
    assert [event.step for event in events.Images("val/slices")] == [0, 1]
    [text] = events.Tensors("test/cases/text_summary")
    assert "| 0001 | D3 | 0.700 | 0.900 |" in text.tensor_proto.string_val[0].decode()
    settings = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"resunet" in settings
