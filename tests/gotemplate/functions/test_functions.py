"""Sprig's functions: the examples of Sprig's documentation (masterminds.github.io/sprig) and edge cases."""

from collections.abc import Mapping

import pytest

from gotemplate.errors import TemplateError
from gotemplate.functions import FUNCTIONS
from gotemplate.template import parse_template

DATA = {
    "s": "héllo wörld",
    "l": ["b", "a", "b"],
    "m": {"x": 1, "y": {"z": "deep"}},
    "n": None,
    "e": {"Name": "AVX", "Value": ""},
}

STRINGS = {
    "{{ hello }}": "Hello!",
    '{{ trim "   hello    " }}': "hello",
    '{{ trim "\\u00a0x\\u2003" }}': "x",
    '{{ trimAll "$" "$5.00" }}{{ trimall "-" "--a-" }}': "5.00a",
    '{{ trimSuffix "-" "hello-" }}{{ trimPrefix "-" "-hello" }}': "hellohello",
    '{{ upper "hello ß" }}': "HELLO ß",
    '{{ lower "HELLO İ" }}': "hello i",
    '{{ title "hello world foo_bar a-b" }}': "Hello World Foo_bar A-B",
    '{{ title "a\\u2003b aéb" }}': "A\u2003B Aéb",
    '{{ untitle "Hello World" }}': "hello world",
    '{{ swapcase "This Is A.Test" }}': "tHIS iS a.tEST",
    '{{ initials "First Try" }}': "FT",
    '{{ initials "éa \\u3000b a\\u00a0c" }}': "\u00c3\u00e3ac",
    '{{ repeat 3 "hello" }}{{ repeat 0 "x" }}': "hellohellohello",
    '{{ substr 0 5 "hello world" }}|{{ substr -1 5 "hello" }}|{{ substr 2 -1 "hello" }}|{{ substr 2 99 "hello" }}': "hello|hello|llo|llo",
    '{{ trunc 5 "hello world" }}|{{ trunc -5 "hello world" }}|{{ trunc 99 "a" }}|{{ trunc -99 "a" }}': "hello|world|a|a",
    "{{ trunc 2 .s }}": "h\ufffd",
    "{{ print (trunc 2 .s) (substr 2 3 .s) }}": "hé",
    '{{ nospace "hello w o r l d" }} {{ nospace "é" }} {{ nospace "é x" }}': "helloworld é \u00c3\u00a9x",
    '{{ contains "cat" "catch" }}{{ hasPrefix "cat" "catch" }}{{ hasSuffix "cat" "catch" }}': "truetruefalse",
    '{{ quote "a\\"b" 1 .n 2.5 }}{{ squote "a" 1 .n }}': '"a\\"b" "1" "2.5"\'a\' \'1\'',
    '{{ cat "hello" "beautiful" 1 .n "world" }}': "hello beautiful 1 world",
    '{{ indent 4 "a\\nb" }}{{ nindent 2 "a\\nb" }}': "    a\n    b\n  a\n  b",
    '{{ replace " " "-" "I Am Henry VIII" }}{{ replace "" "-" "ab" }}': "I-Am-Henry-VIII-a-b-",
    '{{ plural "one anchovy" "many anchovies" 1 }}, {{ plural "one" "many" 0 }}': "one anchovy, many",
    '{{ (split "$" "foo$bar$baz")._1 }} {{ split "," "a,b" }}': "bar map[_0:a _1:b]",
    '{{ splitn "$" 2 "foo$bar$baz" }} {{ splitn "$" -1 "a$b" }} {{ splitn "$" 0 "a" }} {{ splitn "" 2 "abc" }}': (
        "map[_0:foo _1:bar$baz] map[_0:a _1:b] map[] map[_0:a _1:bc]"
    ),
    '{{ splitList "$" "foo$bar" }}{{ splitList "" "aé" }}': "[foo bar][a é]",
    '{{ join "_" (list "hello" "world" 1 .n) }}{{ join "," "alone" }}{{ list 1 2 3 | join "+" }}': "hello_world_1alone1+2+3",
    '{{ sortAlpha .l }}{{ list 10 9 "a" | sortAlpha }}': "[a b b][10 9 a]",
    '{{ toStrings (list 1 "a" true .n) | len }}': "3",
    '{{ len "é" }} {{ len .l }} {{ len .m }}': "2 3 2",
}
WORDS = {
    '{{ abbrev 5 "hello world" }}|{{ abbrev 3 "hello" }}|{{ abbrev 20 "hello" }}': "he...|hello|hello",
    '{{ abbrevboth 5 10 "1234 5678 9123" }}|{{ abbrevboth 1 6 "1234567890" }}': "...5678...|1234567890",
    '{{ abbrevboth 12 7 "1234 5678 9123" }}': "...9123",
    '{{ wrap 5 "the quick brown" }}|{{ wrap 3 "toolong" }}|{{ wrap 0 "a b" }}': "the\nquick\nbrown|toolong|a\nb",
    '{{ wrapWith 5 "\\t" "Hello World" }}|{{ wrapWith 3 "" "abcdefg" }}': "Hello\tWorld|abc\ndef\ng",
    '{{ snakecase "FirstName" }} {{ snakecase "HTTPServer" }} {{ snakecase "NoHTTPS" }}': "first_name http_server no_https",
    '{{ snakecase "GO_PATH" }} {{ snakecase "GO PATH" }} {{ snakecase "GO-PATH" }}': "go_path go_path go_path",
    '{{ snakecase "http2xx" }} {{ snakecase "HTTP20xOK" }} {{ snakecase "Duration2m3s" }}': "http_2xx http_20x_ok duration_2m3s",
    '{{ snakecase "Bld4Floor3rd" }} {{ snakecase " a  b." }}': "bld4_floor_3rd _a__b.",
    '{{ kebabcase "FirstName" }} {{ kebabcase "a_b c" }}': "first-name a-b-c",
    '{{ camelcase "http_server" }} {{ camelcase "no_https" }} {{ camelcase "some words" }}': "HttpServer NoHttps SomeWords",
    '{{ camelcase "_complex__case_" }} {{ camelcase "" }}{{ camelcase "__" }}': "_Complex_Case_ ___",
    '{{ camelcase "NVIDIA-H100-80GB-HBM3" }} {{ camelcase "AB.CD+E" }} {{ camelcase "ABc1D" }}': "NvidiaH10080GBHbm3 Ab.CD+E Abc1D",
    '{{ camelcase "\\t x\\n" | printf "%q" }} {{ camelcase "a- b" }} {{ camelcase "aÉ éA" }}': '"\\t X\\n" A-B AÉÉA',
    '{{ snakecase "6.12.41+deb13-amd64" }} {{ kebabcase "ext4+" }} {{ snakecase "a.B" }}': "6.12.41_+_deb13_amd64 ext4-+ a.b",
    '{{ snakecase "a日b" }} {{ snakecase "aÉ" }} {{ kebabcase ".-_a" }} {{ snakecase "a\\tB" }}': "a_日_b a_é .-_a a_b",
    '{{ kebabcase "Ⅷ" }} {{ snakecase "AⅧ" }}': "Ⅷ a_Ⅷ",
    '{{ camelcase "a\\u2003b" }} {{ camelcase "\\u2003a\\u00a0" }} {{ camelcase "a\\u2014b" }}': "AB \u2003A\u00a0 A\u2014b",
    '{{ snakecase "a\\u2003B" }} {{ snakecase "a\\u00a0\\u2003B" }} {{ kebabcase "a\\u2014B" }}': "a_b a__b a\u2014b",
    '{{ title "a\\u1680b\\u2028c" }} {{ title "a\\u00b7b\\u2014c" }} {{ title "a\\u200bb" }}': "A\u1680B\u2028C A\u00b7b\u2014c A\u200bb",
    '{{ untitle "A\\u2003B\\u3000C" }} {{ untitle "A\\u2014B" }} {{ initials "a\\u2003b" }}': "a\u2003b\u3000c a\u2014B a",
}
LISTS = {
    '{{ list 1 "a" nil }}{{ tuple 1 2 }}': "[1 a <nil>][1 2]",
    "{{ first .l }}{{ last .l }}{{ rest .l }}{{ initial .l }}": "bb[a b][b a]",
    "{{ first list }}{{ last list }}": "<no value>" * 2,
    "{{ rest list }}{{ initial list }}{{ concat list list }}{{ len (rest list) }}": "[][][]0",
    "{{ toJson (rest list) }} {{ toJson (rest (list 1)) }} {{ toJson (concat list) }} {{ append (initial list) 1 }}": "null [] null [1]",
    "{{ eq (rest list) nil }} {{ eq (rest list) list }} {{ deepEqual (rest list) list }} {{ eq list nil }}": "true false false false",
    '{{ printf "%v %#v" (rest list) (rest list) }} {{ kindOf (rest list) }} {{ slice list 1 }}': (
        "[] []interface {}(nil) slice <no value>"
    ),
    "{{ chunk -1 (list 1 2) }}{{ chunk -9 (list 1 2 3) }}{{ chunk -2 (list 1) }}": "[][][[1]]",
    "{{ $l := list 1 }}{{ append $l 2 }}{{ prepend $l 0 }}{{ push $l 3 }}{{ $l }}": "[1 2][0 1][1 3][1]",
    "{{ concat (list 1) (list 2 3) list }}{{ concat }}": "[1 2 3][]",
    '{{ reverse (list 1 2 3) }}{{ uniq .l }}{{ uniq (list 1 1.0 "1" (list 1) (list 1)) }}': "[3 2 1][b a][1 1 1 [1]]",
    '{{ without .l "b" "x" }}{{ has "a" .l }}{{ has 4 .l }}{{ has 1 .n }}': "[a]truefalsefalse",
    '{{ has (dict "a" 1) (list (dict "a" 1)) }}{{ has (int64 1) (list 1) }}': "truefalse",
    '{{ compact (list 1 "a" "" 0 false nil list dict "b") }}': "[1 a b]",
    "{{ chunk 3 (list 1 2 3 4 5 6 7 8) }}{{ chunk 1 list }}": "[[1 2 3] [4 5 6] [7 8]][]",
    "{{ slice (list 1 2 3 4 5) 1 3 }}{{ slice (list 1 2) }}{{ slice (list 1 2 3) 1 }}": "[2 3][1 2][2 3]",
    '{{ mustFirst .l }}{{ mustLast .l }}{{ mustRest .l }}{{ mustUniq .l }}{{ mustHas "a" .l }}': "bb[a b][b a]true",
}
DICTS = {
    '{{ dict "b" 1 "a" 2 }}{{ dict "k" }}{{ dict 1 2 }}': "map[a:2 b:1]map[k:]map[1:2]",
    '{{ get .m "x" }}{{ get .m "q" }}|{{ hasKey .m "x" }}{{ hasKey .m "q" }}': "1|truefalse",
    '{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ $d }}{{ $_ := unset $d "a" }}{{ $d }}': "map[a:1 b:2]map[b:2]",
    '{{ pluck "a" (dict "a" 1) (dict "b" 2) (dict "a" 3) }}': "[1 3]",
    '{{ keys (dict "b" 1 "a" 2) (dict "c" 3) }}{{ values (dict "b" 1 "a" 2) }}': "[a b c][2 1]",
    '{{ pick (dict "a" 1 "b" 2) "a" "x" }}{{ omit (dict "a" 1 "b" 2) "a" }}': "map[a:1]map[b:2]",
    '{{ merge (dict "a" 1 "z" "" "d" (dict "p" 1)) (dict "a" 2 "z" 3 "d" (dict "p" 2 "q" 2)) }}': "map[a:1 d:map[p:1 q:2] z:3]",
    '{{ mergeOverwrite (dict "a" 1 "k" true) (dict "a" 2 "k" false) (dict "b" 3) }}': "map[a:2 b:3 k:false]",
    '{{ dig "y" "z" "no" .m }}{{ dig "y" "q" "no" .m }}{{ dig "q" "r" "no" .m }}': "deepnono",
    '{{ $d := dict "a" (list 1) }}{{ $c := deepCopy $d }}{{ $_ := set $c "b" 1 }}{{ $d }}{{ $c }}': "map[a:[1]]map[a:[1] b:1]",
}
MATH = {
    '{{ add 1 2 3 }}{{ add }}{{ add1 "4" }}{{ sub 5 3 }}{{ mul 1 2 3 }}': "60526",
    "{{ div 7 2 }} {{ div -7 2 }} {{ mod 7 3 }} {{ mod -7 3 }}": "3 -3 1 -1",
    "{{ add 9223372036854775807 1 }} {{ mul 9223372036854775807 2 }}": "-9223372036854775808 -2",
    "{{ max 1 5 3 }}{{ biggest 1 9 }}{{ min 4 2 3 }}{{ maxf 1.5 3 }} {{ minf 1.5 3 }}": "5923 1.5",
    "{{ addf 0.1 0.2 }} {{ add1f 1.5 }} {{ subf 7.5 2 3 }} {{ mulf 1.5 2 2 }} {{ divf 10 2 4 }}": "0.3 2.5 2.5 6 1.25",
    "{{ divf 10 3 }}": "3.3333333333333335",
    "{{ ceil 123.001 }} {{ floor 123.9999 }} {{ floor -1.5 }} {{ ceil -0.5 }}": "124 123 -2 -0",
    '{{ round 123.555555 3 }} {{ round 123.4999 0 }} {{ round 123.45 0 0.4 }} {{ round "x" 2 }}': "123.556 123 124 0",
    "{{ until 5 }}{{ until -3 }}{{ untilStep 3 6 2 }}{{ untilStep 0 5 -1 }}{{ untilStep 3 0 0 }}": "[0 1 2 3 4][0 -1 -2][3 5][][]",
    "{{ seq 5 }}|{{ seq -3 }}|{{ seq 0 2 }}|{{ seq 2 -2 }}|{{ seq 0 2 10 }}|{{ seq 0 -2 -5 }}|{{ seq 5 1 0 }}|{{ seq }}": (
        "1 2 3 4 5|1 0 -1 -2 -3|0 1 2|2 1 0 -1 -2|0 2 4 6 8 10|0 -2 -4||"
    ),
    '{{ int "42" }}{{ int "0x1F" }} {{ int "4.00" }} {{ int "4.5" }} {{ int 3.9 }} {{ int true }} {{ int .n }} {{ int "x" }}': (
        "4231 4 0 3 1 0 0"
    ),
    '{{ int64 "017" }} {{ int64 "99999999999999999999" }} {{ atoi "12" }} {{ atoi "0x1" }} {{ atoi " 1" }}': "15 0 12 0 0",
    '{{ float64 "1.5" }} {{ float64 3 }} {{ float64 "x" }} {{ float64 "inf" }} {{ toDecimal "0777" }} {{ toDecimal 9 }}': (
        "1.5 3 0 +Inf 511 0"
    ),
}
TYPES = {
    "{{ toString 1.5 }}{{ toString (list 1) }}": "1.5[1]",
    '{{ default "foo" "" }}{{ default "foo" "bar" }}{{ default 1 0 }}{{ .n | default "d" }}{{ default "x" }}': "foobar1dx",
    '{{ empty "" }}{{ empty list }}{{ empty dict }}{{ empty 0 }}{{ empty "a" }}{{ empty .n }}': "truetruetruetruefalsetrue",
    '{{ coalesce 0 "" "a" "b" }}{{ coalesce }}': "a<no value>",
    '{{ all 1 "a" }}{{ all 0 1 }}{{ any 0 "" }}{{ any 0 1 }}{{ all }}{{ any }}': "truefalsefalsetruetruefalse",
    '{{ ternary "t" "f" true }}{{ eq 1 2 | ternary "t" "f" }}': "tf",
    "{{ typeOf 1 }} {{ typeOf (add 1 1) }} {{ typeOf 1.5 }} {{ typeOf .n }} {{ typeOf .l }} {{ typeOf .m }} {{ typeOf .e }}": (
        "int int64 float64 <nil> []interface {} map[string]interface {} map[string]string"
    ),
    '{{ kindOf .l }} {{ kindOf .m }} {{ kindOf "a" }} {{ kindOf .n }} {{ kindOf (semver "1") }}': "slice map string invalid ptr",
    '{{ kindIs "int" 1 }}{{ typeIs "int" 1 }}{{ typeIsLike "int" 1 }}{{ typeIs "string" 1 }}': "truetruetruefalse",
    '{{ deepEqual .l (list "b" "a" "b") }}{{ deepEqual 1 (int64 1) }}{{ deepEqual (dict "a" (list 1)) (dict "a" (list 1)) }}': (
        "truefalsetrue"
    ),
}
ENCODING = {
    '{{ b64enc "héllo" }} {{ b64enc "héllo" | b64dec }} {{ b64dec "!" }}': "aMOpbGxv héllo illegal base64 data at input byte 0",
    '{{ b32enc "abc" }} {{ b32dec "MFRGG===" }} {{ b32dec "1" }}': "MFRGG=== abc illegal base32 data at input byte 0",
    '{{ sha1sum "Hello world!" }}': "d3486ae9136e7856bc42212385ea797094475802",
    '{{ sha256sum "Hello world!" }}': "c0535e4be2b79ffd93291305436bf889314e4a3faec05ecffcbb7df31ad9e51a",
    '{{ sha512sum "" | trunc 16 }}': "cf83e1357eefb8bd",
    '{{ adler32sum "Hello world!" }}': "487130206",
    '{{ toJson (dict "b" (list 1 2.5 "<a>" true nil) "a" 1e21) }}': '{"a":1e+21,"b":[1,2.5,"\\u003ca\\u003e",true,null]}',
    '{{ toRawJson (dict "a" "<&>") }}{{ toPrettyJson (dict "a" (list 1) "b" list "c" dict) }}': (
        '{"a":"<&>"}{\n  "a": [\n    1\n  ],\n  "b": [],\n  "c": {}\n}'
    ),
    '{{ (fromJson "{\\"foo\\": 55}").foo }} {{ fromJson "[1, \\"a\\", null]" }} {{ fromJson "[" }}': "55 [1 a <nil>] <no value>",
    '{{ mustFromJson "1.50" }}{{ mustToJson "a" }}{{ mustToPrettyJson 1 }}{{ mustToRawJson "<" }}': '1.5"a"1"<"',
}
PATHS = {
    '{{ base "foo/bar/baz" }} {{ base "" }} {{ base "/" }} {{ base "a/" }}': "baz . / a",
    '{{ dir "foo/bar/baz" }} {{ dir "a" }} {{ dir "/a" }} {{ dir "" }}': "foo/bar . / .",
    '{{ clean "foo/bar/../baz" }} {{ clean "" }} {{ clean "/../a" }} {{ clean "../.." }}': "foo/baz . /a ../..",
    '{{ ext "foo.bar" }}{{ ext "a.b/c" }}{{ isAbs "/a" }}{{ isAbs "a" }}': ".bartruefalse",
    '{{ osBase "/foo/bar" }}{{ osDir "/foo/bar" }}{{ osClean "/a//b" }}{{ osExt "a.c" }}{{ osIsAbs "/" }}': "bar/foo/a/b.ctrue",
}
REGEX = {
    '{{ regexMatch "^[A-Za-z0-9._%+-]+@[a-z]+\\\\.[a-z]{2,}$" "test@acme.com" }}{{ regexMatch "(" "a" }}': "truefalse",
    '{{ regexFind "[a-zA-Z][1-9]" "abcd1234" }}|{{ regexFind "x" "abc" }}': "d1|",
    '{{ regexFindAll "[2,4,6,8]" "123456789" -1 }}{{ regexFindAll "a" "aaa" 2 }}{{ regexFindAll "a" "aaa" 0 }}': "[2 4 6 8][a a][]",
    '{{ regexFindAll "a" "aaa" 0 | toJson }}{{ regexFindAll "b" "aaa" -1 | toJson }}{{ regexSplit "a" "aaa" 0 | toJson }}': "nullnullnull",
    '{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }}{{ regexReplaceAll "a(x*)b" "-ab-" "$1W$$" }}': "-W-xxW--$-",
    '{{ regexReplaceAll "(?P<n>b)" "abc" "<$n${n}$9$>" }}': "a<bb$>c",
    '{{ regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}" }}': "-${1}-${1}-",
    '{{ regexSplit "z+" "pizza" -1 }}{{ regexSplit "z" "pizza" 2 }}{{ regexSplit "z" "pizza" 0 }}{{ regexSplit "z" "" -1 | len }}': (
        "[pi a][pi za][]1"
    ),
    '{{ regexQuoteMeta "1.2.3" }}{{ regexFindAll "x*" "éa" -1 | len }}': "1\\.2\\.33",
    '{{ regexFindAll "a*" "baac" -1 | printf "%q" }}': '["" "aa" ""]',
    '{{ mustRegexMatch "a" "a" }}{{ mustRegexFind "a" "a" }}{{ mustRegexFindAll "a" "a" -1 }}{{ mustRegexSplit "a" "bab" -1 }}': (
        "truea[a][b b]"
    ),
    '{{ mustRegexReplaceAll "a" "a" "b" }}{{ mustRegexReplaceAllLiteral "a" "a" "$" }}': "b$",
}
SEMVER = {
    '{{ $v := semver "v1.2.3-alpha.1+123" }}{{ $v.Major }} {{ $v.Minor }} {{ $v.Patch }} {{ $v.Prerelease }} {{ $v.Metadata }}': (
        "1 2 3 alpha.1 123"
    ),
    '{{ (semver "v1.2").Original }} {{ semver "v1.2" }}': "v1.2 1.2.0",
    '{{ semver "1.4.3" | (semver "1.2.3").Compare }}{{ (semver "1.2.3").Compare (semver "1.2.3-rc.1") }}': "-11",
    '{{ semver "1.0.0-rc.9" | (semver "1.0.0-rc.10").Compare }}{{ semver "1.0.0-1" | (semver "1.0.0-a").Compare }}': "11",
}
URLS = {
    '{{ toJson (urlParse "http://admin:secret@server.com:8080/api?list=false#anchor") }}': (
        '{"fragment":"anchor","host":"server.com:8080","hostname":"server.com","opaque":"","path":"/api",'
        '"query":"list=false","scheme":"http","userinfo":"admin:secret"}'
    ),
    '{{ urlJoin (dict "fragment" "fragment" "host" "host:80" "path" "/path" "query" "query" "scheme" "http") }}': (
        "http://host:80/path?query#fragment"
    ),
    '{{ urlParse "https://u@h/a b" | urlJoin }} {{ urlParse "mailto:a@b" | urlJoin }} {{ (urlParse "//[::1]:80/x").hostname }}': (
        "https://u@h/a%20b mailto:a@b ::1"
    ),
}
CHANGING = "now ago randAlphaNum randAlpha randNumeric randAscii randBytes randInt shuffle uuidv4"
SECRETS = """genPrivateKey genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey
buildCustomCert bcrypt htpasswd derivePassword encryptAES decryptAES"""
THEMES: Mapping[str, Mapping[str, str]] = {
    "strings": STRINGS, "words": WORDS, "lists": LISTS, "dicts": DICTS, "math": MATH, "types": TYPES, "encoding": ENCODING,
    "paths": PATHS, "regex": REGEX, "semver": SEMVER, "urls": URLS,
}  # fmt: skip
ROWS = [
    pytest.param(template, output, id=f"{theme} {template}")
    for theme, rows in THEMES.items()
    for template, output in rows.items()
]


