import asyncio

from prometheus_client.parser import text_string_to_metric_families

from aiops.sinks.exporter import Exporter
from models.labels import Labels
from models.settings import Limits
from tests.aiops.test_decide import CALM
from tests.batches import sample_batch, stream

SERIES = Labels({"__name__": "up", "path": 'a"b\\', "for": "x", "odd-name": "y"})


def page(exporter):
    return bytes(asyncio.run(exporter.render())).decode()


def test_the_page_is_this_text():
    model = {"kind": "mad", "window": "30s", "warmup": 5, "precision": "double"}
    made, exporter = stream(model=model), Exporter()
    for step, value in enumerate([*CALM, 20.0], start=1):
        exporter.take(made.step(sample_batch({SERIES: {step * 1000: value}}, 0, step * 1000), 0))
    labels = '{exported_for="x",for="shop",model_alias="mad",odd_name="y",path="a\\"b\\\\"}'
    assert page(exporter) == (
        "# HELP anomaly_score 0 at the expected value, 1 at the edge of the band, above 1 anomalous.\n"
        "# TYPE anomaly_score gauge\n"
        f"anomaly_score{labels} 6.744907594765977\n"
        "# HELP y Observed value.\n# TYPE y gauge\n"
        f"y{labels} 20\n"
        "# HELP yhat Expected value.\n# TYPE yhat gauge\n"
        f"yhat{labels} 10\n"
        "# HELP yhat_lower Lower edge of the band.\n# TYPE yhat_lower gauge\n"
        f"yhat_lower{labels} 8.517400000000006\n"
        "# HELP yhat_upper Upper edge of the band.\n# TYPE yhat_upper gauge\n"
        f"yhat_upper{labels} 11.482599999999994\n"
    )


def samples(text):
    return {
        (sample.name, sample.labels["series"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_has_no_judgement_shows_its_value_alone_and_history_is_not_shown():
    made, exporter = stream(live_after_ms=1000), Exporter()
    exporter.take(made.step(sample_batch({"a": {1000: 1.0}}, 0, 1000), 0))
    assert samples(page(exporter)) == {}
    exporter.take(made.step(sample_batch({"a": {2000: 2.0}}, 0, 2000), 0))
    assert samples(page(exporter)) == {("y", "a"): 2.0}


def test_infinite_values_are_written_as_prometheus_writes_them():
    made, exporter = stream(), Exporter()
    both = {"a": {1000: float("inf")}, "b": {1000: -float("inf")}, "c": {1000: 1e300}}
    exporter.take(made.step(sample_batch(both, 0, 1000), 0))
    assert [line.split()[-1] for line in page(exporter).splitlines() if line.startswith("y{")] == [
        "+Inf", "-Inf", "1e+300",
    ]  # fmt: skip


def test_a_series_that_ended_is_shown_no_more_and_may_return():
    made, exporter = stream(limits=Limits(series_stale=5_000)), Exporter()
    for step in range(1, 30):
        present = {"b": {step * 1000: 1.0}} | ({"a": {step * 1000: 1.0}} if step < 3 else {})
        exporter.take(made.step(sample_batch(present, step * 1000, step * 1000), 0))
    assert {series for _, series in samples(page(exporter))} == {"b"}
    exporter.take(made.step(sample_batch({"a": {30_000: 4.0}}, 30_000, 30_000), 0))
    assert samples(page(exporter))["y", "a"] == 4.0
    exporter.end("shop", 31_000)
    assert samples(page(exporter)) == {}
