"""Pages by key: complete, without repeats, whatever is added meanwhile; cursors can't be made up."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import InvalidInput
from core.identity import organisations
from core.identity.models import Organisation, Project
from core.web.pagination import paginate


@pytest.fixture
def projects(session: Session, now: datetime) -> list[Project]:
    # Equal times on purpose: only the id tells these apart.
    return [
        organisations.create_project(session, name=f"Project {n:02}", actor=None, now=now + timedelta(hours=n // 4))
        for n in range(11)
    ]


def walk(session: Session, *, descending: bool, size: int = 3) -> list[str]:
    seen: list[str] = []
    cursor = None
    while True:
        page = paginate(
            session, select(Project), by=[Project.created_at, Project.id], descending=descending, cursor=cursor, size=size
        )
        assert len(page.items) <= size
        assert page.is_first == (cursor is None)
        seen += [project.name for project in page.items]
        if page.next_cursor is None:
            return seen
        cursor = page.next_cursor


@pytest.mark.parametrize("descending", [True, False])
def test_every_row_comes_once_in_order(session: Session, projects: list[Project], descending: bool) -> None:
    expected = sorted(projects, key=lambda p: (p.created_at, p.id), reverse=descending)
    assert walk(session, descending=descending) == [project.name for project in expected]


def test_a_row_added_at_the_top_shifts_nothing(session: Session, projects: list[Project], now: datetime) -> None:
    first = paginate(session, select(Project), by=[Project.created_at, Project.id], size=5)
    organisations.create_project(session, name="Newcomer", actor=None, now=now + timedelta(days=1))
    second = paginate(session, select(Project), by=[Project.created_at, Project.id], size=5, cursor=first.next_cursor)
    assert not {project.name for project in first.items} & {project.name for project in second.items}
    assert "Newcomer" not in {project.name for project in second.items}


@pytest.mark.parametrize("cursor", ["made-up", "WyJhIl0.x", "💥"])
def test_made_up_cursors_are_refused(session: Session, projects: list[Project], cursor: str) -> None:
    with pytest.raises(InvalidInput):
        paginate(session, select(Project), by=[Project.created_at, Project.id], cursor=cursor)


def test_a_cursor_of_one_list_is_worthless_in_another(session: Session, projects: list[Project]) -> None:
    cursor = paginate(session, select(Project), by=[Project.name, Project.id], size=2).next_cursor
    with pytest.raises(InvalidInput):
        paginate(session, select(Organisation), by=[Organisation.name, Organisation.id], cursor=cursor)
