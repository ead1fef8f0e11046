"""docs/how-to/models.md: against a stand-in for the hub, in a process of its own, and with a model of Quaterion 0.1.

The hub's library reads its address when it is imported.
"""

import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

from page_blocks import ROOT, blocks_of

NEEDS = ["huggingface_hub"]
SLOW = True
START = """
    import os, sys
    from pathlib import Path

    sys.path[:0] = ["", sys.argv[1]]
    from hub_stand_in import TOKEN, HubStandIn

    server = HubStandIn().__enter__()
    os.environ |= {"HF_ENDPOINT": server.url, "HF_TOKEN": TOKEN, "HF_HOME": "home", "HF_HUB_OFFLINE": "0",
                   "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""
# A model that a program saved with 0.1, its encoder in a module of that program.
OLD = """
    import json, subprocess
    import torch

    Path("my_project").mkdir()
    Path("my_project/encoders.py").write_text('''
    from quaterion_models.encoders import Encoder

    class Lengths(Encoder):
        trainable = False
        embedding_size = 2
        def forward(self, batch):
            return batch
        @classmethod
        def load(cls, path):
            return cls()
    ''')
    Path("old-model/encoders/default").mkdir(parents=True)
    Path("old-model/head").mkdir()
    classes = {"encoders": {"default": {"module": "my_project.encoders", "class": "Lengths"}},
               "head": {"module": "quaterion_models.heads.gated_head", "class": "GatedHead"}}
    Path("old-model/config.json").write_text(json.dumps(classes))
    Path("old-model/head/config.json").write_text('{"input_embedding_size": 2}')
    torch.save({"gates": torch.ones(2)}, "old-model/head/weights.bin")
"""


def blocks(run):
    script = [textwrap.dedent(START)]
    for block in blocks_of(run.page):
        if block.kind == "python":
            script.append(block.code)
        elif block.kind == "bash":
            command, *words = shlex.split(block.code)
            assert command == "quaterion"
            call = ["-c", "from quaterion.cli import main; main()", *words]
            script += [textwrap.dedent(OLD), f"subprocess.run([sys.executable, *{call}], check=True)"]
            script.append("assert list(SimilarityModel.load('new-model', classes=[Lengths]).encoders) == ['default']")
    Path("page.py").write_text("\n\n".join(script))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    stand_in = ROOT / "packages" / "quaterion-models" / "tests" / "saving"
    done = subprocess.run(
        [sys.executable, "page.py", stand_in], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run.printed += done.stdout.splitlines()


def check(run):
    assert "names 'os:system', which is not a class of kind EncoderHead" in "\n".join(run.printed)
    assert run.printed[-1].endswith("True [(\"encoder 'default'\", ''), ('head', '')]")
    card = Path("support/README.md").read_text(encoding="utf-8")
    assert "| recall@1 | support-test | 0.78 | 0.91 |" in card
    assert sorted(path.name for path in Path("my-model").iterdir()) == [
        *("README.md", "config.json", "encoders", "head.safetensors")
    ]
