"""Conversations that are kept: reading, writing and answering them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from app.chats import ChatStore, Conversation, MessageState, NewPicture, SearchHit, StoredMessage
from app.chats.exchange import ArchivedConversation, read_conversations
from app.domain.errors import AppError, InvalidRequest, StoreError
from app.domain.generation import ChatRequest, Finished, GenerationEvent, ReasoningDelta, SamplingChoice, TextDelta
from app.domain.messages import Message, Role
from app.domain.observable import Observable
from app.service.chat import ChatService
from app.service.history import is_empty_failure, prompt_messages, title_of
from app.service.whole_file import write_whole

__all__ = ["AnswerOptions", "ConversationService", "OpenConversation", "Taken"]

_log = logging.getLogger(__name__)
_SAVE_EVERY_S = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How to answer, apart from the conversation itself."""

    system_prompt: str = ""
    sampling: SamplingChoice = field(default_factory=SamplingChoice)
    max_tokens: int | None = None
    template_args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenConversation:
    """A conversation with its messages as they are shown."""

    conversation: Conversation
    messages: tuple[StoredMessage, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """How many conversations came in; `known` had come before."""

    new: int = 0
    known: int = 0


class ConversationService:
    """Owned by the service loop. The store lives on one thread of its own, opened at the first use.

    Every method that reads or writes raises StoreError. `changed` tells of the list, the latest conversation first.
    """

    def __init__(self, file: Path, chat: ChatService) -> None:
        self.changed: Observable[tuple[Conversation, ...]] = Observable()
        self._file = file
        self._chat = chat
        self._executor = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="chats")
        self._store: ChatStore | None = None  # touched on the executor's thread only
        self._growing: set[_Growth] = set()
        self._closed = False

    # ------------------------------------------------------------------------------------------------------- reading
    async def open(self) -> None:
        """Open the file now, so that trouble with it shows at the start."""
        await self._run(lambda store: None)

    async def notice(self) -> str | None:
        """What the person should know about the file, such as that a damaged one was moved aside."""
        return await self._run(lambda store: store.notice)

    async def list(self) -> tuple[Conversation, ...]:
        return await self._run(ChatStore.conversations)

    async def search(self, text: str) -> tuple[SearchHit, ...]:
        """Where every word of `text` stands, the latest conversation first."""
        return await self._run(lambda store: store.search(text))

    async def read(self, conversation_id: str) -> OpenConversation:
        return await self._run(
            lambda store: OpenConversation(store.conversation(conversation_id), store.messages(conversation_id))
        )

    async def export(self, conversation_ids: Sequence[str] = ()) -> tuple[ArchivedConversation, ...]:
        """Whole conversations; all of them if none is named."""
        return await self._run(
            lambda store: tuple(store.export(one) for one in conversation_ids or [each.id for each in store.conversations()])
        )

    async def save(
        self,
        file: Path,
        write: Callable[[Sequence[ArchivedConversation]], str],
        conversation_ids: Sequence[str] = (),
    ) -> None:
        """Write what `export` gives, as a text, to a file: all of it or nothing."""
        archived = await self.export(conversation_ids)
        await self.write_file(file, await asyncio.to_thread(lambda: write(archived).encode()))

    async def write_file(self, file: Path, data: bytes) -> None:
        """Write a file: all of it or nothing."""
        try:
            await asyncio.to_thread(write_whole, file, data)
        except OSError as error:
            raise StoreError(f"{file} can't be written: {error.strerror or error}.") from error

    async def picture(self, sha256: str) -> bytes:
        """The bytes of an attachment."""
        return await self._run(lambda store: store.attachment_data(sha256))

    # ------------------------------------------------------------------------------------------------------- writing
    async def create(self, *, model: str, title: str = "") -> Conversation:
        return await self._change(lambda store: store.create(title=title, model=model))

    async def take(self, files: Sequence[Path]) -> Taken:
        """Keep the conversations in files of this program or of others; what was taken before is passed over.

        A file is taken whole or not at all. Raises InvalidRequest for the first that can't be; those before it are kept.
        """
        taken = Taken()
        for file in files:
            try:
                archived = await asyncio.to_thread(read_conversations, file)
            except OSError as error:
                raise InvalidRequest(f"{file.name} can't be read: {error.strerror or error}.", param="file") from error
            kept = await self._change(partial(ChatStore.take, archived=archived))
            new = sum(one is not None for one in kept)
            taken = Taken(taken.new + new, taken.known + len(kept) - new)
        return taken

    async def rename(self, conversation_id: str, title: str) -> Conversation:
        """Give it a title of the person's own."""
        title = " ".join(title.split())
        if not title:
            raise InvalidRequest("A title needs at least one letter.", param="title")
        return await self._change(lambda store: store.rename(conversation_id, title))

    async def set_model(self, conversation_id: str, model: str) -> Conversation:
        return await self._change(lambda store: store.set_model(conversation_id, model))

    async def delete(self, conversation_id: str) -> None:
        """Take it off the list; `restore` undoes it until the program ends. Whoever reads an answer in it has to close that."""
        await self._change(lambda store: store.delete(conversation_id))
        await self._chat.forget(_cache_key(conversation_id))

    async def restore(self, conversation_id: str) -> Conversation:
        return await self._change(lambda store: store.restore(conversation_id))

    async def send(self, conversation_id: str, text: str, pictures: Sequence[NewPicture] = ()) -> StoredMessage:
        """Keep what the person says next. It is on the disk when this returns; `answer` asks the model."""
        if not text.strip() and not pictures:
            raise InvalidRequest("There is nothing to send yet.", param="text")

        def write(store: ChatStore) -> StoredMessage:
            shown = store.messages(conversation_id)
            parent_id = shown[-1].id if shown else None
            message = store.append(conversation_id, parent_id=parent_id, role=Role.USER, text=text, pictures=pictures)
            if not shown and not store.conversation(conversation_id).title:
                store.rename(conversation_id, title_of(text), by_person=False)
            return message

        return await self._change(write)

    async def choose(self, message_id: str) -> OpenConversation:
        """Show another alternative, and what was said after it."""

        def write(store: ChatStore) -> OpenConversation:
            store.choose(message_id)
            conversation_id = store.message(message_id).conversation_id
            return OpenConversation(store.conversation(conversation_id), store.messages(conversation_id))

        return await self._run(write)

    async def reveal(self, message_id: str) -> OpenConversation:
        """The conversation with this message among those that are shown: other alternatives give way to its own branch."""

        def write(store: ChatStore) -> OpenConversation:
            store.reveal(message_id)
            conversation_id = store.message(message_id).conversation_id
            return OpenConversation(store.conversation(conversation_id), store.messages(conversation_id))

        return await self._run(write)

    # ----------------------------------------------------------------------------------------------------- answering
    def answer(
        self, conversation_id: str, *, model: str, options: AnswerOptions = AnswerOptions()
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Have `model` answer the last message. The last event is `Finished`.

        What has been written is kept every half second, and kept as STOPPED when the generator is closed or its task cancelled,
        as FAILED when it raises (see `ChatService.generate`).
        """
        return self._answer(lambda store: self._begin(store, conversation_id, model, options), model)

    def regenerate(
        self, message_id: str, *, model: str, options: AnswerOptions = AnswerOptions()
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Another answer beside `message_id`, which stays as an alternative; an answer that failed at once is replaced."""

        def begin(store: ChatStore) -> _Begun:
            old = store.message(message_id)
            store.choose(message_id)
            begun = self._begin(store, old.conversation_id, model, options, beside=old)
            if is_empty_failure(old):
                store.discard(old.id)
            return begun

        return self._answer(begin, model)

    async def close(self) -> None:
        """Keep what is being written as STOPPED and close the file. Nothing may be called afterwards."""
        self._closed = True
        try:
            for growth in tuple(self._growing):
                await self._run(growth.write)
        except StoreError:
            _log.exception("What was being written could not be kept")
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._close_store)
        except StoreError:
            _log.exception("Deleted conversations could not be removed; that is done at the next start")
        finally:
            self._executor.shutdown()

    # ------------------------------------------------------------------------------------------------------- private
    @staticmethod
    def _begin(
        store: ChatStore, conversation_id: str, model: str, options: AnswerOptions, beside: StoredMessage | None = None
    ) -> _Begun:
        """On the store's thread: read what was said so far and put an empty answer below it."""
        shown = store.messages(conversation_id)
        if beside is not None:
            shown = shown[: [message.id for message in shown].index(beside.id)]
        messages = prompt_messages(shown, system_prompt=options.system_prompt, picture=store.attachment_data)
        store.set_model(conversation_id, model)
        parent_id = shown[-1].id if shown else None
        answer = store.append(
            conversation_id, parent_id=parent_id, role=Role.ASSISTANT, text="", state=MessageState.GROWING, model=model
        )
        return _Begun(answer.id, conversation_id, messages, options)

    async def _answer(self, begin: Callable[[ChatStore], _Begun], model: str) -> AsyncGenerator[GenerationEvent, None]:
        begun = await self._begun(begin)
        growth = _Growth(begun.message_id, self._save)
        self._growing.add(growth)
        try:
            async with aclosing(self._chat.generate(begun.request(model))) as events:
                async for event in events:
                    growth.add(event)
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            growth.end(MessageState.STOPPED)
            raise
        except AppError as error:
            growth.end(MessageState.FAILED, str(error))
            raise
        finally:
            growth.end(MessageState.COMPLETE if growth.finished else MessageState.FAILED, "The answer ended unexpectedly.")
            self._growing.discard(growth)
            if not self._closed:
                await self._change(growth.write)

    async def _begun(self, begin: Callable[[ChatStore], _Begun]) -> _Begun:
        """Begin an answer whole or not at all: cancelled in between, it is kept as stopped before its first word."""
        beginning = asyncio.ensure_future(self._change(begin))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            begun = await beginning
            await self._change(lambda store: store.finish(begun.message_id, state=MessageState.STOPPED, text=""))
            raise

    def _save(self, write: Callable[[ChatStore], None]) -> None:
        """Begin to write, without waiting for it. A failure is told by the last write of the answer, if it lasts."""
        if not self._closed:
            self._executor.submit(self._with_store, write).add_done_callback(_log_failure)

    async def _change(self, work: Callable[[ChatStore], T]) -> T:
        """Run something that changes the list, and tell of the new one."""
        result, conversations = await self._run(lambda store: (work(store), store.conversations()))
        self.changed.notify(conversations)
        return result

    async def _run(self, work: Callable[[ChatStore], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._with_store, work)

    def _with_store(self, work: Callable[[ChatStore], T]) -> T:
        if self._store is None:
            self._store = ChatStore(self._file)
        return work(self._store)

    def _close_store(self) -> None:
        if self._store is not None:
            with self._store:
                self._store.purge_deleted()


@dataclass(frozen=True, slots=True)
class _Begun:
    """An answer about to be asked for."""

    message_id: str
    conversation_id: str
    messages: tuple[Message, ...]
    options: AnswerOptions

    def request(self, model: str) -> ChatRequest:
        return ChatRequest(
            model=model,
            messages=self.messages,
            sampling=self.options.sampling,
            max_tokens=self.options.max_tokens,
            template_args=self.options.template_args,
            cache_key=_cache_key(self.conversation_id),
            # Somebody sits in front of it.
            preferred=True,
        )


class _Growth:
    """A growing answer and when to keep it. Owned by the service loop."""

    def __init__(self, message_id: str, save: Callable[[Callable[[ChatStore], None]], None]) -> None:
        self._message_id = message_id
        self._save = save
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._state: MessageState | None = None
        self._error = ""
        self.finished: Finished | None = None

    def add(self, event: GenerationEvent) -> None:
        match event:
            case TextDelta(text):
                self._text.append(text)
            case ReasoningDelta(text):
                self._reasoning.append(text)
            case Finished():
                self.finished = event
                return
            case _:
                return
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SAVE_EVERY_S, self._keep)

    def end(self, state: MessageState, error: str = "") -> None:
        """Decide how it ended; only the first call counts. An answer the model finished is complete whatever came after."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._state is None:
            self._state = MessageState.COMPLETE if self.finished else state
            self._error = error if self._state is MessageState.FAILED else ""

    def write(self, store: ChatStore) -> None:
        """On the store's thread: the end of the answer; STOPPED if the program is closing and nothing has decided yet."""
        store.finish(
            self._message_id,
            state=self._state or MessageState.STOPPED,
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            finished=self.finished,
            error=self._error,
        )

    def _keep(self) -> None:
        self._timer = None
        message_id, text, reasoning = self._message_id, "".join(self._text), "".join(self._reasoning)
        self._save(lambda store: store.grow(message_id, text=text, reasoning=reasoning))


def _cache_key(conversation_id: str) -> str:
    return f"conversation {conversation_id}"


def _log_failure(future: concurrent.futures.Future[None]) -> None:
    error = future.exception()
    if error is not None:
        _log.error("A growing answer could not be kept", exc_info=error)
