"""Settings, from the environment only. docs/reference/settings.md lists them and a test compares the two."""

import enum
import re
import secrets
import socket
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import InvalidInput

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds app.py, templates/ and migrations/."""
SIGNING_SECRET_LENGTH_MIN = 16
"""Of a webhook's secret, with its prefix. Stripe's are longer."""

HINT_SECRET_LENGTH_MIN = 32
"""Of an address that only a provider knows: nothing else tells its calls from others."""


class Environment(enum.StrEnum):
    """How careful to be. Production refuses demo data and executors that don't confine untrusted code."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


@dataclass(frozen=True)
class MailServer:
    """A server that takes mail. A password or a letter never goes over a network unencrypted."""

    host: str
    port: int
    implicit_tls: bool
    starttls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "MailServer":
        """From smtp://… or smtps://…. Raises ValueError with what to write instead."""
        parts = urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("write smtps://USER:PASSWORD@HOST:465, or smtp://USER:PASSWORD@HOST:587")
        if (parts.username is None) != (parts.password is None):
            raise ValueError("a user has a password; write both before the @, or neither")
        implicit = parts.scheme == "smtps"
        here = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        return cls(
            host=parts.hostname,
            port=parts.port or (465 if implicit else 587),
            implicit_tls=implicit,
            starttls=not implicit and (not here or parts.username is not None),
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


class Settings(BaseSettings):
    """Every setting of the platform. Unknown variables are ignored, impossible values refused at start."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True)

    database_url: str | None = Field(
        default=None, description="PostgreSQL 15+ to use. Unset: the platform starts its own under the data folder."
    )
    pledgeworks_data: Path = Field(
        default=ROOT / "var", description="Data folder: the embedded database, the object store, keys."
    )
    port: int = Field(default=8000, ge=1, le=65535, description="Port of the web server on 127.0.0.1.")
    pledgeworks_env: Environment = Field(default=Environment.DEVELOPMENT, description="`development` or `production`.")
    pledgeworks_base_url: str | None = Field(
        default=None, description="Public address, for links in exports and manifests. Unset: http://127.0.0.1:PORT."
    )
    pledgeworks_trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=5,
        description="How many reverse proxies stand in front; their X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    pledgeworks_object_store: str | None = Field(
        default=None,
        description="fsspec URL for logs, artefacts and attachments. Unset: a folder under the data folder.",
    )
    pledgeworks_allow_unconfined: bool = Field(
        default=False,
        description="Let the local executor, which does not confine untrusted code, start in production too.",
    )
    pledgeworks_host: str | None = Field(
        default=None, description="What pools with several hosts call this machine. Unset: the name that it has itself."
    )
    pledgeworks_opencollective_token: SecretStr | None = Field(
        default=None,
        description="Personal token of an admin of the fund at Open Collective; how-to/pay-by-open-collective has its scopes.",
    )
    pledgeworks_opencollective_fund: str | None = Field(
        default=None,
        description="The fund at Open Collective that payouts are paid from: its name in its address. The rails need both.",
    )
    pledgeworks_opencollective_host_token: SecretStr | None = Field(
        default=None,
        description=(
            "Personal token of an admin of the fund's fiscal host, to record there what companies will send. Only if you are "
            "the host: it can spend every fund hosted there."
        ),
    )
    pledgeworks_opencollective_webhook_secret: SecretStr | None = Field(
        default=None,
        min_length=HINT_SECRET_LENGTH_MIN,
        description=(
            "Last part of the address that Open Collective calls when something happens to the fund: at least 32 characters that "
            "nobody can guess. Unset: calls are not taken, and everything is looked at hourly."
        ),
    )
    pledgeworks_opencollective_url: str = Field(
        default="https://api.opencollective.com/graphql/v2", description="Open Collective's API; another only to try things."
    )
    pledgeworks_stripe_key: SecretStr | None = Field(
        default=None,
        description=(
            "Secret or restricted key of Stripe; with it companies can pay online, and the rail Stripe Connect exists. "
            "A live key is taken in production only, a test key everywhere else."
        ),
    )
    pledgeworks_stripe_url: str | None = Field(
        default=None, description="Another address than Stripe's own, for its stand-in on this machine. Never in production."
    )
    pledgeworks_country: str = Field(
        default="US",
        pattern=r"^[A-Z]{2}$",
        description="Country of whoever pays (ISO 3166): decides what counts as abroad, and whose tax papers are asked for.",
    )
    pledgeworks_compiled: bool = Field(
        default=True,
        description="Decide with the compiled scheduler, if `make compiled` made one of this source. Off: as it is written.",
    )
    pledgeworks_rail_terms: Path | None = Field(
        default=None,
        description="TOML file with what rails cost you and reach, instead of payouts/data/rail_terms.toml.",
    )
    pledgeworks_online_terms: Path | None = Field(
        default=None,
        description="TOML file with the ways to pay online and their prices, instead of pledge/data/online_terms.toml.",
    )
    pledgeworks_stripe_webhook_secrets: SecretStr | None = Field(
        default=None,
        description=(
            "Signing secrets of Stripe's webhook endpoint (whsec_…), separated by commas; two while one is being replaced. "
            "Unset: deliveries are refused, and pay-ins are looked at hourly only."
        ),
    )
    pledgeworks_stripe_financial_account: str | None = Field(
        default=None,
        description="Id (fa_…) of our financial account at Stripe. With the key it adds the rail Stripe Global Payouts.",
    )
    pledgeworks_tax_rules: Path | None = Field(
        default=None,
        description="TOML file with the documents you want of payees, instead of payouts/data/tax_rules.toml.",
    )
    pledgeworks_github_sponsor: str | None = Field(
        default=None,
        description="Login of the GitHub organisation that sponsors. With the token it adds the rail `github_sponsors`.",
    )
    pledgeworks_github_token: SecretStr | None = Field(
        default=None,
        description=(
            "Token of an owner or billing manager of that organisation; only reads, unless PLEDGEWORKS_GITHUB_MUTATIONS is set. "
            "Never shown or logged."
        ),
    )
    pledgeworks_github_mutations: bool = Field(
        default=False,
        description=(
            "Pay by GitHub's API in place of a file that a person uploads. GitHub says itself that part of it does not work; "
            "how-to/pay-by-github-sponsors says what that means."
        ),
    )
    pledgeworks_github_url: str = Field(
        default="https://api.github.com/graphql", description="Where GitHub's GraphQL API answers."
    )

    pledgeworks_mail_url: SecretStr | None = Field(
        default=None,
        description=(
            "Server that takes our mail: smtps://USER:PASSWORD@HOST:465, or smtp:// with STARTTLS on 587. "
            "Without encryption only on this machine. Unset: no mail is sent; `pledgeworks payouts notices` lists what to say."
        ),
    )
    pledgeworks_mail_from: str | None = Field(
        default=None, description="Address that our mail comes from, such as payouts@example.org; mail needs both."
    )

    @field_validator("pledgeworks_mail_url")
    @classmethod
    def _mail_server(cls, given: SecretStr | None) -> SecretStr | None:
        """Read here, so that a mistake shows at start instead of with the first letter."""
        if given is not None:
            MailServer.parse(given.get_secret_value())
        return given

    @field_validator("pledgeworks_mail_from")
    @classmethod
    def _mail_address(cls, given: str | None) -> str | None:
        if given is not None and not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", given):
            raise ValueError("write the bare address, such as payouts@example.org")
        return given

    @field_validator("pledgeworks_stripe_key")
    @classmethod
    def _right_kind_of_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """A live key in a trial moves real money; a test key in production books payments that never happened."""
        if key is None:
            return None
        kind = next(
            (kind for kind in ("live", "test") if key.get_secret_value().startswith((f"sk_{kind}_", f"rk_{kind}_"))), None
        )
        if kind is None:
            raise ValueError("a secret key starts with sk_ or rk_, followed by test_ or live_")
        production = info.data.get("pledgeworks_env") is Environment.PRODUCTION
        if production is not (kind == "live"):
            raise ValueError(f"a {kind} key has no place {'in' if production else 'outside'} production")
        return key

    @field_validator("pledgeworks_stripe_webhook_secrets")
    @classmethod
    def _signing_secrets(cls, given: SecretStr | None) -> SecretStr | None:
        """The prefix alone would be a key that everybody knows."""
        secrets = given.get_secret_value().split(",") if given is not None else []
        if not all(each.strip().startswith("whsec_") and len(each.strip()) >= SIGNING_SECRET_LENGTH_MIN for each in secrets):
            raise ValueError("each signing secret starts with whsec_, and goes on; the dashboard shows it beside the endpoint")
        return given

    @field_validator("pledgeworks_stripe_url")
    @classmethod
    def _never_elsewhere_in_production(cls, base: str | None, info: ValidationInfo) -> str | None:
        """The key goes wherever this points."""
        if base is None:
            return None
        if info.data.get("pledgeworks_env") is Environment.PRODUCTION:
            raise ValueError("production talks to Stripe itself")
        parts = urlsplit(base)
        if parts.scheme != "http" or parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
            raise ValueError("a stand-in of Stripe runs on this machine, such as http://127.0.0.1:8421")
        return base.rstrip("/")

    @property
    def base_url(self) -> str:
        return self.pledgeworks_base_url or f"http://127.0.0.1:{self.port}"

    @property
    def stripe_webhook_secrets(self) -> list[str]:
        given = self.pledgeworks_stripe_webhook_secrets
        return [each.strip() for each in given.get_secret_value().split(",")] if given else []

    @property
    def mail_server(self) -> "MailServer | None":
        """Where mail goes; None if this installation sends none."""
        if self.pledgeworks_mail_url is None or self.pledgeworks_mail_from is None:
            return None
        return MailServer.parse(self.pledgeworks_mail_url.get_secret_value())

    @property
    def object_store_url(self) -> str:
        return self.pledgeworks_object_store or f"file://{self.data_folder / 'objects'}"

    @property
    def host(self) -> str:
        """What pools call this machine."""
        return (self.pledgeworks_host or socket.gethostname()).lower()

    @property
    def data_folder(self) -> Path:
        return self.pledgeworks_data.expanduser().resolve()

    def secret(self, name: str, length: int = 32) -> bytes:
        """A random secret of this installation, made on first use and kept in a file only the owner can read."""
        path = self.data_folder / "secrets" / name
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_name(f".{name}.{secrets.token_hex(4)}")
            fresh.touch(mode=0o600)
            fresh.write_bytes(secrets.token_bytes(length))
            try:
                path.hardlink_to(fresh)  # fails if another process was first: then its secret is the one
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return path.read_bytes()


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises:
        InvalidInput: a variable holds something that can't be used; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "a setting"
        raise InvalidInput(
            f"{name} can't be used: {first['msg'].removeprefix('Value error, ')}. See docs/reference/settings.md.", field=name
        ) from None
