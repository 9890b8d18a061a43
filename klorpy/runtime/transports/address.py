"""Where a process listens."""

from __future__ import annotations

from dataclasses import dataclass

from klorpy.core.diagnostics import KlorError


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str | tuple[str, int] | Address) -> Address:
        """An address from `host:port` or a pair; `:port` is loopback. Raises KlorError `bad-argument`.

        >>> Address.parse("[::1]:4000"), Address.parse(":0")
        (Address(host='::1', port=4000), Address(host='127.0.0.1', port=0))
        """
        if isinstance(text, Address):
            return text
        host, _, port = text.rpartition(":") if isinstance(text, str) else (str(text[0]), ":", str(text[1]))
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        if not port.isdecimal() or int(port) > 65535:
            raise KlorError(
                f"{text!r} is not an address", slug="bad-argument", help="write host:port, for example 127.0.0.1:4000"
            )
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
