"""Answers, from request to events: against a scripted engine and a format of its own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import (
    ContextOverflow,
    EngineBusy,
    EngineCrashed,
    InvalidRequest,
    UnsupportedContent,
    UnsupportedParameter,
)
from app.domain.generation import (
    ChatRequest,
    CompletionRequest,
    Echo,
    Finished,
    FinishReason,
    GenerationEvent,
    JsonObjectFormat,
    JsonSchemaFormat,
    PrefillProgress,
    SamplingChoice,
    SamplingParams,
    TextDelta,
    ToolCallStarted,
)
from app.domain.messages import AudioPart, ImagePart, ImageUrl, Message, Role, TextPart
from app.domain.models import Capability, ModelDefaults, ModelState
from app.domain.prompt import Constraint, ControlText, PlainText, PromptSegment, TokenIds
from app.engine.protocol import ModelInfo
from app.service.chat import ChatService
from app.service.models import ModelManager
from app.service.pictures import PictureFetcher
from app.settings import SettingsStore
from tests.fakes import Answer, FakeChatFormat, FakeLauncher, FakeLibrary, installed_model, model_info, piece
from tests.server.serving import Gate

pytestmark = pytest.mark.anyio

EMBEDDER = frozenset({Capability.EMBEDDING})
RANKER = frozenset({Capability.RERANK})


class Bench:
    """The service over a scripted engine."""

    def __init__(
        self,
        tmp_path: Path,
        *answers: Answer,
        info: ModelInfo | None = None,
        make_format: type[FakeChatFormat] = FakeChatFormat,
        capabilities: frozenset[Capability] = frozenset({Capability.CHAT, Capability.VISION}),
        defaults: ModelDefaults | None = None,
    ) -> None:
        self.launcher = FakeLauncher(*answers, info=info)
        library = FakeLibrary(
            installed_model("ember", capabilities=capabilities, defaults=defaults or ModelDefaults()),
            installed_model("mini", capabilities=EMBEDDER),
            installed_model("ranker", capabilities=RANKER),
        )
        self.settings = SettingsStore(tmp_path / "settings.json")
        self.models = ModelManager(library, self.launcher, self.settings, make_format=lambda info: make_format())
        self.chat = ChatService(self.models)


def question(*parts: TextPart | ImagePart, **options: object) -> ChatRequest:
    return ChatRequest("ember", (Message(Role.USER, parts or (TextPart("Hello"),)),), **options)


async def answer(bench: Bench, request: ChatRequest) -> list[GenerationEvent]:
    return [event async for event in bench.chat.generate(request)]


async def completion(bench: Bench, request: CompletionRequest) -> list[GenerationEvent]:
    return [event async for event in bench.chat.complete(request)]


def text_of(events: list[GenerationEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_an_answer_reports_reading_then_text_then_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Answer.of("Hi", "!", cached_tokens=3))
    events = await answer(bench, question())
    n_prompt = len("<user>Hello<assistant>")
    assert events[0] == PrefillProgress(n_prompt, n_prompt, 3)
    assert text_of(events) == "Hi!"
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.STOP
    assert (finished.usage.prompt_tokens, finished.usage.completion_tokens, finished.usage.cached_tokens) == (n_prompt, 2, 3)


async def test_the_engine_gets_the_request_as_it_was_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    request = question(
        sampling=SamplingChoice(temperature=0, seed=7), max_tokens=9, stop=("END",), top_logprobs=2, output=JsonObjectFormat()
    )
    await answer(bench, request)
    (job,) = bench.launcher.client.jobs
    assert job.prompt == (ControlText("<user>"), PlainText("Hello"), ControlText("<assistant>"))
    assert (job.max_tokens, job.stop, job.top_logprobs) == (9, ("END",), 2)
    assert job.sampling == SamplingParams(temperature=0, seed=7)
    assert job.constraint == Constraint(json_schema='{"type": "object"}')


async def test_reasoning_is_counted_and_tool_calls_end_the_answer(tmp_path: Path) -> None:
    script = (piece("<think>", control=True), piece("Hm."), piece("</think>", control=True))
    call = (piece("<call>", control=True), piece('weather {"city": "Rome"}'))
    bench = Bench(tmp_path, Answer((*script, *call)))
    events = await answer(bench, question())
    assert ToolCallStarted(0, "call_0", "weather") in events
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.TOOL_CALLS
    assert finished.usage.reasoning_tokens == 1


async def test_an_answer_cut_by_its_length_says_so_even_with_tool_calls(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Answer((piece("<call>", control=True), piece("weather {")), FinishReason.LENGTH))
    assert (await answer(bench, question()))[-1].reason is FinishReason.LENGTH  # type: ignore[union-attr]


async def test_after_the_one_call_a_client_allows_the_answer_is_finished_with_true_figures(tmp_path: Path) -> None:
    call = (piece("<call>", control=True), piece('weather {"city": "Rome"}'))
    bench = Bench(tmp_path, Answer((*call, *call, piece("</call>", control=True), piece("more"))))
    events = await answer(bench, question(parallel_tool_calls=False))
    client = bench.launcher.client
    assert client.finished == [client.jobs[0].id]
    assert client.cancelled == []
    assert [event.index for event in events if isinstance(event, ToolCallStarted)] == [0]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.TOOL_CALLS
    assert finished.usage.completion_tokens == 2


async def test_the_loop_goes_on_while_a_template_is_rendered(tmp_path: Path) -> None:
    threads: list[threading.Thread] = []

    class SlowFormat(FakeChatFormat):
        def prompt(self, request: ChatRequest) -> tuple[PromptSegment, ...]:
            threads.append(threading.current_thread())
            return super().prompt(request)

    bench = Bench(tmp_path, make_format=SlowFormat)
    await answer(bench, question())
    await bench.chat.count_prompt_tokens(question())
    assert len(threads) == 2
    assert threading.current_thread() not in threads


async def test_leaving_cancels_the_job_and_lets_the_model_go(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Answer.of("a", "b", gate=asyncio.Event()))
    async with aclosing(bench.chat.generate(question())) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                assert bench.models.state("ember").active_requests == 1
                break
    client = bench.launcher.client
    assert client.cancelled == [client.jobs[0].id]
    assert bench.models.state("ember").active_requests == 0


async def test_a_task_that_is_cancelled_cancels_the_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Answer.of("a", "b", gate=asyncio.Event()))
    started = asyncio.Event()

    async def read() -> None:
        async with aclosing(bench.chat.generate(question())) as events:
            async for _ in events:
                started.set()

    task = asyncio.ensure_future(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(bench.launcher.client.cancelled) == 1


async def test_an_error_of_the_request_comes_before_any_event(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Answer(error=ContextOverflow(n_prompt=9000, n_ctx=4096)))
    events = bench.chat.generate(question())
    with pytest.raises(ContextOverflow):
        await anext(events)
    assert bench.models.state("ember").active_requests == 0


async def test_a_crash_keeps_what_was_written_and_the_next_answer_works(tmp_path: Path) -> None:
    gate = asyncio.Event()
    bench = Bench(tmp_path, Answer.of("a", "b", gate=gate), Answer.of("again"))
    written: list[GenerationEvent] = []

    async def read() -> None:
        async for event in bench.chat.generate(question()):
            written.append(event)
            if isinstance(event, TextDelta):
                bench.launcher.client.crash()

    with pytest.raises(EngineCrashed):
        await read()
    assert text_of(written) == "a"
    gate.set()
    assert text_of(await answer(bench, question())) == "ab"


async def test_a_picture_for_a_model_without_vision_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, info=model_info(sees_pictures=False))
    with pytest.raises(UnsupportedContent, match="can't read pictures"):
        await answer(bench, question(ImagePart(b"png"), TextPart("What is it?")))


async def test_a_sound_for_a_model_without_hearing_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, info=model_info(hears=False))
    with pytest.raises(UnsupportedContent, match="can't hear"):
        await answer(bench, question(AudioPart(b"wav"), TextPart("What is it?")))


async def test_nothing_is_fetched_for_a_model_that_can_not_see(tmp_path: Path) -> None:
    bench = Bench(tmp_path, capabilities=frozenset({Capability.CHAT}))
    message = Message(Role.USER, (ImageUrl("https://pictures.example/a.png", "messages[0]"),))
    chat = ChatService(bench.models, PictureFetcher(lambda: True, resolve=_never_asked))
    with pytest.raises(UnsupportedContent, match="can't read pictures"):
        await chat.count_prompt_tokens(ChatRequest("ember", (message,)))


async def _never_asked(host: str, port: int) -> tuple[str, ...]:
    raise AssertionError(host)


async def test_prompt_tokens_count_pictures(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    without = await bench.chat.count_prompt_tokens(question())
    assert await bench.chat.count_prompt_tokens(question(ImagePart(b"png"), TextPart("Hello"))) == without + 16


async def test_completions_take_text_as_it_is_and_keep_special_tokens(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Answer((piece("a"), piece("<x>", control=True))))
    assert text_of(await completion(bench, CompletionRequest("ember", "Once"))) == "a<x>"
    (job,) = bench.launcher.client.jobs
    assert job.prompt == (ControlText("Once"),)
    assert job.add_special


async def test_completions_take_token_ids_and_add_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await completion(bench, CompletionRequest("ember", (1, 2), output=JsonSchemaFormat("{}")))
    (job,) = bench.launcher.client.jobs
    assert job.prompt == (TokenIds((1, 2)),)
    assert not job.add_special
    assert job.constraint == Constraint(json_schema="{}")


async def test_a_completion_that_does_not_fit_names_its_own_field(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Answer(error=ContextOverflow(n_prompt=9000, n_ctx=4096)))
    with pytest.raises(ContextOverflow) as caught:
        await completion(bench, CompletionRequest("ember", "A long text"))
    assert caught.value.param == "prompt"
    assert "messages" not in str(caught.value)


@pytest.mark.parametrize("param", ["tokens", "prompt", "messages"])
async def test_whatever_is_wrong_with_a_completions_prompt_names_it(tmp_path: Path, param: str) -> None:
    bench = Bench(tmp_path, Answer(error=InvalidRequest("999 is not a token of this model.", param=param)))
    with pytest.raises(InvalidRequest) as caught:
        await completion(bench, CompletionRequest("ember", (999,)))
    assert caught.value.param == "prompt"


async def test_an_echo_comes_first_and_is_not_checked_with_the_answer(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Answer.of('{"a": 1}'))
    asked = CompletionRequest("ember", (72, 105), output=_UNENFORCED, echo=Echo.TEXT)
    events = await completion(bench, asked)
    assert text_of(events) == 'Hi{"a": 1}'
    assert isinstance(events[-1], Finished)
    assert events[-1].schema_error is None


async def test_a_prompt_told_by_tokens_and_a_schema_that_has_to_be_checked_exclude_each_other(tmp_path: Path) -> None:
    asked = CompletionRequest("ember", "Hi", output=_UNENFORCED, echo=Echo.TOKENS, top_logprobs=0)
    with pytest.raises(UnsupportedParameter) as caught:
        await completion(Bench(tmp_path), asked)
    assert caught.value.param == "echo"
    await completion(Bench(tmp_path), replace(asked, output=JsonSchemaFormat("{}")))


_UNENFORCED = JsonSchemaFormat('{"not": {"const": 1}}')


async def test_a_suffix_needs_a_model_that_fills_in(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedContent) as caught:
        await completion(Bench(tmp_path), CompletionRequest("ember", "def f(", suffix="return x"))
    assert caught.value.param == "suffix"


async def test_a_suffix_is_put_behind_the_models_own_marks(tmp_path: Path) -> None:
    bench = Bench(tmp_path, info=model_info(fim_prefix="<pre>", fim_suffix="<suf>", fim_middle="<mid>"))
    await completion(bench, CompletionRequest("ember", "def f(", suffix="return x"))
    marks = (ControlText("<pre>"), PlainText("def f("), ControlText("<suf>"), PlainText("return x"), ControlText("<mid>"))
    assert bench.launcher.client.jobs[0].prompt == marks


async def test_a_model_that_can_not_write_is_refused_without_loading_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(UnsupportedContent, match="makes embeddings"):
        await completion(bench, CompletionRequest("mini", "one"))
    with pytest.raises(UnsupportedContent, match="ranks documents"):
        await completion(bench, CompletionRequest("ranker", "one"))
    assert bench.launcher.configs == []


async def test_every_kind_of_request_can_send_its_model_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    gone: asyncio.Queue[str] = asyncio.Queue()
    bench.models.changed.subscribe(lambda model: gone.put_nowait(model.id) if model.state is ModelState.UNLOADED else None)
    await answer(bench, question(keep_alive_s=0))
    assert await asyncio.wait_for(gone.get(), 5) == "ember"
    await completion(bench, CompletionRequest("ember", "Once", keep_alive_s=0))
    assert await asyncio.wait_for(gone.get(), 5) == "ember"


async def test_who_counts_does_not_wait_for_one_who_waits_for_more_context(tmp_path: Path) -> None:
    bench = Bench(tmp_path, info=model_info(n_ctx=512))
    gate = bench.launcher.gate = Gate()
    counts = [asyncio.create_task(count(question())) for count in (bench.chat.count_prompt_tokens, bench.chat.prompt_tokens)]
    shorter = asyncio.create_task(bench.chat.shortened(question()))
    await gate.reached()
    greedy = asyncio.create_task(bench.chat.count_prompt_tokens(replace(question(), n_ctx=4096)))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.wait_for(asyncio.gather(*counts, shorter), 10)
    greedy.cancel()
    await asyncio.gather(greedy, return_exceptions=True)
    await bench.models.close()


async def test_a_flood_is_turned_away_before_anything_is_prepared(tmp_path: Path) -> None:
    rendered: list[ChatRequest] = []

    class Watched(FakeChatFormat):
        def prompt(self, request: ChatRequest) -> tuple[PromptSegment, ...]:
            rendered.append(request)
            return super().prompt(request)

    bench = Bench(tmp_path, make_format=Watched)
    await answer(bench, question())
    bench.launcher.client.crowded = True
    with pytest.raises(EngineBusy):
        await answer(bench, question())
    with pytest.raises(EngineBusy):
        await completion(bench, CompletionRequest("ember", "Once"))
    assert len(rendered) == len(bench.launcher.client.jobs) == 1


async def test_what_is_set_for_a_model_stands_between_the_request_and_the_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path, info=model_info(sampling=SamplingParams(temperature=0.1, top_k=3, top_p=0.4)))
    own = {"sampling": {"temperature": 0.5, "top_k": 7}, "system_prompt": "Be brief."}
    bench.settings.update(models={"ember": own})
    asked = replace(question(), sampling=SamplingChoice(temperature=0.9))
    await answer(bench, asked)
    job = bench.launcher.clients[0].jobs[0]
    assert (job.sampling.temperature, job.sampling.top_k, job.sampling.top_p) == (0.9, 7, 0.4)


async def test_what_a_model_comes_with_stands_between_its_settings_and_the_file(tmp_path: Path) -> None:
    comes_with = ModelDefaults("You are Mario.", SamplingChoice(temperature=0.2, top_k=5, min_p=0.3))
    file = model_info(sampling=SamplingParams(temperature=0.1, top_k=3, top_p=0.4))
    bench = Bench(tmp_path, info=file, defaults=comes_with)
    bench.settings.update(models={"ember": {"sampling": {"temperature": 0.5}}})
    await answer(bench, question())
    job = bench.launcher.clients[0].jobs[0]
    sampling = job.sampling
    assert (sampling.temperature, sampling.top_k, sampling.min_p, sampling.top_p) == (0.5, 5, 0.3, 0.4)
    assert PlainText("You are Mario.") in job.prompt
    # A person may want none.
    bench.settings.update(models={"ember": {"system_prompt": ""}})
    await answer(bench, question())
    assert PlainText("You are Mario.") not in bench.launcher.clients[0].jobs[1].prompt


@pytest.mark.parametrize(
    ("role", "texts"), [(None, ["Be brief.", "Hello"]), (Role.SYSTEM, ["Mine", "Hello"]), (Role.DEVELOPER, ["Mine", "Hello"])]
)
async def test_a_models_own_instructions_are_for_conversations_without_any(
    tmp_path: Path, role: Role | None, texts: list[str]
) -> None:
    seen: list[list[str]] = []

    class Watching(FakeChatFormat):
        def prompt(self, request: ChatRequest) -> tuple[PromptSegment, ...]:
            seen.append([message.text for message in request.messages])
            return super().prompt(request)

    bench = Bench(tmp_path, make_format=Watching)
    bench.settings.update(models={"ember": {"system_prompt": "Be brief."}})
    request = question()
    if role is not None:
        request = replace(request, messages=(Message.of(role, "Mine"), *request.messages))
    await answer(bench, request)
    await bench.chat.count_prompt_tokens(request)
    assert seen == [texts, texts]
    await answer(bench, replace(request, takes_system_prompt=False))
    assert seen[-1] == [text for text in texts if text != "Be brief."]
