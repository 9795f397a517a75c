"""`pledgeworks manifest validate`: what it prints and how it exits. No database is reached."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from manifest_samples import HOME, perfect

from core import net
from core.errors import InfrastructureError
from grants.manifests import fetching

LIST = "https://other.org/.well-known/funding-manifest-urls"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> object:
    import core.db.session
    from app import main

    def no_database(*_: object, **__: object) -> None:
        raise AssertionError("validating a manifest needs no database")

    monkeypatch.setattr(core.db.session, "create_engine", no_database)

    def invoke(*arguments: str, text: str | None = None) -> Result:
        return CliRunner().invoke(main, ["manifest", "validate", *arguments], input=text, prog_name="pledgeworks")

    return invoke


@pytest.fixture
def elsewhere() -> str:
    """A manifest whose entity lives on another host and names its list there."""
    manifest = perfect()
    manifest["entity"]["webpageUrl"] = {"url": "https://other.org/team?a=b", "wellKnown": LIST}
    return json.dumps(manifest)


def test_a_valid_manifest_exits_0(run, tmp_path: Path) -> None:
    file = tmp_path / "funding.json"
    file.write_text(json.dumps(perfect()))
    result = run(str(file), "--manifest-url", HOME)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "Provenance",
        "  not required  entity.webpageUrl  https://example.org/team",
        "  not required  projects[0].webpageUrl  https://example.org/fast",
        "  not required  projects[0].repositoryUrl  https://example.org/fast/code",
        "Valid: 0 errors and 0 warnings.",
    ]


def test_findings_are_printed_with_path_and_exit_1(run) -> None:
    manifest = perfect()
    manifest["funding"]["plans"][0]["channels"] = ["paypal"]
    del manifest["version"]
    result = run("-", "--manifest-url", HOME, text=json.dumps(manifest))
    assert result.exit_code == 1
    assert "warning  version: There is no version" in result.output
    assert "error    funding.plans[0].channels[0]: “paypal” is not the guid of any of funding.channels" in result.output
    assert result.output.endswith("Not valid: 1 error and 1 warning.\n")


def test_json_says_the_same(run, elsewhere: str) -> None:
    result = run("-", "--manifest-url", HOME, "--json", text=elsewhere)
    assert result.exit_code == 0
    said = json.loads(result.output)
    assert said["valid"] is True
    assert said["findings"] == []
    assert said["provenance"][0] == {
        "path": "entity.webpageUrl",
        "url": "https://other.org/team?a=b",
        "well_known": LIST,
        "outcome": "required",
        "reason": "The wellKnown list is named, and was not read yet.",
        "publish": {"address": LIST, "content": f"{HOME}\n"},
    }
    broken = json.loads(run("-", "--manifest-url", HOME, "--json", text="{").output)
    assert (broken["findings"][0]["line"], broken["findings"][0]["column"]) == (1, 2)


@pytest.mark.parametrize("target", ["https://other.org/team?a=b", LIST])
def test_a_list_can_be_given_as_a_file(run, elsewhere: str, tmp_path: Path, target: str) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(f"https://b.org/funding.json\r\n{HOME}\r\n".encode())
    result = run("-", "--manifest-url", HOME, "--well-known", f"{target}={file}", text=elsewhere)
    assert (result.exit_code, "  verified      entity.webpageUrl" in result.output) == (0, True)
    file.write_text("https://b.org/funding.json\n")
    result = run("-", "--manifest-url", HOME, "--well-known", f"{target}={file}", text=elsewhere)
    assert (result.exit_code, "  failed        entity.webpageUrl" in result.output) == (0, True)
    assert f"Publish at {LIST} one line: {HOME}" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["-"],
        ["-", "--manifest-url", "ftp://example.org/funding.json"],
        ["-", "--manifest-url", HOME, "--well-known", "https://other.org"],
        ["-", "--manifest-url", HOME, "--well-known", "other=/dev/null"],
        ["-", "--manifest-url", HOME, "--well-known", "https://other.org=/nowhere/list"],
        ["/nowhere/funding.json", "--manifest-url", HOME],
        ["-", "--manifest-url", HOME, "--unknown"],
    ],
)
def test_wrong_use_exits_2(run, arguments: list[str]) -> None:
    assert run(*arguments, text="{}").exit_code == 2


def test_the_network_is_asked_only_when_told_and_its_failure_exits_3(run, elsewhere: str, monkeypatch) -> None:
    asked: list[str] = []

    def no_network(url: str, **_: object) -> net.Fetched:
        asked.append(url)
        raise net.FetchFailed("There is no network here.")

    monkeypatch.setattr(fetching, "fetch", no_network)
    assert run("-", "--manifest-url", HOME, text=elsewhere).exit_code == 0
    assert asked == []
    result = run("-", "--manifest-url", HOME, "--fetch-well-known", text=elsewhere)
    assert result.exit_code == 3
    assert "  failed        entity.webpageUrl" in result.output
    assert "There is no network here." in result.output
    assert asked == [LIST]
    assert issubclass(net.FetchFailed, InfrastructureError)


def test_a_default_branch_can_be_told(run) -> None:
    manifest = perfect()
    manifest["projects"][0]["repositoryUrl"] = {"url": "https://github.com/u/p"}
    at = "https://github.com/u/p/blob/trunk/funding.json"
    text = json.dumps(manifest)
    row = "  not required  projects[0].repositoryUrl"
    assert row not in run("-", "--manifest-url", at, text=text).output
    assert row in run("-", "--manifest-url", at, "--default-branch", "trunk", text=text).output


def test_one_list_is_read_once_and_pages_are_no_lists(monkeypatch) -> None:
    from core.urls import parse
    from grants.manifests.report import ListUnavailable
    from grants.manifests.rules import NamedUrl

    asked: list[str] = []

    def page(url: str, **_: object) -> net.Fetched:
        asked.append(url)
        return net.Fetched(url, "text/html" if "pages" in url else "text/plain", HOME.encode())

    monkeypatch.setattr(fetching, "fetch", page)
    lists = fetching.lists()
    for path in ("a", "b"):
        assert lists(NamedUrl(path, "https://other.org/x", LIST)) == HOME
    assert asked == [LIST]
    with pytest.raises(ListUnavailable, match="web page"):
        lists(NamedUrl("c", "https://pages.org", LIST.replace("other", "pages")))
    assert fetching.fetch_manifest("https://github.com/u/p/blob/main/funding.json") == HOME.encode()
    assert parse(asked[-1]).query == "raw=true"
    late = fetching.lists(timeout_seconds=0)
    with pytest.raises(ListUnavailable, match="no time left"):
        late(NamedUrl("d", "https://other.org/x", LIST))
