"""The default namespace of keys."""

from nfd_lite.label_keys import PREFIX, qualify_keys


def test_keys_without_a_namespace_get_the_default_namespace() -> None:
    assert qualify_keys({"b": "1", "vendor.io/a": "2"}) == {f"{PREFIX}b": "1", "vendor.io/a": "2"}


def test_a_key_with_the_default_namespace_takes_precedence() -> None:
    for values in ({"a": "1", f"{PREFIX}a": "2"}, {f"{PREFIX}a": "2", "a": "1"}):
        assert qualify_keys(values) == {f"{PREFIX}a": "2"}
