"""Sends alarms: a URL that is requested, JSON that is posted, mail.

A URL of such a service is a secret: only its host is reported. Each way has a timeout.
"""

import smtplib
import ssl
import subprocess
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import urlsplit

from pgprovision.clients.deadline import call_with_timeout
from pgprovision.errors import NotificationError
from pgprovision.secret import Secret

TIMEOUT_SECONDS = 20.0
_SENDMAIL = "/usr/sbin/sendmail"


class MailSettings(Protocol):
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
    """Ask for a URL: all is well. Raises NotificationError."""
    _http(url, "GET", None)


def post_json(url: Secret, document: Mapping[str, Any]) -> None:
    """Post a document as JSON. Raises NotificationError."""
    _http(url, "POST", document)


def send_mail(settings: MailSettings, subject: str, text: str) -> None:
    """Send a mail. Raises NotificationError."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        settings.sender,
        ", ".join(settings.to),
        subject,
    )
    message.set_content(text)
    server = settings.server or _SENDMAIL
    send = _smtp if settings.server else _sendmail
    _with_deadline(lambda: send(settings, message), f"mail through {server}")


def _http(url: Secret, method: str, document: Mapping[str, Any] | None) -> None:
    import requests

    def send() -> None:
        with requests.request(
            method, url.reveal().decode(), json=document, timeout=TIMEOUT_SECONDS / 2, stream=True
        ) as answer:
            if not answer.ok:
                raise NotificationError(f"answered {answer.status_code}")

    _with_deadline(send, redacted_url(url))


def redacted_url(url: Secret) -> str:
    """As much of a URL as people may see."""
    parts = urlsplit(url.text())
    return f"{parts.scheme}://{parts.hostname}/***"


def _smtp(settings: MailSettings, message: EmailMessage) -> None:
    tls = ssl.create_default_context()
    host, port = str(settings.server), settings.server_port
    session = (
        smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS / 2, context=tls)
        if settings.encryption == "tls"
        else smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS / 2)
    )
    with session:
        if settings.encryption == "starttls":
            session.starttls(context=tls)
        if settings.user and settings.password:
            session.login(settings.user, settings.password.reveal().decode())
        session.send_message(message)


def _sendmail(settings: MailSettings, message: EmailMessage) -> None:
    argv = [_SENDMAIL, "-oi", "-f", settings.sender, "--", *settings.to]
    completed = subprocess.run(
        argv, input=message.as_bytes(), capture_output=True, timeout=TIMEOUT_SECONDS
    )
    if completed.returncode:
        raise NotificationError(f"ended with {completed.returncode}")


def _with_deadline(send: Callable[[], None], where: str) -> None:
    """Whatever goes wrong, in words that hold no address: libraries put the URL into theirs."""
    try:
        call_with_timeout(TIMEOUT_SECONDS, send)
    except NotificationError as error:
        raise NotificationError(error.what, where=where) from None
    except Exception as error:
        raise NotificationError(f"not sent ({type(error).__name__})", where=where) from None
