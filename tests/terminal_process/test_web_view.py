"""The browser's screen: one page, a stream of what the till says, keys in, and nobody else (B1.1)."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from campus_node.cli.language import Language
from campus_node.terminal.pos.settings import Key
from campus_node.terminal.pos.view import Mood, Sound, View
from campus_node.terminal.settings import ViewSettings
from campus_node.terminal.web_page import SIGNS, SOUNDS, page_of, rendered
from campus_node.terminal.web_view import WebView
from campus_node.wording import Sentence
from federation.clock import SystemClock

PAID = View(Mood.ACCEPTED, Sentence("paid"), (), 1250, 8750, online=True, sound=Sound.ACCEPTED)
EVIL = View(Mood.IDLE, Sentence("{merchant}", merchant="<script>alert(1)</script>&\"'"))


class Looked:
    """A served screen."""

    def __init__(self) -> None:
        self.typed: SimpleQueue[Key | bytes] = SimpleQueue()
        settings = ViewSettings(kind="browser", listen="127.0.0.1:0")
        say = {each.value: each.say for each in Language}
        self.view = WebView(settings, say, self.typed.put, SystemClock())

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.view.port}{path}", data=body, headers=headers
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    def stream(self, language: str) -> Iterator[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.view.port}/events?lang={language}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            for line in answer:
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])


@pytest.fixture
def looked() -> Iterator[Looked]:
    made = Looked()
    yield made
    made.view.close()


def test_the_page_says_what_the_till_says_in_both_languages(looked: Looked) -> None:
    looked.view.show(PAID, 0.0)
    status, page = looked.ask("/")
    assert status == 200
    assert all(text in page for text in ("已付款", "12.50", "87.50", "联机", SIGNS[Mood.ACCEPTED]))
    assert all(text in looked.ask("/?lang=en")[1] for text in ("Paid", "12.50", "Online"))


def test_the_stream_tells_each_change_once_and_what_is_the_same_not_at_all(looked: Looked) -> None:
    looked.view.show(PAID, 0.0)
    stream = looked.stream("en")
    first = next(stream)
    assert (first["mood"], first["amount"], first["balance"], first["sound"]) == (
        "accepted",
        "12.50",
        "87.50",
        "accepted",
    )
    looked.view.show(
        View(Mood.ACCEPTED, Sentence("paid"), (), 1250, 8750, online=True, sound=Sound.ACCEPTED), 1.0
    )
    looked.view.show(View(Mood.IDLE, Sentence("to pay")), 2.0)
    second = next(stream)
    assert (second["mood"], second["mark"], second["number"]) == ("idle", "OFFLINE", first["number"] + 1)


def test_keys_and_codes_reach_the_till_and_nothing_else_does(looked: Looked) -> None:
    ours = {"X-Till": "1"}
    assert looked.ask("/key", b"7", **ours)[0] == 204
    assert looked.ask("/key", b"cancel", **ours)[0] == 204
    assert looked.ask("/code", b"1234567890123456789", **ours)[0] == 204
    assert looked.ask("/key", b"seven", **ours)[0] == 400
    assert looked.ask("/key", "七".encode(), **ours)[0] == 400
    assert looked.ask("/key", b"7" * 300, **ours)[0] == 413
    assert [looked.typed.get(timeout=5) for _ in range(3)] == [Key.D7, Key.CANCEL, b"1234567890123456789"]
    assert looked.typed.empty()


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Till": "1", "Origin": "http://evil.example"}, {"X-Till": "1", "Host": "evil.example"}],
    ids=["a form of any page", "a script of another page", "a name that was bent to this machine"],
)
def test_other_pages_in_the_same_browser_press_no_keys(looked: Looked, headers: dict[str, str]) -> None:
    assert looked.ask("/key", b"7", **headers)[0] == 403
    assert looked.typed.empty()


def test_another_name_than_this_machines_gets_no_page(looked: Looked) -> None:
    assert looked.ask("/", Host="evil.example")[0] == 403
    assert looked.ask("/events", Host="evil.example")[0] == 403


def test_text_is_never_markup() -> None:
    content = {**rendered(EVIL, Language.ENGLISH.say), "number": 1}
    page = page_of(content, Language.ENGLISH.say, "en")
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("mood", Mood)
def test_every_mood_has_a_sign_and_a_word_and_the_mark(language: Language, mood: Mood) -> None:
    for online in (True, False):
        view = View(mood, Sentence("paid"), online=online)
        content = {**rendered(view, language.say), "number": 1}
        page = page_of(content, language.say, language.value)
        assert f'data-mood="{mood.value}"' in page
        assert f'>{SIGNS[mood]}</span><span id="word">{content["word"]}<' in page
        assert f'class="{"online" if online else "offline"}" role="status">{content["mark"]}<' in page
    assert len({rendered(View(each, Sentence("paid")), language.say)["word"] for each in Mood}) == len(Mood)


def test_every_sound_but_silence_can_be_heard() -> None:
    assert {sound for sound in Sound if not SOUNDS[sound]} == {Sound.SILENT}
    assert len({str(SOUNDS[sound]) for sound in Sound}) == len(Sound), "each sounds different"
