"""Who a process is: certificates for roles, and the contexts that demand them of both sides.

    folder  ->  identity             Identity.of(folder, roles)
    certificate  ->  roles           certified_roles(certificate)

A certificate names its roles as URIs `klorpy:role:NAME` (percent-encoded where need be) among its subject alternative
names. A process speaks only for the roles of its certificate, and connects only to one whose certificate has the roles
that it expects there. Host names are not looked at: it is the role that is authenticated, wherever it runs.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role

#: What stands before the name of a role in a certificate.
PREFIX: Final = "klorpy:role:"


@dataclass(frozen=True, slots=True)
class Identity:
    """The files that say who a process is: its certificate and key, and the authority that both sides trust."""

    certificate: Path
    key: Path
    authority: Path

    @classmethod
    def of(cls, folder: str | Path, roles: Iterable[Role]) -> Identity:
        """The identity in a folder with `ca.pem` and, for the roles A and B, `A+B.pem` and `A+B.key`.

        Raises KlorError `bad-argument` when a file is missing.
        """
        name = "+".join(sorted(roles))
        found = cls(Path(folder) / f"{name}.pem", Path(folder) / f"{name}.key", Path(folder) / "ca.pem")
        for path in (found.certificate, found.key, found.authority):
            if not path.is_file():
                raise KlorError(
                    f"there is no {path}", slug="bad-argument",
                    help=f"make certificates with: klorpy certificates {folder} {' '.join(sorted(roles))} …",
                )  # fmt: skip
        return found

    def server(self) -> ssl.SSLContext:
        """The context of the side that listens. Raises KlorError `bad-argument` for files that are no certificates."""
        return self._context(ssl.PROTOCOL_TLS_SERVER)

    def client(self) -> ssl.SSLContext:
        """The context of the side that connects. Raises as `server`."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(self.authority)
        except (ssl.SSLError, OSError) as error:
            raise KlorError(
                f"{self.authority} cannot be used: {error}", slug="bad-argument",
                help="give the certificate of the authority that all processes trust, in the PEM format",
            ) from None  # fmt: skip
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (ssl.SSLError, OSError) as error:
            raise KlorError(
                f"{self.certificate} and {self.key} cannot be used: {error}", slug="bad-argument",
                help="give the certificate and key that belong together, in the PEM format",
            ) from None  # fmt: skip
        return context


def certified_roles(certificate: Mapping[str, Any] | None) -> frozenset[Role]:
    """The roles that a certificate names, in the form in which `ssl` describes it.

    >>> sorted(certified_roles({"subjectAltName": (("URI", "klorpy:role:B"), ("DNS", "example.org"))}))
    ['B']
    """
    names = (certificate or {}).get("subjectAltName", ())
    return frozenset(unquote(value[len(PREFIX) :]) for kind, value in names if kind == "URI" and value.startswith(PREFIX))


#: What OpenSSL says when the other side does something else than TLS.
_NO_TLS: Final = frozenset(("wrong version number", "http request", "unknown protocol", "packet length too long"))


def handshake_failure(error: Exception) -> str:
    """Why no connection under TLS came about with the other side, about which this is a sentence without a subject.

    >>> handshake_failure(ConnectionResetError())
    'it ended the connection before it had shown who it is'
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        reason = error.reason.lower().replace("_", " ")
        if reason in _NO_TLS:
            return "it does not speak TLS"
        if "alert" in reason:
            return f"it refuses this process: {reason.partition('alert ')[2]}"
        return f"no connection under TLS: {reason}"
    return "it ended the connection before it had shown who it is"


def role_uri(role: Role) -> str:
    """How a certificate names a role: what a URI does not take as it is, is percent-encoded.

    >>> role_uri("Käufer")
    'klorpy:role:K%C3%A4ufer'
    """
    return PREFIX + quote(role, safe="")
