"""The Open Source Pledge member file: read and written in its present and its past form.

Numbers keep the digits they were written with, objects keep the order of their keys and every member we don't know, so that
a file that was read and not changed is written as it was.
"""

from pledge.member_file.reader import FileReport, MemberFile, RefusedFile, read
from pledge.member_file.rows import read_rows
from pledge.member_file.writer import Form, WrittenMember, WrittenReport, write

__all__ = ["FileReport", "Form", "MemberFile", "RefusedFile", "WrittenMember", "WrittenReport", "read", "read_rows", "write"]
