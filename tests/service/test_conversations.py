from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from app.chats import Conversation, MessageState, NewPicture, StoredMessage
from app.domain.errors import AppError, EngineCrashed, InvalidRequest, StoreError
from app.domain.generation import (
    ChatRequest,
    Finished,
    FinishReason,
    GenerationEvent,
    ReasoningDelta,
    TextDelta,
    Timings,
    Usage,
)
from app.service.chat import ChatService
from app.service.conversations import AnswerOptions, ConversationService

pytestmark = pytest.mark.anyio

FINISHED = Finished(FinishReason.STOP, Usage(5, 2), Timings(0.0, 0.1, 0.2))


class ScriptedChat(ChatService):
    """Answers every request with the same events; `error` ends the answer, `held` keeps it from ending."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self.events: tuple[GenerationEvent, ...] = (ReasoningDelta("Hm."), TextDelta("Hello "), TextDelta("you"), FINISHED)
        self.error: AppError | None = None
        self.held: asyncio.Event | None = None
        self.closed = 0
        self.forgotten: list[str] = []

    async def forget(self, cache_key: str) -> None:
        self.forgotten.append(cache_key)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[GenerationEvent, None]:
        self.requests.append(request)
        try:
            for event in self.events:
                yield event
            if self.held is not None:
                await self.held.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chats.sqlite3"


@pytest.fixture
def chat() -> ScriptedChat:
    return ScriptedChat()


@pytest.fixture
async def service(file: Path, chat: ScriptedChat) -> AsyncIterator[ConversationService]:
    opened = ConversationService(file, chat)
    yield opened
    await opened.close()


async def started(service: ConversationService, text: str = "Hello", *pictures: NewPicture) -> Conversation:
    conversation = await service.create(model="ember")
    await service.send(conversation.id, text, pictures)
    return conversation


async def read(events: AsyncGenerator[GenerationEvent, None]) -> list[GenerationEvent]:
    return [event async for event in events]


async def last(service: ConversationService, conversation: Conversation) -> StoredMessage:
    return (await service.read(conversation.id)).messages[-1]


async def test_an_answer_streams_and_is_kept_with_its_figures(service: ConversationService, chat: ScriptedChat) -> None:
    conversation = await started(service)
    assert await read(service.answer(conversation.id, model="ember")) == list(chat.events)
    answer = await last(service, conversation)
    assert (answer.state, answer.text, answer.reasoning, answer.model) == (MessageState.COMPLETE, "Hello you", "Hm.", "ember")
    assert (answer.usage, answer.timings, answer.finish_reason) == (FINISHED.usage, FINISHED.timings, FINISHED.reason)


async def test_the_model_reads_the_conversation_with_its_pictures(service: ConversationService, chat: ScriptedChat) -> None:
    conversation = await started(service, "What is it?", NewPicture(b"picture"))
    await read(service.answer(conversation.id, model="ember"))
    await service.send(conversation.id, "Sure?")
    await read(service.answer(conversation.id, model="other", options=AnswerOptions(system_prompt="Be brief.")))
    request = chat.requests[-1]
    assert request.model == "other"
    assert [message.text for message in request.messages] == ["Be brief.", "What is it?", "Hello you", "Sure?"]
    assert request.messages[1].images[0].data == b"picture"
    assert (await service.read(conversation.id)).conversation.model == "other"


async def test_closing_the_answer_stops_the_model_and_keeps_what_was_written(
    service: ConversationService, chat: ScriptedChat
) -> None:
    conversation = await started(service)
    async with aclosing(service.answer(conversation.id, model="ember")) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    answer = await last(service, conversation)
    assert (answer.state, answer.text, chat.closed) == (MessageState.STOPPED, "Hello ", 1)


async def test_cancelling_the_task_keeps_what_was_written(service: ConversationService, chat: ScriptedChat) -> None:
    chat.events, chat.held = chat.events[:3], asyncio.Event()
    conversation = await started(service)
    arrived = asyncio.Event()

    async def consume() -> None:
        async for event in service.answer(conversation.id, model="ember"):
            if event == TextDelta("you"):
                arrived.set()

    task = asyncio.create_task(consume())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answer = await last(service, conversation)
    assert (answer.state, answer.text) == (MessageState.STOPPED, "Hello you")


async def test_an_answer_cancelled_before_its_first_word_is_kept_as_stopped(service: ConversationService) -> None:
    conversation = await started(service)
    task = asyncio.ensure_future(anext(service.answer(conversation.id, model="ember")))
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    answer = await last(service, conversation)
    assert (answer.state, answer.text) == (MessageState.STOPPED, "")


async def test_a_failure_is_raised_and_kept_with_its_sentence(service: ConversationService, chat: ScriptedChat) -> None:
    chat.events, chat.error = chat.events[:2], EngineCrashed(exit_code=-6)
    conversation = await started(service)
    with pytest.raises(EngineCrashed):
        await read(service.answer(conversation.id, model="ember"))
    answer = await last(service, conversation)
    assert (answer.state, answer.text, answer.error) == (MessageState.FAILED, "Hello ", str(chat.error))


async def test_regenerating_keeps_the_old_answer_as_an_alternative(service: ConversationService, chat: ScriptedChat) -> None:
    conversation = await started(service)
    await read(service.answer(conversation.id, model="ember"))
    old = await last(service, conversation)
    chat.events = (TextDelta("Another"), FINISHED)
    await read(service.regenerate(old.id, model="ember"))
    new = await last(service, conversation)
    assert (new.text, new.alternatives, new.position) == ("Another", (old.id, new.id), 1)
    assert [message.text for message in chat.requests[-1].messages] == ["Hello"]
    assert (await service.choose(old.id)).messages[-1].text == "Hello you"


async def test_trying_again_replaces_an_answer_that_failed_at_once(service: ConversationService, chat: ScriptedChat) -> None:
    chat.events, chat.error = (), EngineCrashed(exit_code=1)
    conversation = await started(service)
    with pytest.raises(EngineCrashed):
        await read(service.answer(conversation.id, model="ember"))
    chat.events, chat.error = (TextDelta("Now"), FINISHED), None
    await read(service.regenerate((await last(service, conversation)).id, model="ember"))
    answer = await last(service, conversation)
    assert (answer.text, len(answer.alternatives)) == ("Now", 1)


async def test_the_list_is_told_of_every_change(service: ConversationService) -> None:
    told: list[tuple[Conversation, ...]] = []
    service.changed.subscribe(told.append)
    conversation = await started(service, "What is a **tree**?")
    assert [each.title for each in told[-1]] == ["What is a tree?"]
    await service.rename(conversation.id, "  Trees  ")
    assert [each.title for each in told[-1]] == ["Trees"]
    await service.delete(conversation.id)
    assert told[-1] == ()
    await service.restore(conversation.id)
    assert told[-1] == await service.list()


async def test_what_was_computed_for_a_deleted_conversation_is_forgotten(
    service: ConversationService, chat: ScriptedChat
) -> None:
    conversation = await started(service)
    await read(service.answer(conversation.id, model="ember"))
    assert chat.requests[-1].preferred
    await service.delete(conversation.id)
    assert chat.forgotten == [chat.requests[-1].cache_key]


async def test_empty_messages_and_titles_are_refused(service: ConversationService) -> None:
    conversation = await service.create(model="ember")
    with pytest.raises(InvalidRequest, match="nothing to send"):
        await service.send(conversation.id, "  \n")
    with pytest.raises(InvalidRequest, match="title"):
        await service.rename(conversation.id, "   ")


async def test_closing_keeps_a_growing_answer_as_stopped(file: Path, chat: ScriptedChat) -> None:
    service = ConversationService(file, chat)
    conversation = await started(service)
    events = service.answer(conversation.id, model="ember")
    assert await anext(events) == ReasoningDelta("Hm.")
    assert await anext(events) == TextDelta("Hello ")
    await service.close()
    await events.aclose()
    reopened = ConversationService(file, chat)
    answer = await last(reopened, conversation)
    await reopened.close()
    assert (answer.state, answer.text) == (MessageState.STOPPED, "Hello ")


async def test_a_file_that_breaks_does_not_keep_the_program_from_closing(
    file: Path, chat: ScriptedChat, caplog: pytest.LogCaptureFixture
) -> None:
    service = ConversationService(file, chat)
    conversation = await started(service)
    events = service.answer(conversation.id, model="ember")
    await anext(events)
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("DROP TABLE attachment")
        other.execute("DROP TABLE message")

    await service.close()
    await events.aclose()

    assert "could not be kept" in caplog.text
    assert "could not be removed" in caplog.text


async def test_a_file_that_can_not_be_opened_is_a_store_error_each_time(tmp_path: Path, chat: ScriptedChat) -> None:
    (tmp_path / "file").write_text("no folder")
    service = ConversationService(tmp_path / "file" / "chats.sqlite3", chat)
    for _ in range(2):
        with pytest.raises(StoreError):
            await service.list()
    await service.close()


KILLED = """
import asyncio, itertools, sys
from pathlib import Path
from app.domain.generation import TextDelta
from app.service.chat import ChatService
from app.service.conversations import ConversationService

