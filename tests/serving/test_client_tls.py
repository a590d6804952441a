"""TLS and mutual TLS against real servers, with certificates made here."""

import shutil
import ssl
import subprocess
from contextlib import contextmanager

import grpc
import httpx
import pytest

from data_pipelines.schema import InputError
from serving.client import Client, ClientSettings, Unavailable
from tests.serving.fake_serving import grpc_server, rest_server

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made with openssl")
X = {"x": [1.0]}


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two authorities; `ca` signed `server` and `client`, `other` signed `stranger`."""
    folder = tmp_path_factory.mktemp("certificates")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (folder / "server.ext").write_text("subjectAltName=IP:127.0.0.1\n")
    for authority in ("ca", "other"):
        openssl(
            folder,
            "req",
            "-x509",
            *curve,
            "-keyout",
            f"{authority}.key",
            "-out",
            f"{authority}.pem",
            "-days",
            "2",
            "-subj",
            f"/CN={authority}",
        )
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        openssl(folder, "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", "2")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-extfile", "server.ext", "-out", f"{name}.pem")
    return folder


@contextmanager
def tls_server(protocol, fake, folder, *, mutual):
    if protocol == "grpc":
        pair = ((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())
        ca = (folder / "ca.pem").read_bytes() if mutual else None
        with grpc_server(fake, credentials=grpc.ssl_server_credentials([pair], ca, mutual)) as address:
            yield address
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(folder / "ca.pem")
        with rest_server(fake, context) as address:
            yield address


def ask(address, **settings):
    with Client(address, ClientSettings(max_attempts=1, timeout_seconds=10, **settings)) as client:
        return client.predict("half_plus_two", X, version=1)["y"].tolist()


def test_the_server_must_be_signed_by_the_authority(fake, protocol, certificates):
    with tls_server(protocol, fake, certificates, mutual=False) as address:
        assert ask(address, ca=certificates / "ca.pem") == [2.5]
        for settings in ({"ca": certificates / "other.pem"}, {}):
            with pytest.raises(Unavailable, match=r"(?i)certificate.?verify.?failed"):
                ask(address, **settings)


def test_a_server_that_asks_gets_the_clients_certificate(fake, protocol, certificates):
    def pair(name):
        return {"certificate": certificates / f"{name}.pem", "key": certificates / f"{name}.key"}

    with tls_server(protocol, fake, certificates, mutual=True) as address:
        assert ask(address, ca=certificates / "ca.pem", **pair("client")) == [2.5]
        for settings in ({}, pair("stranger")):
            with pytest.raises(Unavailable):
                ask(address, ca=certificates / "ca.pem", **settings)


def test_damaged_files_are_a_mistake_of_the_user(protocol, certificates, tmp_path):
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("no certificate")
    scheme = {"grpc": "grpcs", "rest": "https"}[protocol]
    with pytest.raises(InputError, match="cannot be used"):
        Client(f"{scheme}://127.0.0.1:1", ClientSettings(ca=damaged))


def test_an_alert_after_the_handshake_is_a_failed_connection(monkeypatch):
    """TLS 1.3 refuses a client's certificate after the handshake, and asyncio's own error comes through httpx."""

    async def refused(*arguments, **options):
        raise ssl.SSLError("tlsv1 alert unknown ca")

    monkeypatch.setattr(httpx.AsyncClient, "request", refused)
    with pytest.raises(Unavailable, match="alert unknown ca"):
        ask("https://127.0.0.1:1")
