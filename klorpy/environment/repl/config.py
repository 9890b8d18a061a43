"""What the user set: `$XDG_CONFIG_HOME/klorpy/config.toml`, and where the history is kept.

    [repl]
    editing = "emacs"          # or "vi"
    auto-close = false         # close brackets and quotes when they are opened
    complete-while-typing = false   # without, Tab opens the menu
    auto-suggest = true        # show the rest of a line from the history
    history = 10000            # inputs that are kept
    welcome = true
    seed = 0
    load = ["~/prelude.hy"]    # files that are loaded at the start

    [style]                    # Pygments' names of tokens, or parts of the screen, with prompt_toolkit's styles
    comment = "italic #888888"

Nothing that stands there can keep the REPL from opening: what is wrong is reported and left out.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

EDITING_MODES: Final = ("emacs", "vi")


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of the table `repl`, and the styles."""

    editing: str = "emacs"
    auto_close: bool = False
    complete_while_typing: bool = False
    auto_suggest: bool = True
    history: int = 10_000
    welcome: bool = True
    seed: int | str = 0
    load: tuple[str, ...] = ()
    style: Mapping[str, str] = field(default_factory=dict)


def config_file(environ: Mapping[str, str]) -> Path:
    """Where the configuration is."""
    return _folder(environ, "XDG_CONFIG_HOME", ".config") / "config.toml"


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where the history, and how far one has come in the tour, is kept."""
    return _folder(environ, "XDG_STATE_HOME", ".local/state")


def _folder(environ: Mapping[str, str], variable: str, default: str) -> Path:
    named = environ.get(variable, "")
    # The specification: a path that is not absolute is to be ignored.
    base = Path(named) if os.path.isabs(named) else Path(environ.get("HOME") or os.path.expanduser("~")) / default
    return base / "klorpy"


def read_config(path: Path) -> tuple[Config, list[str]]:
    """The settings of a file and what is wrong with it, a line each; no file is no settings."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config(), []
    except (OSError, UnicodeDecodeError) as error:
        return Config(), [f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"]
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Config(), [f"{path}: {error}"]
    config, problems = Config(), []
    for name, table in tables.items():
        if name not in ("repl", "style"):
            problems.append(f"{path}: there is no table [{name}]; there are [repl] and [style]")
        elif not isinstance(table, dict):
            problems.append(f"{path}: {name} is a table: write [{name}]")
        elif name == "style":
            wrong = [key for key, value in table.items() if not isinstance(value, str)]
            problems += [f"{path}: the style of {key} is not a text" for key in wrong]
            config = replace(config, style={key: value for key, value in table.items() if key not in wrong})
        else:
            for key, value in table.items():
                try:
                    config = with_setting(config, key, value)
                except ValueError as error:
                    problems.append(f"{path}: {error}")
    return config, problems


def with_setting(config: Config, key: str, value: Any) -> Config:
    """`config` with another value for a setting. Raises ValueError, saying what is wrong."""
    name = key.replace("-", "_")
    names = [f.name for f in fields(Config) if f.name != "style"]
    if name not in names:
        raise ValueError(f"there is no setting {key}; there are {', '.join(n.replace('_', '-') for n in names)}")
    default = getattr(Config(), name)
    if name == "editing":
        if value not in EDITING_MODES:
            raise ValueError(f"editing is {' or '.join(EDITING_MODES)}, not {value!r}")
    elif name == "seed":
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(f"seed is a number or a text, not {value!r}")
    elif name == "load":
        if not isinstance(value, (list, tuple)) or not all(isinstance(file, str) for file in value):
            raise ValueError(f"load is a list of files, not {value!r}")
        value = tuple(value)
    elif type(value) is not type(default) or (name == "history" and value < 0):
        kind = "true or false" if isinstance(default, bool) else "a number that is not negative"
        raise ValueError(f"{key} is {kind}, not {value!r}")
    return replace(config, **{name: value})
