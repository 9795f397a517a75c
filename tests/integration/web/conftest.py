"""The people of these tests."""

from web_people import ada, admin, moment

__all__ = ["ada", "admin", "moment"]
