import math
from pathlib import Path

import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.class_weights import ClassWeights
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead, GatedHead, SwitchHead
from quaterion_models.saving.model_card import CardData, CardMetric, ModelCard, model_card


class Two(Encoder):
    trainable = False
    embedding_size = 2

    def forward(self, batch):
        return batch


class SentenceTransformerEncoder(Two):
    """Of the name by which text encoders are told."""

    def __init__(self, folder=None):
        super().__init__()
        self.folder = folder


def one_sided():
    return SimilarityModel(Two(), GatedHead(2))


FULL = ModelCard(
    title="Support questions",
    description="Finds *questions* with the same intent.",
    license="apache-2.0",
    language=["en", "no"],
    tags=["banking"],
    datasets=["PolyAI/banking77"],
    data=[CardData(name="banking77", size=10003, form="texts with groups"), CardData(name="held out", use="test")],
    loss="TripletLoss",
    loss_parameters={"margin": 0.5, "mining": "hard"},
    training={"epochs": 3, "steps": 120},
    metrics=[
        CardMetric(
            name="recall@1",
            value=0.9123,
            interval=(0.9, 0.92),
            before=0.8,
            before_interval=(0.78, 0.82),
            data="banking77 test",
        ),
        CardMetric(name="Mean Average Precision", value=0.5, data="banking77 test"),
        CardMetric(name="unknown", value=math.nan),
    ],
    metrics_note="1,000 queries. In brackets: 95 % bootstrap intervals.",
)


def parsed(text):
    """The card as the hub's own library reads it."""
    hub = pytest.importorskip("huggingface_hub")
    return hub.ModelCard(text)


def test_names_the_parts_with_their_sizes_and_how_to_load():
    card = model_card(SimilarityModel({"a": Two(), "b": Two()}, EmptyHead(4)))
    assert "| encoder `a` | Two, frozen | 2 |" in card
    assert "| head | EmptyHead | 4 |" in card
    assert 'SimilarityModel.load("path/to/this/folder", classes=[Two])' in card
    assert f"Its classes are those of the program that made it: `{__name__}.Two`." in card
    assert "One embedding for every object" in card


def test_says_when_there_are_two_sides_or_no_head():
    sides = SwitchHead({"query": EmptyHead(2), "document": EmptyHead(2)}, 2)
    card = model_card(SimilarityModel(Two(), sides))
    assert "`encode_query` and `encode_document`" in card
    assert "queries = model.encode_query(objects)  # [n, 2]" in card
    assert "no head" in model_card(SimilarityModel(Two(), None))


def test_says_how_to_classify_where_there_are_class_weights():
    model = one_sided()
    assert "classify" not in model_card(model)
    model.class_weights = ClassWeights(["a", "b"], torch.eye(2))
    assert "classes = model.classify(objects)" in model_card(model)


def test_a_model_of_the_hub_is_fetched_from_there():
    assert 'SimilarityModel.from_pretrained("user/model"' in model_card(one_sided(), repo_id="user/model")


def test_the_example_runs_as_it_stands(tmp_path):
    sides = SwitchHead({"query": EmptyHead(2), "document": EmptyHead(2)}, 2)
    for head in (GatedHead(2), sides):
        model = SimilarityModel(Two(), head)
        model.class_weights = ClassWeights(["a", "b"], torch.eye(2))
        model.save(tmp_path / "model")
        card = (tmp_path / "model" / "README.md").read_text()
        code = card.split("```python\n")[1].split("```")[0].replace("path/to/this/folder", str(tmp_path / "model"))
        names = {"Two": Two, "objects": torch.ones(3, 2), "other_objects": torch.ones(4, 2)}
        exec(code, names)  # noqa: S102
        assert (names["queries"] if model.two_sided else names["embeddings"]).shape == (3, 2)
        assert [one.label for one in names["classes"]] == ["a"] * 3


def test_the_hub_reads_the_metadata():
    data = parsed(model_card(one_sided(), FULL)).data
    assert data.library_name == "quaterion-models"
    assert data.license == "apache-2.0"
    assert data.language == ["en", "no"]  # not false, which a bare "no" means in YAML
    assert data.tags == ["similarity", "quaterion", "banking"]
    assert data.datasets == ["PolyAI/banking77"]
    assert data.model_name == "Support questions"
    assert [(r.dataset_name, r.metric_name, r.metric_value) for r in data.eval_results] == [
        ("banking77 test", "recall@1", 0.9123),
        ("banking77 test", "Mean Average Precision", 0.5),
    ]


def test_a_card_without_facts_has_valid_metadata_too():
    data = parsed(model_card(one_sided())).data
    assert data.library_name == "quaterion-models"
    assert data.eval_results is None
    assert data.pipeline_tag is None


