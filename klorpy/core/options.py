"""The options that definitions are compiled under.

    {"verify": {"agreement": False | True | ROLE, "signature": False | True},
     "order": "program" | "effects" | "dataflow", "protocol": NAME}

`verify.agreement` adds messages that check the agreements of parameters and of `agree!`: True lets every role
tell every other, a role's name lets that role collect and answer. `verify.signature` asks that each call checks that
its callee still has the signature that the caller was compiled against; that costs nothing and is always done. `order`
is the order in which a role carries the definition out, unless a run says another; left out, it is that of the caller,
and at the outermost the program's. `protocol` names a protocol that a definition has to keep to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from klorpy.core.diagnostics import KlorError


@dataclass(frozen=True, slots=True)
class Options:
    verify_agreement: bool | str = False
    verify_signature: bool = False
    order: str | None = None
    protocol: str | None = None

    def as_mapping(self) -> dict[str, Any]:
        """The options as the user writes them; the inverse of `merged`."""
        found: dict[str, Any] = {"verify": {"agreement": self.verify_agreement, "signature": self.verify_signature}}
        more = {"order": self.order, "protocol": self.protocol}
        return found | {name: value for name, value in more.items() if value is not None}

    def merged(self, given: Mapping[str, Any]) -> Options:
        """These options with those of `given` in their place.

        Raises KlorError `bad-option` for an unknown option or a value of the wrong kind.
        """
        result = self
        if not isinstance(given, Mapping):
            raise _bad(f"options are a dict, not {given!r}")
        for key, value in given.items():
            if key == "protocol":
                if value is not None and not (isinstance(value, str) and value):
                    raise _bad(f":protocol takes the name of a protocol, not {value!r}", "write {:protocol Name}, or None for none")
                result = replace(result, protocol=value)
                continue
            if key == "order":
                if value not in ORDERS:
                    raise _bad(f"there is no order {value!r}", "write :order :program, :effects or :dataflow")
                result = replace(result, order=value)
                continue
            if key != "verify":
                raise _bad(f"there is no option {key!r}", "the options are :verify, :order and :protocol")
            if not isinstance(value, Mapping):
                raise _bad(f":verify takes a dict, not {value!r}", HELP)
            for what, how in value.items():
                if what == "agreement" and (isinstance(how, bool) or (isinstance(how, str) and how)):
                    result = replace(result, verify_agreement=how)
                elif what == "signature" and isinstance(how, bool):
                    result = replace(result, verify_signature=how)
                elif what in ("agreement", "signature"):
                    kinds = "True, False or a role" if what == "agreement" else "True or False"
                    raise _bad(f":{what} takes {kinds}, not {how!r}", HELP)
                else:
                    raise _bad(f"there is no option {what!r} of :verify", HELP)
        return result


#: The orders in which a role may carry its program out.
ORDERS: Final = ("program", "effects", "dataflow")

HELP: Final = "write {:verify {:agreement True}}, {:verify {:agreement Role}} or {:verify {:signature True}}"


def _bad(message: str, help: str = HELP) -> KlorError:
    return KlorError(message, slug="bad-option", help=help)
