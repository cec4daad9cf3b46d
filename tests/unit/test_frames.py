"""Frames: any bytes, any exit codes, any cutting of the stream."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgprovision.engine.model import Action, Probe, Waiting
from pgprovision.quote import sh
from pgprovision.transport import framing
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection

MARK = "-=pgp-0123456789abcdef01234567=-"
steps = st.lists(
    st.tuples(st.binary(max_size=200), st.integers(0, 255), st.binary(max_size=50)), max_size=8
)


def stream(ended: list[tuple[bytes, int, bytes]]) -> tuple[bytes, bytes]:
    """What the far side would print for these steps."""
    out = b"".join(
        text + f"{MARK} {index} {code}\n".encode() for index, (text, code, _) in enumerate(ended)
    )
    err = b"".join(err + f"{MARK}\n".encode() for _, _, err in ended)
    begun = f"{MARK}\n".encode()
    return begun + out, b"Could not chdir to home directory\n" + begun + err


@given(steps, st.integers(1, 7))
def test_decoder_when_fed_in_any_pieces_then_gives_every_step_once(
    ended: list[tuple[bytes, int, bytes]], size: int
) -> None:
    out, err = stream(ended)
    decoder = framing.Decoder(MARK)
    got: list[framing.Frame] = []
    for at in range(0, max(len(out), len(err)), size):
        got += decoder.feed(out[at : at + size], err[at : at + size])
    assert got == [framing.Frame(i, code, o, e) for i, (o, code, e) in enumerate(ended)]
    assert decoder.remainder == b""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 125)), min_size=1, max_size=5))
def test_shell_when_given_any_bytes_and_codes_then_returns_them(
    expected: list[tuple[bytes, int]],
) -> None:
    mark = framing.new_mark()
    script = framing.encode(
        [framing.ShellStep(f"cat; exit {c}", data) for data, c in expected], mark
    )
    decoder = framing.Decoder(mark)
    got: list[framing.Frame] = []
    for out, err in LocalConnection().run(script, lambda: 20.0):
        got += decoder.feed(out, err)
    assert [(f.out, f.code) for f in got] == expected


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80))
def test_step_text_when_any_unicode_then_reaches_the_shell_unchanged(text: str) -> None:
    probe = Probe(sh("printf", "%s", text))
    answers = Host("controller", LocalConnection).observe([probe])
    assert answers is not None and not isinstance(answers, Waiting)
    assert answers[probe].text == text


def test_actions_when_one_fails_then_the_rest_do_not_run() -> None:
    mark = framing.new_mark()
    steps = [
        framing.ShellStep("echo a"),
        framing.ShellStep("echo b; exit 9"),
        framing.ShellStep("echo c"),
    ]
    decoder = framing.Decoder(mark)
    got: list[framing.Frame] = []
    for out, err in LocalConnection().run(
        framing.encode(steps, mark, stop_on_failure=True), lambda: 20.0
    ):
        got += decoder.feed(out, err)
    assert [(f.out, f.code) for f in got] == [(b"a\n", 0), (b"b\n", 9)]


def test_step_when_its_shell_is_wrong_then_only_that_step_fails() -> None:
    bad, good = Probe("if then ("), Probe("echo still here")
    answers = Host("controller", LocalConnection).observe([bad, good])
    assert answers is not None and not isinstance(answers, Waiting)
    assert answers[bad].code != 0
    assert answers[good].text == "still here\n"


def test_payload_when_sent_then_is_in_no_argument_list() -> None:
    done: list[Action] = []
    action = Action("look at myself", "cat /proc/$$/cmdline /proc/self/cmdline >&2", b"canary-5f3")
    Host("controller", LocalConnection).act([action], done.append)
    mark = framing.new_mark()
    script = framing.encode([framing.ShellStep(action.text, b"canary-5f3")], mark)
    pieces = [err for _, err in LocalConnection().run(script, lambda: 20.0)]
    assert b"canary" not in b"".join(pieces)
    assert done == [action]


# Speaks as psql does: says what follows \echo, tells its process for everything else, ends at `no`.
SPEAKER = r"""while read -r word rest; do case $word in
  '\echo') echo "$rest" ;; no) echo "no: $rest" >&2; exit 3 ;; "") ;; *) echo "$word $$" ;;
esac; done"""


def run_steps(*steps: framing.ShellStep, guard: tuple[str, str] = ("", "")) -> list[framing.Frame]:
    mark = framing.new_mark()
    decoder = framing.Decoder(mark)
    got: list[framing.Frame] = []
    script = framing.encode(steps, mark, stop_on_failure=True, guard=guard)
    for out, err in LocalConnection(("setsid", "sh", "-s")).run(script, lambda: 20.0):
        got += decoder.feed(out, err)
    return got


def speak(words: str) -> framing.ShellStep:
    return framing.ShellStep(f"sh -c {sh(SPEAKER)}", words.encode(), psql_session=True)


def test_session_when_neighbours_say_the_same_then_is_one_process_and_a_frame_each() -> None:
    a, b, other, c = run_steps(speak("a\n"), speak("b"), framing.ShellStep("echo x"), speak("c\n"))
    (first, one), (second, two), (third, three) = (f.out.decode().split() for f in (a, b, c))
    assert (first, second, third) == ("a", "b", "c")
    assert one == two != three
    assert (other.out, [f.code for f in (a, b, other, c)]) == (b"x\n", [0, 0, 0, 0])


def test_session_when_a_step_fails_then_it_alone_fails_and_the_rest_are_not_sent() -> None:
    good, bad = run_steps(speak("a\n"), speak("no such thing\nmore\n"), speak("b\n"))
    assert (good.code, good.err) == (0, b"")
    assert (bad.index, bad.code, bad.err) == (1, 3, b"no: such thing\n")


def test_session_when_it_ends_without_an_error_then_the_step_failed_all_the_same() -> None:
    leave = framing.ShellStep("read -r l", b"one\n", psql_session=True)
    assert [f.code for f in run_steps(leave, leave)] == [1]


def test_session_when_the_guard_refuses_a_step_then_it_is_not_sent(tmp_path: Path) -> None:
    fence = tmp_path / "fence"
    guard = ("", f"[ ! -e {fence} ] || {{ echo fenced >&2; exit 76; }}")
    raise_it = framing.ShellStep(
        f"while read -r w r; do case $w in '\\echo') echo \"$r\" ;; *) touch {fence} ;; esac; done",
        b"go\n",
        psql_session=True,
    )
    done, refused = run_steps(raise_it, raise_it, raise_it, guard=guard)
    assert (done.code, refused.code, refused.err) == (0, 76, b"fenced\n")
