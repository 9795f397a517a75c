"""The kernel's own pages and API, gathered for app.py."""

from flask import Blueprint

import core.books.views
import core.hints_api
import core.identity.views
import core.ledger.views
import core.tasks.views
import core.web.views

pages: list[Blueprint] = [
    core.web.views.bp,
    core.identity.views.bp,
    core.ledger.views.bp,
    core.books.views.bp,
    core.tasks.views.bp,
]
apis: list[Blueprint] = [core.hints_api.bp]
