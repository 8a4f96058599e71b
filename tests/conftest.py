"""Fixtures that several test files share."""

from __future__ import annotations

import pytest

from saliency_bench import cli


@pytest.fixture
def type_(monkeypatch, capsys):
    """Type a command: returns (exit code, stdout, stderr)."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["saliency-bench", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        out, err = capsys.readouterr()
        return int(done.value.code or 0), out, err

    return run
