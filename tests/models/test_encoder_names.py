import subprocess
import sys

import pytest

from lss_lightning.errors import UserError
from lss_lightning.models.encoder_names import check_encoder_name, list_timm_encoders


def test_names_are_those_registered_by_timm():
    import timm

    assert list_timm_encoders() == tuple(sorted(timm.list_models()))


def test_names_are_read_without_importing_timm_or_torch():
    program = (
        "import sys\n"
        "from lss_lightning.models.encoder_names import check_encoder_name\n"
        "check_encoder_name('resnet34')\n"
        "print(sorted({'timm', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["resnet34", "resnet34.a1_in1k", "inception_v4", "vgg16"])
def test_known_names_are_accepted_with_and_without_a_tag(name):
    check_encoder_name(name)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("resnet43", "resnet34"), ("efficientnet-b3", "efficientnet_b3"), ("vgg61.tv_in1k", "vgg16"), ("?", "resnet34")],
)
def test_similar_names_are_suggested_for_an_unknown_one(name, suggestion):
    with pytest.raises(UserError) as caught:
        check_encoder_name(name)
    message = str(caught.value)
    assert message.startswith(f"encoder.name={name}: ")
    assert suggestion in message
    assert "\n" not in message
