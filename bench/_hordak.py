"""The peer django-hordak, run in an environment of its own: `python _hordak.py JSON`. Prints its figures as JSON."""

import json
import random
import sys
import time

import django
from django.conf import settings

given = json.loads(sys.argv[1])
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "hordak"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": given["name"],
            "HOST": given["host"],
            "PORT": given["port"] or "",
            "USER": given["user"],
            "PASSWORD": given["password"] or "",
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DEFAULT_CURRENCY="USD",
    HORDAK_CURRENCIES=["USD"],
    HORDAK_DECIMAL_PLACES=2,
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402 - Django wants its settings first
from djmoney.money import Money  # noqa: E402
from hordak.models import Account  # noqa: E402

ACCOUNTS = 200


def main() -> None:
    call_command("migrate", verbosity=0)
    accounts = [Account.objects.create(name=f"Fund {i}", code=str(i), type="LI", currencies=["USD"]) for i in range(ACCOUNTS)]
    rng = random.Random(1)
    rates, durations = [], []
    for _ in range(given["runs"]):
        done, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < given["seconds"]:
            debit, credit = rng.sample(accounts, 2)
            debit.transfer_to(credit, Money(rng.randint(1, 100), "USD"))
            done += 1
        rates.append(done / elapsed)
    for _ in range(given["runs"]):
        start = time.perf_counter()
        for account in accounts:
            account.get_balance()
        durations.append(time.perf_counter() - start)
    print(json.dumps({"transfers_per_second": rates, "balances_seconds": durations}))


main()
