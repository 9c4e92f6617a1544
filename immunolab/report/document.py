"""The page as one file: templates, style sheet and script in it, and a policy under which nothing is loaded."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup

_LONG_WORD = re.compile(r"\S{25,}")  # characters; wider than a column of most tables on paper and on a phone
# a slash parts populations whose names may end with a sign: CD3+/CD4+; other signs are a joint between letters alone
_JOINT = re.compile(r"((?<=\w)[_.,;:|-](?=\w)|(?<=[^\s/])/(?=[^\s/]))")


def document(context: Mapping[str, Any], template: str = "report.html.j2") -> str:
    """Return a page as HTML text; every text from outside is escaped.

    The style sheet and the script are named in the policy by their hashes, so that a browser runs these and nothing
    else, and loads nothing from anywhere: pictures are in the page.

    Parameters
    ----------
    context
        What the templates name.
    template
        Its file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("immunolab.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["place_name"] = place_name
    environment.filters["breakable"] = breakable
    style, script = _asset("report.css"), _asset("report.js")
    return environment.get_template(template).render(
        **context, style=Markup(style), script=Markup(script), policy=_policy(style, script)
    )


def place_name(*parts: str) -> str:
    """Return the id of a place on the page, to which links lead: the words joined, without spaces.

    Parameters
    ----------
    parts
        Words; empty ones are left out.
    """
    return re.sub(r"\s+", "-", "-".join(part for part in parts if part))


def breakable(text: str) -> Markup:
    """Return text for the page in which long words may go on in the next line, behind a joint such as ``/`` or ``_``.

    A path of populations in one line makes its table wider than paper, and browsers then print the whole page smaller.

    Parameters
    ----------
    text
        Of a cell.
    """
    from markupsafe import Markup, escape

    parts = [_JOINT.sub("\\1\0", word) if _LONG_WORD.fullmatch(word) else word for word in re.split(r"(\s+)", text)]
    return Markup("<wbr>").join(escape(part) for part in "".join(parts).split("\0"))


def _asset(name: str) -> str:
    return files("immunolab.report").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return the content security policy (CSP level 3) of a page with one style sheet and one script."""
    named = {"style-src": style, "script-src": script}
    hashes = [f"{name} 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for name, text in named.items()]
    return "; ".join(("default-src 'none'", "img-src data:", *hashes, "base-uri 'none'", "form-action 'none'"))
