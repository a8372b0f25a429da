import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.queries import build_query, check_promql
from ingest.received_lines import parse_line_query
from models.errors import InvalidInput, QueryRejected
from models.labels import parse_selector
from models.query import QueryParts
from models.validation import parse


@pytest.mark.parametrize(
    ("parts", "query"),
    [
        ({"metric": "up"}, "up"),
        ({"metric": "up", "where": [{"label": "job", "value": 'a"b\\'}]}, 'up{job="a\\"b\\\\"}'),
        ({"metric": "http.requests"}, '{__name__="http.requests"}'),
        (
            {"metric": "x_total", "over_time": "rate", "window": "1m", "aggregate": "sum", "by": ["a", "b"]},
            "sum by (a, b) (rate(x_total[1m]))",
        ),
        (
            {"metric": "x", "over_time": "quantile", "quantile": 0.9, "aggregate": "quantile"},
            "quantile (0.9, quantile_over_time(0.9, x[5m]))",
        ),
        (
            {"language": "logql", "where": [{"label": "app", "operator": "=~", "value": "a.+"}], "contains": ["x y"]},
            '{app=~"a.+"} |= "x y"',
        ),
        (
            {
                "language": "logql", "where": [{"label": "app", "value": "a"}], "over_time": "avg",
                "unwrap": "took", "window": "2m", "aggregate": "max", "by": ["pod"],
            },
            'max by (pod) (avg_over_time({app="a"} | unwrap took [2m]))',
        ),
    ],
)  # fmt: skip
def test_queries_are_built_from_their_parts(parts, query):
    assert build_query(parse(QueryParts, {"language": "promql"} | parts)) == query


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "name a metric"),
        ({"where": [{"label": "a", "operator": "=~", "value": ".*"}]}, "empty text"),
        ({"where": [{"label": "a-b", "value": "x"}]}, "no label name"),
        ({"where": [{"label": "a", "operator": "=~", "value": "("}]}, "regular expression"),
        ({"metric": "x", "contains": ["y"]}, "are for LogQL"),
        ({"metric": "x", "by": ["a b"]}, "no label name"),
        (
            {"language": "logql", "metric": "x", "where": [{"label": "a", "value": "b"}]},
            "no metric",
        ),
        (
            {"language": "logql", "where": [{"label": "a", "value": "b"}], "aggregate": "sum"},
            "over_time",
        ),
        (
            {"language": "logql", "where": [{"label": "a", "value": "b"}], "over_time": "avg"},
            "unwrap",
        ),
        (
            {"language": "logql", "where": [{"label": "a", "value": "b"}], "over_time": "delta"},
            "LogQL has no",
        ),
    ],
)
def test_parts_that_make_no_query_are_refused(parts, words):
    with pytest.raises(InvalidInput, match=words):
        parse(QueryParts, {"language": "promql"} | parts)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(max_examples=300)
@given(
    metric=st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:.-]{0,8}", fullmatch=True),
    values=st.lists(texts, max_size=3),
    over_time=st.sampled_from([None, "rate", "avg", "quantile", "count"]),
    aggregate=st.sampled_from([None, "sum", "quantile", "stddev"]),
)
def test_whatever_the_values_the_query_is_valid_and_selects_them(
    metric, values, over_time, aggregate
):
    where = [{"label": f"l{k}", "value": value} for k, value in enumerate(values)]
    parts = {"metric": metric, "where": where, "over_time": over_time, "aggregate": aggregate}
    query = build_query(parse(QueryParts, {"language": "promql"} | parts))
    promql_parser.parse(query)
    plain = build_query(parse(QueryParts, {"language": "promql", "metric": metric, "where": where}))
    labels = {"__name__": metric} | {f"l{k}": value for k, value in enumerate(values)}
    assert parse_selector(plain).matches(labels)
    lines = build_query(
        parse(
            QueryParts,
            {
                "language": "logql",
                "where": [{"label": "a", "value": "b"}, *where],
                "contains": values,
            },
        )
    )
    assert len(parse_line_query(lines).filters) == len(values)


def test_what_is_no_promql_is_told_in_the_parsers_words():
    with pytest.raises(QueryRejected, match="sum"):
        check_promql("sum(")
