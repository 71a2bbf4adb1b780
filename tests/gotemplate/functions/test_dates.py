"""Times in Go's layouts, and durations."""

import re

import pytest

from gotemplate.errors import TemplateError
from gotemplate.template import parse_template

NOON = '{{ $now := mustToDate "2006-01-02 15:04:05" "2023-11-15 12:00:00.5" }}'


def render(template: str) -> str:
    return parse_template(NOON + template).render({})


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{{ $now }}", "2023-11-15 12:00:00.5 +0000 UTC"),
        ('{{ $now | date "2006-01-02" }}', "2023-11-15"),
        (
            '{{ date "Mon Monday Jan January _2 2 02 06 2006 1 01 002 __2" 1704067200 }}',
            "Mon Monday Jan January  1 1 01 24 2024 1 01 001   1",
        ),
        ('{{ date "15 3 03 04 4 05 5 PM pm" 1700049605 }}', "12 12 12 00 0 05 5 PM pm"),
        ('{{ date "3:04PM" 0 }} {{ date "Janu Mond" 0 }}', "12:00AM Janu Mond"),
        ('{{ $now | date "05.000 05,999 Z07:00 -07:00 -0700 -07 MST" }}', "00.500 00,5 Z +00:00 +0000 +00 UTC"),
        ('{{ dateInZone "15:04" 0 "UTC" }}{{ date_in_zone "15:04" 0 "Local" }}', "00:0000:00"),
        ('{{ htmlDate 0 }} {{ htmlDateInZone 0 "UTC" }}', "1970-01-01 1970-01-01"),
        ("{{ unixEpoch $now }}", "1700049600"),
        ('{{ toDate "2006-01-02" "2017-12-31" | date "02/01/2006" }}', "31/12/2017"),
        ('{{ toDate "2006-01-02" "nonsense" }}', "0001-01-01 00:00:00 +0000 UTC"),
        (
            '{{ mustToDate "2006-01-02T15:04:05Z07:00" "2006-01-02T15:04:05.123+02:00" }}',
            "2006-01-02 15:04:05.123 +0200 +0200",
        ),
        ('{{ mustToDate "Jan _2 06 3:04PM" "feb  3 24 12:04am" }}', "2024-02-03 00:04:00 +0000 UTC"),
        ('{{ mustToDate "2006 002" "2024 060" }}', "2024-02-29 00:00:00 +0000 UTC"),
        (
            '{{ $now | dateModify "-1.5h" | date "15:04" }} {{ $now | date_modify "nonsense" | date "15:04" }}',
            "10:30 12:00",
        ),
        (
            '{{ $now | mustDateModify "24h" | htmlDate }} {{ $now | must_date_modify "1s" | unixEpoch }}',
            "2023-11-16 1700049601",
        ),
        ('{{ duration "95" }} {{ duration 3661 }} {{ duration (int64 0) }} {{ duration "x" }}', "1m35s 1h1m1s 0s 0s"),
        ('{{ durationRound "2h10m5s" }} {{ durationRound "2400h10m5s" }} {{ durationRound "1s" }}', "2h 3mo 0s"),
        ('{{ durationRound "-30h" }} {{ durationRound "9000h" }}', "1d 1y"),
    ],
)
def test_times_are_parsed_and_formatted_as_in_go(template: str, output: str) -> None:
    assert render(template) == output


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            '{{ mustToDate "2006-01-02" "2023-02-30" }}',
            "parsing time '2023-02-30' as '2006-01-02': the text does not match the layout",
        ),
        ('{{ mustToDate "15:04" "25:00" }}', "parsing time '25:00' as '15:04': the text does not match the layout"),
        ('{{ $now | mustDateModify "1d" }}', "time: invalid duration '1d'"),
        (
            '{{ dateInZone "15" 0 "Europe/Berlin" }}',
            "time zone 'Europe/Berlin' is not supported. Use UTC, or Local, which is UTC.",
        ),
        ('{{ date "2006" "x" }}', "string is not a time. Use a time or a number of seconds since 1970."),
        ("{{ durationRound $now }}", "the duration since a time is not supported. Use a duration."),
        ('{{ date "2006" 999999999999999 }}', "a time is outside the years 1 to 9999"),
    ],
)
def test_times_that_are_not_valid_are_an_error(template: str, message: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(message)):
        render(template)
