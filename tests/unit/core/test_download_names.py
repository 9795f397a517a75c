"""Names of downloads as headers that every server sends."""

import pytest

from core.files import as_download


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("report.xml", 'attachment; filename="report.xml"'),
        ("Rechnung März.pdf", "attachment; filename=\"Rechnung Mrz.pdf\"; filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf"),
        ("領収書.pdf", "attachment; filename=\"file.pdf\"; filename*=UTF-8''%E9%A0%98%E5%8F%8E%E6%9B%B8.pdf"),
        ('a"b\r\nSet-Cookie: x.txt', 'attachment; filename="a_b_Set-Cookie_ x.txt"'),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
    ],
)
def test_any_name_becomes_a_header_of_plain_ascii(name: str, header: str) -> None:
    assert as_download(name) == header
    assert as_download(name).isascii()
