"""Text that means something in a shell, in SQL, in a template, in YAML, in a path, or to a reader:
at least 200 of them. Each says `pwned` somewhere if it could do something."""

from itertools import product

_TOUCH = "touch /tmp/pwned"
_SHELL = [
    f"$({_TOUCH})", f"`{_TOUCH}`", f"; {_TOUCH}", f"| {_TOUCH}", f"&& {_TOUCH}", f"|| {_TOUCH}",
    f"& {_TOUCH} &", "> /tmp/pwned", ">> /tmp/pwned", "< /etc/passwd", f"\n{_TOUCH}\n",
    "$HOME", "${HOME}", "${IFS}", "$((7*7))", "$'\\x41'", "*", "?", "[a-z]*", "~", "~root", "!!",
    "!$", "#", "a#b", "a #b", "{a,b}", "\\", "\\\\", "a\\", "\\n", "'", '"', "''", '""', "'\"'",
    f"'; {_TOUCH}; '", f'"; {_TOUCH}; "', f"' $({_TOUCH}) '", "EOF", "\nEOF\n", "<<EOF", "<(id)",
    "a b", " a", "a ", "\t", "a\tb", "-", "--", "-rf", "--help", "-oProxyCommand=touch /tmp/pwned",
    "-e", "--version", "- a", "@", "@/etc/passwd", "%", "%%", "=", "a=b", "A=b c",
]  # fmt: skip
_SQL = [
    "'; drop table pwned; --", '"; drop table pwned; --', "' or '1'='1", "x'; select pwned(); --",
    "$$", "$$; select 1; $$", "$a$", "E'\\''", "U&'\\0027'", "/* pwned */", "--", "\\!", "\\! id",
    "\\q", "\\gexec", ":pwned", ":'pwned'", ':"pwned"', "copy t to program 'touch /tmp/pwned'",
    "select", "user", "all", "public", "none", "postgres", "template1", "replication", "sameuser",
    "samerole", "pg_monitor", "PUBLIC", "+group", "@file", "/regex.*", "a,b", '"all"', "null",
]  # fmt: skip
_TEMPLATE = [
    "{{7*7}}", "{{ pwned }}", "{% raw %}", "{% for %}", "{# pwned #}", "{{''.__class__}}", "%s",
    "%d", "%n", "%p", "%(pwned)s", "{0}", "{}", "{pwned}", "{0.__class__}", "${pwned}", "#{pwned}",
    "<%= 7*7 %>", "%h", "%%i", "%i",
]  # fmt: skip
_FILES = [
    "../pwned", "../../etc/passwd", "/", "//", "/etc/passwd", ".", "..", "./", "a/../b",
    "/dev/null",
    "/dev/zero", "/proc/self/environ", "a/b", "file:///etc/passwd", "http://pwned/", "C:\\pwned",
    "\\\\pwned\\a", "a:b", "a:b:c", ":", "::", "*:*:*:*:*", "host=pwned", "a b='c'", "[global]",
    "[pwned]\nrepo1-path=/", "key=value\nother=value", "a;b", "; a comment", "# a comment",
    "10.0.0.0/0", "0.0.0.0", "::", "localhost", "1.2.3.4.5", "010.1.1.1", "10.1",
]  # fmt: skip
_YAML = [
    "a: b", "- a", "[a", "{a", "*a", "&a", "!a", "!!python/object:pwned", "|", ">", "? a", "---",
    "...", "yes", "no", "on", "~", "null", "1", "010", "0x10", "1e3", ".inf", ".nan", "2026-01-01",
    "12:30:45", "<<", "true",
]  # fmt: skip
_TEXT = [
    "\0", "a\0b", "\n", "a\nb", "\r", "a\r\nb", "\x07", "\x1b[31m", "\x7f", "\x85", "\u2028",
    "\u2029", "\u00a0", "a\u00a0b", "\u200b", "a\u200bb", "\u202e", "a\u202eb", "\ufeff", "\u00e4",
    "a\u0308", "\u00c5", "\u212b", "\ufb01", "\u0130", "\u01c5", "\u0661", "\u4e2d\u6587", "\u05d0",
    "\U0001f418", "a\U0001f418", "\ud800", "\U0010ffff", "", "a", "A", "_", "9", "9a", "a.", ".a",
    "a-b", "a_b", "a" * 63, "a" * 64, "\u00e4" * 32, "a" * 1001, "x" * 70_000,
]  # fmt: skip
_SECRETS = [
    ":",
    "@",
    "/",
    "#",
    "?",
    "%",
    "\\",
    "a:b@c/d#e?f%g\\h",
    "%41",
    "a&b=c",
    "a+b c",
    "$1",
    "€",
]

INJECTION_STRINGS: tuple[str, ...] = tuple(
    dict.fromkeys([*_SHELL, *_SQL, *_TEMPLATE, *_FILES, *_YAML, *_TEXT, *_SECRETS])
)
# the same inside of something that is right by itself
EMBEDDED_STRINGS: tuple[str, ...] = tuple(
    f"{before}{text}{after}" for text, (before, after) in product(_SHELL, (("a", ""), ("", "a")))
)
