"""The same world as the services' tests."""

from tests.integration.payouts.conftest import (
    ada,
    bob,
    clock,
    engine_of_payouts,
    funded,
    officer,
    people,
    rails,
    server,
)

__all__ = ["ada", "bob", "clock", "engine_of_payouts", "funded", "officer", "people", "rails", "server"]
