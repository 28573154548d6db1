"""What the server proves itself with, and what its clients do: read at start, and again when it changes. No HTTP."""

from typing import NamedTuple

from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.transport.tls import Certificate
from edgevlm_server.reload import Reloader
from edgevlm_server.settings import Settings


class Credentials(NamedTuple):
    """`None` is not asked for: no keys, no TLS."""

    keys: KeyRing | None
    certificate: Certificate | None

    @classmethod
    def load(cls, settings: Settings) -> "Credentials":
        """Raises `SettingsError` for files that cannot be used."""
        keys = None if settings.api_keys is None else KeyRing.load(settings.api_keys)
        if settings.tls_cert is None or settings.tls_key is None:
            return cls(keys, None)
        return cls(keys, Certificate(settings.tls_cert, settings.tls_key))

    def reloader(self) -> Reloader:
        """Reads the files again while it runs."""
        reloader = Reloader()
        if (keys := self.keys) is not None:
            reloader.watch(lambda: [keys.path], keys.reload)
        if (certificate := self.certificate) is not None:
            reloader.watch(lambda: certificate.files, certificate.reload)
        return reloader
