"""The chat page: one conversation, its model, and the composer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app.chats import Conversation, NewPicture, StoredMessage
from app.domain.generation import GenerationEvent, SamplingChoice, SamplingParams
from app.domain.models import Capability, InstalledModel, LoadedModel, ModelSource, ModelState
from app.gui.bridge import Bridge
from app.gui.chat.composer import Composer
from app.gui.chat.header import ChatHeader
from app.gui.chat.links import ask_and_open
from app.gui.chat.look import chat_stylesheet
from app.gui.chat.message_view import AnswerView
from app.gui.chat.notices import ModelLine, ProblemLine
from app.gui.chat.pictures import attach, scaled_picture
from app.gui.chat.running_answer import RunningAnswer
from app.gui.chat.thumbnails import PictureDialog, Thumbnail
from app.gui.chat.transcript import COLUMN_WIDTH, Transcript
from app.gui.chat.welcome import Example, Welcome
from app.gui.errors import sentence
from app.gui.theme import Theme
from app.service.conversations import AnswerOptions, ConversationService, OpenConversation
from app.service.model_config import effective_settings
from app.service.services import Services
from app.settings import ModelSettings, SettingsStore

__all__ = ["ChatPage"]


class ChatPage(QWidget):
    """Owns the answers that are being written, also those of conversations that are not on the screen.

    `conversation_opened` carries the Conversation, or None for an empty one; `answer_finished` the OpenConversation as kept;
    `answer_failed` the error.
    """

    conversation_opened = Signal(object)
    answer_finished = Signal(object)
    answer_failed = Signal(object)
    models_page_wanted = Signal()

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._conversation: Conversation | None = None
        self._wanted = ""
        self._running: dict[str, RunningAnswer] = {}
        self._sending = False
        self.header = ChatHeader(services, bridge)
        self.picker = self.header.picker
        self.transcript = Transcript(self.picker.name_of)
        self.welcome = Welcome()
        self.composer = Composer()
        self.problem = ProblemLine()
        self._model_line = ModelLine()
        self._stack = QStackedWidget()
        self.setAcceptDrops(True)
        self._lay_out()
        self._connect()
        self._restyle()

    def _lay_out(self) -> None:
        self._stack.addWidget(self.welcome)
        self._stack.addWidget(self.transcript)
        column = QVBoxLayout()
        column.setSpacing(Theme.GAP)
        for part in (self.problem, self.composer, self._model_line):
            part.setMaximumWidth(COLUMN_WIDTH)
            column.addWidget(part)
        foot = QHBoxLayout()
        foot.setContentsMargins(Theme.WIDE, 0, Theme.WIDE, Theme.PAD)
        foot.addStretch(1)
        foot.addLayout(column, 1000)
        foot.addStretch(1)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(0)
        page.addWidget(self.header)
        page.addWidget(self._stack, stretch=1)
        page.addLayout(foot)

    def _connect(self) -> None:
        self.composer.submitted.connect(self._send)
        self.composer.stop_wanted.connect(self.stop)
        self.composer.picture_offered.connect(self._read_picture)
        self.composer.thinking_wanted.connect(self._want_thinking)
        self.welcome.tried.connect(self._try)
        self.picker.model_chosen.connect(self._use_model)
        self.picker.problem.connect(self.problem.say)
        self.picker.changed.connect(self._show_loading)
        self.picker.models_page_wanted.connect(self.models_page_wanted)
        self._model_line.models_page_wanted.connect(self.models_page_wanted)
        self.transcript.again.connect(self._again)
        self.transcript.chosen.connect(self._choose)
        self.transcript.link_wanted.connect(lambda address: ask_and_open(self, address))
        self.transcript.picture_wanted.connect(self._fetch_picture)
        self._bridge.watch(self._services.conversations.changed, self._follow_list)
        notice = self._bridge.submit(self._services.conversations.notice(), self)
        notice.succeeded.connect(lambda words: self.problem.say(words) if words else None)
        notice.failed.connect(self._say_error)
        notice.start()

    # -------------------------------------------------------------------------------------------------- conversations
    @property
    def conversation(self) -> Conversation | None:
        """The one on the screen; None while it is new and nothing was sent."""
        return self._conversation

    @property
    def is_answering(self) -> bool:
        """Whether an answer is being written in the conversation on the screen."""
        return self._running_here() is not None

    def new_conversation(self) -> None:
        """Show an empty conversation. It is kept once something is sent."""
        self._wanted = ""
        self._conversation = None
        self.transcript.clear()
        self.problem.say("")
        self._stack.setCurrentWidget(self.welcome)
        self._show_state()
        self.composer.setFocus()
        self.conversation_opened.emit(None)

    def open_conversation(self, conversation_id: str) -> None:
        """Read a conversation and show it."""
        self._wanted = conversation_id
        task = self._bridge.submit(self._services.conversations.read(conversation_id), self)
        task.succeeded.connect(self._show)
        task.failed.connect(self._say_error)
        task.start()

    def open_message(self, message_id: str) -> None:
        """Show the conversation that a message is in, with the message on the screen."""
        task = self._bridge.submit(self._services.conversations.reveal(message_id), self)
        task.succeeded.connect(lambda opened: self._show_message(opened, message_id))
        task.failed.connect(self._say_error)
        task.start()

    def stop(self) -> None:
        """End the answer on the screen; what has been written stays."""
        running = self._running_here()
        if running is not None:
            running.stop()

    def _show(self, opened: OpenConversation) -> None:
        if opened.conversation.id != self._wanted:
            return
        self._conversation = opened.conversation
        self.problem.say("")
        if opened.conversation.model:
            self.picker.use(opened.conversation.model)
        running = self._running_here()
        messages = opened.messages[:-1] if running is not None and opened.messages else opened.messages
        self.transcript.show_messages(messages)
        self._stack.setCurrentWidget(self.transcript)
        if running is not None:
            self._attach(running)
        self._show_state()
        self.conversation_opened.emit(opened.conversation)

    def _show_message(self, opened: OpenConversation, message_id: str) -> None:
        self._wanted = opened.conversation.id
        self._show(opened)
        self.transcript.show_message(message_id)

    def _follow_list(self, conversations: tuple[Conversation, ...]) -> None:
        """Another title, or gone."""
        known_ids = {each.id for each in conversations}
        for conversation_id, running in self._running.items():
            if conversation_id not in known_ids:
                running.stop()
        if self._conversation is None:
            return
        known = next((each for each in conversations if each.id == self._conversation.id), None)
        if known is None:
            self.new_conversation()
        else:
            self._conversation = known
            self.header.show_title(known.title)

    # --------------------------------------------------------------------------------------------- asking and answering
    def _try(self, example: Example) -> None:
        self.composer.set_text(example.text)
        if example.picture is None or self.composer.attach_image(example.picture):
            self.composer.send()

    def _send(self, text: str, pictures: tuple[NewPicture, ...]) -> None:
        model = self.picker.model
        if model is None:
            self.composer.restore(text, pictures)
            self.problem.say(self.tr("There is no model to answer yet. Get one on the Models page."))
            return
        self.problem.say("")
        self._set_sending(True)
        known = self._conversation.id if self._conversation is not None else None
        task = self._bridge.submit(_keep_question(self._services.conversations, known, model.id, text, pictures), self)
        task.succeeded.connect(lambda kept: self._ask(kept, known, model.id))
        task.failed.connect(lambda error: self._give_back(error, text, pictures))
        task.start()

    def _give_back(self, error: BaseException, text: str, pictures: tuple[NewPicture, ...]) -> None:
        self._set_sending(False)
        self.composer.restore(text, pictures)
        self._say_error(error)

    def _set_sending(self, sending: bool) -> None:
        """One message after the other: a second one waits until the first is kept."""
        self._sending = sending
        self._show_state()

    def _ask(self, kept: tuple[Conversation, StoredMessage], asked_in: str | None, model_id: str) -> None:
        conversation, question = kept
        self._sending = False
        here = self._conversation.id if self._conversation is not None else None
        if here == asked_in:
            self._wanted = conversation.id
            self._conversation = conversation
            self._stack.setCurrentWidget(self.transcript)
            self.transcript.add_question(question)
            if asked_in is None:
                self.conversation_opened.emit(conversation)
        self._run(
            self._services.conversations.answer(conversation.id, model=model_id, options=self._options()), conversation.id
        )

    def _again(self, message: StoredMessage | None) -> None:
        model = self.picker.model
        if message is None or model is None or message.conversation_id in self._running:
            return
        self.problem.say("")
        # The button that was pressed goes away with its answer, and the keyboard must stay somewhere useful.
        self.composer.setFocus()
        self.transcript.remove_after(message.id)
        answer = self._services.conversations.regenerate(message.id, model=model.id, options=self._options(another=True))
        self._run(answer, message.conversation_id)

    def _options(self, *, another: bool = False) -> AnswerOptions:
        """The built-in model is so small that it needs its likeliest word each time; another answer must be drawn."""
        model = self.picker.model
        built_in = model is not None and model.source is ModelSource.BUILT_IN
        sampling = SamplingChoice(temperature=SamplingParams().temperature) if built_in and another else SamplingChoice()
        settings = self._services.settings.current
        prompt = effective_settings(model.id, settings).system_prompt if model is not None else settings.system_prompt
        return AnswerOptions(system_prompt=prompt, sampling=sampling)

    def _run(self, events: AsyncGenerator[GenerationEvent, None], conversation_id: str) -> None:
        model = self.picker.model
        running = RunningAnswer(self._bridge.reply(events), conversation_id, model.id if model is not None else "", self)
        self._running[conversation_id] = running
        running.done.connect(lambda: self._ended(running))
        running.failed.connect(self.answer_failed)
        if running is self._running_here():
            self._attach(running)
        self._show_state()
        running.start()

    def _attach(self, running: RunningAnswer) -> None:
        """Put the answer on the screen: what has arrived, and what will."""
        view = self.transcript.begin_answer()
        view.say(self.tr("Thinking…"))
        for event in running.events:
            view.feed(event)
        running.arrived.connect(view.feed)
        running.failed.connect(lambda error: view.fail(sentence(error)))
        running.done.connect(view.end)

    def _ended(self, running: RunningAnswer) -> None:
        del self._running[running.conversation_id]
        running.deleteLater()
        self._show_state()
        task = self._bridge.submit(self._services.conversations.read(running.conversation_id), self)
        task.succeeded.connect(lambda opened: self._settle(opened, running.error is None))
        task.failed.connect(lambda error: self._say_error(error) if self._is_here(running.conversation_id) else None)
        task.start()

    def _settle(self, opened: OpenConversation, answered: bool) -> None:
        """The answer is kept: give its view what belongs to it."""
        view = self.transcript.last_answer
        if (
            self._is_here(opened.conversation.id)
            and opened.messages
            and view is not None
            and view.is_growing
            and opened.conversation.id not in self._running
        ):
            view.settle(opened.messages[-1], model_name=self.picker.name_of(opened.messages[-1].model))
        if answered:
            words = self.tr("The answer is finished.")
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, words))
            self.answer_finished.emit(opened)

    def _choose(self, message_id: str) -> None:
        if self._running_here() is None:
            self.composer.setFocus()
            task = self._bridge.submit(self._services.conversations.choose(message_id), self)
            task.succeeded.connect(self._show)
            task.failed.connect(self._say_error)
            task.start()

    # ---------------------------------------------------------------------------------------------------- what it shows
    def _is_here(self, conversation_id: str) -> bool:
        return self._conversation is not None and self._conversation.id == conversation_id

    def _running_here(self) -> RunningAnswer | None:
        return self._running.get(self._conversation.id) if self._conversation is not None else None

    def _show_state(self) -> None:
        self.header.show_title(self._conversation.title if self._conversation is not None else self.tr("New chat"))
        self.composer.set_answering(self._sending or self._running_here() is not None)

    def _use_model(self, model: InstalledModel | None) -> None:
        self.welcome.show_model(model)
        self._model_line.setVisible(model is not None and model.source is ModelSource.BUILT_IN)
        if model is not None:
            self._model_line.show_model(model.name)
            self.composer.set_model(model.name, sees_pictures=model.can(Capability.VISION))
        self._ask_thinking(model)

    def _ask_thinking(self, model: InstalledModel | None) -> None:
        self.composer.set_thinking(None)
        if model is None or not model.can(Capability.REASONING):
            return
        task = self._bridge.submit(self._services.models.thinks(model.id), self)
        task.succeeded.connect(lambda on: self.composer.set_thinking(on) if self.picker.model == model else None)
        # What is wrong with a model is told when it is asked something.
        task.start()

    def _want_thinking(self, on: bool) -> None:
        model = self.picker.model
        if model is not None:
            task = self._bridge.call(lambda: _keep_thinking(self._services.settings, model.id, on=on), self)
            task.failed.connect(self._say_error)
            task.start()

    def _show_loading(self, state: LoadedModel) -> None:
        view: AnswerView | None = self.transcript.last_answer
        if view is None or not view.is_growing or self._running_here() is None:
            return
        if state.state is ModelState.LOADING:
            view.say(self.tr("Loading {0}… {1} %").format(self.picker.name_of(state.id), round(100 * state.progress)))
        elif state.state is ModelState.READY:
            view.say(self.tr("Thinking…"))

    def _fetch_picture(self, sha256: str, thumbnail: Thumbnail) -> None:
        def show(found: tuple[bytes, QImage]) -> None:
            data, small = found
            thumbnail.show_picture(small)
            thumbnail.opened.connect(lambda: PictureDialog(data, self).open())

        most = thumbnail.most_px
        task = self._bridge.submit(_kept_picture(self._services.conversations, sha256, most), thumbnail)
        task.succeeded.connect(show)
        task.start()

    def _read_picture(self, source: Path | QImage) -> None:
        task = self._bridge.submit(asyncio.to_thread(attach, source), self)
        task.succeeded.connect(self.composer.add_picture)
        task.failed.connect(lambda error: self.composer.refuse_picture(sentence(error)))
        task.start()

    def _say_error(self, error: BaseException) -> None:
        self.problem.say(sentence(error))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """A picture may be dropped anywhere on the page."""
        self.composer.dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self.composer.dropEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._restyle()

    def _restyle(self) -> None:
        sheet = chat_stylesheet(Theme.current())
        if sheet != self.styleSheet():
            self.setStyleSheet(sheet)


def _keep_thinking(settings: SettingsStore, model_id: str, *, on: bool) -> None:
    """For this model, from now on, in the window and for other programs."""
    models = settings.current.models
    chosen = models.get(model_id, ModelSettings()).model_copy(update={"reasoning_effort": "on" if on else "none"})
    settings.update(models={**models, model_id: chosen})


async def _kept_picture(conversations: ConversationService, sha256: str, most_px: int) -> tuple[bytes, QImage]:
    """A picture of a conversation, and the same one small: decoded on a thread of its own, however large it is."""
    data = await conversations.picture(sha256)
    return data, await asyncio.to_thread(scaled_picture, data, most_px)


async def _keep_question(
    conversations: ConversationService, conversation_id: str | None, model: str, text: str, pictures: tuple[NewPicture, ...]
) -> tuple[Conversation, StoredMessage]:
    """Keep what a person sends, in a new conversation if there is none yet."""
    if conversation_id is None:
        conversation_id = (await conversations.create(model=model)).id
    question = await conversations.send(conversation_id, text, pictures)
    return (await conversations.read(conversation_id)).conversation, question
