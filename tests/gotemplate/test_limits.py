"""A template that would take too much time or memory ends with an error that names the exceeded limit."""

import pytest

from gotemplate.errors import TemplateError
from gotemplate.run import Limits
from gotemplate.template import parse_template

DATA = {"l": [str(number) for number in range(100)], "s": "x" * 1000}
GROWING_LIST = "{{ $l := list 1 }}" + "{{ $l = list $l $l }}" * 30
CYCLE = '{{ $d := dict }}{{ $_ := set $d "a" $d }}'


def doubling(call: str) -> str:
    return '{{ $s := "x" }}' + f"{{{{ $s = {call} }}}}" * 60


TOO_MUCH = {
    "loops in loops": "{{ range $.l }}" * 6 + "{{ end }}" * 6,
    "a loop of all numbers": "{{ range 9223372036854775807 }}{{ end }}",
    "a template that calls itself": '{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}',
    "a template that calls itself twice": '{{ define "r" }}{{ template "r" }}{{ template "r" }}{{ end }}{{ template "r" }}',
    "a list of lists printed": GROWING_LIST + "{{ $l }}",
    "a list of lists through printf": GROWING_LIST + '{{ printf "%v" $l }}',
    "a list of lists as JSON": GROWING_LIST + "{{ toJson $l }}",
    "a list of lists compared": GROWING_LIST + "{{ deepEqual $l $l }}",
    "a list of lists copied": GROWING_LIST + "{{ deepCopy $l }}",
    "a list of lists made unique": GROWING_LIST + "{{ uniq $l }}",
    "a list that doubles": "{{ $l := list 1 }}" + "{{ $l = concat $l $l }}" * 40,
    "print that doubles": doubling("print $s $s"),
    "printf that doubles": doubling('printf "%s%s" $s $s'),
    "cat that doubles": doubling("cat $s $s"),
    "quote that doubles": doubling("quote $s"),
    "b64enc that grows": doubling("b64enc $s"),
    "replace that squares": doubling('replace "x" (print $s $s) $s'),
    "regexReplaceAll that squares": doubling('regexReplaceAll "x" $s (print $s $s)'),
    "join with a long separator": '{{ join (repeat 100000 "x") (until 1000) }}',
    "repeat": '{{ repeat 9223372036854775807 "x" }}',
    "until": "{{ until 9223372036854775807 }}",
    "untilStep": "{{ untilStep 0 -9223372036854775807 -1 }}",
    "seq": "{{ seq 1 1000000000 }}",
    "indent": '{{ indent 1000000 "a\\nb\\nc" }}',
    "wrapWith": '{{ wrapWith 1 (repeat 10000 "a") (repeat 1000 "b") }}',
    "a printf width": '{{ printf "%999999999d" 1 }}',
    "many printf widths": '{{ printf "%600000d%600000d" 1 1 }}',
    "a printf width from an argument, again and again": "{{ range $.l }}{{ $s := printf `%*d` 1000000 1 }}{{ end }}",
    "a date layout": '{{ date (repeat 200000 "Monday") 0 }}',
    "reading a long string over and over": '{{ $s := repeat 100000 "x" }}{{ range until 10000 }}{{ contains "y" $s }}{{ end }}',
    "a regular expression over and over": '{{ range until 90000 }}{{ regexMatch "(a|b)*x*y" $.s }}{{ end }}',
    "new regular expressions": '{{ range until 90000 }}{{ regexMatch (print "a" .) "a" }}{{ end }}',
    "a regular expression that looks ahead at each match": '{{ regexFindAll "x.*y|x" (repeat 500000 "x") -1 }}',
    "a regular expression too large": '{{ regexFind "(((a{1,30}){1,30}){1,30}){1,30}" "a" }}',
    "a map in itself, printed": CYCLE + "{{ $d }}",
    "a map in itself, through printf": CYCLE + '{{ printf "%q" $d }}',
    "a map in itself, as JSON": CYCLE + "{{ toJson $d }}",
    "a map in itself, copied": CYCLE + "{{ deepCopy $d }}",
    "a map in itself, merged": CYCLE + "{{ merge $d $d }}",
    "a map in itself, compared": CYCLE + "{{ deepEqual $d $d }}",
    "deep JSON": '{{ mustFromJson (repeat 100000 "[") }}',
    "deep JSON that is valid": '{{ mustFromJson (print (repeat 900 "[") (repeat 900 "]")) }}',
    "a long version constraint": '{{ semverCompare (repeat 1000 ">1 ") "1.2.3" }}',
    "output": "{{ range until 1000 }}{{ print $.s $.s }}{{ end }}",
    "parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "statements in statements": "{{ if 1 }}" * 5000,
    "definitions in statements": '{{ block "a" 1 }}' * 5000,
    "source": "x" * 65537,
}


@pytest.mark.parametrize("template", TOO_MUCH.values(), ids=list(TOO_MUCH))
def test_a_template_that_exceeds_a_limit_ends_with_an_error(template: str) -> None:
    with pytest.raises(
        TemplateError, match=r"more than|larger than|longer than|too deep|too long|too large|invalid|bad repetition"
    ):
        parse_template(template).render(DATA)


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{{ if 1 }}" * 39 + "x" + "{{ end }}" * 39, "x"),
        ("{{ " + "(" * 39 + "1" + ")" * 39 + " }}", "1"),
        ("{{ if 0 }}" + "{{ else if 0 }}" * 500 + "{{ else }}x{{ end }}", "x"),
        (
            '{{ define "r" }}{{ if . }}{{ template "r" (slice . 1) }}{{ end }}x{{ end }}{{ template "r" "abcdefghij" }}',
            "x" * 11,
        ),
        ("{{ range until 20000 }}.{{ end }}", "." * 20000),
        ('{{ define "x" }}.{{ end }}{{ range until 200 }}{{ template "x" }}{{ end }}', "." * 200),
        ("x" * 65536, "x" * 65536),
    ],
)
def test_a_large_template_within_the_limits_renders(template: str, output: str) -> None:
    assert parse_template(template).render({}) == output


def test_a_template_may_take_exactly_the_maximum_of_steps() -> None:
    template = parse_template("{{ range .l }}{{ . }}{{ end }}")
    assert template.render({"l": [1, 2, 3]}, Limits(steps=7)) == "123"
    with pytest.raises(TemplateError, match="line 1: the template takes more than 6 steps"):
        template.render({"l": [1, 2, 3]}, Limits(steps=6))


def test_a_value_may_have_exactly_the_maximum_size() -> None:
    template = parse_template('{{ repeat .n "x" | len }}')
    assert template.render({"n": 10}, Limits(size=10)) == "10"
    with pytest.raises(TemplateError, match="a value would be larger than 10 characters or elements"):
        template.render({"n": 11}, Limits(size=10))


def test_the_output_may_have_exactly_the_maximum_size() -> None:
    template = parse_template("abc{{ .s }}")
    assert template.render({"s": "de"}, Limits(size=5)) == "abcde"
    with pytest.raises(TemplateError, match="line 1: the output is longer than 4 characters"):
        template.render({"s": "de"}, Limits(size=4))


def test_consecutive_statements_are_not_nested() -> None:
    assert parse_template("{{ if true }}{{ (print 1) }}{{ end }}" * 100).render({}) == "1" * 100
