"""Go's text/template with the Sprig functions that NodeFeatureRules use, evaluated within limits and without side effects.

`parse_template(text).render(data)`: everything that goes wrong is a TemplateError. Nothing here reads files, the environment,
the clock or random numbers; a caller that wants templates to know the time passes an Outside.
"""

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.run import Limits, Outside
from nfd_lite.rules.template.template import Template, parse_template

__all__ = ["Limits", "Outside", "Template", "TemplateError", "parse_template"]