class Endless(ChatService):
    def __init__(self): pass
    async def generate(self, request):
        for number in itertools.count():
            yield TextDelta(f"{number} ")
            print(number, asyncio.get_running_loop().time(), flush=True)
            await asyncio.sleep(0.01)

async def main():
    service = ConversationService(Path(sys.argv[1]), Endless())
    conversation = await service.create(model="ember")
    await service.send(conversation.id, "Count")
    async for event in service.answer(conversation.id, model="ember"):
        pass

asyncio.run(main())
"""


def count_and_kill(file: Path) -> list[tuple[int, float]]:
    """Have a program write for two seconds and kill it; return what it wrote, and when."""
    written: list[tuple[int, float]] = []
    with subprocess.Popen([sys.executable, "-c", KILLED, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not written or written[-1][1] - written[0][1] < 2.2:
            number, seconds = process.stdout.readline().split()
            written.append((int(number), float(seconds)))
        process.kill()
        # What it could still say before it died counts too.
        for line in process.stdout.read().splitlines():
            if len(fields := line.split()) == 2:
                written.append((int(fields[0]), float(fields[1])))
    return written


async def test_a_killed_program_loses_at_most_the_last_second(file: Path, chat: ScriptedChat) -> None:
    written = count_and_kill(file)
    service = ConversationService(file, chat)
    (conversation,) = await service.list()
    question, answer = (await service.read(conversation.id)).messages
    await service.close()
    numbers = [int(number) for number in answer.text.split()]
    assert question.text == "Count"
    assert answer.state is MessageState.STOPPED
    assert numbers == list(range(len(numbers)))
    must_be_there = [number for number, seconds in written if seconds < written[-1][1] - 1.0]
    assert len(numbers) > must_be_there[-1]
