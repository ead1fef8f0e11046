"""The page about training the top layers: every block runs, one after the other, with the real encoder."""

import re
from pathlib import Path

import pytest
import pytorch_lightning as pl

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "unfreezing.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.slow
def test_every_block_of_the_page_runs(
    minilm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    assert len(BLOCKS) == 3
    for block in BLOCKS:
        # A short training: what the page is about are its calls.
        short = block.replace("fit(model, None", "fit(model, trainer")
        if short != block:
            names["trainer"] = pl.Trainer(
                max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
            )
        exec(short.replace("sentence-transformers/all-MiniLM-L6-v2", str(minilm_folder)), names)  # noqa: S102
    assert capsys.readouterr().out.splitlines()[-1] == "(1, 384) 1"
    (store,) = [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert store.name.endswith("-float16")
