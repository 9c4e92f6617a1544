"""Office files (workbooks, slides) that are the same bytes for the same content: no time of writing inside."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

from immunolab.schema.files import write_atomically

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can have
_TIME = "1980-01-01T00:00:00Z"
_PROPERTIES = "docProps/core.xml"  # where the libraries put the time of writing (ECMA-376 part 2)


def write_office_file(content: bytes, path: Path) -> Path:
    """Write an Office file with fixed times, whole or not at all, and return its path.

    Parameters
    ----------
    content
        The file as a library made it: a zip archive.
    path
        Where to; replaced if it exists.
    """
    write_atomically(path, lambda part: _write(content, part))
    return path


def _write(content: bytes, path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            data = source.read(name)
            if name == _PROPERTIES:
                data = re.sub(rb"(<dcterms:(created|modified)[^>]*>)[^<]*", rb"\g<1>" + _TIME.encode(), data)
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, data)
