"""Every function that a template may call: Go's own and Sprig's, by theme. Sprig's win where both have one, as in Go.

Functions are pure: the clock and random bytes come from the run's Outside. Where memory or time could grow faster than
the arguments, a function asks the run first.
"""

from collections.abc import Mapping

from nfd_lite.rules.template.function import Function
from nfd_lite.rules.template.functions.builtins import FUNCTIONS as BUILTINS
from nfd_lite.rules.template.functions.conversions import FUNCTIONS as CONVERSIONS
from nfd_lite.rules.template.functions.dates import FUNCTIONS as DATES
from nfd_lite.rules.template.functions.dicts import FUNCTIONS as DICTS
from nfd_lite.rules.template.functions.encoding import FUNCTIONS as ENCODING
from nfd_lite.rules.template.functions.lists import FUNCTIONS as LISTS
from nfd_lite.rules.template.functions.math import FUNCTIONS as MATH
from nfd_lite.rules.template.functions.paths import FUNCTIONS as PATHS
from nfd_lite.rules.template.functions.randoms import FUNCTIONS as RANDOMS
from nfd_lite.rules.template.functions.refused import FUNCTIONS as REFUSED
from nfd_lite.rules.template.functions.regex import FUNCTIONS as REGEX
from nfd_lite.rules.template.functions.semver import FUNCTIONS as SEMVER
from nfd_lite.rules.template.functions.strings import FUNCTIONS as STRINGS
from nfd_lite.rules.template.functions.types import FUNCTIONS as TYPES
from nfd_lite.rules.template.functions.urls import FUNCTIONS as URLS
from nfd_lite.rules.template.functions.words import FUNCTIONS as WORDS

FUNCTIONS: Mapping[str, Function] = {
    **BUILTINS,
    **CONVERSIONS,
    **DATES,
    **DICTS,
    **ENCODING,
    **LISTS,
    **MATH,
    **PATHS,
    **RANDOMS,
    **REFUSED,
    **REGEX,
    **SEMVER,
    **STRINGS,
    **TYPES,
    **URLS,
    **WORDS,
}
