"""The line where choreographies are typed: keys, colours, brackets, the toolbar. It knows no more than to give a text.

Enter asks the session whether the text is complete; what is not goes on in a new line, indented as Lisp is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory, ThreadedAutoSuggest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import (
    Condition,
    Filter,
    completion_is_selected,
    emacs_insert_mode,
    has_completions,
    has_focus,
    has_selection,
    is_searching,
    vi_insert_mode,
    vi_navigation_mode,
)
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.output import ColorDepth, Output

from klorpy.environment.repl.completion import SessionCompleter
from klorpy.environment.repl.config import Config
from klorpy.environment.repl.indent import indentation, inside_text, next_form, partner, previous_form, reindented
from klorpy.environment.repl.style import PromptLexer, prompt_style
from klorpy.environment.session import Session, Status

PROMPT: Final = "klor> "
_PAIRS: Final = {"(": ")", "[": "]", "{": "}", '"': '"'}
_MODES: Final = {
    InputMode.INSERT: "insert", InputMode.NAVIGATION: "normal", InputMode.REPLACE: "replace",
    InputMode.REPLACE_SINGLE: "replace", InputMode.INSERT_MULTIPLE: "insert",
}  # fmt: skip


class Prompt(PromptSession[str]):
    """A prompt for `session`. `config` is what it starts with; `editing_mode` and `auto_close` may change later."""

    def __init__(
        self,
        session: Session,
        config: Config,
        *,
        commands: Mapping[str, str],
        history: History,
        colour: bool,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self.session = session
        self.auto_close = config.auto_close
        style, self.problems = prompt_style(config.style)
        super().__init__(
            [("class:prompt", PROMPT)],
            multiline=True,
            prompt_continuation=[("class:prompt.continuation", " " * len(PROMPT))],
            editing_mode=EditingMode.VI if config.editing == "vi" else EditingMode.EMACS,
            lexer=PromptLexer(),
            completer=SessionCompleter(session, commands),
            complete_in_thread=True,
            complete_while_typing=config.complete_while_typing,
            # The two exclude each other: the arrows move in the menu.
            enable_history_search=not config.complete_while_typing,
            auto_suggest=ThreadedAutoSuggest(AutoSuggestFromHistory()) if config.auto_suggest else None,
            history=history,
            search_ignore_case=True,
            style=style,
            include_default_pygments_style=False,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            input_processors=[BracketProcessor()],
            key_bindings=_bindings(self),
            bottom_toolbar=self._toolbar,
            enable_open_in_editor=True,
            tempfile_suffix=".hy",
            input=input,
            output=output,
        )

    def _get_default_buffer_control_height(self):  # type: ignore[no-untyped-def]
        """Room for the menu only while it is there: else the toolbar would stand eight lines below."""
        height = super()._get_default_buffer_control_height()
        if self.default_buffer.complete_state is None:
            height.min = 0
        return height

    def use_mode(self, name: str) -> None:
        """Edit as in "emacs" or "vi"."""
        self.editing_mode = EditingMode.VI if name == "vi" else EditingMode.EMACS

    @property
    def mode(self) -> str:
        return "vi" if self.editing_mode == EditingMode.VI else "emacs"

    def _toolbar(self) -> StyleAndTextTuples:
        session = self.session
        mode = self.mode
        if mode == "vi":
            mode += f" {_MODES[get_app().vi_state.input_mode]}"
        told = [session.module.__name__, f"seed {session.seed}", *_options(session.options), mode]
        return [("", " " * len(PROMPT) + " · ".join(told) + " · Tab completes, ,help explains")]


def _options(options: Mapping[str, object]) -> list[str]:
    """Options that are not as they are by default."""
    found = []
    for key, value in options.items():
        if isinstance(value, Mapping):
            found += _options(value)
        elif value is not False:
            found.append(f"{key}" if value is True else f"{key} {value}")
    return found


class BracketProcessor(Processor):
    """Marks the bracket at the cursor, or before it, and the one that belongs to it."""

    def __init__(self) -> None:
        self._known: tuple[str, int] | None = None
        self._places: tuple[tuple[int, int], ...] = ()

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        document = transformation_input.document
        fragments = transformation_input.fragments
        if get_app().is_done:
            return Transformation(fragments)
        key = (document.text, document.cursor_position)
        if key != self._known:
            self._known, self._places = key, _to_mark(document)
        for row, column in self._places:
            if row == transformation_input.lineno:
                fragments = explode_text_fragments(fragments)
                place = transformation_input.source_to_display(column)
                style, text, *_ = fragments[place]
                fragments[place] = (f"{style} class:matching-bracket", text)
        return Transformation(fragments)


def _to_mark(document: Document) -> tuple[tuple[int, int], ...]:
    text, cursor = document.text, document.cursor_position
    for position in (cursor, cursor - 1):
        if text[position : position + 1] in (*"([{",) if position == cursor else text[position : position + 1] in (*")]}",):
            other = partner(text, position)
            if other is not None:
                if text[other] == "#":
                    other += 1
                return (document.translate_index_to_position(position), document.translate_index_to_position(other))
    return ()


# --- Keys -------------------------------------------------------------------------------------------------------------


def _bindings(prompt: Prompt) -> KeyBindings:
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER) & ~is_searching
    inserting = typing & (emacs_insert_mode | vi_insert_mode)
    closing = inserting & Condition(lambda: prompt.auto_close) & ~has_selection

    @keys.add("enter", filter=typing & completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @keys.add("enter", filter=(inserting | (typing & vi_navigation_mode)) & ~completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        enter(event.current_buffer, prompt.session.status)

    @keys.add("escape", "enter", filter=inserting)
    def _(event: KeyPressEvent) -> None:
        new_line(event.current_buffer)

    @keys.add("tab", filter=inserting & Condition(lambda: _only_space_before(get_app().current_buffer)))
    def _(event: KeyPressEvent) -> None:
        indent_line(event.current_buffer)

    @keys.add("escape", "q", filter=typing & emacs_insert_mode)
    def _(event: KeyPressEvent) -> None:
        indent_all(event.current_buffer)

    @keys.add("escape", "c-f", filter=inserting)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        buffer.cursor_position = next_form(buffer.text, buffer.cursor_position)

    @keys.add("escape", "c-b", filter=inserting)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        buffer.cursor_position = previous_form(buffer.text, buffer.cursor_position)

    @keys.add("escape", "c-k", filter=inserting)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        event.app.clipboard.set_text(buffer.delete(next_form(buffer.text, buffer.cursor_position) - buffer.cursor_position))

    @keys.add("f4")
    def _(event: KeyPressEvent) -> None:
        prompt.use_mode("emacs" if prompt.mode == "vi" else "vi")

    @keys.add("escape", filter=typing & has_completions & emacs_insert_mode, eager=False)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.cancel_completion()

    for opener, closer in _PAIRS.items():
        _add_pair(keys, opener, closer, closing)

    @keys.add("backspace", filter=closing & Condition(lambda: _between_pair(get_app().current_buffer.document)))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.delete()
        event.current_buffer.delete_before_cursor()

    return keys


def _add_pair(keys: KeyBindings, opener: str, closer: str, closing: Filter) -> None:
    if opener != closer:

        @keys.add(opener, filter=closing)
        def open_(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            buffer.insert_text(opener)
            if _may_close(buffer.document):
                buffer.insert_text(closer, move_cursor=False)

    @keys.add(closer, filter=closing)
    def close(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.current_char == closer:
            buffer.cursor_right()
            return
        alone = opener == closer and not inside_text(buffer.text, buffer.cursor_position)
        buffer.insert_text(closer)
        if alone:
            buffer.insert_text(closer, move_cursor=False)


def _may_close(document: Document) -> bool:
    """Whether a bracket before the cursor should be closed: not in strings, and not before a word."""
    after = document.current_char
    return (not after or after.isspace() or after in ")]}") and not inside_text(document.text, document.cursor_position)


def _between_pair(document: Document) -> bool:
    return document.char_before_cursor in _PAIRS and document.current_char == _PAIRS.get(document.char_before_cursor)


def enter(buffer: Buffer, status: Callable[[str], Status]) -> None:
    """Give the text, or begin a new line: when it is not complete, or when the cursor is above its last line."""
    document = buffer.document
    if not document.text.strip():
        buffer.validate_and_handle()
    elif (document.text_after_cursor.strip() and "\n" in document.text_after_cursor) or status(document.text) is Status.INCOMPLETE:
        new_line(buffer)
    else:
        buffer.document = Document(document.text.rstrip())
        buffer.validate_and_handle()


def new_line(buffer: Buffer) -> None:
    """Begin a new line where Lisp wants it; nothing is left at the end of the old one."""
    before = buffer.document.current_line_before_cursor
    spaces = len(before) - len(before.rstrip(" "))
    buffer.delete_before_cursor(spaces)
    after = buffer.document.current_line_after_cursor
    buffer.delete(len(after) - len(after.lstrip(" ")))
    position = buffer.cursor_position
    column = indentation(buffer.text[:position] + "\n", position + 1)
    buffer.insert_text("\n" + " " * column)


def indent_line(buffer: Buffer) -> None:
    """Move the line of the cursor to where it belongs."""
    document = buffer.document
    start = document.cursor_position - document.cursor_position_col
    line = document.current_line
    column = indentation(document.text, start)
    text = document.text[:start] + " " * column + line.lstrip(" ") + document.text[start + len(line) :]
    buffer.document = Document(text, start + column)


def indent_all(buffer: Buffer) -> None:
    """Move every line to where it belongs; the cursor stays at its element."""
    document = buffer.document
    row, before = document.cursor_position_row, document.current_line_before_cursor
    lines = document.lines
    text = reindented(document.text)
    new = Document(text)
    shift = (len(new.lines[row]) - len(new.lines[row].lstrip())) - (len(lines[row]) - len(lines[row].lstrip()))
    buffer.document = Document(text, new.translate_row_col_to_index(row, max(0, len(before) + shift)))


def _only_space_before(buffer: Buffer) -> bool:
    document = buffer.document
    return document.cursor_position_row > 0 and not document.current_line_before_cursor.strip()
