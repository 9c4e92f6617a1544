"""Studies and output folders on any fsspec path (``s3://``, ``gs://``, ``memory://``), by a mirror on a disk here.

A run works on the mirror, which its workers open like any other folder. What is finished is put on the store while the
run is on: each file whole under its own name, for an object store renames nothing, and what names others (a sample's
record, the manifest) after what it names. A run that is killed anywhere goes on from what is on the store, also on
another machine; hashes are of the mirrored bytes, which are those that were read.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from immunolab.errors import InputError, Problem
from immunolab.schema.files import write_atomically

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

log = logging.getLogger("immunolab")
T = TypeVar("T")
SCRATCH_VARIABLE = "IMMUNOLAB_SCRATCH"
PUSH_SECOND = 30.0  # between two looks for finished files: judgement, what a lost machine costs at most
_LEASE, _LEASE_SECOND = ".lease.json", 20 * PUSH_SECOND  # a run that says nothing for so long is over
_WHOLE = ".whole"  # beside the files of a folder of the cache that are all there
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_LAST = ("record.json", "status.json", "run.zip", "manifest.json")  # name other files, and so come after them
_UNFINISHED = re.compile(r"(^|/)\.(?!study$)")  # temporary and hidden names, but for whose OUT it is


def is_url(place: object) -> bool:
    """Whether a place is an fsspec path rather than one of this machine."""
    return isinstance(place, str) and _URL.match(place) is not None


@contextmanager
def mirrored(study: T, out: Path | str) -> Iterator[tuple[T | Path, Path | str]]:
    """Give the study and the output folder as paths of this machine, kept in step with where they really are.

    Parameters
    ----------
    study
        A study, a path, or an fsspec path of study.yaml or its folder.
    out
        Output folder, or its fsspec path.

    Raises
    ------
    InputError
        The scheme is unknown or its package is missing, nothing is there, the store refuses, or another run writes
        to the output folder.
    """
    with ExitStack() as open_places:
        place: T | Path = local_copy(study) if isinstance(study, str) and is_url(study) else study
        if isinstance(out, str) and is_url(out):
            out = open_places.enter_context(_written_through(Mirror.of(out)))
        yield place, out


def local_copy(place: str) -> Path:
    """Return a path of this machine that holds what an fsspec path does, brought up to date; any other path as it is.

    Parameters
    ----------
    place
        A file or a folder; with a file comes the folder that it is in, for a study names what is beside it.

    Raises
    ------
    InputError
        As `mirrored`.
    """
    if not is_url(place):
        return Path(place)
    name = PurePosixPath(place).name
    is_file = name.lower().endswith((".yaml", ".yml"))
    mirror = Mirror.of(place[: -len(name)].rstrip("/") if is_file else place)
    mirror.refuse_held()  # a run on this machine works on the very copy
    if not mirror.pull():
        raise _refused(place, "nothing is there", "check the path and your access to it")
    return mirror.folder / name if is_file else mirror.folder


@dataclass
class Mirror:
    """A folder of this machine and the fsspec folder that it is a copy of.

    Attributes
    ----------
    url, fs, root
        The store's folder: as given, its file system, its path there.
    folder
        The copy; the very folder for ``file://``.
    """

    url: str
    fs: AbstractFileSystem
    root: str
    folder: Path
    _seen: dict[str, list[Any]] = field(default_factory=dict)  # path -> token of the store, size, time of the copy
    _holder: str = ""

    @classmethod
    def of(cls, url: str) -> Mirror:
        """Return the mirror of a URL's folder, empty until it is pulled.

        Raises
        ------
        InputError
            The scheme is unknown, its package is missing, or there is no room for the copy.
        """
        scheme = url.split("://")[0]
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            hint = 'pip install "immunolab[storage]"'
            raise _refused(url, f"{scheme}:// needs the package fsspec, which is not installed", hint) from None
        try:
            fs, root = url_to_fs(url)
        except ImportError as error:
            raise _refused(url, f"{scheme}:// needs a package: {error}", "install it beside fsspec") from None
        except ValueError as error:
            raise _refused(
                url, str(error), "name a scheme that fsspec has, such as s3://, gs:// or memory://"
            ) from None
        if scheme.lower() in ("file", "local"):
            return cls(url, fs, root, Path(root))
        parts = [part for part in PurePosixPath(root).parts if part != "/"]
        if ".." in parts:
            raise _refused(url, "holds '..'", "name the folder itself")
        return cls(url, fs, root.rstrip("/"), scratch().joinpath(scheme.lower(), *parts))

    @property
    def here(self) -> bool:
        """Whether the folder is on this machine, so that there is nothing to copy."""
        return str(self.folder) == self.root

    def pull(self) -> bool:
        """Make the copy hold what the store does, whole files alone; return whether the store holds anything."""
        if self.here:
            return self.folder.exists()
        with self._refusing():
            self.fs.invalidate_cache()
            found = self.fs.find(self.root, detail=True)
        there = {str(PurePosixPath(path).relative_to(self.root)): path for path in found}
        self._seen = self._recorded()
        whole = {name.removesuffix(f"/{_WHOLE}") for name in there if name.endswith(f"/{_WHOLE}")}
        wanted = {
            name: path
            for name, path in there.items()
            if not _UNFINISHED.search(name) and (_cache_folder(name) is None or _cache_folder(name) in whole)
        }
        for name, path in wanted.items():
            self._fetch(name, path)
        for name in self._finished() - wanted.keys():
            (self.folder / name).unlink()
        self._seen = {name: seen for name, seen in self._seen.items() if name in wanted}
        self._record()
        return bool(wanted)

    def _fetch(self, name: str, path: str) -> None:
        local = self.folder / name
        with self._refusing():
            token = self.fs.ukey(path)
            if local.is_file() and self._seen.get(name) == [token, *_stamp(local)]:
                return
            write_atomically(local, lambda part: self.fs.get_file(path, str(part)))
        self._seen[name] = [token, *_stamp(local)]

    def push(self) -> None:
        """Put every finished file that is new here on the store, and take off what is gone here."""
        if self.here:
            return
        finished = self._finished()
        changed = {name for name in finished if self._seen.get(name, [])[1:] != _stamp_or_none(self.folder / name)}
        fresh = set()
        with self._refusing():
            # what vouches for others goes first, so that nothing vouches for files of two runs
            for name in sorted(self._seen.keys() - finished) + sorted(changed & self._seen.keys() & {"manifest.json"}):
                self.fs.rm_file(f"{self.root}/{name}")
                del self._seen[name]
            for name in sorted(changed, key=lambda name: (PurePosixPath(name).name in _LAST, name)):
                if self._put(name) and (folder := _cache_folder(name)):
                    fresh.add(folder)
            for folder in sorted(fresh):
                self.fs.pipe_file(f"{self.root}/{folder}/{_WHOLE}", b"")
        self._record()

    def _finished(self) -> set[str]:
        """Return the files of the copy that are whole, by their paths in it."""
        names = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return {name for name in names if not _UNFINISHED.search(name)}

    def _put(self, name: str) -> bool:
        local, path = self.folder / name, f"{self.root}/{name}"
        try:
            stamp = _stamp(local)
            self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self.fs.put_file(str(local), path)
        except FileNotFoundError:  # replaced or removed by the run meanwhile: the next look finds what came of it
            return False
        self.fs.invalidate_cache()
        self._seen[name] = [self.fs.ukey(path), *stamp]
        return True

    @property
    def _state(self) -> Path:
        return scratch() / ".mirrors" / f"{sha256(self.url.encode()).hexdigest()}.json"

    def _recorded(self) -> dict[str, list[Any]]:
        try:
            found: dict[str, list[Any]] = json.loads(self._state.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def _record(self) -> None:
        write_atomically(self._state, lambda part: part.write_text(json.dumps(self._seen), encoding="utf-8"))

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold the store's folder against other runs, as well as a store without locks allows.

        Raises
        ------
        InputError
            Another run has it.
        """
        self._holder = uuid.uuid4().hex
        self.renew()
        try:
            yield
        finally:
            self.refuse_held()
            with self._refusing():
                self.fs.rm_file(f"{self.root}/{_LEASE}")

    def renew(self) -> None:
        """Hold the folder for some time more; refuse where another run took it meanwhile."""
        self.refuse_held()
        words = {"holder": self._holder, "until": time.time() + _LEASE_SECOND}
        with self._refusing():
            self.fs.makedirs(self.root, exist_ok=True)
            self.fs.pipe_file(f"{self.root}/{_LEASE}", json.dumps(words).encode())

    def refuse_held(self) -> None:
        """Raise InputError where another run holds the store's folder."""
        if self.here:
            return
        path = f"{self.root}/{_LEASE}"
        with self._refusing():
            self.fs.invalidate_cache()
            held: dict[str, Any] = json.loads(self.fs.cat_file(path)) if self.fs.exists(path) else {}
        left = held.get("until", 0.0) - time.time()
        if held.get("holder") != self._holder and left > 0:
            hint = f"wait for it to end; if it was killed, its hold on the folder ends in {left:.0f} s"
            raise _refused(self.url, "another run is writing to this folder", hint)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Name the store in the error that it gives."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            text = f"the store refuses: {type(error).__name__}: {error}".rstrip(": ")
            hint = "check the path and your access; finished samples are kept and the same command goes on"
            raise _refused(self.url, text, hint) from error


