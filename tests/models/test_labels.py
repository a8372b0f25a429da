import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.labels import Labels, Matcher, parse_selector, quote


def test_label_sets_are_equal_whatever_the_order_and_without_empty_values():
    assert Labels({"b": "2", "a": "1", "c": ""}) == Labels({"a": "1", "b": "2"})
    assert hash(Labels({"b": "2", "a": "1"})) == hash(Labels({"a": "1", "b": "2"}))


def test_the_fingerprint_never_changes():
    assert Labels({"__name__": "up", "job": "node"}).fingerprint == "856a7e37aa07457b"


def test_labels_print_as_promql_writes_them():
    assert str(Labels({"__name__": "up", "job": 'a"b\n'})) == 'up{job="a\\"b\\n"}'


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("up", {"__name__": "up"}, True),
        ("up", {"__name__": "upper"}, False),
        ('{job="node"}', {"job": "node"}, True),
        ('{job!="node"}', {}, True),
        ('{job=~"no.e|x"}', {"job": "node"}, True),
        ('{job=~"no"}', {"job": "node"}, False),
        ('{job!~"no.*"}', {"job": "node"}, False),
        ("up{a='1', b=\"2\",}", {"__name__": "up", "a": "1", "b": "2"}, True),
        ('{a="x\\"y"}', {"a": 'x"y'}, True),
    ],
)
def test_selectors_select_as_in_promql(selector, labels, expected):
    assert parse_selector(selector).matches(labels) is expected


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("", "selects everything"),
        ("{}", "selects everything"),
        ("up[5m]", "is not a selector"),
        ('{job="a" b="c"}', "expected a comma"),
        ("{job=a}", "expected label="),
        ('{job=~"("}', "regular expression"),
    ],
)
def test_what_is_no_selector_is_refused_with_its_place(selector, words):
    with pytest.raises(ValueError, match=words):
        parse_selector(selector)


@given(st.text())
def test_quoted_values_are_read_back(value):
    if value:
        assert parse_selector(f"{{a={quote(value)}}}").matchers == (Matcher("a", "=", value),)
