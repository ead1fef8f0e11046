import subprocess
import sys

import pytest

import quaterion_models


def test_names_are_there_and_torch_is_imported_only_for_them():
    code = (
        "import sys, quaterion_models; assert 'torch' not in sys.modules; "
        "assert set(quaterion_models.__all__) <= set(dir(quaterion_models)); "
        "from quaterion_models import *; print(SimilarityModel.__module__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "quaterion_models.model True\n"


def test_each_name_is_the_class_of_its_module():
    from quaterion_models.encoders import Encoder
    from quaterion_models.meta import Meta

    assert quaterion_models.Encoder is Encoder
    assert quaterion_models.Meta is Meta
    for name in quaterion_models.__all__:
        assert getattr(quaterion_models, name) is not None


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'quaterion_models' has no attribute 'Model'"):
        _ = quaterion_models.Model
