"""What the tracker is told of a version."""

from inseam.stages.train.track import git_tags


def test_outside_of_a_repository_nothing_is_said_of_one():
    assert git_tags({"commit": None, "is_dirty": None}) == {}
    assert git_tags({"commit": "abc", "is_dirty": False}) == {"git_commit": "abc", "git_is_dirty": "False"}
