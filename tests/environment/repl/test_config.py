from __future__ import annotations

from pathlib import Path

import pytest

from klorpy.environment.repl.config import Config, config_file, read_config, state_folder
from klorpy.environment.repl.prompt import prompt_style


def test_folders_follow_xdg() -> None:
    environ = {"HOME": "/home/ada", "XDG_CONFIG_HOME": "/etc/ada", "XDG_STATE_HOME": "not/absolute"}
    assert config_file(environ) == Path("/etc/ada/klorpy/config.toml")
    assert state_folder(environ) == Path("/home/ada/.local/state/klorpy")
    assert config_file({"HOME": "/home/ada"}) == Path("/home/ada/.config/klorpy/config.toml")


def test_no_file_is_no_settings(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none") == (Config(), [])


def test_settings(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("""
[repl]
editing = "vi"
auto-close = true
complete-while-typing = true
auto-suggest = false
history = 5
welcome = false
seed = 7
load = ["a.hy"]
[style]
comment = "italic"
""")
    config, problems = read_config(file)
    assert problems == []
    assert config == Config("vi", True, True, False, 5, False, 7, ("a.hy",), {"comment": "italic"})


@pytest.mark.parametrize(("text", "problem"), [
    ('[repl]\nediting = "ed"', "editing is emacs or vi, not 'ed'"),
    ("[repl]\nauto-close = 1", "auto-close is true or false, not 1"),
    ("[repl]\nhistory = -1", "history is a number that is not negative, not -1"),
    ("[repl]\nhistory = true", "history is a number that is not negative, not True"),
    ("[repl]\nseed = true", "seed is a number or a text, not True"),
    ('[repl]\nload = "a"', "load is a list of files, not 'a'"),
    ("[repl]\ncolour = 1", "there is no setting colour; there are editing,"),
    ("[repl]\nstyle = 1", "there is no setting style;"),
    ("[colours]", "there is no table [colours]; there are [repl] and [style]"),
    ("repl = 1", "repl is a table: write [repl]"),
    ("[style]\ncomment = 1", "the style of comment is not a text"),
    ("[repl", "Expected ']'"),
])  # fmt: skip
def test_what_is_wrong_is_reported_and_the_rest_holds(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "config.toml"
    rest = text.startswith("[repl]")
    file.write_text(text + ("\nwelcome = false" if rest else ""))
    config, problems = read_config(file)
    assert len(problems) == 1
    assert problems[0].startswith(f"{file}: ")
    assert problem in problems[0]
    assert config.welcome is not rest


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff")
    for path in (tmp_path, tmp_path / "config.toml"):
        config, (problem,) = read_config(path)
        assert config == Config()
        assert problem.startswith(f"{path}: cannot be read")


def test_styles() -> None:
    style, problems = prompt_style({"comment": "italic #888888", "bottom-toolbar": "reverse", "keyword": "nonsense of a style"})
    assert style.get_attrs_for_style_str("class:pygments.comment").color == "888888"
    assert style.get_attrs_for_style_str("class:bottom-toolbar").reverse
    assert style.get_attrs_for_style_str("class:pygments.keyword").bold
    (problem,) = problems
    assert problem.startswith("the style of keyword is none")
