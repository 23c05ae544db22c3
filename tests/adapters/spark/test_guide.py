"""The guide, followed in a process of its own, as a reader would."""

import re
import subprocess
import sys
from pathlib import Path

_GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "spark.md"


def test_the_guide_prints_what_it_says(tmp_path: Path) -> None:
    snippet, printed = re.findall(
        r"^```(?:python|text)\n(.*?)^```$", _GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "snippet.py").write_text(snippet, encoding="utf-8")
    words = [sys.executable, "snippet.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed
    # Spark is quiet: what it says is what Java says before Spark can be told.
    assert [line for line in done.stderr.splitlines() if " WARN " in line or " ERROR " in line] == []
    assert not list((tmp_path / "staging").glob("spark-*"))
