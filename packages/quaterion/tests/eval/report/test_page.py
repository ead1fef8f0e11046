"""The page: what it must not let through, how large it is, and that it needs nothing else."""

import json
import re
import sys

import pytest
import torch
from PIL import Image

from quaterion.dataset import SimilarityGroupSample
from quaterion.eval.report import Report
from quaterion.eval.report.page import embedded_json, render_page

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\"'><svg onload=alert(3)>",
    "<!-- --!> ]]> <![CDATA[ {{ 7*7 }} {% raw %} ${1}",
    "\u202egnp.exe\u202c \u200f\u05d0\u05d1\u05d2",
    "javascript:alert(4) &lt;b&gt; \\u003c \\",
    "half \ud800 of a pair, \x00 and \x1b[31m",
    "long " * 20_000,
]


def hostile_report(table_model, **options):
    """A report in which whatever can hold text of the data is hostile."""
    texts = [f"{text} {number}" for number in range(6) for text in HOSTILE]
    vectors = torch.randn(len(texts), 5, generator=torch.Generator().manual_seed(0))
    model = table_model(dict(zip(texts, vectors, strict=True)))
    samples = [SimilarityGroupSample(text, HOSTILE[place % 7]) for place, text in enumerate(texts)]
    log = [{"step": step, HOSTILE[0]: 1 / (step + 1), HOSTILE[4]: step} for step in range(5)]
    options = {"title": HOSTILE[0], "facts": {HOSTILE[1]: {HOSTILE[2]: HOSTILE[1]}}, "training_log": log} | options
    return Report(model, samples, before=model, log_progress=False, **options)


def test_hostile_text_is_shown_as_text(table_model, read_page):
    page = read_page(hostile_report(table_model).to_html())
    names = [name for name, _ in page.tags]
    assert names.count("script") == 4
    assert "svg" not in names and "img" not in names
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    for text in HOSTILE[:6]:
        assert text in page.text
        assert any(text in one for one in page.figures["map"]["text"])
    assert "half \ufffd of a pair, \ufffd and \ufffd[31m" in page.text
    assert "characters)" in page.text
    assert max(map(len, page.text.split("\n"))) < 1000  # nobody's 100 kB are on the page


def test_data_cannot_end_the_scripts_that_hold_it():
    text = embedded_json({"a": HOSTILE[:6], "</script>": "\u2028"})
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {"a": HOSTILE[:6], "</script>": "\u2028"}


def test_the_page_forbids_itself_to_load_anything_or_to_run_other_scripts(table_model, read_page):
    page = read_page(hostile_report(table_model).to_html())
    policies = [tag[1]["content"] for tag in page.tags if tag[1].get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert policies[0].count("'sha256-") == 2 and "script-src 'sha256-" in policies[0]
    assert [tag for tag in page.tags if tag[0] == "link"] == [("link", {"rel": "icon", "href": "data:,"})]
    assert not [tag for tag in page.tags if "src" in tag[1]]


def test_a_long_training_log_keeps_the_page_small_and_its_table_right(group_case, read_page):
    case = group_case()
    log = [{"step": step, "train_loss": 2.0, "lr": 0.5} for step in range(100_000)]
    log[12_345]["train_loss"] = 0.125
    page = Report(case.after, case.samples, training_log=log, log_progress=False).to_html()
    assert len(page.encode()) < 2_500_000
    text = read_page(page).text
    cells = ["train_loss", "100,000", "2", "0.125", "2", "2"]  # number of values, first, lowest, highest, last
    assert "".join(cells) in text
    assert "Of long curves only some values are drawn" in text


def test_equal_figures_give_an_equal_page(table_model):
    figures = hostile_report(table_model).figures()
    assert render_page(figures) == render_page(figures)


@pytest.mark.parametrize("text", ["<" * 300, "\u65e5\u672c\u8a9e" * 100, "an ordinary question about a card, and why"])
def test_ten_thousand_objects_take_less_than_five_megabytes(table_model, text, monkeypatch):
    texts = [f"{number}{text}" for number in range(10_000)]
    vectors = torch.randn(len(texts), 8, generator=torch.Generator().manual_seed(0))
    model = table_model(dict(zip(texts, vectors, strict=True)))
    samples = [SimilarityGroupSample(one, f"{text}{place % 500}") for place, one in enumerate(texts)]
    page = Report(model, samples, before=model, sample_size=100, log_progress=False).to_html()
    assert len(page.encode()) < 5_000_000


def test_ten_thousand_images_take_less_than_five_megabytes_and_have_thumbnails(read_page):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (50, 64, 64, 3), generator=generator, dtype=torch.uint8).numpy()
    images = [Image.fromarray(one) for one in noise]
    samples = [SimilarityGroupSample(images[number % 50], number % 40) for number in range(10_000)]

    class Model:
        two_sided = False

        def encode_query(self, inputs, batch_size=32, to_numpy=True):
            return torch.randn(len(inputs), 4, generator=generator)

        encode_document = encode_query

    page = Report(Model(), samples, sample_size=100, log_progress=False).to_html()
    assert len(page.encode()) < 5_000_000
    thumbnails = read_page(page).figures["map"]["image"]
    assert len(thumbnails) == 10_000
    assert sum(one is not None for one in thumbnails) > 1000
    assert all(one is None or one.startswith("data:image/") for one in thumbnails)


@pytest.mark.parametrize("module", ["jinja2", "vl_convert"])
def test_a_missing_extra_is_told_before_anything_is_encoded(module, table_model, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == module else True)
    report = Report(table_model({}), [SimilarityGroupSample("not in the model", 0)], log_progress=False)
    with pytest.raises(
        ImportError, match=re.escape(f'{module} is not installed. Type: pip install "quaterion[report]"')
    ):
        report.save(tmp_path / "report.html")
    assert not list(tmp_path.iterdir())
