"""Errors say what, where, what was expected and how to mend it, one or many at once."""

import pickle

import msgspec

from inseam.kernel.errors import DefinitionError, ExtraMissingError, InseamError, Place, Problem


def test_an_error_tells_all_that_it_knows():
    error = DefinitionError("source:orders", "no timestamp", expected="one", mend="add it", place=Place("shop.py", 7))
    for part in ("source:orders", "no timestamp", "shop.py:7", "one", "add it", "definition"):
        assert part in str(error)


def test_many_problems_make_one_error():
    problems = [Problem("a", "source:one", "this"), Problem("b", "source:two", "that")]
    error = DefinitionError.of(problems)
    assert error.problems == tuple(problems)
    assert "source:one" in str(error)
    assert "source:two" in str(error)


def test_errors_cross_processes_whole():
    error = DefinitionError("x", "y", mend="z", place=Place("f.py", 1))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is DefinitionError
    assert again.problems == error.problems
    assert str(again) == str(error)


def test_problems_are_plain_data():
    problem = Problem("a", "b", "c", place=Place("f.py", 3))
    assert msgspec.json.decode(msgspec.json.encode(problem.as_dict()))["place"] == {"file": "f.py", "line": 3}


def test_codes_and_exit_codes_are_one_a_kind():
    kinds = InseamError.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert len({kind.exit_code for kind in kinds} | {0, 1}) == len(kinds) + 2


def test_a_missing_library_names_its_extra():
    assert "pip install 'inseam[ml]'" in str(ExtraMissingError.for_library("sklearn", "ml"))