def test_people_read_data_loss_training_and_metrics_before_and_after():
    text = model_card(one_sided(), FULL)
    assert "# Support questions\n\nFinds *questions* with the same intent.\n" in text
    assert "| banking77 | training | 10,003 | texts with groups |" in text
    assert "| held out | test |  |  |" in text
    assert "| loss | TripletLoss |\n| loss: margin | 0.5 |\n| loss: mining | hard |\n| epochs | 3 |" in text
    assert "| recall@1 | banking77 test | 0.8 (0.78 to 0.82) | 0.9123 (0.9 to 0.92) |" in text
    assert "95 % bootstrap intervals" in text


def test_a_model_over_texts_gets_its_task_and_the_model_it_comes_from():
    place = Path("/home/x/hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots/0123")
    data = parsed(model_card(SimilarityModel(SentenceTransformerEncoder(place), EmptyHead(2)))).data
    assert data.pipeline_tag == "sentence-similarity"
    assert data.base_model == ["sentence-transformers/all-MiniLM-L6-v2"]
    own = model_card(SimilarityModel(SentenceTransformerEncoder(place), EmptyHead(2)), ModelCard(base_model=["a/b"]))
    assert parsed(own).data.base_model == ["a/b"]


HOSTILE = [
    "---\nlicense: evil",
    "\n---\n# Heading",
    '"quoted\\ "',
    "'single': {a: [b",
    "| a | b |",
    "<script>alert(1)</script>",
    "![x](http://evil.example/track.png) [y](javascript:alert(1))",
    "```\nrm -rf\n```",
    "\u202egnp.exe \u2028 \x00 \x85 \ud800",
    "*bold* _it_ `code` #1 ~~x~~ $\\LaTeX$ &lt;",
    "&anchor *alias !!python/object:os.system",
    "yes",
    "1e3",
    "2024-01-01",
    "x" * 5000,
    "",
    "😀 täxt 文",
]


@pytest.mark.parametrize("text", HOSTILE, ids=[repr(text)[:20] for text in HOSTILE])
def test_no_text_in_the_facts_can_break_the_form(text):
    card = ModelCard(
        title=text,
        license=text or None,
        language=[text],
        tags=[text],
        data=[CardData(name=text, use=text, form=text)],
        loss=text,
        loss_parameters={text: text},
        training={text: {text: [text]}},
        metrics=[CardMetric(name=text, value=1.0, data=text)],
        metrics_note=text,
    )
    model = SimilarityModel({text: Two()}, EmptyHead(2))
    written = model_card(model, card, repo_id="user/model")
    plain = model_card(
        SimilarityModel({"name": Two()}, EmptyHead(2)),
        ModelCard(
            title="name",
            license="name",
            language=["name"],
            tags=["name"],
            data=[CardData(name="name", use="name", form="name")],
            loss="name",
            loss_parameters={"name": "name"},
            training={"name": "name"},
            metrics=[CardMetric(name="name", value=1.0, data="name")],
            metrics_note="name",
        ),
        repo_id="user/model",
    )
    data, plain_data = parsed(written).data.to_dict(), parsed(plain).data.to_dict()
    assert data.keys() - {"license"} == plain_data.keys() - {"license"}
    assert all(isinstance(value, str) for value in [*data["tags"], *data["language"], data.get("license", "")])
    # The same headings, tables and code as with a harmless name, and nothing that a reader's browser would act on.
    marks = [line[:2] for line in written.splitlines() if line[:2] in {"# ", "##", "| ", "``", "--"}]
    expected = [line[:2] for line in plain.splitlines() if line[:2] in {"# ", "##", "| ", "``", "--"}]
    if text:
        assert marks == expected
    body = written.split("---", 2)[2]
    for act in ("<script", "](http", "](java"):
        position = body.find(act)
        assert position < 0 or body[position - 1] == "\\" or body[position] == "\\"
    written.encode()


def test_the_card_may_be_given_as_facts_or_as_text(tmp_path):
    one_sided().save(tmp_path / "facts", card=FULL)
    assert "# Support questions" in (tmp_path / "facts" / "README.md").read_text()
    one_sided().save(tmp_path / "text", card="# Mine")
    assert (tmp_path / "text" / "README.md").read_text() == "# Mine"


def test_a_text_that_is_no_unicode_does_not_keep_a_model_from_being_saved(tmp_path):
    one_sided().save(tmp_path / "model", card=ModelCard(title="a\ud800", description="b\ud800"))
    assert "b?" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_one_name_may_be_given_instead_of_a_list():
    card = ModelCard(language="en", tags="support", datasets="user/faq", base_model="user/base")
    data = parsed(model_card(one_sided(), card)).data
    assert data.language == ["en"] and data.datasets == ["user/faq"] and data.base_model == ["user/base"]
    assert data.tags == ["similarity", "quaterion", "support"]
