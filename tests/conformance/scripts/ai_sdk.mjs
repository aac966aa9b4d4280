// The Vercel AI SDK, unchanged. Prints one JSON object: what each example got, or its error.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, embed, embedMany, generateObject, generateText, jsonSchema, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

// It would write them among the results.
globalThis.AI_SDK_LOG_WARNINGS = false;

const hearth = createOpenAICompatible({
  name: "hearth",
  baseURL: process.env.HEARTH_ADDRESS,
  apiKey: "any",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
// What the SDK does by default: the schema is told in words, and JSON of any shape asked for.
const unstructured = createOpenAICompatible({ name: "plain", baseURL: process.env.HEARTH_ADDRESS, apiKey: "any" });
const always = { maxRetries: 0, temperature: 0 };
const ember = { ...always, model: hearth("ember") };
const prompt = "Hello";
const thinking = { providerOptions: { hearth: { reasoningEffort: "high" } } };
const friends = z.object({ friends: z.array(z.object({ name: z.string(), age: z.number().int(), is_available: z.boolean() })) });
const weather = tool({
  description: "Get the current weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => ({ city, weather: "sunny", temperature: 21 }),
});
const weatherWithoutResult = tool({ description: weather.description, inputSchema: weather.inputSchema });

const refusal = async (act) => {
  try {
    await act();
  } catch (error) {
    const { error: body } = JSON.parse(error.responseBody);
    return { known: APICallError.isInstance(error), status: error.statusCode, retry: error.isRetryable, message: error.message, body };
  }
};

const examples = {
  async text() {
    const { text, finishReason, usage, response } = await generateText({ ...ember, prompt });
    return { text, finishReason, usage, id: response.id, model: response.modelId };
  },
  async textStreamed() {
    const result = streamText({ ...ember, prompt });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    return { text, finishReason: await result.finishReason, usage: await result.usage };
  },
  async conversation() {
    const messages = [
      { role: "user", content: "My name is Ada." },
      { role: "assistant", content: "Nice to meet you, Ada!" },
      { role: "user", content: "What is my name?" },
    ];
    const { text } = await generateText({ ...ember, messages });
    return text;
  },
  async settings() {
    const { text, finishReason } = await generateText({
      ...ember, prompt, maxOutputTokens: 3, topP: 0.9, seed: 1, stopSequences: ["zzz"], frequencyPenalty: 0.1, presencePenalty: 0.1,
    });
    return { text, finishReason };
  },
  async picture() {
    const content = [
      { type: "text", text: "What's in this image?" },
      { type: "image", image: process.env.HEARTH_PICTURE },
    ];
    return (await generateText({ ...ember, messages: [{ role: "user", content }] })).text;
  },
  async reasoning() {
    const { reasoningText, text, usage } = await generateText({ ...ember, ...thinking, prompt: "What is 2 + 3?" });
    return { reasoning: reasoningText, text, tokens: usage.reasoningTokens };
  },
  async reasoningStreamed() {
    const kinds = [];
    let reasoning = "";
    const { fullStream } = streamText({ ...ember, ...thinking, prompt: "What is 2 + 3?" });
    for await (const part of fullStream) {
      if (kinds.at(-1) !== part.type) kinds.push(part.type);
      if (part.type === "reasoning-delta") reasoning += part.text;
    }
    return { kinds, reasoning };
  },
  async object() {
    return (await generateObject({ ...ember, schema: friends, prompt: process.env.HEARTH_FRIENDS })).object;
  },
  async objectStreamed() {
    const result = streamObject({ ...ember, schema: friends, prompt: process.env.HEARTH_FRIENDS });
    let partial = 0;
    for await (const _ of result.partialObjectStream) partial += 1;
    return { object: await result.object, partial };
  },
  async objectAsOutput() {
    const output = Output.object({ schema: friends });
    return (await generateText({ ...ember, output, prompt: process.env.HEARTH_FRIENDS })).output;
  },
  async array() {
    const element = z.object({ name: z.enum(["Ada", "Alan"]) });
    return (await generateObject({ ...ember, output: "array", schema: element, prompt: "List people", maxOutputTokens: 300, frequencyPenalty: 1 })).object;
  },
  async choice() {
    return (await generateObject({ ...ember, output: "enum", enum: ["sunny", "rainy"], prompt: "What is the weather?" })).object;
  },
  async objectOfAnyShape() {
    const { object } = await generateObject({
      ...always, model: unstructured("ember"), schema: jsonSchema({ type: "object" }), prompt: process.env.HEARTH_FRIENDS,
    });
    return typeof object;
  },
  async toolCalled() {
    const { toolCalls, finishReason } = await generateText({
      ...ember, prompt: "What is the weather in Paris?", tools: { weather: weatherWithoutResult }, toolChoice: "required",
    });
    return { calls: toolCalls.map(({ toolName, input }) => ({ toolName, input })), finishReason };
  },
  async toolNamed() {
    const tools = { weather: weatherWithoutResult, other: weatherWithoutResult };
    const { toolCalls } = await generateText({ ...ember, prompt, tools, toolChoice: { type: "tool", toolName: "other" } });
    return toolCalls.map(({ toolName }) => toolName);
  },
  async toolCallStreamed() {
    const kinds = [];
    let input = "";
    const { fullStream, toolCalls } = streamText({
      ...ember, prompt: "What is the weather in Paris?", tools: { weather: weatherWithoutResult }, toolChoice: "required",
    });
    for await (const part of fullStream) {
      if (kinds.at(-1) !== part.type) kinds.push(part.type);
      if (part.type === "tool-input-delta") input += part.delta;
    }
    return { kinds, input: JSON.parse(input), calls: (await toolCalls).map((call) => call.input) };
  },
  async steps() {
    const { steps, text } = await generateText({
      ...ember, prompt: "What is the weather in Paris?", tools: { weather }, stopWhen: stepCountIs(3),
    });
    return { calls: steps[0].toolCalls.map(({ toolName, input }) => ({ toolName, input })), n: steps.length, text };
  },
  async stepsStreamed() {
    const result = streamText({ ...ember, prompt: "What is the weather in Paris?", tools: { weather }, stopWhen: stepCountIs(3) });
    await result.consumeStream();
    return { n: (await result.steps).length, text: await result.text };
  },
  async noTool() {
    const { toolCalls } = await generateText({
      ...ember, prompt: "What is the weather in Paris?", tools: { weather: weatherWithoutResult }, toolChoice: "none",
    });
    return toolCalls.length;
  },
  async embedding() {
    const { embedding, usage } = await embed({ model: hearth.textEmbeddingModel(process.env.HEARTH_EMBEDDER), value: "why is the sky blue?" });
    return { length: embedding.length, usage };
  },
  async embeddings() {
    const values = ["why is the sky blue?", "why is the grass green?"];
    const { embeddings } = await embedMany({ model: hearth.textEmbeddingModel(process.env.HEARTH_EMBEDDER), values });
    return embeddings;
  },
  async completion() {
    const model = hearth.completionModel("ember");
    return (await generateText({ ...always, model, prompt: "Say this is a test.", maxOutputTokens: 8 })).usage;
  },
  async completionStreamed() {
    const result = streamText({ ...always, model: hearth.completionModel("ember"), prompt: "Say this is a test.", maxOutputTokens: 8 });
    await result.consumeStream();
    return { finishReason: await result.finishReason, usage: await result.usage };
  },
  async aborted() {
    const stopping = new AbortController();
    const { fullStream } = streamText({ ...ember, prompt, abortSignal: stopping.signal });
    for await (const part of fullStream) {
      if (part.type === "text-delta") stopping.abort();
      if (part.type === "abort") return part.type;
    }
  },
  async unknownModel() {
    return await refusal(() => generateText({ ...always, model: hearth("embr"), prompt }));
  },
  async wrongValue() {
    return await refusal(() => generateText({ ...ember, temperature: 5, prompt }));
  },
  async tooLong() {
    let seen;
    const result = streamText({ ...ember, prompt: "word ".repeat(5000), onError: ({ error }) => (seen = error) });
    await result.consumeStream();
    return { status: seen.statusCode, code: JSON.parse(seen.responseBody).error.code };
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
