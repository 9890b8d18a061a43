"""The command line, called as a user would: what is printed, where, and the exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import klorpy
from klorpy.environment.cli import main

SHOP = """\
(require klorpy *)

(defchor ask [A B] (-> A A) [x]
  (B->A (B (* 2 (A->B x)))))

(defchor crash [A B] (-> A B) [x]
  (B (/ 1 (A->B x))))

(defchor loud [A B] (-> A B) [x]
  (do (A (print "hello")) (A->B x)))

(defchor echo [A] (-> A A) [x] x)

(setv host 5)
"""

WRONG = """\
(require klorpy *)

(defchor one [A B] (-> A B) [x]
  (A->C x))

(defchor two [A B C] (-> A C) [x]
  (A->C (one [A] x)))

(defchor three [A B] (-> A B) [x]
  (one [A B] x))

(defchor four [A B] (-> A B) [x]
  (A->B x)
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.hy").write_text(SHOP)
    return "shop.hy"


def test_run_shows_type_messages_and_results(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", shop, "ask", "21"]) == 0
    out = capsys.readouterr()
    assert out.err == ""
    assert out.out.splitlines() == [
        "ask  (forall [A B] (-> A A | B))",
        "",
        "A --> B: 21",
        "B --> A: 42",
        "B exited normally",
        "A exited normally",
        "",
        "A  42",
        "B  noop",
    ]


def test_run_shows_what_roles_print(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", shop, "loud", "1"]) == 0
    assert "A: hello" in capsys.readouterr().out.splitlines()


def test_quiet_shows_results_only(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--quiet", shop, "ask", "2"]) == 0
    assert capsys.readouterr().out == "A  4\nB  noop\n"


def test_run_can_show_the_programs_first(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--project", shop, "ask", "2"]) == 0
    out = capsys.readouterr().out
    assert out.index("def ask_A(cast, x):") < out.index("def ask_B(cast):") < out.index("A --> B: 2")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), ("-5", -5), ("1.5", 1.5), ('"a b"', "a b"), ("[1 2]", [1, 2]), ("#(1 2)", (1, 2)), ("{}", {}),
        ('{"k" [None True False]}', {"k": [None, True, False]}), ("#{1 2}", {1, 2}), ('b"x"', b"x"),
    ],
)  # fmt: skip
def test_arguments_are_literals(shop: str, capsys: pytest.CaptureFixture[str], text: str, value: object) -> None:
    namespace = klorpy.load(shop)
    expected = klorpy.simulate_chor(namespace.echo, value)
    assert expected["A"] == value
    assert main(["run", "--quiet", shop, "echo", "--", text]) == 0
    assert main(["run", "--quiet", shop, "echo", "@value.json"]) == 1
    shown = capsys.readouterr().out.removeprefix("A  ").strip()
    assert shown == klorpy.core.values.show(value)


def test_an_argument_may_be_a_json_file(shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "value.json").write_text(json.dumps({"a": [1, None]}))
    assert main(["run", "--quiet", shop, "echo", "@value.json"]) == 0
    assert capsys.readouterr().out == 'A  {"a" [1 None]}\n'


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        (["shop.hy", "ask", "hello"], "bad-argument"),
        (["shop.hy", "ask", "(+ 1 2)"], "bad-argument"),
        (["shop.hy", "ask", "1 2"], "bad-argument"),
        (["shop.hy", "ask", "[1"], "read-error"),
        (["shop.hy", "ask", "@missing.json"], "bad-argument"),
        (["shop.hy", "ask"], "sim-arity"),
        (["shop.hy", "ask", "1", "2"], "sim-arity"),
        (["shop.hy", "nothing", "1"], "not-a-chor"),
        (["shop.hy", "host", "1"], "not-a-chor"),
        (["missing.hy", "ask", "1"], "read-error"),
        (["--seed", "x1", "shop.hy", "ask", "1"], "bad-argument"),
        (["--explore", "0", "shop.hy", "ask", "1"], "bad-argument"),
    ],
)
def test_what_cannot_be_run_is_an_error_with_help(
    shop: str, capsys: pytest.CaptureFixture[str], arguments: list[str], slug: str
) -> None:
    assert main(["run", *arguments]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error[{slug}]: ")
    assert "help: " in err
    assert "Traceback" not in err


def test_a_failure_shows_the_form_and_the_users_frames_only(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", shop, "crash", "0"]) == 1
    out, err = capsys.readouterr()
    assert "B exited abruptly: ZeroDivisionError: division by zero" in out
    assert out.splitlines()[-2:] == ["A  noop", "B  failed"]
    assert "shop.hy:7:6" in err
    assert "^ B failed here" in err
    assert "klorpy/" not in err.replace("klorpy/environment", "klorpy/")


def test_explore_compares_schedules(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", shop, "ask", "1", "--explore", "100"]) == 0
    assert "all there are: no difference" in capsys.readouterr().out


def test_explore_says_what_differs_and_how_to_replay_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "race.hy").write_text(
        "(require klorpy *)\n(setv shared [])\n"
        "(defchor race [A B] (-> [A B]) [] (pack (A (do (.append shared 1) (len shared)))"
        " (B (do (.append shared 1) (len shared)))))"
    )
    assert main(["run", "race.hy", "race", "--explore", "50"]) == 1
    out = capsys.readouterr().out
    assert "the last one differs" in out
    assert "replay it with --seed " in out


def test_check_reports_all_errors_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.hy"
    file.write_text(WRONG)
    assert main(["check", str(file)]) == 1
    out, err = capsys.readouterr()
    assert [line.partition("]")[0] for line in err.splitlines() if line.startswith("error")] == [
        "error[unknown-role", "error[inst-arity", "error[read-error",
    ]  # fmt: skip
    assert "wrong.hy:4:4" in err
    assert "wrong.hy:7:14" in err
    assert "wrong.hy:12:1" in err
    assert out == "1 file, 3 choreographies: 3 errors\n"


def test_check_does_not_run_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "quiet.hy"
    file.write_text(SHOP + '(print "running")\n(raise (ValueError "running"))')
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out == "1 file, 4 choreographies: no errors\n"


def test_check_knows_files_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beside_shop.hy").write_text(SHOP)
    (tmp_path / "user.hy").write_text(
        "(require klorpy *)\n(import beside_shop [ask])\n(defchor twice [P Q] (-> P P) [x] (ask [P Q] (ask [P Q] x)))"
    )
    try:
        assert main(["check", str(tmp_path / "user.hy")]) == 0
    finally:
        sys.modules.pop("beside_shop", None)
    assert "no errors" in capsys.readouterr().out


def test_check_leaves_imported_files_to_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "part.hy").write_text(
        "(require klorpy *)\n(setv log [])\n(defchor tell [A B] (-> A B) [x] (A->B (A (do (.append log x) x))))"
    )
    file = tmp_path / "whole.hy"
    file.write_text(
        "(require klorpy *)\n(import part [tell])\n(defchor twice [A B] (-> A B) [x] (tell [A B] x))"
    )
    assert main(["check", str(file)]) == 0
    assert "unknown-name" not in "".join(capsys.readouterr())


def test_check_shows_warnings_and_counts_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "unused.hy"
    file.write_text("(require klorpy *)\n(defchor f [A B] (-> A A) [x] x)")
    assert main(["check", str(file), str(tmp_path / "missing.hy")]) == 1
    out, err = capsys.readouterr()
    assert "warning[unused-role]" in err
    assert "error[read-error]: cannot read" in err
    assert out == "2 files, 1 choreography: 1 error\n"


def test_check_leaves_the_options_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "options.hy"
    file.write_text("(require klorpy *)\n(alter-opts! {:verify {:agreement True}})")
    assert main(["check", str(file)]) == 0
    assert klorpy.alter_opts({}) == {"verify": {"agreement": False, "signature": False}}


def test_project_shows_all_roles_or_one(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["project", shop, "ask"]) == 0
    both = capsys.readouterr().out
    assert main(["project", shop, "ask", "--role", "B"]) == 0
    one = capsys.readouterr().out
    assert one.strip() == klorpy.project(klorpy.load(shop).ask, "B")
    assert one.strip() in both
    assert main(["project", shop, "ask", "--role", "Z"]) == 1
    assert "error[role-not-part]" in capsys.readouterr().err


def test_signature_shows_all_types(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signature", shop]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ask    (forall [A B] (-> A A | B))",
        "crash  (forall [A B] (-> A B | 0))",
        "loud   (forall [A B] (-> A B | 0))",
        "echo   (forall [A] (-> A A | 0))",
    ]


def test_a_wrong_call_has_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["nothing"], ["run"], ["check"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        assert "usage: klorpy" in capsys.readouterr().err


def test_the_module_is_the_command(shop: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "klorpy", "run", "--quiet", shop, "ask", "4"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "A  8\nB  noop\n"
    assert done.stderr == ""


def test_the_prompt_imports_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("z = 22")
    script = Path(sys.executable).with_name("klorpy")  # which, unlike `python -m`, has its own folder on the path
    done = subprocess.run(
        [script], input="(import beside)\nbeside.z", capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    )
    assert done.stdout == "22\n"


def test_a_reader_that_leaves_is_no_error_of_ours(shop: str) -> None:
    command = f"{sys.executable} -m klorpy run {shop} ask 4 | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout == "ask  (forall [A B] (-> A A | B))\n"
    assert done.stderr == ""
