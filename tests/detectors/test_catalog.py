import pytest

from detectors import catalog
from detectors.catalog import kinds
from detectors.mad import Mad


def test_each_kind_stands_in_the_file_of_its_name():
    for name, kind in kinds().items():
        assert kind.kind == name
        assert kind.__module__ == f"detectors.{name}"
        assert kind.__name__.lower() == name.replace("_", "")
        assert kind.Params.__doc__


def test_every_parameter_is_documented():
    from pydantic import TypeAdapter

    for kind in kinds().values():
        schema = TypeAdapter(kind.Params).json_schema()
        assert all("description" in p and "default" in p for p in schema["properties"].values())


class _Claim:
    @staticmethod
    def load():
        return type("Other", (Mad,), {})


def test_two_classes_cannot_claim_one_kind(monkeypatch):
    monkeypatch.setattr(catalog, "entry_points", lambda group: [_Claim])
    with pytest.raises(ValueError, match="kind 'mad' is claimed by"):
        kinds.__wrapped__()