@pytest.mark.parametrize(("template", "output"), ROWS)
def test_a_function_returns_the_same_as_in_sprig(template: str, output: str) -> None:
    assert parse_template(template).render(DATA) == output


@pytest.mark.parametrize(
    ("constraint", "yes", "no"),
    [
        ("1.2.3", "1.2.3", "1.2.4"),
        ("=1.2.3", "v1.2.3+meta", "1.2.3-rc.1"),
        ("!=1.2.3", "1.2.4", "1.2.3"),
        (">1.2", "1.3.0", "1.2.9"),
        (">= 1.2.3", "1.2.3", "1.2.2"),
        ("=>1.2.3", "1.2.3", "1.2.2"),
        ("<2", "1.9.9", "2.0.0"),
        ("<=1.2", "1.2.9", "1.3.0"),
        ("=<1.2.3", "1.2.3", "1.2.4"),
        ("~1.2.3", "1.2.9", "1.3.0"),
        ("~>1", "1.9.0", "2.0.0"),
        ("~1.x", "1.9.0", "2.0.0"),
        ("^1.2.3", "1.9.0", "2.0.0"),
        ("^0.2.3", "0.2.9", "0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.9", "0.1.0"),
        ("^0", "0.9.0", "1.0.0"),
        ("1.2.x", "1.2.9", "1.3.0"),
        ("1.X", "1.3.0", "2.0.0"),
        ("*", "9.9.9", "9.9.9-rc.1"),
        ("!=1.x", "2.0.0", "1.5.0"),
        ("1.2 - 1.4.5", "1.4.5", "1.4.6"),
        (">=1.2, <3", "2.9.0", "3.0.0"),
        (">=1.2 <3.0.0 || >= 4.2.3", "4.2.3", "4.2.2"),
        (">=1.2.3-0", "1.3.0-beta", "1.2.2"),
        (">=6.1-0", "6.8.0-45-generic", "6.0.9-1"),
    ],
)
def test_a_constraint_allows_some_versions_and_refuses_others(constraint: str, yes: str, no: str) -> None:
    template = parse_template("{{ semverCompare .c .yes }} {{ semverCompare .c .no }}")
    assert template.render({"c": constraint, "yes": yes, "no": no}) == "true false"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ upper 5 }}", "expected string; found 5"),
        ("{{ upper .m }}", "wrong type for value; expected string; got map[string]interface {}"),
        ('{{ trunc (add 1 1) "abc" }}', "wrong type for value; expected int; got int64"),
        ("{{ keys .l }}", "wrong type for value; expected map[string]interface {}; got []interface {}"),
        ("{{ unixEpoch 1 }}", "expected time.Time; found 1"),
        ("{{ div 1 0 }}", "error calling div: integer divide by zero"),
        ("{{ mod 1 0 }}", "error calling mod: integer divide by zero"),
        ("{{ divf 1 0 }}", "error calling divf: decimal division by 0"),
        ('{{ addf "inf" }}', "error calling addf: cannot calculate with inf"),
        ("{{ round 1 999 }}", "error calling round: cannot round to 999 decimal places"),
        ('{{ repeat -1 "a" }}', "error calling repeat: strings: negative Repeat count"),
        ('{{ substr 5 2 "hello" }}', "error calling substr: slice bounds out of range: 5 to 2 of 5 bytes"),
        ("{{ first 5 }}", "error calling first: cannot find first on type int"),
        ("{{ chunk 0 .l }}", "error calling chunk: cannot make chunks of 0"),
        (
            '{{ dig "x" "y" 1 .m }}',
            "error calling dig: dig needs a map and a string key, but got the types int and string",
        ),
        ('{{ dig "x" }}', "error calling dig: dig needs at least three arguments"),
        ("{{ deepCopy .n }}", "error calling deepCopy: cannot copy nil"),
        ('{{ mustFromJson "[" }}', "error calling mustFromJson: invalid JSON: '['"),
        ('{{ mustFromJson "[NaN]" }}', "error calling mustFromJson: invalid JSON: '[NaN]'"),
        ('{{ mustFromJson "1e999" }}', "error calling mustFromJson: invalid JSON: '1e999'"),
        ('{{ toJson (float64 "nan") }}', "error calling toJson: JSON has no NaN and no infinity"),
        ('{{ regexFind "(" "a" }}', "error calling regexFind: error parsing regexp '(': missing ): ("),
        (
            '{{ mustRegexMatch "(?!a)" "a" }}',
            "error calling mustRegexMatch: error parsing regexp '(?!a)': invalid perl operator: (?!",
        ),
        ('{{ semver "1.2.3.4" }}', "error calling semver: Invalid Semantic Version: '1.2.3.4'"),
        ('{{ semver "1.0.0-01" }}', "error calling semver: Version segment starts with 0: '1.0.0-01'"),
        ('{{ semver "x" }}', "error calling semver: Invalid Semantic Version: 'x'"),
        ('{{ semverCompare ">>1" "1" }}', "error calling semverCompare: improper constraint: '>>1'"),
        ('{{ semverCompare "" "1" }}', "error calling semverCompare: improper constraint: ''"),
        ('{{ (semver "1").Foo }}', "can't evaluate field Foo in type *semver.Version"),
        ('{{ (semver "1").Compare }}', "wrong number of args for Compare: want 1 got 0"),
        ('{{ (semver "1").Compare "1" }}', 'expected *semver.Version; found "1"'),
        (
            '{{ urlParse "http://h:x/" }}',
            "error calling urlParse: unable to parse url 'http://h:x/': invalid host 'h:x'",
        ),
        (
            '{{ urlParse "http://h/%zz" }}',
            "error calling urlParse: unable to parse url 'http://h/%zz': invalid URL escape '%zz'",
        ),
        ('{{ urlParse ":a" }}', "error calling urlParse: unable to parse url ':a': missing protocol scheme"),
        ('{{ urlJoin (dict "host" 1) }}', "error calling urlJoin: host of the URL has the type int. Use a string."),
        ('{{ fail "no such GPU" }}', "error calling fail: no such GPU"),
    ],
)
def test_arguments_that_are_not_valid_are_an_error(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(template).render(DATA)
    assert str(caught.value) == f"line 1: {message}"


@pytest.mark.parametrize("name", SECRETS.split() + CHANGING.split())
def test_unsupported_functions_fail_only_when_they_are_called(name: str) -> None:
    assert parse_template(f'{{{{ if false }}}}{{{{ {name} "a" }}}}{{{{ end }}}}').render({}) == ""
    with pytest.raises(TemplateError, match="are not supported in rules"):
        parse_template(f'{{{{ {name} "a" 1 }}}}').render({})


def test_all_functions_of_go_and_sprig_exist() -> None:
    named = """hello ago date date_in_zone date_modify dateInZone dateModify duration durationRound htmlDate htmlDateInZone
    must_date_modify mustDateModify mustToDate now toDate unixEpoch abbrev abbrevboth trunc trim upper lower title untitle substr
    repeat trimall trimAll trimSuffix trimPrefix nospace initials randAlphaNum randAlpha randAscii randNumeric swapcase shuffle
    snakecase camelcase kebabcase wrap wrapWith contains hasPrefix hasSuffix quote squote cat indent nindent replace plural sha1sum
    sha256sum sha512sum adler32sum toString atoi int64 int float64 seq toDecimal split splitList splitn toStrings until untilStep
    add1 add sub div mod mul randInt add1f addf subf divf mulf biggest max min maxf minf ceil floor round join sortAlpha default
    empty coalesce all any compact mustCompact fromJson toJson toPrettyJson toRawJson mustFromJson mustToJson mustToPrettyJson
    mustToRawJson ternary deepCopy mustDeepCopy typeOf typeIs typeIsLike kindOf kindIs deepEqual base dir clean ext isAbs osBase
    osClean osDir osExt osIsAbs b64enc b64dec b32enc b32dec tuple list dict get set unset hasKey pluck keys pick omit merge
    mergeOverwrite mustMerge mustMergeOverwrite values append prepend first rest last initial reverse uniq without has slice
    mustAppend mustPrepend mustFirst mustRest mustLast mustInitial mustReverse mustUniq mustWithout mustHas mustSlice push mustPush
    concat dig chunk mustChunk bcrypt htpasswd genPrivateKey derivePassword buildCustomCert genCA genCAWithKey genSelfSignedCert
    genSelfSignedCertWithKey genSignedCert genSignedCertWithKey encryptAES decryptAES randBytes uuidv4 semver semverCompare fail
    regexMatch regexFindAll regexFind regexReplaceAll regexReplaceAllLiteral regexSplit mustRegexMatch mustRegexFindAll
    mustRegexFind mustRegexReplaceAll mustRegexReplaceAllLiteral mustRegexSplit regexQuoteMeta urlParse urlJoin
    call not len index slice eq ne lt le gt ge print println printf html js urlquery"""
    assert sorted(FUNCTIONS) == sorted(set(named.split()))


@pytest.mark.parametrize("name", ["env", "expandenv", "getHostByName"])
def test_functions_that_read_the_machine_do_not_exist(name: str) -> None:
    with pytest.raises(TemplateError, match=f'line 1: function "{name}" not defined'):
        parse_template(f'{{{{ {name} "HOME" }}}}')
