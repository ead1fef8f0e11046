"""Several processes that save and load one folder at the same time, and saves that end at any step."""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]

# Each model's numbers are all of one value, so that a mixture of two shows.
MODELS = """
    import os, signal, sys, time, traceback
    from pathlib import Path
    import torch
    from quaterion_models import SimilarityModel
    from quaterion_models.encoders import Encoder
    from quaterion_models.heads import SkipConnectionHead
    from quaterion_models.saving.files import ModelFolderError

    class Small(Encoder):
        trainable = False
        embedding_size = 16
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(16, 16)
        def forward(self, batch):
            return self.layer(batch)

    def make(value):
        model = SimilarityModel(Small(), SkipConnectionHead(16))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        return model

    def values(path):
        return {float(v) for p in SimilarityModel.load(path).parameters() for v in p.detach().unique()}

    def child(action):
        number = os.fork()
        if number == 0:
            try:
                action()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        return number

    path = Path(sys.argv[1]) / "model"
"""

AT_ONCE = (
    MODELS
    + """
    def saving(value):
        model = make(value)
        for _ in range(12):
            model.save(path)
            time.sleep(0.05 * value)  # so that there is time to read one, now and then

    writers = [child(lambda value=value: saving(value)) for value in (1.0, 2.0, 3.0)]
    while not path.exists():
        time.sleep(0.01)
    (path / "notes.txt").write_text("mine")  # before it is replaced the first time, or after
    at_work = set(writers)
    while at_work:
        for writer in list(at_work):
            number, status = os.waitpid(writer, os.WNOHANG)
            if number:
                assert status == 0
                at_work.remove(writer)
        try:
            found = values(path)
        except ModelFolderError as error:
            assert "was replaced by another save 10 times" in str(error), error
        else:
            assert len(found) == 1, found
    assert len(values(path)) == 1
    assert os.listdir(path.parent) == ["model"], os.listdir(path.parent)
    print("whole")
"""
)

AT_EVERY_STEP = (
    MODELS
    + """
    # The process ends without a word at each call to the system that changes files, one after the other.
    import shutil
    STEPS = ("mkdir", "rename", "link", "unlink", "rmdir", "chmod", "fsync", "open")
    real = {name: getattr(os, name) for name in STEPS}

    def dying(at):
        count = 0
        def wrap(name):
            def call(*args, **kwargs):
                nonlocal count
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real[name](*args, **kwargs)
            return call
        for name in STEPS:
            setattr(os, name, wrap(name))
        make(2.0).save(path)

    make(1.0).save(path)
    outcomes, at = [], 0
    while True:
        at += 1
        number = child(lambda: dying(at))
        killed = os.waitpid(number, 0)[1] != 0
        found = values(path)
        assert found in ({1.0}, {2.0}), (at, found)
        outcomes.append(found)
        if not killed:
            break
        make(1.0).save(path)  # over what the killed one left, which is removed
        assert os.listdir(path.parent) == ["model"], (at, os.listdir(path.parent))
    assert outcomes[0] == {1.0} and outcomes[-1] == {2.0}, outcomes
    assert at > 20, at
    print("whole")
"""
)


@pytest.mark.parametrize("script", [AT_ONCE, AT_EVERY_STEP], ids=["at once", "ended at every step"])
def test_there_is_always_one_whole_model(tmp_path, script):
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout == "whole\n", done.stderr[-3000:]
