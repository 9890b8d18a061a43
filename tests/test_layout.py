"""The shape of the tree: which room may import which, what a room shows, and what no file contains."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import hy
import pytest

import klorpy

ROOT = Path(klorpy.__file__).parent
PYTHON = sorted(ROOT.rglob("*.py"))
HY = sorted(ROOT.rglob("*.hy"))
FILES = [path for path in (*PYTHON, *HY) if "__pycache__" not in path.parts]

#: The rooms that a room may import, besides itself. `core` is below all; nobody imports `environment` or `examples`.
ALLOWED: dict[str, frozenset[str]] = {
    "core": frozenset(),
    "language": frozenset({"core"}),
    "runtime": frozenset({"core"}),
    "outoforder": frozenset({"core", "language", "runtime"}),
    "simulator": frozenset({"core", "runtime", "outoforder"}),
    # The theory of behaviour stands alone.
    "behaviour": frozenset({"core"}),
    # Only the bridge and the drivers may know the runtime, only the auditor the language; `KERNEL` says what is pure.
    "conversations": frozenset({"core", "language", "runtime"}),
    # Macros of the user's surface, and programs: they stand on the facade (macros may raise KlorError).
    "stdlib": frozenset({"klorpy", "core"}),
    "examples": frozenset({"klorpy", "stdlib", "conversations"}),
    "environment": frozenset({"klorpy", "core", "behaviour", "language", "runtime", "simulator", "conversations", "outoforder"}),
    "testing": frozenset({"klorpy", "core", "behaviour", "language", "runtime", "simulator", "conversations"}),
    # The facade.
    "klorpy": frozenset({"core", "behaviour", "language", "runtime", "simulator", "outoforder", "stdlib"}),
    "__main__": frozenset({"environment"}),
}


#: What one folder of a room may import besides: protocols are extracted from choreographies there, and nowhere else.
ALSO: dict[str, frozenset[str]] = {"behaviour/extraction/": frozenset({"language"})}


def room_of(path: Path) -> str:
    """The room that a file belongs to: its folder below klorpy, "klorpy" for the facade."""
    parts = path.relative_to(ROOT).parts
    if len(parts) > 1:
        return parts[0]
    return "klorpy" if path.stem == "__init__" else path.stem


def target_room(module: str) -> str | None:
    """The room that a module belongs to; None for a module of somebody else."""
    first, *rest = module.split(".")
    if first != "klorpy":
        return None
    return rest[0] if rest and (ROOT / rest[0]).is_dir() else "klorpy"


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def python_imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Each imported module with its line, and whether the import runs inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module_of(path) if path.stem == "__init__" else module_of(path).rpartition(".")[0]
    todo: list[tuple[ast.AST, bool]] = [(tree, False)]
    while todo:
        node, inside = todo.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            # `from klorpy import core` names a room, too.
            for alias in node.names:
                module = base
                if base == "klorpy" and target_room(f"klorpy.{alias.name}") != "klorpy":
                    module = f"klorpy.{alias.name}"
                yield module, node.lineno, inside
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value), node.lineno, inside
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        todo.extend((child, inside) for child in ast.iter_child_nodes(node))


def hy_imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """The same for a `.hy` file, from its forms: `import` and `require`."""
    todo: list[tuple[object, bool]] = [
        (form, False) for form in hy.read_many(path.read_text(encoding="utf-8"), filename=str(path))
    ]
    while todo:
        form, inside = todo.pop()
        if not isinstance(form, hy.models.Sequence):
            continue
        head = str(form[0]) if len(form) and isinstance(form[0], hy.models.Symbol) else ""
        if head in ("import", "require"):
            for item in list(form)[1:]:
                if isinstance(item, hy.models.Symbol) and str(item) != "*":
                    yield hy.mangle(str(item)), item.start_line, inside
                elif isinstance(item, hy.models.Expression):  # a.b is read as (. a b)
                    yield ".".join(hy.mangle(str(part)) for part in list(item)[1:]), item.start_line, inside
        inside = inside or head in ("defn", "fn", "defmacro")
        if head not in ("quote", "quasiquote"):
            todo.extend((item, inside) for item in form)


def imports(path: Path) -> list[tuple[str, int, bool]]:
    return list(python_imports(path) if path.suffix == ".py" else hy_imports(path))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_checks_see_imports(tmp_path: Path) -> None:
    """The helpers above find what they are to find; else all tests below would pass on anything."""
    hy_file = tmp_path / "x.hy"
    hy_file.write_text(
        "(require klorpy *)\n(import klorpy.core.types [render] os)\n(defn f [] (import klorpy.environment.cli))"
    )
    assert sorted(hy_imports(hy_file)) == [
        ("klorpy", 1, False), ("klorpy.core.types", 2, False), ("klorpy.environment.cli", 3, True), ("os", 2, False),
    ]  # fmt: skip
    assert len(PYTHON) > 30
    assert any(path.suffix == ".hy" for path in FILES)
    found = {module for path in PYTHON for module, _, _ in python_imports(path)}
    assert {"klorpy.core.types", "klorpy.runtime.commands", "hy", "anyio"} <= found


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in ALLOWED, f"{room} is a new room: say here what it may import"
    for module, line, inside in imports(path):
        target = target_room(module)
        if inside and LAZY.get(name(path)) == module:
            continue
        if target is not None and target != room:
            also = next((rooms for start, rooms in ALSO.items() if name(path).startswith(start)), frozenset())
            assert target in ALLOWED[room] | also, f"{name(path)}:{line} imports {module}"


#: The modules of the conversations' kernel, which import nothing but each other, the core and pure parts of Python.
KERNEL = {"actions", "kernel", "log", "meta", "pattern", "routing", "table", "vm"}
PURE = {"__future__", "collections", "copy", "dataclasses", "enum", "functools", "heapq", "operator", "typing"}


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) == "conversations"], ids=name)
def test_the_kernel_is_pure_and_only_the_bridge_and_the_drivers_know_the_runtime(path: Path) -> None:
    inside = path.relative_to(ROOT / "conversations")
    for module, line, _ in imports(path):
        if target_room(module) == "runtime":
            assert inside.parts[0] in ("bridge.py", "drivers"), f"{inside}:{line} imports {module}"
        if target_room(module) == "language":
            assert inside.parts[0] == "auditor.py", f"{inside}:{line} imports {module}"
        if inside.stem in KERNEL and len(inside.parts) == 1:
            allowed = {f"klorpy.conversations.{each}" for each in KERNEL}
            assert module in allowed or module.startswith("klorpy.core.") or module.split(".")[0] in PURE, (
                f"{inside}:{line} imports {module}"
            )


#: What is imported when it is first needed, so that `import klorpy` stays quick: the compiler, roles out of order, and
#: macros in Hy; what
#: IPython asks the facade for; and numpy, when one of its values arrives.
LAZY = {
    "simulator/run.py": "klorpy.simulator.lenient", "runtime/play.py": "klorpy.outoforder.play",
    "language/compiler.py": "klorpy.language.pipeline", "stdlib/__init__.py": "klorpy.stdlib.macros",
    "__init__.py": "klorpy.environment.jupyter", "runtime/wire/arrays.py": "numpy",
    "runtime/transports/nats_link.py": "nats.aio.client",
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_import_hides_in_a_function(path: Path) -> None:
    if room_of(path) == "environment":
        # The command line and its friends load what a command needs, so that `--help` is quick.
        return
    hidden = [(line, module) for module, line, inside in imports(path) if inside]
    assert [(line, module) for line, module in hidden if module != LAZY.get(name(path))] == []


@pytest.mark.parametrize("room", [r for r in ("language", "runtime") if (ROOT / r).is_dir()])
def test_language_and_runtime_do_not_load_each_other(room: str) -> None:
    """Not even through others; the facade is replaced by an empty package, since it loads all."""
    other = {"language": "runtime", "runtime": "language"}[room]
    code = (
        "import sys, types\n"
        f"package = types.ModuleType('klorpy'); package.__path__ = [{str(ROOT)!r}]\n"
        "sys.modules['klorpy'] = package\n"
        f"import klorpy.{room}\n"
        "print(*sys.modules)"
    )
    loaded = run(code).split()
    assert f"klorpy.{room}" in loaded
    assert [module for module in loaded if module.startswith(f"klorpy.{other}")] == []


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_klorpy_loads_no_tool() -> None:
    loaded = set(run("import klorpy, sys; print(*sys.modules)").split())
    tools = {
        "prompt_toolkit", "pygments", "ipykernel", "IPython", "nats", "pytest", "_pytest", "hypothesis", "msgspec",
        "nest_asyncio", "nest_asyncio2", "argparse", "trio", "hyrule", "klorpy.environment", "klorpy.examples",
        "klorpy.testing", "klorpy.behaviour",
    }  # fmt: skip
    assert loaded & tools == set()
    assert "klorpy.simulator" in loaded


PACKAGES = [path for path in PYTHON if path.stem == "__init__"]


def test_each_module_can_be_the_first_that_is_imported() -> None:
    """With only what `import klorpy` loads before it: no module depends on another having been imported already.

    Of rooms that are large and that nothing stands on, the packages will do.
    """
    large = {"behaviour", "environment", "testing"}
    modules = [module_of(path) for path in PYTHON if path in PACKAGES or room_of(path) not in large | {"__main__"}]
    code = (
        "import importlib, sys\n"
        "import klorpy\n"
        "loaded = set(sys.modules)\n"
        f"for name in {modules!r}:\n"
        "    for module in [module for module in sys.modules if module.startswith('klorpy.') and module not in loaded]:\n"
        "        package, _, child = module.rpartition('.')\n"
        "        vars(sys.modules.get(package, klorpy)).pop(child, None)\n"
        "        del sys.modules[module]\n"
        "    importlib.import_module(name)\n"
        "print(len(sys.modules))"
    )
    assert int(run(code)) > 0


def test_importing_klorpy_does_nothing_else() -> None:
    """No event loop policy, no patched stdout, no thread, no file, no option is changed."""
    code = (
        "import asyncio, sys, threading, warnings\n"
        "before = (sys.stdout, sys.excepthook, sys.displayhook, list(warnings.filters), sys.getrecursionlimit())\n"
        "import klorpy\n"
        "assert before == (sys.stdout, sys.excepthook, sys.displayhook, list(warnings.filters), sys.getrecursionlimit())\n"
        "assert threading.active_count() == 1\n"
        "print('same')"
    )
    assert run(code) == "same\n"


@pytest.mark.parametrize("path", PACKAGES, ids=name)
def test_each_room_says_what_it_shows(path: Path) -> None:
    """`__all__` is there wherever something is imported or defined, is sorted, and every name in it resolves."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    shows = [
        node for node in tree.body
        if not (isinstance(node, ast.Expr) or (isinstance(node, ast.ImportFrom) and node.module == "__future__"))
    ]  # fmt: skip
    module = importlib.import_module(module_of(path))
    assert module.__doc__
    if not shows:
        return
    assert module.__all__ == sorted(set(module.__all__), key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    for public in module.__all__:
        assert getattr(module, public) is not None


@pytest.mark.parametrize("path", [p for p in PYTHON if p.stem != "__init__"], ids=name)
def test_all_of_a_module_resolves(path: Path) -> None:
    if path.stem == "__main__":
        return
    module = importlib.import_module(module_of(path))
    assert module.__doc__, "a module says what it is"
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public)


