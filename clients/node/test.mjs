// The `openai` package for Node. Run by ../test_node.py, which also checks what the audit log says about these calls.
//
// Where Bailiwick is and the key come from OPENAI_BASE_URL and OPENAI_API_KEY, as for any program; the keys of two other
// agents from KEY_NARROW (its policy permits gpt-4o-mini only) and KEY_BROKE (its budget is too small for any call).

import assert from 'node:assert/strict';
import { test } from 'node:test';

import OpenAI from 'openai';

const model = 'gpt-4o-mini';
const messages = [{ role: 'user', content: 'What is a bailiwick?' }];
const client = new OpenAI();

const all = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
};

const textOf = (chunks) => chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta.content ?? '').join('');

test('a completion arrives whole, with its headers', async () => {
  const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
  assert.match(data.choices[0].message.content, /^An agent with a budget/);
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.ok(data.usage.completion_tokens > 0);
  assert.equal(response.headers.get('bailiwick-decision'), 'allow');
  assert.match(response.headers.get('bailiwick-request-id'), /^[0-9a-f]{32}$/);
  assert.match(response.headers.get('bailiwick-cost-usd'), /^0\.0\d+$/);
  assert.match(response.headers.get('bailiwick-budget-remaining-usd'), /^\d+\.\d+$/);
});

test('a stream shows no usage to who did not ask', async () => {
  const chunks = await all(await client.chat.completions.create({ model, messages, stream: true }));
  assert.match(textOf(chunks), /^An agent with a budget/);
  assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
});

test('a stream shows usage once to who asked', async () => {
  const asked = { model, messages, stream: true, stream_options: { include_usage: true } };
  const chunks = await all(await client.chat.completions.create(asked));
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.completion_tokens > 0);
  assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
});

test('the loop of tool call, result and answer ends', async () => {
  const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  const tools = [{ type: 'function', function: { name: 'weather', parameters } }];
  const asked = await client.chat.completions.create({ model, messages, tools });
  const said = asked.choices[0].message;
  assert.equal(asked.choices[0].finish_reason, 'tool_calls');
  assert.deepEqual(JSON.parse(said.tool_calls[0].function.arguments), { city: 'example' });
  const result = { role: 'tool', tool_call_id: said.tool_calls[0].id, content: 'clear' };
  const stream = client.chat.completions.stream({ model, messages: [...messages, said, result], tools });
  assert.match(await stream.finalContent(), /^An agent with a budget/);
});

test('a provider without limits is cut, and the error says so', async () => {
  const headers = { 'fake-script': 'output=2000000; bytes=1000' };
  const asked = { model, messages, stream: true, max_completion_tokens: 10 };
  const stream = await client.chat.completions.create(asked, { headers });
  await assert.rejects(all(stream), (error) => {
    assert.ok(error instanceof OpenAI.APIError);
    assert.equal(error.code, 'hold_exceeded');
    return true;
  });
});

const denials = [
  { what: 'a wrong key', key: 'bwk_wrong', kind: OpenAI.AuthenticationError, status: 401, code: 'invalid_credential' },
  {
    what: 'a forbidden model',
    key: process.env.KEY_NARROW,
    asked: { model: 'gpt-4o' },
    kind: OpenAI.PermissionDeniedError,
    status: 403,
    code: 'policy_denied',
  },
  { what: 'no budget', key: process.env.KEY_BROKE, kind: OpenAI.APIError, status: 402, code: 'budget_exhausted' },
];

for (const { what, key, asked, kind, status, code } of denials) {
  for (const stream of [false, true]) {
    test(`${what} is refused (${stream ? 'stream' : 'json'})`, async () => {
      const agent = new OpenAI({ apiKey: key });
      await assert.rejects(agent.chat.completions.create({ model, messages, stream, ...asked }), (error) => {
        assert.equal(error.constructor, kind);
        assert.equal(error.status, status);
        assert.equal(error.code, code);
        assert.ok(error.message.length > 30, error.message);
        assert.equal(error.headers.get('bailiwick-reason'), code);
        assert.equal(error.headers.get('x-should-retry'), 'false');
        return true;
      });
    });
  }
}

test('an endpoint that is not governed is not found', async () => {
  await assert.rejects(client.files.list(), (error) => {
    assert.equal(error.constructor, OpenAI.NotFoundError);
    assert.equal(error.code, 'unknown_endpoint');
    return true;
  });
});
