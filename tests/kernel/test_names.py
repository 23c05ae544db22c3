"""References and misspelt names."""

import pytest

from inseam.kernel.names import Ref, did_you_mean, is_name


@pytest.mark.parametrize("text", ["a", "spend_30d", "x" * 63])
def test_names(text: str):
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "A", "1a", "_a", "a-b", "a b", "a\n", "é", "x" * 64])
def test_what_is_no_name(text: str):
    assert not is_name(text)


def test_the_nearest_name_is_suggested():
    assert did_you_mean("amont", ["amount", "price"]) == "did you mean 'amount'?"
    assert did_you_mean("zzz", ["b", "a"]) == "one of: a, b"
    assert did_you_mean("zzz", []) == "none is declared yet"


@pytest.mark.parametrize("text", ["feature_view:spend", "model:lapse@3"])
def test_references_are_read_back_as_written(text: str):
    assert str(Ref.parse(text)) == text


@pytest.mark.parametrize("text", ["spend", ":spend", "feature_view:", ""])
def test_what_is_no_reference(text: str):
    with pytest.raises(ValueError, match="is not a reference"):
        Ref.parse(text)
