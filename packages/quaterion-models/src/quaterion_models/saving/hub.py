"""Models on the Hugging Face hub: the same folders, sent there and fetched from there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from quaterion_models.extras import require
from quaterion_models.saving.files import (
    CLASSES_STATE,
    CLASSIFIER,
    CONFIG,
    ENCODERS,
    HEAD_STATE,
    MATCHER,
    ModelFolderError,
)

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel
    from quaterion_models.predict import Classifier, Matcher
    from quaterion_models.saving.model_card import ModelCard

_NEEDED = [CONFIG, HEAD_STATE, CLASSES_STATE, f"{ENCODERS}/*"]
_BESIDE = [f"{CLASSIFIER}/*", MATCHER]
EXTRA = "hub"


def push_model(
    model: SimilarityModel,
    repo_id: str,
    *,
    predictors: Sequence[Classifier | Matcher] = (),
    card: str | ModelCard | None = None,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    commit_message: str = "Save the model",
    create_pr: bool = False,
) -> str:
    """Saves a model and sends its folder to the hub; see `SimilarityModel.push_to_hub`."""
    from quaterion_models.saving.model_card import model_card
    from quaterion_models.saving.model_folder import save_model

    if any(one.model is not model for one in predictors):
        raise ValueError("a predictor belongs to another model; expected a Classifier or Matcher made with this one")
    hub = require("huggingface_hub", extra=EXTRA)
    text = card if isinstance(card, str) else model_card(model, card, repo_id=repo_id)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        save_model(model, folder, card=text)
        for one in predictors:
            one.save(folder)
        with _named(repo_id):
            api = hub.HfApi(token=token, library_name="quaterion-models")
            api.create_repo(repo_id, private=private, exist_ok=True)
            if revision is not None and not create_pr and not revision.startswith("refs/"):
                api.create_branch(repo_id, branch=revision, exist_ok=True)
            done = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=commit_message,
                revision=revision,
                create_pr=create_pr,
                delete_patterns=[*_NEEDED, *_BESIDE],  # what an older model had and this one has not
            )
    return str(done.pr_url if create_pr else done.commit_url)


def pull_model(
    name_or_folder: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """Finds a model's folder on this machine or on the hub.

    Only the files of a model folder are fetched, into the hub's own cache.

    Args:
        name_or_folder: A folder, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        token: Token of the hub; None for the one that is stored on this machine.
        cache_dir: Folder of the cache; None for the hub's own.
        local_files_only: Whether to look only at what has been fetched before.

    Returns:
        The folder.

    Raises:
        ValueError: If there is no such folder and no such model, or the hub cannot be reached; if it is a folder and a
            revision is given.
        ModelFolderError: If what is on the hub is no such folder.
        ImportError: If it is no folder, and huggingface_hub is not installed.
    """
    from quaterion_models.saving.new_folder import find_folder

    folder = find_folder(Path(name_or_folder).expanduser())
    if name_or_folder and folder.is_dir():
        if revision is not None:
            raise ValueError(
                f"{name_or_folder!r} is a folder on this machine, which has no revision {revision!r}: leave the "
                "revision out, or run where there is no such folder to take the model from the hub"
            )
        return folder
    looks_like_path = folder.is_absolute() or name_or_folder.startswith((".", "~")) or name_or_folder.count("/") != 1
    if looks_like_path or "\\" in name_or_folder:
        raise ValueError(
            f"no model at {name_or_folder!r}: expected a folder that SimilarityModel.save wrote, or a name on the "
            'Hugging Face hub such as "user/model"'
        )
    hub = require("huggingface_hub", extra=EXTRA)
    with _named(name_or_folder):
        found = hub.snapshot_download(
            name_or_folder,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=_NEEDED,
            library_name="quaterion-models",
        )
    if not (Path(found) / CONFIG).exists():
        raise ModelFolderError(
            f"{name_or_folder!r} on the Hugging Face hub has no {CONFIG}, so it is no model that SimilarityModel saved"
        )
    return Path(found)


@contextmanager
def _named(repo_id: str) -> Iterator[None]:
    """Turns what the hub's library raises, and the network library below it, into one sentence."""
    try:
        yield
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines[:3]) or type(error).__name__
        raise ValueError(
            f"the Hugging Face hub does not give or take {repo_id!r}: {reason} Check the name, the revision, the "
            "connection, and for a private model the token"
        ) from error
