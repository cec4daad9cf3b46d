"""Reads what references name: environment variables, files, the output of commands."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pgprovision.inventory.reference import Reference
from pgprovision.inventory.secret_files import can_generate
from pgprovision.secret import Secret

SECRETS_INIT_HINT = "`secrets init` makes it"
MAX_FILE_BYTES = 64 << 10
COMMAND_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True)
class Answer:
    """What a reference resolved to, or why it did not."""

    value: Secret | None = None
    """The text; secret until a field says otherwise."""
    error: str = ""
    """Why there is no value."""
    missing_file: Path | None = None
    """The file that does not exist."""
    exposure: str = ""
    """Why the value cannot serve as a secret: others can read it."""


@dataclass(frozen=True)
class Resolver:
    """The values of one inventory's references. Each is read once: a command that asks for a
    touch of a key asks once."""

    folder: Path
    """Files and commands are relative to it."""
    environment: Mapping[str, str] = field(
        default_factory=lambda: os.environ, repr=False, compare=False
    )
    """The variables of `!env`."""
    answers: dict[tuple[str, tuple[str, ...]], Answer] = field(
        default_factory=dict, repr=False, compare=False
    )
    """What was read so far, by tag and arguments."""

    def secret(self, reference: Reference) -> Secret:
        """The value, for a field that holds a secret. Raises ValueError without the value."""
        answer = self._answer(reference)
        if answer.exposure:
            raise ValueError(answer.exposure)
        return self._value(answer, reference)

    def plain_text(self, reference: Reference) -> str:
        """The value, for a field that is no secret. Raises ValueError without the value."""
        return self._value(self._answer(reference), reference).text()

    def with_value(self, tag: str, argument: str, value: Secret) -> "Resolver":
        """The same where one reference already has a value, which is not written yet."""
        return replace(self, answers={**self.answers, (tag, (argument,)): Answer(value)})

    def read_variable(self, name: str) -> Answer:
        """An environment variable. Empty counts as unset."""
        text = self.environment.get(name)
        return Answer(Secret(text, f"!env {name}") if text else None)

    def read_file(self, name: str) -> Answer:
        """A file's text without its one trailing newline."""
        try:
            path = self.folder / Path(name).expanduser()
        except RuntimeError:
            return Answer(error=f"{name}: no such user's home directory")
        try:
            if not path.is_file():
                raise FileNotFoundError
            mode = path.stat().st_mode
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
            text = content.decode()
        except FileNotFoundError:
            return Answer(error=f"no file {path}", missing_file=path)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            return Answer(error=f"cannot read {path}: {reason}")
        if len(content) > MAX_FILE_BYTES:
            return Answer(error=f"{path} is larger than {MAX_FILE_BYTES} bytes; expected one line")
        exposure = f"others can read {path}; run `chmod 600 {path}`" if mode & 0o077 else ""
        text = text.removesuffix("\n").removesuffix("\r")
        return Answer(Secret(text, f"!file {name}"), exposure=exposure)

    def run_command(self, reference: Reference) -> Answer:
        """What a command prints, without its one trailing newline. No shell is in between."""
        program = reference.arguments[0]
        try:
            done = subprocess.run(
                reference.arguments,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=COMMAND_TIMEOUT,
                check=False,
            )
            text = done.stdout.decode().removesuffix("\n")
        except subprocess.TimeoutExpired:
            return Answer(error=f"{program} did not end in {COMMAND_TIMEOUT:.0f} s")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "did not print UTF-8 text"
            return Answer(error=f"{program}: {reason}")
        if done.returncode:
            return Answer(error=f"{program} ended with exit code {done.returncode}; expected 0")
        return Answer(Secret(text, str(reference)))

    def _answer(self, reference: Reference) -> Answer:
        key = (reference.tag, reference.arguments)
        if key not in self.answers:
            self.answers[key] = self._read(reference)
        return self.answers[key]

    def _read(self, reference: Reference) -> Answer:
        if reference.tag == "!env":
            return self.read_variable(reference.arguments[0])
        if reference.tag == "!file":
            return self.read_file(reference.arguments[0])
        return self.run_command(reference)

    def _value(self, answer: Answer, reference: Reference) -> Secret:
        """The value read, or the reference's own default."""
        if answer.value is not None:
            return answer.value
        if reference.default:
            return Secret(reference.default, str(reference))
        if reference.tag == "!env":
            name = reference.arguments[0]
            raise ValueError(
                f"the environment variable {name} is not set (or empty); "
                f"expected `export {name}=...` before the command"
            )
        missing = answer.missing_file
        is_ours = missing is not None and can_generate(reference.path, missing, self.folder)
        raise ValueError(answer.error + (f"; {SECRETS_INIT_HINT}" if is_ours else ""))
