// The examples of the official JavaScript client, unchanged. Prints one JSON object: what each of them got, or its error.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const openai = new OpenAI({ baseURL: process.env.HEARTH_ADDRESS, apiKey: "any", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello" }];
const friend = z.object({ name: z.string(), age: z.number().int(), is_available: z.boolean() });
const friendList = z.object({ friends: z.array(friend) });
const askedWeather = { model: "ember", temperature: 0, messages: [{ role: "user", content: "What is the weather in Paris?" }] };
const weather = zodFunction({
  name: "get_weather",
  description: "Get the current weather in a city",
  parameters: z.object({ city: z.string() }),
  function: ({ city }) => ({ city, weather: "sunny", temperature: 21 }),
});

const examples = {
  async chat() {
    const answer = await openai.chat.completions.create({ model: "ember", messages, temperature: 0 });
    return answer.choices[0].message.content;
  },
  async chatStreamed() {
    let text = "";
    const stream = await openai.chat.completions.create({ model: "ember", messages, temperature: 0, stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
    return text;
  },
  async chatStreamHelper() {
    const runner = openai.chat.completions.stream({ model: "ember", messages, temperature: 0 });
    return await runner.finalContent();
  },
  async picture() {
    const content = [
      { type: "text", text: "What's in this image?" },
      { type: "image_url", image_url: { url: process.env.HEARTH_PICTURE } },
    ];
    const answer = await openai.chat.completions.create({
      model: "ember",
      messages: [{ role: "user", content }],
      temperature: 0,
    });
    return answer.choices[0].message.content;
  },
  async completion() {
    const answer = await openai.completions.create({ model: "ember", prompt: "Say this is a test.", max_tokens: 8 });
    return { object: answer.object, promptTokens: answer.usage.prompt_tokens, tokens: answer.usage.completion_tokens };
  },
  async models() {
    const ids = [];
    for await (const model of await openai.models.list()) ids.push(model.id);
    return ids;
  },
  async model() {
    return await openai.models.retrieve("ember");
  },
  async embeddings() {
    const input = ["why is the sky blue?", "why is the grass green?"];
    const answer = await openai.embeddings.create({ model: process.env.HEARTH_EMBEDDER, input });
    return { vectors: answer.data.map((entry) => entry.embedding), usage: answer.usage };
  },
  async parsed() {
    const answer = await openai.chat.completions.parse({
      model: "ember",
      temperature: 0,
      messages: [{ role: "user", content: process.env.HEARTH_FRIENDS }],
      response_format: zodResponseFormat(friendList, "friend_list"),
    });
    return answer.choices[0].message.parsed;
  },
  async tool() {
    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
    const answer = await openai.chat.completions.create({
      model: "ember",
      temperature: 0,
      messages: [{ role: "user", content: "What is the weather in Paris?" }],
      tools: [{ type: "function", function: { name: "get_weather", parameters } }],
      tool_choice: { type: "function", function: { name: "get_weather" } },
    });
    return answer.choices[0].message.tool_calls[0].function;
  },
  async parsedStream() {
    let deltas = "";
    const stream = openai.chat.completions
      .stream({
        model: "ember",
        temperature: 0,
        messages: [{ role: "user", content: process.env.HEARTH_FRIENDS }],
        response_format: zodResponseFormat(friendList, "friend_list"),
        stream_options: { include_usage: true },
      })
      .on("content.delta", ({ delta }) => (deltas += delta));
    const final = await stream.finalChatCompletion();
    return { deltas, parsed: final.choices[0].message.parsed, usage: await stream.totalUsage() };
  },
  async toolParsed() {
    const answer = await openai.chat.completions.parse({ ...askedWeather, tools: [weather], tool_choice: "required" });
    return answer.choices[0].message.tool_calls[0].function.parsed_arguments;
  },
  async toolStreamed() {
    let last;
    const stream = openai.chat.completions
      .stream({ ...askedWeather, tools: [weather], tool_choice: "required" })
      .on("tool_calls.function.arguments.delta", (event) => (last = event));
    const call = await stream.finalFunctionToolCall();
    return { name: call.name, arguments: call.arguments, streamed: last.arguments, parsed: last.parsed_arguments };
  },
  async toolsRun() {
    const runner = openai.chat.completions.runTools({ ...askedWeather, tools: [weather] });
    const text = await runner.finalContent();
    return { roles: runner.messages.map(({ role }) => role), result: await runner.finalFunctionToolCallResult(), text };
  },
  async toolsRunStreamed() {
    const runner = openai.chat.completions.runTools({ ...askedWeather, tools: [weather], stream: true });
    let chunks = 0;
    for await (const _ of runner) chunks += 1;
    return { roles: runner.messages.map(({ role }) => role), text: await runner.finalContent(), chunks };
  },
  async completionStreamed() {
    const wanted = { model: "ember", prompt: "Say this is a test.", max_tokens: 8, stream: true };
    const reasons = [];
    for await (const piece of await openai.completions.create(wanted)) reasons.push(piece.choices[0].finish_reason);
    return reasons;
  },
  async headers() {
    const { data, response, request_id: id } = await openai.chat.completions.create({ model: "ember", messages }).withResponse();
    return { object: data.object, id, header: response.headers.get("x-request-id") };
  },
  async aborted() {
    const stream = await openai.chat.completions.create({ model: "ember", messages, stream: true });
    for await (const chunk of stream) {
      stream.controller.abort();
      return chunk.object;
    }
  },
  async unknownModel() {
    try {
      await openai.chat.completions.create({ model: "embr", messages });
    } catch (error) {
      return { kind: error.constructor.name, code: error.code, param: error.param, id: Boolean(error.requestID) };
    }
  },
};

const results = {};
for (const [name, example] of Object.entries(examples)) {
  try {
    results[name] = { value: await example() };
  } catch (error) {
    results[name] = { error: String(error) };
  }
}
console.log(JSON.stringify(results));
