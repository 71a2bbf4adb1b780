"""Sprig's functions that rules cannot call. A template that contains such a function parses; a call is an error.

The result of `now` and of random functions is different in each evaluation, so the labels of a rule would change all the time. Rules have
no use for keys, certificates and password hashes.
"""

from typing import Any

from gotemplate.errors import TemplateError
from gotemplate.function import function_table

_CHANGING = "now ago randAlphaNum randAlpha randNumeric randAscii randBytes randInt shuffle uuidv4"
_SECRETS = """genPrivateKey genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey
    buildCustomCert bcrypt htpasswd derivePassword encryptAES decryptAES"""


def _refuse_changing(*_: Any) -> str:
    raise TemplateError("functions that return another value in each evaluation are not supported in rules")


def _refuse_secrets(*_: Any) -> str:
    raise TemplateError("functions for keys, certificates and passwords are not supported in rules")


FUNCTIONS = function_table({_CHANGING: _refuse_changing, _SECRETS: _refuse_secrets})
