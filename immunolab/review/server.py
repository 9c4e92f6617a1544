"""The local web server of a review: its requests, who may make them, and the one door that every answer leaves by."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.review.access import Access
from immunolab.review.review import Review

_PAGE = Path(__file__).parent / "page"
_EDITOR = Path(__file__).parent.parent / "editor"
_KINDS = {".js": "text/javascript", ".css": "text/css"}
# the only files that are served: those of the page and of the editor, listed when the module is imported
_STATIC = {file.name: file for folder in (_PAGE, _EDITOR) for file in folder.iterdir() if file.suffix in _KINDS}
_WORD, _LIST, _OBJECT = "text", "list", "object"
_TYPES: dict[str, type] = {_WORD: str, _LIST: list, _OBJECT: dict}
_POSTS: dict[str, dict[str, str]] = {  # fields of each request and what they are
    "open": {"tube": _WORD, "gate": _WORD},
    "edit": {"tube": _WORD, "message": _OBJECT},
    "discard": {"tube": _WORD},
    "save": {"tube": _WORD, "gate": _WORD, "scope": _WORD, "reason": _WORD, "comment": _WORD},
    "decide": {"tube": _WORD, "gate": _WORD, "decision": _WORD, "comment": _WORD},
    "decide_all": {"tubes": _LIST, "gate": _WORD, "decision": _WORD},
    "undo": {},
    "redo": {},
    "close": {},
}
_log = logging.getLogger("immunolab")


def application(review: Review, access: Access) -> Starlette:
    """Return the web application of a review.

    Parameters
    ----------
    review
        Answers the requests.
    access
        Decides who may make them.
    """
    door = _Door(review)
    gets: dict[str, Callable[[Mapping[str, str]], Any]] = {
        "session": lambda _: review.get_session(),
        "tubes": lambda query: review.get_tubes(query.get("gate", "")),
        "pictures": lambda query: review.get_pictures(query.get("gate", "")),
        "agreement": lambda _: review.get_agreement(),
        "overlay": lambda query: review.get_overlay(query.get("tube", ""), query.get("gate", "")),
    }
    routes = [
        Route("/", _page(access), methods=["GET"]),
        Route("/static/{name}", _static, methods=["GET"]),
        *(Route(f"/api/{name}", door.get(answer), methods=["GET"]) for name, answer in gets.items()),
        *(Route(f"/api/{name}", door.post(name, fields), methods=["POST"]) for name, fields in _POSTS.items()),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(access.middleware())
    return app


class _Door:
    """Where requests come in and answers leave: JSON, without a name while the review is blind."""

    def __init__(self, review: Review) -> None:
        self._review = review

    def get(self, answer: Callable[[Mapping[str, str]], Any]) -> Callable[[Request], Any]:
        """Return a route that answers a question about the review."""

        async def route(request: Request) -> Response:
            return await self._answer(lambda: answer(request.query_params))

        return route

    def post(self, name: str, fields: Mapping[str, str]) -> Callable[[Request], Any]:
        """Return a route that calls the review's method of this name with the request's fields."""

        async def route(request: Request) -> Response:
            body = await request.body()
            return await self._answer(lambda: getattr(self._review, name)(**_fields(body, fields)))

        return route

    async def _answer(self, answer: Callable[[], Any]) -> Response:
        return await run_in_threadpool(self._answer_now, answer)

    def _answer_now(self, answer: Callable[[], Any]) -> Response:
        try:
            return self._leave(answer(), 200)
        except InputError as error:
            return self._refuse(str(error), 400)
        except ImmunolabError as error:
            return self._refuse(str(error), 409)
        except Exception as error:  # noqa: BLE001  # a traceback would carry names to the console and the page
            words = f"internal error: {type(error).__name__}: {error}"
            _log.error(words)
            return self._refuse(words, 500)

    def _refuse(self, words: str, status: int) -> Response:
        return self._leave({"error": self._review.blinding.text(words)}, status)

    def _leave(self, value: Any, status: int) -> Response:
        return JSONResponse(self._review.blinding.outgoing(value), status_code=status)


def _page(access: Access) -> Callable[[Request], Any]:
    async def page(request: Request) -> Response:
        if "token" in request.query_params:
            return access.enter(RedirectResponse("/", status_code=303))
        return Response((_PAGE / "app.html").read_bytes(), media_type="text/html")

    return page


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        return JSONResponse({"error": "there is no such file"}, status_code=404)
    return Response(_STATIC[name].read_bytes(), media_type=_KINDS[_STATIC[name].suffix])


def _fields(body: bytes, wanted: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a request, each of its kind."""
    try:
        found = json.loads(body or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InputError(Problem("", "", "the request is no JSON", "reload the page")) from None
    if not isinstance(found, dict):
        raise InputError(Problem("", "", "the request is no JSON object", "reload the page"))
    problems = [
        Problem("", name, f"{'is missing' if name not in found else 'is no ' + kind}", "reload the page")
        for name, kind in wanted.items()
        if not isinstance(found.get(name), _TYPES[kind])
    ]
    problems += [Problem("", str(name)[:40], "is no field of this request", "") for name in found if name not in wanted]
    if problems:
        raise InputError(problems)
    return found


def _no_number(word: str) -> float:
    raise ValueError(word)
