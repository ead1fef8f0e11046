"""Models sent to the hub and fetched from it: with huggingface_hub itself, and a server on this machine."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder, VectorEncoder
from quaterion_models.heads import EmptyHead

pytest.importorskip("huggingface_hub", reason="needs the extra hub")

HERE = Path(__file__).parent
# The hub's library reads its address when it is imported, so all of this runs in one process of its own.
SCRIPT = """
    import json, os, sys
    from pathlib import Path

    sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent / "golden")]
    work = Path(sys.argv[2])
    from hub_stand_in import TOKEN, HubStandIn

    results = {}
    with HubStandIn() as server:
        os.environ |= {"HF_ENDPOINT": server.url, "HF_HOME": str(work / "home"), "HF_HUB_OFFLINE": "0",
                       "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        os.environ.pop("HF_TOKEN", None)
        import numpy as np
        import torch
        from golden_classes import CLASSES, Words
        from quaterion_models import SimilarityModel
        from quaterion_models.class_weights import ClassWeights
        from quaterion_models.heads import EmptyHead, GatedHead
        from quaterion_models.saving.model_card import ModelCard

        TEXTS = ["a", "search", "QUERY"]
        cache = work / "cache"

        def pull(name, **options):
            options = {"cache_dir": cache, "classes": CLASSES, **options}
            return SimilarityModel.from_pretrained(name, **options)

        def same(one, other):
            return bool(np.array_equal(one.encode(TEXTS), other.encode(TEXTS)))

        def error(action):
            try:
                action()
            except Exception as error:
                return [type(error).__name__, str(error)]

        first = SimilarityModel({"one": Words(), "a/b": Words(2)}, GatedHead(6))
        first.class_weights = ClassWeights(["x", "y"], torch.randn(2, 6))
        results["url"] = first.push_to_hub("user/model", token=TOKEN, card=ModelCard(title="First", license="mit"))
        repository = server.repositories["user/model"]
        saved = repository.branches["main"]
        results["sent"] = sorted(repository.commits[saved])
        results["card"] = repository.commits[saved]["README.md"].decode()

        # What others may have put beside a model is not fetched.
        repository.commits[saved] |= {"pytorch_model.bin": b"x" * 1000, "evil.py": b"x", "onnx/model.onnx": b"x"}
        server.requests.clear()
        loaded = pull("user/model")
        results["same"] = same(loaded, first)
        results["classes"] = [one.label for one in loaded.classify(TEXTS)] == [o.label for o in first.classify(TEXTS)]
        fetched = [asked for asked in server.requests if asked.startswith("GET") and "/resolve/" in asked]
        results["fetched"] = sorted({asked.split("/", 5)[5] for asked in fetched})
        snapshot = next(cache.glob("models--user--model/snapshots/*"))
        results["links"] = all(path.is_symlink() for path in snapshot.rglob("*") if path.is_file())

        second = SimilarityModel({"one": Words()}, EmptyHead(4))
        second.push_to_hub("user/model", token=TOKEN, commit_message="Second")
        results["after second"] = sorted(repository.files("main")[1])
        results["second"] = same(pull("user/model"), second)
        results["old commit"] = same(pull("user/model", revision=saved), first)

        third = SimilarityModel({"one": Words(3)}, EmptyHead(3))
        for _ in range(2):
            third.push_to_hub("user/model", token=TOKEN, revision="v3")
        results["branch"] = same(pull("user/model", revision="v3"), third) and same(pull("user/model"), second)
        results["pull request"] = first.push_to_hub("user/model", token=TOKEN, create_pr=True)
        results["of the request"] = same(pull("user/model", revision="refs/pr/1"), first)
        results["beside it"] = same(pull("user/model"), second)

        second.push_to_hub("user/private", token=TOKEN, private=True)
        results["private"] = error(lambda: pull("user/private"))
        results["with token"] = same(pull("user/private", token=TOKEN), second)

        from huggingface_hub import snapshot_download
        from quaterion_models.predict import Classifier, Matcher
        classifier = Classifier.from_examples(second, TEXTS, ["x", "y", "y"])
        predictors = [classifier, Matcher(second, 0.75)]
        second.push_to_hub("user/classes", token=TOKEN, predictors=predictors)
        folder = snapshot_download("user/classes", cache_dir=cache)
        loaded = pull(folder)
        found = Classifier.load(folder, model=loaded).classify(TEXTS)
        results["classifier"] = found == classifier.classify(TEXTS) and Matcher.load(folder, model=loaded).threshold
        first.push_to_hub("user/classes", token=TOKEN)
        classes = server.repositories["user/classes"].files("main")[1]
        results["no old classifier"] = [name for name in classes if "classifier" in name or "matcher" in name]
        results["not its own"] = error(lambda: first.push_to_hub("user/classes", token=TOKEN, predictors=predictors))

        server.requests.clear()
        results["from the cache"] = same(pull("user/model", local_files_only=True), second)
        results["asked for it"] = list(server.requests)
        results["not in the cache"] = error(lambda: pull("user/model", cache_dir=work / "other", local_files_only=True))

        results["no repository"] = error(lambda: pull("user/nothing"))
        results["no revision"] = error(lambda: pull("user/model", revision="nothing"))
        results["no token"] = error(lambda: second.push_to_hub("user/new", token="hf_wrong"))
        results["request from a branch"] = error(
            lambda: second.push_to_hub("user/model", token=TOKEN, revision="v3", create_pr=True))
        for name in ("nothing", "./nothing", "/nothing", "a/b/c", "~/nothing", "", "..\\\\x/y"):
            results[f"name {name}"] = error(lambda: pull(name))
        results["bad name"] = error(lambda: pull("user/--bad..name"))

        # A hub that gives what is no model, or a hostile one.
        files = repository.commits[repository.branches["main"]]
        files["config.json"] = files["config.json"].replace(b"golden_classes:Words", b"os:system")
        repository.branches["hostile"] = repository.commit(files | {"x": b""})
        results["hostile"] = error(lambda: pull("user/model", revision="hostile", classes=[]))
        repository.branches["empty"] = repository.commit({"README.md": b""})
        results["empty"] = error(lambda: pull("user/model", revision="empty"))

        second.save(work / "folder")
        results["folder"] = same(pull(work / "folder"), second) and same(pull(str(work / "folder")), second)
    results["without the hub"] = same(pull("user/model"), second)
    results["push without it"] = error(lambda: second.push_to_hub("user/model", token=TOKEN))
    results["nothing without it"] = error(lambda: pull("user/nothing"))
    print(json.dumps(results))
"""


class Nothing(Encoder):
    trainable = False
    embedding_size = 2

    def forward(self, batch):
        return batch


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    work = tmp_path_factory.mktemp("hub")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(HERE), str(work)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_without_the_hubs_library_the_error_says_what_to_type(tmp_path, monkeypatch):
    model = SimilarityModel(Nothing(), EmptyHead(2))
    model.save(tmp_path / "model")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "huggingface_hub" else found(name))
    for action in (lambda: SimilarityModel.from_pretrained("user/model"), lambda: model.push_to_hub("user/model")):
        with pytest.raises(ImportError, match=r'huggingface_hub is not installed.*"quaterion-models\[hub\]"'):
            action()
    SimilarityModel.from_pretrained(tmp_path / "model", classes=[Nothing])  # a folder needs none


@pytest.mark.slow
def test_a_model_is_sent_as_its_folder(results):
    assert results["sent"] == [
        "README.md",
        "classes.safetensors",
        "config.json",
        "encoders/a%2Fb/encoder.json",
        "encoders/a%2Fb/state.safetensors",
        "encoders/one/encoder.json",
        "encoders/one/state.safetensors",
        "head.safetensors",
    ]
    assert "/user/model/commit/" in results["url"]


@pytest.mark.slow
def test_its_card_says_how_to_fetch_it(results):
    assert results["card"].startswith("---\nlibrary_name: quaterion-models\nlicense: mit\n")
    assert 'SimilarityModel.from_pretrained("user/model", classes=[Words])' in results["card"]


@pytest.mark.slow
def test_it_comes_back_with_the_same_vectors_and_classes(results):
    assert results["same"]
    assert results["classes"]


@pytest.mark.slow
def test_only_the_files_of_a_model_are_fetched_into_the_hubs_cache_of_links(results):
    assert results["fetched"] == sorted(set(results["sent"]) - {"README.md"})
    assert results["links"]


@pytest.mark.slow
def test_a_second_model_replaces_the_first_and_leaves_other_files(results):
    assert results["after second"] == [
        *("README.md", "config.json", "encoders/one/encoder.json", "encoders/one/state.safetensors", "evil.py"),
        *("head.safetensors", "onnx/model.onnx", "pytorch_model.bin"),
    ]
    assert results["second"]
    assert results["old commit"]


@pytest.mark.slow
def test_a_branch_and_a_pull_request_leave_the_main_branch_as_it_is(results):
    assert results["branch"]
    assert results["pull request"].endswith("/user/model/discussions/1")
    assert results["of the request"]
    assert results["beside it"]


@pytest.mark.slow
def test_a_private_model_needs_the_token(results):
    kind, message = results["private"]
    assert kind == "ValueError"
    assert "does not give or take 'user/private'" in message
    assert results["with token"]


@pytest.mark.slow
def test_what_was_fetched_needs_no_hub(results):
    assert results["from the cache"]
    assert results["asked for it"] == []
    assert results["without the hub"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no repository", "does not give or take 'user/nothing': 404"),
        ("no revision", "does not give or take 'user/model': 404"),
        ("not in the cache", "does not give or take 'user/model': Cannot find an appropriate cached snapshot"),
        ("push without it", "does not give or take 'user/model': "),
        ("nothing without it", "does not give or take 'user/nothing': "),
        ("no token", "does not give or take 'user/new': Client error '401"),
        ("request from a branch", "does not give or take 'user/model': Cannot use `create_pr=True` with"),
        ("bad name", "does not give or take 'user/--bad..name'"),
        *((f"name {name}", "no model at ") for name in ("nothing", "./nothing", "/nothing", "a/b/c", "", "..\\x/y")),
    ],
)
def test_what_is_not_there_is_told_in_one_sentence(results, name, message):
    kind, text = results[name]
    assert kind == "ValueError"
    assert message in text
    assert "\n" not in text


@pytest.mark.slow
def test_a_hostile_or_empty_repository_is_refused_as_a_folder_is(results):
    assert results["hostile"][0] == "ModelFolderError"
    assert "'os:system', which is not a class" in results["hostile"][1]
    assert results["empty"][0] == "ModelFolderError"
    assert "'user/model' on the Hugging Face hub has no config.json" in results["empty"][1]


@pytest.mark.slow
def test_a_folder_needs_no_hub(results):
    assert results["folder"]


def test_a_folder_has_no_revision(tmp_path):
    SimilarityModel(VectorEncoder(2), EmptyHead(2)).save(tmp_path / "model")
    with pytest.raises(ValueError, match="model' is a folder on this machine, which has no revision 'v2'"):
        SimilarityModel.from_pretrained(tmp_path / "model", revision="v2")


def test_a_classifier_and_a_matcher_are_sent_along(results):
    assert results["classifier"] == 0.75
    assert results["no old classifier"] == []
    assert results["not its own"] == [
        "ValueError",
        "a predictor belongs to another model; expected a Classifier or Matcher made with this one",
    ]
