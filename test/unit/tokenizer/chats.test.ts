// Conversations through chat templates as transformers renders them (scripts/fixtures/chat_templates.py makes
// the texts), and what templates may ask for that is refused instead.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ChatTemplate, type ChatMessage } from '../../../lib/chat-template.js';
import { fixtures } from './fixtures.js';

const folder = join(fixtures, 'tokenizer', 'python');
const now = new Date(2026, 6, 4, 9, 5, 3);

/** Template, conversation, prompt of the answer, thinking, tools; the text, or null for a refusal. */
type Case = [string, string, boolean, boolean | null, boolean, string | null];

const golden = JSON.parse(readFileSync(join(folder, 'chats.json'), 'utf8')) as {
  tokens: Record<string, string>;
  tool: object;
  chats: Record<string, ChatMessage[]>;
  cases: Case[];
  messages: ChatMessage[];
  /** A feature, a template that asks for it, and its text or null. */
  language: [string, string, string | null][];
};

const templateOf = (source: string): ChatTemplate =>
  new ChatTemplate({ origin: 'chat_template.jinja', source, specialTokens: golden.tokens });

describe.each([...new Set(golden.cases.map(([name]) => name))])('the template of %s', (name) => {
  const template = templateOf(readFileSync(join(folder, 'templates', `${name}.jinja`), 'utf8'));
  const cases = golden.cases.filter(([own]) => own === name);

  it.each(cases)('%s, %s, prompt %s, thinking %s, tools %s', (...one) => {
    const [, chat, addGenerationPrompt, thinking, hasTools, text] = one;
    const render = (): string =>
      template.render(golden.chats[chat], {
        addGenerationPrompt,
        now,
        ...(thinking === null ? {} : { enableThinking: thinking }),
        ...(hasTools ? { variables: { tools: [golden.tool] } } : {}),
      });
    if (text === null) expect(render).toThrow('the chat template in chat_template.jinja');
    else expect(render()).toBe(text);
  });
});

describe('the language of templates', () => {
  it.each(golden.language)('%s', (_, source, text) => {
    const render = (): string => templateOf(source).render(golden.messages, { now });
    if (text === null) expect(render).toThrow('the chat template in chat_template.jinja failed');
    else expect(render()).toBe(text);
  });

  it.each([
    "{{ 'a,b'.rsplit(',') }}",
    "{{ 'ab' * 2 }}",
    "{{ '%s' % 'a' }}",
    "{{ '{}'.format(1) }}",
    "{{ ','.join(['a']) }}",
    "{{ ['a'] | map('upper') | join }}",
    '{{ 2.5 | round }}',
    '{{ 4 is divisibleby 2 }}',
    '{% raw %}{{ x }}{% endraw %}',
    'a {%+ if true %}b{% endif %}',
    '{{ raise_exception }}',
  ])('refuses %s, which it does not know', (source) => {
    const render = (): string => templateOf(source).render(golden.messages);
    expect(render).toThrow(expect.objectContaining({ code: 'ERR_HEADSPARK_TOKENIZER' }));
  });
});
