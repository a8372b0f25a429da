import pytest

from models.errors import InvalidInput
from models.secrets import Secret
from models.source import Http
from models.validation import parse


def test_a_secret_is_read_anew_at_every_use(tmp_path):
    file = tmp_path / "token"
    secret = Secret(file=str(file))
    with pytest.raises(InvalidInput, match="cannot be read"):
        secret.read()
    file.write_text("one\n")
    assert secret.read() == "one"
    file.write_text("two\n")
    assert secret.read() == "two"


def test_a_secret_comes_from_the_environment(monkeypatch):
    with pytest.raises(InvalidInput, match="'TOKEN_OF_TEST' is not set"):
        Secret(env="TOKEN_OF_TEST").read()
    monkeypatch.setenv("TOKEN_OF_TEST", "three")
    assert Secret(env="TOKEN_OF_TEST").read() == "three"
    assert "three" not in f"{Secret(env='TOKEN_OF_TEST')} {Secret(env='TOKEN_OF_TEST')!r}"


@pytest.mark.parametrize("wrong", [{}, {"file": "a", "env": "B"}, "hunter2"])
def test_a_secret_stands_in_one_place_and_never_in_the_file(wrong):
    with pytest.raises(InvalidInput) as caught:
        parse(Http, {"bearer_token": wrong})
    assert "hunter2" not in caught.value.detail
