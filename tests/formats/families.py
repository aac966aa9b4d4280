"""How the families of models write tool calls: the syntax, and two calls as the model writes them.

What was written is from the models' own chat templates, rendered with the calls of `CALLS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.formats.spec import (
    ChannelSyntax,
    ContentSyntax,
    FormatSpec,
    JsonCall,
    LiteralArguments,
    NamedCall,
    ReasoningSyntax,
    TaggedArguments,
    ToolSyntax,
)

__all__ = ["CALLS", "FAMILIES", "TOOL_SCHEMAS", "Family"]

TOOL_SCHEMAS: dict[str, Any] = {
    "find": {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["text", "count"],
    },
    "now": {"type": "object", "properties": {}},
}
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("find", {"text": 'a "b" <c>\n é', "count": 7, "tags": ["x", "y"]}),
    ("find", {"text": "z", "count": -1}),
)


@dataclass(frozen=True, slots=True)
class Family:
    """`text` is CALLS as the model writes them; of llama-3, which writes one call an answer, the first alone.
    `templates` are llama.cpp's files in which calls are written so.
    """

    name: str
    spec: FormatSpec
    text: str
    templates: tuple[str, ...] = ()


_THINK = ReasoningSyntax("<think>", "</think>")
_A = r'{"text": "a \"b\" <c>\n é", "count": 7, "tags": ["x", "y"]}'
_B = '{"text": "z", "count": -1}'
_RAW = 'a "b" <c>\n é'


def _json_call(arguments: str, name: str = "name", key: str = "arguments") -> str:
    return f'{{"{name}": "find", "{key}": {arguments}}}'


FAMILIES: tuple[Family, ...] = (
    Family(
        "hermes",
        FormatSpec(tools=ToolSyntax(JsonCall("<tool_call>\n", "\n</tool_call>"), between="\n")),
        f"<tool_call>\n{_json_call(_A)}\n</tool_call>\n<tool_call>\n{_json_call(_B)}\n</tool_call>",
        ("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "Qwen-Qwen2.5-7B-Instruct", "ibm-granite-granite-4.0"),
    ),
    Family(
        "mistral-nemo",
        FormatSpec(tools=ToolSyntax(JsonCall(id_key="id"), open="[TOOL_CALLS][", close="]", between=", ")),
        f'[TOOL_CALLS][{_json_call(_A)[:-1]}, "id": "abcdefgh1"}}, {_json_call(_B)[:-1]}, "id": "abcdefgh2"}}]',
        ("mistralai-Mistral-Nemo-Instruct-2407",),
    ),
    Family(
        "mistral-args",
        FormatSpec(reasoning=ReasoningSyntax("[THINK]", "[/THINK]"), tools=ToolSyntax(NamedCall("[TOOL_CALLS]", "[ARGS]", ""))),
        f"[TOOL_CALLS]find[ARGS]{_A}[TOOL_CALLS]find[ARGS]{_B}",
        ("mistralai-Ministral-3-14B-Reasoning-2512",),
    ),
    Family(
        "mistral-ids",
        FormatSpec(tools=ToolSyntax(NamedCall("[TOOL_CALLS]", "[ARGS]", "", id_open="[CALL_ID]"))),
        f"[TOOL_CALLS]find[CALL_ID]abcdefgh1[ARGS]{_A}[TOOL_CALLS]find[CALL_ID]abcdefgh2[ARGS]{_B}",
        ("Mistral-Small-3.2-24B-Instruct-2506",),
    ),
    Family(
        "nemotron-v2",
        FormatSpec(reasoning=_THINK, tools=ToolSyntax(JsonCall(), open="<TOOLCALL>[", close="]</TOOLCALL>", between=", ")),
        f"<TOOLCALL>[{_json_call(_A)}, {_json_call(_B)}]</TOOLCALL>",
        ("NVIDIA-Nemotron-Nano-v2",),
    ),
    Family(
        "minimax-m1",
        FormatSpec(tools=ToolSyntax(JsonCall(), open="<tool_calls>\n", close="\n</tool_calls>", between="\n")),
        f"<tool_calls>\n{_json_call(_A)}\n{_json_call(_B)}\n</tool_calls>",
        ("MiniMax-M1",),
    ),
    Family(
        "granite-3",
        FormatSpec(reasoning=_THINK, tools=ToolSyntax(JsonCall(), open="<|tool_call|>[", close="]", between=", ")),
        f"<|tool_call|>[{_json_call(_A)}, {_json_call(_B)}]",
        ("ibm-granite-granite-3.3-2B-Instruct",),
    ),
    Family(
        "command-r7b",
        FormatSpec(
            reasoning=ReasoningSyntax("<|START_THINKING|>", "<|END_THINKING|>"),
            content=ContentSyntax("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
            tools=ToolSyntax(
                JsonCall(name_key="tool_name", arguments_key="parameters", id_key="tool_call_id", id_leads=True),
                open="<|START_ACTION|>[\n    ",
                close="\n]<|END_ACTION|>",
                between=",\n    ",
            ),
        ),
        f'<|START_ACTION|>[\n    {{"tool_call_id": "0", {_json_call(_A, "tool_name", "parameters")[1:]},\n'
        f'    {{"tool_call_id": "1", {_json_call(_B, "tool_name", "parameters")[1:]}\n]<|END_ACTION|>',
        ("CohereForAI-c4ai-command-r7b-12-2024-tool_use",),
    ),
    Family(
        "apertus",
        FormatSpec(
            reasoning=ReasoningSyntax("<|inner_prefix|>", "<|inner_suffix|>"),
            tools=ToolSyntax(JsonCall(name_key=""), open="<|tools_prefix|>[", close="]<|tools_suffix|>", between=", "),
        ),
        f'<|tools_prefix|>[{{"find": {_A}}}, {{"find": {_B}}}]<|tools_suffix|>',
        ("Apertus-8B-Instruct",),
    ),
    Family(
        "llama-3",
        FormatSpec(tools=ToolSyntax(JsonCall(arguments_key="parameters"), at_start=True)),
        _json_call(_A, key="parameters"),
        ("meta-llama-Llama-3.1-8B-Instruct", "meta-llama-Llama-3.3-70B-Instruct"),
    ),
    Family(
        "deepseek-v3.1",
        FormatSpec(
            reasoning=_THINK,
            tools=ToolSyntax(
                NamedCall("<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"),
                open="<｜tool▁calls▁begin｜>",
                close="<｜tool▁calls▁end｜>",
            ),
        ),
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>find<｜tool▁sep｜>{_A}<｜tool▁call▁end｜>"
        f"<｜tool▁call▁begin｜>find<｜tool▁sep｜>{_B}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ("deepseek-ai-DeepSeek-V3.1",),
    ),
    Family(
        "deepseek-r1",
        FormatSpec(
            reasoning=_THINK,
            tools=ToolSyntax(
                NamedCall("<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```json\n", "\n```<｜tool▁call▁end｜>"),
                open="<｜tool▁calls▁begin｜>",
                close="<｜tool▁calls▁end｜>",
                between="\n",
            ),
        ),
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{_A}\n```<｜tool▁call▁end｜>\n"
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{_B}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "llama-cpp-deepseek-r1"),
    ),
    Family(
        "kimi-k2",
        FormatSpec(
            tools=ToolSyntax(
                NamedCall(
                    "<|tool_call_begin|>functions.",
                    "<|tool_call_argument_begin|>",
                    "<|tool_call_end|>",
                    numbered=":",
                    id_prefix="functions.",
                ),
                open="<|tool_calls_section_begin|>",
                close="<|tool_calls_section_end|>",
            )
        ),
        f"<|tool_calls_section_begin|><|tool_call_begin|>functions.find:0<|tool_call_argument_begin|>{_A}<|tool_call_end|>"
        f"<|tool_call_begin|>functions.find:1<|tool_call_argument_begin|>{_B}<|tool_call_end|><|tool_calls_section_end|>",
        ("moonshotai-Kimi-K2", "Kimi-K2-Instruct"),
    ),
    Family(
        "kimi-k3",
        FormatSpec(
            reasoning=ReasoningSyntax("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
            content=ContentSyntax("<|open|>response<|sep|>", "<|close|>response<|sep|>"),
            tools=ToolSyntax(
                NamedCall(
                    '<|open|>call tool="',
                    '"<|sep|>',
                    "<|close|>call<|sep|>",
                    TaggedArguments(
                        '<|open|>argument key="',
                        '" type="string"<|sep|>',
                        "<|close|>argument<|sep|>",
                        json_name_end='" type="{type}"<|sep|>',
                    ),
                    numbered='" index="',
                    first_number=1,
                ),
                open="<|open|>tools<|sep|>",
                close="<|close|>tools<|sep|>",
            ),
        ),
        f'<|open|>tools<|sep|><|open|>call tool="find" index="1"<|sep|><|open|>argument key="text" type="string"<|sep|>{_RAW}'
        '<|close|>argument<|sep|><|open|>argument key="count" type="number"<|sep|>7<|close|>argument<|sep|>'
        '<|open|>argument key="tags" type="array"<|sep|>["x", "y"]<|close|>argument<|sep|><|close|>call<|sep|>'
        '<|open|>call tool="find" index="2"<|sep|><|open|>argument key="text" type="string"<|sep|>z<|close|>argument<|sep|>'
        '<|open|>argument key="count" type="number"<|sep|>-1<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>',
        ("Kimi-K3",),
    ),
    Family(
        "solar",
        FormatSpec(
            tools=ToolSyntax(
                NamedCall("<|tool_call:begin|>", "<|tool_call:args|>", "<|tool_call:end|>", id_first="<|tool_call:name|>"),
                open="<|tool_calls|>",
                close="<|calls|>",
            )
        ),
        f"<|tool_calls|><|tool_call:begin|>abcdefgh1<|tool_call:name|>find<|tool_call:args|>{_A}<|tool_call:end|>"
        f"<|tool_call:begin|>abcdefgh2<|tool_call:name|>find<|tool_call:args|>{_B}<|tool_call:end|><|calls|>",
        ("upstage-Solar-Open-100B",),
    ),
    Family(
        "functionary-3.1",
        FormatSpec(tools=ToolSyntax(NamedCall("<function=", ">", "</function>"))),
        f"<function=find>{_A}</function><function=find>{_B}</function>",
        ("meetkai-functionary-medium-v3.1",),
    ),
    Family(
        "functionary-3.2",
        FormatSpec(content=ContentSyntax(">>>all\n", ""), tools=ToolSyntax(NamedCall(">>>", "\n", ""))),
        f">>>find\n{_A}>>>find\n{_B}",
        ("meetkai-functionary-medium-v3.2",),
    ),
    Family(
        "qwen3-coder",
        FormatSpec(
            tools=ToolSyntax(
                NamedCall(
                    "<tool_call>\n<function=",
                    ">\n",
                    "</function>\n</tool_call>",
                    TaggedArguments("<parameter=", ">\n", "\n</parameter>\n"),
                ),
                between="\n",
            )
        ),
        f"<tool_call>\n<function=find>\n<parameter=text>\n{_RAW}\n</parameter>\n<parameter=count>\n7\n</parameter>\n"
        '<parameter=tags>\n["x", "y"]\n</parameter>\n</function>\n</tool_call>\n'
        "<tool_call>\n<function=find>\n<parameter=text>\nz\n</parameter>\n<parameter=count>\n-1\n</parameter>\n"
        "</function>\n</tool_call>",
        ("Qwen3-Coder",),
    ),
    Family(
        "seed-oss",
        FormatSpec(
            reasoning=ReasoningSyntax("<seed:think>", "</seed:think>"),
            tools=ToolSyntax(
                NamedCall(
                    "<seed:tool_call>\n<function=",
                    ">\n",
                    "</function>\n</seed:tool_call>",
                    TaggedArguments("<parameter=", ">", "</parameter>\n"),
                ),
                between="\n",
            ),
        ),
        f"<seed:tool_call>\n<function=find>\n<parameter=text>{_RAW}</parameter>\n<parameter=count>7</parameter>\n"
        '<parameter=tags>["x", "y"]</parameter>\n</function>\n</seed:tool_call>\n'
        "<seed:tool_call>\n<function=find>\n<parameter=text>z</parameter>\n<parameter=count>-1</parameter>\n"
        "</function>\n</seed:tool_call>",
        ("ByteDance-Seed-OSS",),
    ),
    Family(
        "glm-4.6",
        FormatSpec(
            reasoning=_THINK,
            tools=ToolSyntax(
                NamedCall(
                    "<tool_call>",
                    "\n",
                    "</tool_call>",
                    TaggedArguments("<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>\n"),
                ),
                between="\n",
            ),
        ),
        f"<tool_call>find\n<arg_key>text</arg_key>\n<arg_value>{_RAW}</arg_value>\n<arg_key>count</arg_key>\n"
        '<arg_value>7</arg_value>\n<arg_key>tags</arg_key>\n<arg_value>["x", "y"]</arg_value>\n</tool_call>\n'
        "<tool_call>find\n<arg_key>text</arg_key>\n<arg_value>z</arg_value>\n<arg_key>count</arg_key>\n"
        "<arg_value>-1</arg_value>\n</tool_call>",
        ("GLM-4.6",),
    ),
    Family(
        "glm-4.7",
        FormatSpec(
            reasoning=_THINK,
            tools=ToolSyntax(
                NamedCall(
                    "<tool_call>",
                    "",
                    "</tool_call>",
                    TaggedArguments("<arg_key>", "</arg_key><arg_value>", "</arg_value>"),
                ),
            ),
        ),
        f"<tool_call>find<arg_key>text</arg_key><arg_value>{_RAW}</arg_value><arg_key>count</arg_key><arg_value>7</arg_value>"
        '<arg_key>tags</arg_key><arg_value>["x", "y"]</arg_value></tool_call>'
        "<tool_call>find<arg_key>text</arg_key><arg_value>z</arg_value><arg_key>count</arg_key><arg_value>-1</arg_value>"
        "</tool_call>",
        ("GLM-4.7-Flash", "Spark2.5", "poolside-Laguna-S-2.1"),
    ),
    Family(
        "minimax-m2",
        FormatSpec(
            reasoning=_THINK,
            tools=ToolSyntax(
                NamedCall(
                    '<invoke name="',
                    '">\n',
                    "</invoke>\n",
                    TaggedArguments('<parameter name="', '">', "</parameter>\n"),
                ),
                open="<minimax:tool_call>\n",
                close="</minimax:tool_call>",
            ),
        ),
        f'<minimax:tool_call>\n<invoke name="find">\n<parameter name="text">{_RAW}</parameter>\n'
        '<parameter name="count">7</parameter>\n<parameter name="tags">["x", "y"]</parameter>\n</invoke>\n'
        '<invoke name="find">\n<parameter name="text">z</parameter>\n<parameter name="count">-1</parameter>\n</invoke>\n'
        "</minimax:tool_call>",
        ("MiniMax-M2",),
    ),
    Family(
        "minimax-m3",
        FormatSpec(
            reasoning=ReasoningSyntax("<mm:think>", "</mm:think>"),
            tools=ToolSyntax(
                NamedCall(
                    ']<]minimax[>[<invoke name="',
                    '">',
                    "]<]minimax[>[</invoke>\n",
                    TaggedArguments("]<]minimax[>[<", ">", "]<]minimax[>[</", close_end=">"),
                ),
                open="]<]minimax[>[<tool_call>\n",
                close="]<]minimax[>[</tool_call>",
            ),
        ),
        f']<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="find">]<]minimax[>[<text>{_RAW}]<]minimax[>[</text>'
        ']<]minimax[>[<count>7]<]minimax[>[</count>]<]minimax[>[<tags>["x", "y"]]<]minimax[>[</tags>]<]minimax[>[</invoke>\n'
        ']<]minimax[>[<invoke name="find">]<]minimax[>[<text>z]<]minimax[>[</text>]<]minimax[>[<count>-1]<]minimax[>[</count>'
        "]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>",
        ("MiniMax-M3",),
    ),
    Family(
        "deepseek-dsml",
        FormatSpec(
            reasoning=_THINK,
            tools=ToolSyntax(
                NamedCall(
                    '<｜DSML｜invoke name="',
                    '">\n',
                    "</｜DSML｜invoke>\n",
                    TaggedArguments(
                        '<｜DSML｜parameter name="',
                        '" string="true">',
                        "</｜DSML｜parameter>\n",
                        json_name_end='" string="false">',
                    ),
                ),
                open="<｜DSML｜function_calls>\n",
                close="</｜DSML｜function_calls>",
            ),
        ),
        f'<｜DSML｜function_calls>\n<｜DSML｜invoke name="find">\n<｜DSML｜parameter name="text" string="true">{_RAW}'
        '</｜DSML｜parameter>\n<｜DSML｜parameter name="count" string="false">7</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="tags" string="false">["x", "y"]</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        '<｜DSML｜invoke name="find">\n<｜DSML｜parameter name="text" string="true">z</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="count" string="false">-1</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
        ("deepseek-ai-DeepSeek-V3.2",),
    ),
    Family(
        "minicpm5",
        FormatSpec(
            reasoning=_THINK,
            tools=ToolSyntax(
                NamedCall(
                    '<function name="',
                    '">',
                    "</function>",
                    TaggedArguments('<param name="', '">', "</param>"),
                ),
                between="\n",
            ),
        ),
        f'<function name="find"><param name="text">{_RAW}</param><param name="count">7</param>'
        '<param name="tags">["x", "y"]</param></function>\n'
        '<function name="find"><param name="text">z</param><param name="count">-1</param></function>',
        ("openbmb-MiniCPM5-1B",),
    ),
    Family(
        "lfm2",
        FormatSpec(
            tools=ToolSyntax(
                NamedCall("", "(", ")", LiteralArguments("python")),
                open="<|tool_call_start|>[",
                close="]<|tool_call_end|>",
                between=", ",
            )
        ),
        "<|tool_call_start|>[find(text='a \"b\" <c>\\n é', count=7, tags=['x', 'y']), find(text=\"z\", count=-1)]"
        "<|tool_call_end|>",
        ("LFM2-8B-A1B", "LFM2.5-8B-A1B"),
    ),
    Family(
        "llama-4",
        FormatSpec(
            tools=ToolSyntax(
                NamedCall("", "(", ")", LiteralArguments("python")), open="[", close="]", between=", ", at_start=True
            )
        ),
        "[find(text='a \"b\" <c>\\n é', count=7, tags=['x', 'y']), find(text=\"z\", count=-1)]",
    ),
    Family(
        "xlam",
        FormatSpec(tools=ToolSyntax(JsonCall(), open="[", close="]", between=", ", at_start=True)),
        f"[{_json_call(_A)}, {_json_call(_B)}]",
    ),
    Family(
        "gemma-4",
        FormatSpec(
            reasoning=ReasoningSyntax("<|channel>thought", "<channel|>"),
            tools=ToolSyntax(NamedCall("<|tool_call>call:", "{", "}<tool_call|>", LiteralArguments("gemma"))),
        ),
        '<|tool_call>call:find{text:<|"|>a "b" <c>\n é<|"|>,count:7,tags:[<|"|>x<|"|>,<|"|>y<|"|>]}<tool_call|>'
        '<|tool_call>call:find{text:<|"|>z<|"|>,count:-1}<tool_call|>',
        ("google-gemma-4-31B-it", "google-gemma-4-31B-it-interleaved"),
    ),
    Family(
        "command-r-plus",
        FormatSpec(
            tools=ToolSyntax(
                JsonCall(name_key="tool_name", arguments_key="parameters"),
                open="Action:\n```json\n[\n    ",
                close="\n]```",
                between=",\n    ",
            )
        ),
        f"Action:\n```json\n[\n    {_json_call(_A, 'tool_name', 'parameters')},\n"
        f"    {_json_call(_B, 'tool_name', 'parameters')}\n]```",
        ("CohereForAI-c4ai-command-r-plus-tool_use",),
    ),
    Family(
        "firefunction",
        FormatSpec(tools=ToolSyntax(JsonCall(), open=" functools[", close="]", between=", ")),
        f" functools[{_json_call(_A)}, {_json_call(_B)}]",
        ("fireworks-ai-llama-3-firefunction-v2",),
    ),
    Family(
        "gpt-oss",
        FormatSpec(
            channels=ChannelSyntax(
                start="<|start|>",
                role="assistant",
                channel="<|channel|>",
                recipient=" to=",
                message="<|message|>",
                ends=("<|end|>", "<|call|>", "<|return|>"),
                reasoning=("analysis",),
                functions="functions.",
                call_header="<|channel|>commentary to=functions.{name} <|constrain|>json",
            )
        ),
        f"<|channel|>commentary to=functions.find <|constrain|>json<|message|>{_A}<|call|>"
        f"<|start|>assistant<|channel|>commentary to=functions.find <|constrain|>json<|message|>{_B}<|call|>",
        ("openai-gpt-oss-120b",),
    ),
    Family(
        "muse-glimmer",
        FormatSpec(
            tools=ToolSyntax(
                NamedCall(
                    '<atem:invoke name="',
                    '">\n',
                    "</atem:invoke>\n",
                    TaggedArguments('<atem:parameter name="', '">', "</atem:parameter>\n"),
                ),
                open="<atem:function_calls>\n",
                close="</atem:function_calls>",
            ),
            channels=ChannelSyntax(
                start="<|start|>",
                role="assistant",
                channel="",
                recipient=" to=",
                message="<|message|>",
                ends=("<|eom|>", "<|eot|>"),
                reasoning=("self",),
                call_header=" to={name}",
            ),
        ),
        f' to=find<|message|><atem:function_calls>\n<atem:invoke name="find">\n<atem:parameter name="text">{_RAW}'
        '</atem:parameter>\n<atem:parameter name="count">7</atem:parameter>\n<atem:parameter name="tags">["x", "y"]'
        "</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eom|><|start|>assistant to=find<|message|>"
        '<atem:function_calls>\n<atem:invoke name="find">\n<atem:parameter name="text">z</atem:parameter>\n'
        '<atem:parameter name="count">-1</atem:parameter>\n</atem:invoke>\n</atem:function_calls>',
        ("muse-glimmer",),
    ),
)
