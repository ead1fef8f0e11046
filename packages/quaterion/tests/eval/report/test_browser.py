"""The page in a real browser: nothing in its console, no request, and readable at any width and in both themes."""

import pytest
import torch
from PIL import Image

from quaterion.dataset import SimilarityGroupSample
from quaterion.eval.report import Report

POINT = """(() => {
  const canvas = document.querySelector("#map-after canvas"), box = canvas.getBoundingClientRect();
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const inked = (x, y) => pixels[4 * (y * canvas.width + x) + 3] > 150;
  for (let y = 2; y < canvas.height - 2; y++) {
    for (let x = 2; x < canvas.width - 2; x++) {
      if (inked(x, y) && inked(x - 2, y) && inked(x + 2, y) && inked(x, y + 2) && inked(x, y - 2)) {
        return [box.left + x * box.width / canvas.width, box.top + y * box.height / canvas.height];
      }
    }
  }
})()"""
"""Where the first point of the map is: a pixel that is drawn, and those around it."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(browser_module, tmp_path_factory):
    executable = browser_module.find_chromium()
    if executable is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with browser_module.Browser(executable, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def hostile_page(table_model, tmp_path_factory):
    texts = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "\u202egnp.exe", "w" * 100_000]
    texts = [f"{text} {number}" for number in range(30) for text in texts]
    groups = [f"<b>group</b> {place % 12} " + "very" * (place % 12) for place in range(len(texts))]
    generator = torch.Generator().manual_seed(0)
    models = [table_model(dict(zip(texts, torch.randn(len(texts), 6, generator=generator), strict=True))) for _ in "ab"]
    samples = [SimilarityGroupSample(text, group) for text, group in zip(texts, groups, strict=True)]
    log = [{"step": step, "train_loss": 1 / (step + 1), "<i>mrr</i>_validation": step / 9} for step in range(9)]
    path = tmp_path_factory.mktemp("page") / "report.html"
    Report(models[0], samples, before=models[1], training_log=log, log_progress=False).save(path)
    return path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_opens_without_a_word_a_request_or_a_sideways_scroll(browser, hostile_page, width, dark):
    browser.events.clear()
    browser.show(hostile_page, width=width, dark=dark)
    assert browser.complaints() == []
    assert browser.requests() == [hostile_page.resolve().as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.querySelectorAll('.chart svg, .chart canvas').length") == 8
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 3 * 128) == dark


def test_similarities_of_any_size_fit_a_phone(browser, group_case, tmp_path):
    case = group_case()
    for text, vector in case.after.documents.items():
        case.after.documents[text] = vector * 1e30
    path = tmp_path / "report.html"
    Report(case.after, case.samples, distance_metric_name="dot_product", log_progress=False).save(path)
    browser.events.clear()
    browser.show(path, width=360)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    assert browser.complaints() == []


def test_hostile_text_makes_no_elements(browser, hostile_page):
    browser.show(hostile_page)
    assert browser.evaluate("document.querySelectorAll('script').length") == 4
    assert browser.evaluate("document.querySelectorAll('[onerror], [onload], main b b, main i').length") == 0
    assert "</script><script>alert(1)</script> " in browser.evaluate("document.querySelector('main').textContent")


def test_hovering_shows_the_objects_text_and_escape_hides_it(browser, hostile_page):
    browser.show(hostile_page, width=1280, height=900)
    browser.evaluate("document.getElementById('map-after').scrollIntoView({block: 'center', behavior: 'instant'})")
    x, y = browser.evaluate(POINT)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x - 1, y=y)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.wait_for("!document.getElementById('tip').hidden")
    text = browser.evaluate("document.getElementById('tip').textContent")
    assert "row" in text and "<b>group</b>" in text
    assert browser.evaluate("document.querySelectorAll('#tip b, #tip script').length") == 0
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    assert browser.evaluate("document.getElementById('tip').hidden")


def test_choosing_a_group_by_keyboard_lists_its_objects(browser, hostile_page):
    browser.show(hostile_page)
    assert browser.evaluate("document.getElementById('members').hidden")
    browser.evaluate("document.getElementById('chosen').focus()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowDown", code="ArrowDown", windowsVirtualKeyCode=40)
    browser.wait_for("!document.getElementById('members').hidden")
    assert browser.evaluate("document.querySelectorAll('#members li').length") == 10


def test_changing_the_theme_while_it_is_open_redraws_the_charts(browser, hostile_page):
    browser.show(hostile_page, dark=False)
    colour = "getComputedStyle(document.querySelector('#recall-chart text')).fill"
    before = browser.evaluate(colour)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.wait_for(f"document.querySelector('#recall-chart text') && {colour} !== {before!r}")
    assert browser.complaints() == []


def test_ten_thousand_objects_open_in_seconds(browser, table_model, tmp_path):
    texts = [f"text number {number}" for number in range(10_000)]
    vectors = torch.randn(len(texts), 8, generator=torch.Generator().manual_seed(0))
    model = table_model(dict(zip(texts, vectors, strict=True)))
    samples = [SimilarityGroupSample(text, place % 77) for place, text in enumerate(texts)]
    path = tmp_path / "report.html"
    Report(model, samples, before=model, sample_size=100, log_progress=False).save(path)
    assert browser.show(path) < 20  # about one second on a quiet machine


def test_thumbnails_are_shown(browser, tmp_path):
    images = [Image.new("RGB", (40, 30), (number * 6, 90, 200)) for number in range(40)]
    samples = [SimilarityGroupSample(image, number % 4) for number, image in enumerate(images)]

    class Colours:
        two_sided = False

        def encode_query(self, inputs, batch_size=32, to_numpy=True):
            return torch.tensor([[one.getpixel((0, 0))[0] - 100.0, 1.0] for one in inputs])

        encode_document = encode_query

    path = tmp_path / "report.html"
    Report(Colours(), samples, log_progress=False).save(path)
    browser.events.clear()
    browser.show(path)
    assert browser.evaluate("[...document.images].length") > 20
    assert browser.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    assert browser.complaints() == []
