"""One event per line on stderr: JSON in production, coloured text on a terminal. Never a password, token or key."""

import logging
import sys
from functools import lru_cache

import structlog

from core.config import Environment, settings

SECRET_NAMES = ("password", "token", "secret", "authorization", "cookie")


def configure_logging() -> None:
    """Send structlog and the standard library's loggers to stderr in one form."""
    people_read = settings().pledgeworks_env is Environment.DEVELOPMENT and sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _hide_secrets,
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if people_read else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")


def _hide_secrets(
    logger: structlog.typing.WrappedLogger, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for key in event:
        if _names_a_secret(key):
            event[key] = "hidden"
    return event


@lru_cache(maxsize=500)
def _names_a_secret(key: str) -> bool:
    return any(name in key.lower() for name in SECRET_NAMES)
