"""Templates as in NodeFeatureRules, with the data that a rule receives."""

from typing import Any

import pytest

from gotemplate.errors import TemplateError
from gotemplate.template import parse_template

DATA: dict[str, Any] = {
    "pci": {
        "device": [
            {"class": "0300", "vendor": "10de", "device": "2330", "subsystem_vendor": "10de"},
            {"class": "0200", "vendor": "8086", "device": "1592", "subsystem_vendor": "8086"},
        ]
    },
    "cpu": {"cpuid": [{"Name": "AVX"}, {"Name": "AVX512F"}], "model": [{"Name": "family", "Value": "6"}]},
    "memory": {"numa": [{"Name": "node_count", "Value": "2"}]},
    "system": {"osrelease": [{"Name": "ID", "Value": "ubuntu"}, {"Name": "VERSION_ID", "Value": "22.04"}]},
    "kernel": {"version": [{"Name": "full", "Value": "6.8.0-45-generic"}, {"Name": "major", "Value": "6"}]},
    "rule": {"matched": []},
}


@pytest.mark.parametrize(
    ("template", "output"),
    [
        (
            "{{ range .pci.device }}vendor-{{ .class }}-{{ .device }}.present=true\n{{ end }}",
            "vendor-0300-2330.present=true\nvendor-0200-1592.present=true\n",
        ),
        (
            "{{ range .pci.device }}\nvendor.io/pci-{{ .class }}-{{ .vendor }}={{ .subsystem_vendor | upper }}\n{{- end }}",
            "\nvendor.io/pci-0300-10de=10DE\nvendor.io/pci-0200-8086=8086",
        ),
        ("gpu.count={{ len .pci.device }}", "gpu.count=2"),
        ("numa={{ (index .memory.numa 0).Value }}", "numa=2"),
        ('{{ range .system.osrelease }}{{ if eq .Name "ID" }}os={{ .Value }}{{ end }}{{ end }}', "os=ubuntu"),
        (
            "{{ range .system.osrelease }}{{ .Name | lower }}={{ .Value | replace `.` `-` }}\n{{ end }}",
            "id=ubuntu\nversion_id=22-04\n",
        ),
        ("{{ range $i, $e := .cpu.cpuid }}{{ if $i }},{{ end }}{{ $i }}:{{ $e.Name }}{{ end }}", "0:AVX,1:AVX512F"),
        (
            '{{ range .cpu.cpuid }}{{ printf "cpu-%s=%t\\n" .Name (hasPrefix "AVX512" .Name) }}{{ end }}',
            "cpu-AVX=false\ncpu-AVX512F=true\n",
        ),
        ("{{ with index .cpu.model 0 }}{{ .Name }}={{ .Value }}{{ end }}", "family=6"),
        ("{{- /* labels */ -}}\n{{- $n := len .pci.device -}}\nhas-many={{ gt $n 1 }}\n", "has-many=true\n"),
        (
            "{{ $v := dict }}{{ range .kernel.version }}{{ $_ := set $v .Name .Value }}{{ end }}{{ $v.full | trunc 5 }}",
            "6.8.0",
        ),
        ('new={{ semverCompare ">=6.1-0" (index .kernel.version 0).Value }}', "new=true"),
        ('{{ regexReplaceAll "[^A-Za-z0-9]+" (index .kernel.version 0).Value "_" }}', "6_8_0_45_generic"),
        ("{{ range .rule.matched }}{{ .Name }}{{ else }}none=true{{ end }}", "none=true"),
        (
            '{{ define "l" }}{{ .vendor }}={{ .device }};{{ end }}{{ range .pci.device }}{{ template "l" . }}{{ end }}',
            "10de=2330;8086=1592;",
        ),
        ('[{{ index (index .pci.device 0) "serial" }}]', "[]"),
        ("{{ (first .pci.device).vendor }}-{{ pluck `vendor` (first .pci.device) | join `.` }}", "10de-10de"),
        ("total={{ add (len .pci.device) (atoi (index .memory.numa 0).Value) }}", "total=4"),
    ],
)
def test_a_template_of_a_rule_renders(template: str, output: str) -> None:
    assert parse_template(template).render(DATA) == output


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ range .pci.device }}\n{{ .serial }}\n{{ end }}", 'line 2: map has no entry for key "serial"'),
        ("a=b\n{{ .system.osRelease }}", 'line 2: map has no entry for key "osRelease"'),
        ("{{ .usb.device }}", 'line 1: map has no entry for key "usb"'),
        ("\n\n{{ (index .memory.numa 3).Value }}", "line 3: error calling index: index out of range: 3"),
        ("{{ if false }}{{ else if\n.nothing }}{{ end }}", 'line 2: map has no entry for key "nothing"'),
        (
            '{{ define "l" }}\n{{ .nothing }}{{ end }}\n{{ template "l" . }}',
            'line 2: map has no entry for key "nothing"',
        ),
    ],
)
def test_a_missing_key_or_element_is_an_error_with_the_line(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(template).render(DATA)
    assert str(caught.value) == message