@contextmanager
def _written_through(mirror: Mirror) -> Iterator[Path]:
    """Give the copy of an output folder, and put on the store what is finished in it, meanwhile and in the end."""
    if mirror.here:
        yield mirror.folder
        return
    ended = threading.Event()

    def push_until() -> None:
        while not ended.wait(PUSH_SECOND):
            try:
                mirror.renew()
                mirror.push()
            except Exception as error:  # noqa: BLE001 -- tried again; the last time it ends the run
                log.info("%s is behind: %s", mirror.url, error)

    with mirror.lease():
        mirror.pull()
        mirror.folder.mkdir(parents=True, exist_ok=True)
        log.info("%s is worked on in %s", mirror.url, mirror.folder)
        pushing = threading.Thread(target=push_until, daemon=True)
        pushing.start()
        try:
            yield mirror.folder
        finally:
            ended.set()
            pushing.join()
            mirror.renew()
            mirror.push()


def scratch() -> Path:
    """Return the folder of mirrors: that of IMMUNOLAB_SCRATCH, or one in the user's cache."""
    named = os.environ.get(SCRATCH_VARIABLE)
    if named:
        return Path(named).absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "immunolab" / "mirrors"


def _cache_folder(name: str) -> str | None:
    """Return the folder of the cache that a file is in, which counts only when all its files are there."""
    parts = PurePosixPath(name).parts
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] == "cache" else None


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _stamp_or_none(path: Path) -> list[int] | None:
    try:
        return _stamp(path)
    except FileNotFoundError:
        return None


def _refused(place: str, message: str, hint: str) -> InputError:
    return InputError(Problem(place, "", message, hint))
