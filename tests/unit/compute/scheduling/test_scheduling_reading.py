"""The core path of the scheduler can be read in half an hour, after the first chapters of its page."""

import ast
from collections.abc import Iterable
from pathlib import Path

import compute.scheduling
from core.config import ROOT

FOLDER = Path(compute.scheduling.__file__).parent
PAGE = ROOT / "docs/explanation/scheduling.md"
WORDS_A_MINUTE = 200
LINES_A_MINUTE = 25

# Each with the classes that are on the path, if not all of it is; a rule ends it.
PATH: tuple[tuple[str, set[str]], ...] = (
    ("events.py", {"Choice", "Kind"}),
    ("model.py", {"Reason"}),
    ("parking.py", set()),
    ("rules/grants.py", set()),
    ("line.py", {"Bucket", "Batch", "Place"}),
    ("core.py", set()),
    ("turns.py", set()),
)
END = "now and then"


def test_the_core_path_takes_less_than_half_an_hour() -> None:
    minutes = {module: reading_minutes(FOLDER / module, classes) for module, classes in PATH}
    assert sum(minutes.values()) < 30, minutes


def test_the_page_names_the_path() -> None:
    bold = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| **")]
    named = "\n".join(bold)
    assert [module for module, _ in PATH if f"**`{module}`**" not in named] == []
    assert named.count("**`") == len(PATH)
    assert [name for _, classes in PATH for name in classes if f"`{name}`" not in named] == []


def test_a_longer_module_takes_longer(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    text = f'"""{"word " * 200}"""\n' + "x = 1\n" * 25 + f"# What is asked {END} ---\n" + "y = 1\n" * 100
    module.write_text(text, encoding="utf-8")
    assert reading_minutes(module, set()) == 2


def reading_minutes(path: Path, classes: set[str]) -> float:
    """Docstrings are read as words, everything else but imports and empty lines as lines of code."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if line.lstrip().startswith("#") and END in line), len(lines))
    lines = lines[:end]
    tree = ast.parse("\n".join(lines))
    wanted = covered(node for node in tree.body if not classes or (isinstance(node, ast.ClassDef) and node.name in classes))
    texts = covered(node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    imports = covered(node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    words = sum(len(lines[number].strip(' "').split()) for number in wanted & texts)
    code = sum(bool(lines[number].strip()) for number in wanted - texts - imports)
    return words / WORDS_A_MINUTE + code / LINES_A_MINUTE


def covered(nodes: Iterable[ast.AST]) -> set[int]:
    """The numbers of their lines, from 0."""
    statements = [node for node in nodes if isinstance(node, ast.stmt)]
    return {number for each in statements for number in range(each.lineno - 1, each.end_lineno or each.lineno)}
