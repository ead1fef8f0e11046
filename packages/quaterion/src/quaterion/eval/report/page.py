"""The HTML of a report: one file that loads nothing.

Whatever comes from the data reaches the page in one of two ways only: through Jinja's autoescaping, or inside JSON
whose `<`, `>` and `&` are escaped and that the page's script puts into text nodes. As a second wall the page's own
content security policy lets no script run but the two whose digests it names, and no address be loaded at all.
"""

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from quaterion.eval.report.charts import charts
from quaterion_models.extras import require

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["check_installed", "embedded_json", "render_page"]

VEGA_LITE = "6.4"
_TEMPLATES = files("quaterion.eval.report") / "templates"


def check_installed() -> None:
    """Makes sure that what writes the page is installed, before the work begins.

    Raises:
        ImportError: It is not; the message says what to type.
    """
    for module in ("jinja2", "vl_convert"):
        require(module, extra="report", distribution="quaterion")


def render_page(figures: dict[str, Any]) -> str:
    """Writes the page.

    Args:
        figures: All that it shows.

    Returns:
        HTML.

    Raises:
        ImportError: Jinja2 or vl-convert is not installed.
    """
    check_installed()
    library, script = _library(), _template("page.js")
    hashes = " ".join(f"'sha256-{_digest(one)}'" for one in (library, script))
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:"
    page = _environment().get_template("page.html.jinja")
    return page.render(
        figures=figures,
        policy=policy,
        style=_template("page.css"),
        library=library,
        script=script,
        figures_json=embedded_json(figures),
        charts_json=embedded_json(charts(figures)),
    )


def embedded_json(value: Any) -> str:
    r"""JSON that can stand inside a `<script>` element whatever it holds.

    Args:
        value: What to write; numbers must be finite.

    Example:
        >>> embedded_json({"text": "</script>"})
        '{"text":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("quaterion.eval.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = _score
    environment.filters["gain"] = lambda value: _with_minus(f"{value:+.3f}")
    environment.filters["number"] = _number
    return environment


def _score(value: float | None) -> str:
    """Three decimals; of dot products, which may be of any size, three digits."""
    if value is None:
        return "none"
    return _with_minus(f"{value:.3f}" if abs(value) < 1e4 else f"{value:.3g}")


def _number(value: Any) -> str:
    """Integers with separators, other numbers as short as they are, and texts as they are."""
    if isinstance(value, int):
        return f"{value:,}"
    return _with_minus(f"{value:,.4g}") if isinstance(value, float) else str(value)


def _with_minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


@cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    bundle: str = require("vl_convert", extra="report", distribution="quaterion").javascript_bundle(
        vl_version=VEGA_LITE
    )
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--").strip()


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