MACHINE = re.compile(r"/(?:home|root|Users|work|tmp|mnt|venv)/|[A-Z]:\\\\")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")


def texts() -> list[Path]:
    """All text that a reader of the project sees, but the tests, whose data may look like anything."""
    top = ROOT.parent
    found = [*FILES, *(top / "docs").rglob("*.md"), top / "README.md", top / "pyproject.toml"]
    return [path for path in found if path.is_file()]


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(ROOT.parent)))
def test_no_unfinished_business_and_no_machine(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert not MACHINE.search(line), f"{path}:{number} names a path of a machine"
        assert not UNFINISHED.search(line), f"{path}:{number}"


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_no_code_is_commented_out(path: Path) -> None:
    """A comment line that is a Python statement with an effect is code that somebody did not dare to delete."""
    with tokenize.open(path) as file:
        comments = [t for t in tokenize.generate_tokens(file.readline) if t.type == tokenize.COMMENT]
    for comment in comments:
        text = comment.string.lstrip("#: ").strip()
        if comment.line.strip() != comment.string or not re.search(r"[=(]", text):
            continue
        try:
            nodes = ast.parse(text).body
        except SyntaxError:
            continue
        assert not any(isinstance(n, (ast.Assign, ast.Return, ast.Import, ast.For, ast.If)) for n in nodes), (
            f"{path}:{comment.start[0]}: {text}"
        )
