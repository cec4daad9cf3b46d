"""Where `!env`, `!file` and `!command` take their text from."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgprovision.inventory.problems import KeyPath
from pgprovision.inventory.secret_files import can_generate
from pgprovision.inventory.tagged_text import TaggedText
from pgprovision.quote import sh

SECRETS_INIT_HINT = "`secrets init` makes it"
MAX_FILE_BYTES = 64 << 10
COMMAND_TIMEOUT = 30.0


@dataclass(frozen=True)
class TagResolver:
    """Resolves relative to one inventory's folder. Raises ValueError with what is missing."""

    folder: Path
    environment: Mapping[str, str]

    def __call__(self, tag: str, argument: object, loc: KeyPath) -> TaggedText:
        if tag == "!env":
            return self.env(argument)
        return self.file(argument, loc) if tag == "!file" else self.command(argument)

    def env(self, argument: object) -> TaggedText:
        """`!env NAME` or `!env {name: NAME, default: TEXT}`. Empty counts as unset."""
        default: object = None
        if isinstance(argument, dict) and argument.keys() <= {"name", "default"}:
            default, argument = argument.get("default"), argument.get("name")
        if not isinstance(argument, str) or not argument or "=" in argument or "\0" in argument:
            raise ValueError("expected !env NAME or !env {name: NAME, default: TEXT}")
        text = self.environment.get(argument) or (default if isinstance(default, str) else "")
        if not text:
            raise ValueError(
                f"the environment variable {argument} is not set (or empty); "
                f"expected `export {argument}=...` before the command"
            )
        return TaggedText(text, f"!env {argument}")

    def path(self, argument: object) -> Path:
        """The file an argument of `!file` means."""
        if not isinstance(argument, str) or not argument or "\0" in argument:
            raise ValueError("expected !file PATH, relative to the inventory's folder")
        try:
            return self.folder / Path(argument).expanduser()
        except RuntimeError:
            raise ValueError(f"{argument}: no such user's home directory") from None

    def file(self, argument: object, loc: KeyPath = ()) -> TaggedText:
        """The file's text without its one trailing newline."""
        path = self.path(argument)
        try:
            if not path.is_file():
                raise FileNotFoundError
            mode = path.stat().st_mode
            content = path.open("rb").read(MAX_FILE_BYTES + 1)
            text = content.decode()
        except FileNotFoundError:
            hint = f"; {SECRETS_INIT_HINT}" if can_generate(loc, path, self.folder) else ""
            raise ValueError(f"no file {path}{hint}") from None
        except (OSError, UnicodeDecodeError) as wrong:
            reason = wrong.strerror if isinstance(wrong, OSError) else "not UTF-8"
            raise ValueError(f"cannot read {path}: {reason}") from None
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"{path} is larger than {MAX_FILE_BYTES} bytes; expected one line")
        text = text.removesuffix("\n").removesuffix("\r")
        rejection = f"others can read {path}; run `chmod 600 {path}`" if mode & 0o077 else ""
        return TaggedText(text, f"!file {argument}", rejection)

    def command(self, argument: object) -> TaggedText:
        """What a command prints, without its one trailing newline. No shell in between."""
        argv = argument if isinstance(argument, list) else []
        if not argv or not all(isinstance(word, str) for word in argv):
            raise ValueError("expected !command [PROGRAM, ARGUMENT, ...]")
        try:
            done = subprocess.run(
                argv,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=COMMAND_TIMEOUT,
                check=False,
            )
            text = done.stdout.decode().removesuffix("\n")
        except subprocess.TimeoutExpired:
            raise ValueError(f"{argv[0]} did not end in {COMMAND_TIMEOUT:.0f} s") from None
        except (OSError, ValueError) as wrong:
            reason = wrong.strerror if isinstance(wrong, OSError) else "did not print UTF-8 text"
            raise ValueError(f"{argv[0]}: {reason}") from None
        if done.returncode:
            raise ValueError(f"{argv[0]} ended with exit code {done.returncode}; expected 0")
        return TaggedText(text, f"!command {sh(*argv)}")


def environment_resolver(folder: Path) -> TagResolver:
    """Sources with this process's environment."""
    return TagResolver(folder, os.environ)
