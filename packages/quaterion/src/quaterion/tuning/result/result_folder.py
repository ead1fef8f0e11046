"""The folder of a result: the model, and beside it the card, the leaderboard, and what repeats it."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from quaterion.tuning.result.tune_result import TuneResult
from quaterion.utils.counted import counted
from quaterion_models.saving.files import ModelFolderError
from quaterion_models.saving.model_card import CardData, CardMetric, ModelCard
from quaterion_models.saving.model_folder import is_model_folder
from quaterion_models.saving.new_folder import new_folder

__all__ = ["check_out", "save_result"]

OURS = {
    "config.json", "head.safetensors", "classes.safetensors", "encoders", "README.md", "classifier", "matcher.json",
     "leaderboard.csv", "recipe.yaml", "report.html", "train.py", "result.json",
}  # fmt: skip
"""What a result's folder holds; other files in it stay."""


def check_out(out: Path) -> None:
    """Finds out before the work begins whether the result may be written there.

    Args:
        out: The folder.

    Raises:
        ModelFolderError: There is something else than a model.
        OSError: Nothing can be written there.
    """
    if out.exists() and not out.is_dir():
        raise ModelFolderError(f"{out} is a file, expected a folder or nothing. Choose another --out.")
    if out.is_dir() and any(out.iterdir()) and not is_model_folder(out):
        raise ModelFolderError(f"{out} holds files but no saved model, so it is not replaced. Choose another --out.")


def save_result(result: TuneResult, out: Path) -> None:
    """Writes the folder, all of it or nothing.

    Args:
        result: The result.
        out: The folder; a model that is there is replaced.
    """
    with new_folder(out, is_ours=is_model_folder, ours=OURS) as folder:
        result.model.save(folder, card=_card(result))
        if result.classifier is not None:
            result.classifier.save(folder)
        if result.matcher is not None:
            result.matcher.save(folder)
        _write_leaderboard(result.leaderboard, folder / "leaderboard.csv")
        (folder / "result.json").write_text(json.dumps(_figures(result), indent=2) + "\n", encoding="utf-8")
        (folder / "recipe.yaml").write_text(result.recipe_file, encoding="utf-8")
        (folder / "train.py").write_text(result.program, encoding="utf-8")


def _write_leaderboard(rows: Sequence[dict[str, Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["place"])
        writer.writeheader()
        writer.writerows(rows)


def _figures(result: TuneResult) -> dict[str, Any]:
    gain = result.gain
    calibrated = None if result.calibrated is None else vars(result.calibrated)
    return {
        "improved": result.improved,
        "encoder": result.encoder,
        "recipe": result.recipe.to_dict(),
        "metric": result.metric,
        "gain": None if gain is None else {"metric": gain.metric, "evidence": gain.evidence._asdict()},
        "decided_on": result.decided_on,
        "test": None if result.test is None else result.test.to_dict(),
        "classifier": calibrated,
        "candidates": len(result.trials),
        "seconds": round(result.seconds, 1),
        "notes": result.notes,
    }


def _description(result: TuneResult) -> str:
    if result.improved and result.trials:
        return f"Found by a search over {counted(len(result.trials), 'candidate')}: {result.recipe.describe()}."
    if result.improved:
        return f"Trained by a recipe that was given: {result.recipe.describe()}."
    why = "" if result.gain is None else ": no head that was tried beat it beyond noise"
    names = " Names of groups are labelled examples, too." if result.recipe.group_names else ""
    return f"The encoder as it is{why}.{names}"


def _card(result: TuneResult) -> ModelCard:
    data, test = result.task.data, result.test
    parts = {"training": result.task.everything(), "test": data.test}
    card = ModelCard(
        title=f"{result.encoder}, tuned" if result.improved else result.encoder,
        description=_description(result),
        data=[
            CardData(name="labelled data", use=use, size=len(part), form=data.form)
            for use, part in parts.items()
            if part
        ],
        loss=" + ".join(part.type for part in result.recipe.losses),
        training={"recipe": result.recipe.settings()} if result.improved else {},
    )
    if test is None:
        return card
    before, after = test.before, test.after
    metric = CardMetric(
        name=test.metric,
        value=after.value,
        interval=(after.low, after.high),
        before=before.value,
        before_interval=(before.low, before.high),
    )
    return replace(card, metrics=[metric], metrics_note="In brackets: 95 % bootstrap intervals.")
