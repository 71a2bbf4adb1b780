"""Times in Go's layouts, durations, and what comes from outside: the clock and random bytes."""

import re

import pytest

from nfd_lite.rules.template import Outside, TemplateError, parse_template

NOON = 1_700_049_600.5  # 2023-11-15 12:00:00.5 UTC
OUTSIDE = Outside(now=lambda: NOON, random_bytes=lambda count: bytes(at * 37 % 256 for at in range(count)))


def render(template: str) -> str:
    return parse_template(template).render({}, outside=OUTSIDE)


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{{ now }}", "2023-11-15 12:00:00.5 +0000 UTC"),
        ('{{ now | date "2006-01-02" }}', "2023-11-15"),
        (
            '{{ date "Mon Monday Jan January _2 2 02 06 2006 1 01 002 __2" 1704067200 }}',
            "Mon Monday Jan January  1 1 01 24 2024 1 01 001   1",
        ),
        ('{{ date "15 3 03 04 4 05 5 PM pm" 1700049605 }}', "12 12 12 00 0 05 5 PM pm"),
        ('{{ date "3:04PM" 0 }} {{ date "Janu Mond" 0 }}', "12:00AM Janu Mond"),
        ('{{ now | date "05.000 05,999 Z07:00 -07:00 -0700 -07 MST" }}', "00.500 00,5 Z +00:00 +0000 +00 UTC"),
        ('{{ date "2006" "no time is now" }}', "2023"),
        ('{{ dateInZone "15:04" 0 "UTC" }}{{ date_in_zone "15:04" 0 "Local" }}', "00:0000:00"),
        ('{{ htmlDate 0 }} {{ htmlDateInZone 0 "UTC" }}', "1970-01-01 1970-01-01"),
        ("{{ unixEpoch now }}", "1700049600"),
        ('{{ toDate "2006-01-02" "2017-12-31" | date "02/01/2006" }}', "31/12/2017"),
        ('{{ toDate "2006-01-02" "nonsense" }}', "0001-01-01 00:00:00 +0000 UTC"),
        (
            '{{ mustToDate "2006-01-02T15:04:05Z07:00" "2006-01-02T15:04:05.123+02:00" }}',
            "2006-01-02 15:04:05.123 +0200 +0200",
        ),
        ('{{ mustToDate "Jan _2 06 3:04PM" "feb  3 24 12:04am" }}', "2024-02-03 00:04:00 +0000 UTC"),
        ('{{ mustToDate "2006 002" "2024 060" }}', "2024-02-29 00:00:00 +0000 UTC"),
        (
            '{{ now | dateModify "-1.5h" | date "15:04" }} {{ now | date_modify "nonsense" | date "15:04" }}',
            "10:30 12:00",
        ),
        (
            '{{ now | mustDateModify "24h" | htmlDate }} {{ now | must_date_modify "1s" | unixEpoch }}',
            "2023-11-16 1700049601",
        ),
        ("{{ ago 1700046000 }} {{ ago now }}", "1h0m1s 0s"),
        ('{{ duration "95" }} {{ duration 3661 }} {{ duration (int64 0) }} {{ duration "x" }}', "1m35s 1h1m1s 0s 0s"),
        ('{{ durationRound "2h10m5s" }} {{ durationRound "2400h10m5s" }} {{ durationRound "1s" }}', "2h 3mo 0s"),
        ('{{ durationRound "-30h" }} {{ durationRound "9000h" }}', "1d 1y"),
    ],
)
def test_dates_read_and_write_as_in_go(template: str, output: str) -> None:
    assert render(template) == output


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ('{{ mustToDate "2006-01-02" "2023-02-30" }}', "parsing time '2023-02-30' as '2006-01-02': it does not fit"),
        ('{{ mustToDate "15:04" "25:00" }}', "parsing time '25:00' as '15:04': it does not fit"),
        ('{{ now | mustDateModify "1d" }}', "time: invalid duration '1d'"),
        (
            '{{ dateInZone "15" 0 "Europe/Berlin" }}',
            "time zone 'Europe/Berlin' is not known here: write UTC or Local, which is UTC",
        ),
        ('{{ date "2006" 999999999999999 }}', "a time is outside the years 1 to 9999"),
        ("{{ randInt 5 5 }}", "there is no number from 5 on below 5"),
        ("{{ randAlpha -1 }}", "cannot make -2 random bytes"),
    ],
)
def test_what_is_no_date_is_an_error_that_says_so(template: str, message: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(message)):
        render(template)


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("{{ randAlphaNum 20 }}", "[A-Za-z0-9]{20}"),
        ("{{ randAlpha 20 }}", "[A-Za-z]{20}"),
        ("{{ randNumeric 20 }}", "[0-9]{20}"),
        ("{{ randAscii 20 }}", "[ -~]{20}"),
        ("{{ randBytes 3 }}", "[A-Za-z0-9+/]{4}"),
        ("{{ randInt 12 30 }}", "1[2-9]|2[0-9]"),
        ('{{ shuffle "hello" }}', "[ehlo]{5}"),
        ("{{ uuidv4 }}", "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    ],
)
def test_random_values_come_from_the_random_bytes_outside(template: str, pattern: str) -> None:
    assert re.fullmatch(pattern, render(template))


@pytest.mark.parametrize("template", ["{{ now }}", "{{ ago 0 }}", "{{ uuidv4 }}", '{{ shuffle "ab" }}'])
def test_without_an_outside_asking_for_it_is_an_error(template: str) -> None:
    with pytest.raises(TemplateError, match="here"):
        parse_template(template).render({})
