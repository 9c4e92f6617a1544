"""Serving a review on the loopback address, until Ctrl-C."""

from __future__ import annotations

import logging
import socket
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from immunolab.errors import InputError, Problem
from immunolab.review.access import Access
from immunolab.review.blinding import Blinding
from immunolab.review.review import Review
from immunolab.review.server import application

HOST = "127.0.0.1"
_LEAVE = 2  # seconds that a request has to end after Ctrl-C (judgement: a reading of a large tube)


def serve(review: Review, *, port: int = 0, browser: bool = True, say: Callable[[str], None]) -> None:
    """Serve a review until it is interrupted.

    Parameters
    ----------
    review
        Opened.
    port
        Of the loopback address; 0 takes a free one.
    browser
        Whether the page is opened.
    say
        Prints a line on the console.
    """
    with _listening(port) as listening:
        access = Access(listening.getsockname()[1], say)
        say(f"open in a browser, once: {access.link}")
        say("Ctrl-C ends the server; every answer is kept, and the same command goes on")
        if browser:
            webbrowser.open(access.link)
        try:
            with masked_console(review.blinding):
                uvicorn.Server(configuration(application(review, access))).run(sockets=[listening])
        except KeyboardInterrupt:
            return


@contextmanager
def masked_console(blinding: Blinding) -> Iterator[None]:
    """Mask what is logged while the review is blind: a note about a file names it.

    Parameters
    ----------
    blinding
        Of the review.
    """

    def mask(record: logging.LogRecord) -> bool:
        record.msg, record.args = blinding.text(record.getMessage()), ()
        return True

    logging.captureWarnings(True)
    logs = [logging.getLogger(), *(logging.getLogger(name) for name in ("immunolab", "py.warnings"))]
    handlers = [handler for log in logs for handler in log.handlers] + [logging.lastResort]
    for handler in filter(None, handlers):
        handler.addFilter(mask)
    try:
        yield
    finally:
        for handler in filter(None, handlers):
            handler.removeFilter(mask)
        logging.captureWarnings(False)


def configuration(app: ASGIApp) -> uvicorn.Config:
    """Return how the application is served: nothing of a request or of this machine is logged or sent.

    Parameters
    ----------
    app
        Of `immunolab.review.server.application`.
    """
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=_LEAVE,
    )


def _listening(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()  # a browser that comes before the server is ready waits
    except OSError as error:
        listening.close()
        hint = "name another with --port, or leave it out: a free one is taken"
        text = f"port {port} cannot be used: {error.strerror}"
        raise InputError(Problem("", "--port", text, hint)) from None
    return listening
