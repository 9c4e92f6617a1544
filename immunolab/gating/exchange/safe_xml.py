"""XML that comes from outside: parsed without entity expansion, each fault in one message."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from immunolab.errors import GatingError, InputError, Problem
from immunolab.input_files import read_input

GATING = "{http://www.isac-net.org/std/Gating-ML/v2.0/gating}"
TRANSFORMS = "{http://www.isac-net.org/std/Gating-ML/v2.0/transformations}"
DATATYPES = "{http://www.isac-net.org/std/Gating-ML/v2.0/datatypes}"
_MOST_DEPTH = (
    500  # elements within each other; FlowJo nests three a population, so a deeper file is no gate file (judgement)
)


def read_root(path: Path | str) -> Element:
    """Return the root element of an XML file.

    Raises
    ------
    InputError
        The file is absent, not well-formed, nested too deep, or defines entities.
    """
    try:
        root = fromstring(read_input(path))
    except OSError as error:
        raise _refused(path, "", f"cannot be read: {error.strerror}", "check the path") from None
    except ParseError as error:
        line = str(error.position[0])
        raise _refused(path, line, f"is not well-formed XML: {error}", "export the gates again") from None
    except DefusedXmlException as error:
        name = type(error).__name__
        message = f"holds entity or external definitions, which are not expanded ({name})"
        raise _refused(path, "", message, "export the gates again, or remove the DOCTYPE") from None
    except (LookupError, ValueError) as error:
        raise _refused(path, "", f"is not readable XML: {error}", "save it as UTF-8") from None
    if _depth(root) > _MOST_DEPTH:
        raise _refused(path, "", f"nests elements deeper than {_MOST_DEPTH}", "export the gates again")
    return root


def _refused(path: Path | str, place: str, message: str, hint: str) -> InputError:
    return InputError(Problem(str(path), place, message, hint))


def _depth(root: Element) -> int:
    level, depth = [root], 0
    while level and depth <= _MOST_DEPTH:
        level, depth = [child for element in level for child in element], depth + 1
    return depth


def local_name(element: Element) -> str:
    """Return an element's tag without its namespace."""
    return element.tag.rsplit("}", 1)[-1]


def attribute(element: Element, name: str, namespace: str = "") -> str:
    """Return an attribute that must be there, in the namespace or without one.

    Parameters
    ----------
    element
        The element.
    name
        Without namespace.
    namespace
        In braces, as ElementTree writes it.

    Raises
    ------
    GatingError
        The element lacks the attribute.
    """
    value = element.get(f"{namespace}{name}", element.get(name))
    if value is None:
        raise GatingError(f"<{local_name(element)}> lacks the attribute '{name}'")
    return value


def number(element: Element, name: str, namespace: str = "") -> float:
    """Return an attribute as a finite number.

    Parameters
    ----------
    element, name, namespace
        As in `attribute`.

    Raises
    ------
    GatingError
        The attribute is absent or not a finite number.
    """
    return to_number(attribute(element, name, namespace), f"{name} of <{local_name(element)}>")


def to_number(text: str | None, what: str) -> float:
    """Return text as a finite number, or raise a GatingError that names ``what``.

    Parameters
    ----------
    text
        As it is in the file; None where the attribute is missing.
    what
        What the number is, for the message.

    Raises
    ------
    GatingError
        The text is no finite number.
    """
    try:
        value = float(text or "")
    except ValueError:
        raise GatingError(f"{what} is '{text}', not a number") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise GatingError(f"{what} is '{text}', not a finite number")
    return value


def child(element: Element, tag: str) -> Element:
    """Return the only child of a tag, or raise a GatingError that names it.

    Parameters
    ----------
    element
        The element that must have it.
    tag
        With its namespace, ``{uri}name``.

    Raises
    ------
    GatingError
        There is no such child.
    """
    found = element.find(tag)
    if found is None:
        raise GatingError(f"<{local_name(element)}> lacks <{tag.rsplit('}', 1)[-1]}>")
    return found
