"""The files of TLS, looked at before anything is sent: a damaged one would be a failed connection much later."""

import ssl

from data_pipelines.schema import InputError
from serving.client_settings import ClientSettings


def tls_context(settings: ClientSettings) -> ssl.SSLContext:
    """The authorities that are trusted, and the client's own certificate.

    Args:
        settings: `ca`, `certificate` and `key`.

    Raises:
        InputError: if a file is missing or damaged.
    """
    for name in ("ca", "certificate", "key"):
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise InputError(f"client setting {name!r}: there is no file {path}")
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except (ssl.SSLError, OSError) as error:
        raise InputError(f"client settings ca, certificate and key cannot be used: {error}") from error
    return context
