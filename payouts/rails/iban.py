"""IBAN and BIC, as far as their text alone tells (ISO 13616, ISO 9362)."""

import re

from core.errors import InvalidInput

# Lengths by country, from the SWIFT IBAN registry; a country that is missing here has no IBANs.
LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23,
    "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip


def checked_iban(text: str, *, field: str) -> str:
    """Without spaces, in upper case.

    Raises:
        InvalidInput: unknown country, wrong length, or a check digit that does not fit (a mistyped character).
    """
    iban = re.sub(r"[\s-]", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", iban):
        raise InvalidInput("An IBAN starts with two letters and two digits, such as DE89 3704 0044 0532 0130 00.", field=field)
    length = LENGTHS.get(iban[:2])
    if length is None:
        raise InvalidInput(f"There are no IBANs in “{iban[:2]}”.", field=field)
    if len(iban) != length:
        raise InvalidInput(f"An IBAN of {iban[:2]} has {length} characters, this one {len(iban)}.", field=field)
    # ISO 7064 MOD 97-10: the country and check digits go last, letters count from 10.
    if int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 != 1:
        raise InvalidInput("This IBAN's check digits don't fit; one of its characters is mistyped.", field=field)
    return iban


def checked_bic(text: str, *, field: str) -> str:
    """In upper case; eight or eleven characters.

    Raises:
        InvalidInput: not of that shape.
    """
    bic = text.strip().upper()
    if not re.fullmatch(r"[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?", bic):
        raise InvalidInput("A BIC has 8 or 11 letters and digits, such as COBADEFFXXX.", field=field)
    return bic
