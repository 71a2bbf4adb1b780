"""Go's text/template with Sprig's functions, for templates in NodeFeatureRules. It follows pkg.go.dev/text/template and Sprig 3.3.

`template.parse_template(text).render(data)` returns the output or raises TemplateError. A template runs within limits and has no side
effects: this package reads no files, no environment variables, no clock and no random numbers.

Nothing is imported here: a process without templates saves the memory of the modules.
"""
