"""Alarms on their way to people: a URL that is asked for, JSON that is posted, mail.

A URL of such a service is a secret, and so is never told, only its host. Each way ends in time.
"""

import smtplib
import ssl
import subprocess
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import urlsplit

from pgprovision.clients.deadline import within
from pgprovision.errors import NotSent
from pgprovision.secret import Secret

SECONDS = 20.0
_SENDMAIL = "/usr/sbin/sendmail"


class Addressed(Protocol):
    """Where mail goes; see `inventory.watch_file.MailTo`."""

    @property
    def to(self) -> Sequence[str]: ...
    @property
    def sender(self) -> str: ...
    @property
    def server(self) -> str | None: ...
    @property
    def server_port(self) -> int: ...
    @property
    def encryption(self) -> str: ...
    @property
    def user(self) -> str | None: ...
    @property
    def password(self) -> Secret | None: ...


def ping(url: Secret) -> None:
    """Ask for a URL: all is well. Raises NotSent."""
    _http(url, "GET", None)


def post(url: Secret, document: Mapping[str, Any]) -> None:
    """Post a document as JSON. Raises NotSent."""
    _http(url, "POST", document)


def mail(way: Addressed, subject: str, text: str) -> None:
    """Send a mail. Raises NotSent."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = way.sender, ", ".join(way.to), subject
    message.set_content(text)
    server = way.server or _SENDMAIL
    send = _smtp if way.server else _sendmail
    _in_time(lambda: send(way, message), f"mail through {server}")


def _http(url: Secret, method: str, document: Mapping[str, Any] | None) -> None:
    import requests

    def send() -> None:
        with requests.request(
            method, url.text(), json=document, timeout=SECONDS / 2, stream=True
        ) as answer:
            if not answer.ok:
                raise NotSent(f"answered {answer.status_code}")

    _in_time(send, place(url))


def place(url: Secret) -> str:
    """As much of a URL as people may see."""
    parts = urlsplit(url.text())
    return f"{parts.scheme}://{parts.hostname}/***"


def _smtp(way: Addressed, message: EmailMessage) -> None:
    tls = ssl.create_default_context()
    host, port = str(way.server), way.server_port
    session = (
        smtplib.SMTP_SSL(host, port, timeout=SECONDS / 2, context=tls)
        if way.encryption == "tls"
        else smtplib.SMTP(host, port, timeout=SECONDS / 2)
    )
    with session:
        if way.encryption == "starttls":
            session.starttls(context=tls)
        if way.user and way.password:
            session.login(way.user, way.password.text())
        session.send_message(message)


def _sendmail(way: Addressed, message: EmailMessage) -> None:
    words = [_SENDMAIL, "-oi", "-f", way.sender, "--", *way.to]
    done = subprocess.run(words, input=message.as_bytes(), capture_output=True, timeout=SECONDS)
    if done.returncode:
        raise NotSent(f"ended with {done.returncode}")


def _in_time(send: Callable[[], None], where: str) -> None:
    """Whatever goes wrong, in words that hold no address: libraries put the URL into theirs."""
    try:
        within(SECONDS, send)
    except NotSent as error:
        raise NotSent(error.what, where=where) from None
    except Exception as error:
        raise NotSent(f"not sent ({type(error).__name__})", where=where) from None
