"""Sprig's functions that make keys and hash passwords. A rule that labels nodes has no use for them: calling one is an error."""

from typing import Any

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.function import table


def refuse(*_: Any) -> str:
    raise TemplateError("rules on nodes make no keys and no passwords")


_NAMES = (
    "genPrivateKey",
    "genCA",
    "genCAWithKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "buildCustomCert",
    "bcrypt",
    "htpasswd",
    "derivePassword",
    "encryptAES",
    "decryptAES",
)

FUNCTIONS = table(dict.fromkeys(_NAMES, refuse))
