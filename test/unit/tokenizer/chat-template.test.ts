// Chat templates: the real SmolLM2 one, a Qwen3-like one with its thinking switch, named ones.
import { Template } from '@huggingface/jinja';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChatTemplate, loadChatTemplate, renderChat } from '../../../lib/chat-template.js';
import { strftime } from '../../../lib/strftime.js';
import { fixtures, qwenLike, sharedPath, tinyArith } from './fixtures.js';

const user = (content: string): { role: string; content: string } => ({ role: 'user', content });
const named = join(fixtures, 'tokenizer', 'named-templates');

async function load(folder: string, name?: string): Promise<ChatTemplate> {
  const template = await loadChatTemplate(folder, name);
  if (!template) throw new Error(`${folder} has no chat template`);
  return template;
}

describe('SmolLM2', () => {
  const smollm = sharedPath('models', 'smollm2-135m');
  it.skipIf(!smollm)('renders the prompts of the shared pairs', async () => {
    const template = await load(smollm!);
    const lines = readFileSync(join(smollm!, 'sums-steps-8.jsonl'), 'utf8').trim().split('\n');
    for (const line of lines) {
      const { text } = JSON.parse(line) as { text: string };
      const problem = /user\n([^]*?)<\|im_end\|>/.exec(text)![1];
      const prompt = template.render([user(problem)]);
      expect(text.startsWith(prompt)).toBe(true);
      expect(text.slice(prompt.length)).toMatch(/^<think>\n\d+ [+-] \d+ = /);
    }
    expect(template.hasThinkingSwitch).toBe(false);
    expect(() => template.render([user('x')], { enableThinking: false })).toThrow(
      'no thinking switch',
    );
  });
});

describe('a Qwen3-like template', () => {
  it('turns thinking on and off', async () => {
    const template = await load(qwenLike);
    expect(template.hasThinkingSwitch).toBe(true);
    const prompt = '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n';
    expect(template.render([user('Hi')])).toBe(prompt);
    expect(renderChat(template, [user('Hi')], { enableThinking: true })).toBe(prompt);
    expect(template.render([user('Hi')], { enableThinking: false })).toBe(
      `${prompt}<think>\n\n</think>\n\n`,
    );
  });

  it('renders a conversation and cuts earlier thoughts', async () => {
    const template = await load(qwenLike);
    const messages = [
      { role: 'system', content: 'Be brief.' },
      user('1+1'),
      { role: 'assistant', content: '<think>\neasy\n</think>\n\n2' },
    ];
    expect(template.render(messages, { addGenerationPrompt: false })).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1<|im_end|>\n' +
        '<|im_start|>assistant\n2<|im_end|>\n',
    );
  });

  it('passes on what the template itself refuses', async () => {
    const template = await load(qwenLike);
    expect(() => template.render([{ role: 'robot', content: 'x' }])).toThrow(
      expect.objectContaining({
        code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
        message: expect.stringMatching(/refuses the messages: Unknown role robot\.$/) as string,
      }),
    );
  });
});

describe('templates in tokenizer_config.json', () => {
  it('picks by name and fills special tokens', async () => {
    expect((await load(named)).render([user('a'), user('b')])).toBe('<s>[user] a</s>[user] b</s>');
    const now = new Date(2026, 6, 4);
    expect((await load(named, 'dated')).render([user('a')], { now })).toBe('04 Jul 2026: a');
    expect((await load(named, 'extra')).render([user('a')])).toBe('extra a');
    await expect(loadChatTemplate(named, 'rag')).rejects.toThrow('"default", "dated"');
    await expect(loadChatTemplate(named, '../x')).rejects.toThrow('not the name');
  });

  it('is undefined for a folder without one', async () => {
    expect(await loadChatTemplate(tinyArith)).toBeUndefined();
    await expect(loadChatTemplate(tinyArith, 'rag')).rejects.toThrow('no chat template named');
  });
});

describe('broken templates', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headspark-template-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('has special tokens from special_tokens_map.json beside an older tokenizer_config.json', async () => {
    const write = (name: string, value: unknown): Promise<void> =>
      writeFile(join(folder, name), JSON.stringify(value));
    await writeFile(join(folder, 'chat_template.jinja'), '{{ bos_token }}|{{ eos_token }}');
    await write('special_tokens_map.json', { bos_token: { content: '<b>' } });
    expect((await load(folder)).render([])).toBe('<b>|');
    await write('tokenizer_config.json', { bos_token: '<s>', eos_token: '</s>' });
    expect((await load(folder)).render([])).toBe('<b>|</s>');
    await write('tokenizer_config.json', { bos_token: '<s>', added_tokens_decoder: {} });
    expect((await load(folder)).render([])).toBe('<s>|');
    await rm(join(folder, 'special_tokens_map.json'));
    await rm(join(folder, 'tokenizer_config.json'));
  });

  it('names the file that cannot be parsed or run', async () => {
    const file = join(folder, 'chat_template.jinja');
    await writeFile(file, '{% if x %}');
    await expect(loadChatTemplate(folder)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_TOKENIZER',
      message: expect.stringContaining(file) as string,
    });
    await writeFile(file, '{{ missing_function() }}');
    const template = await load(folder);
    expect(() => template.render([user('x')])).toThrow(
      expect.objectContaining({ code: 'ERR_HEADSPARK_TOKENIZER' }),
    );
  });

  it.each(['\n\n x', '  {% if true %}\na{% endif %}', '{%- if true %} b{% endif %}', ' {{ 1 }}\n'])(
    'renders %j as the library alone does',
    (source) => {
      const template = new ChatTemplate({ origin: 'x', source, specialTokens: {} });
      expect(template.render([])).toBe(new Template(source).render({}));
    },
  );

  it('does not take plain text for a switch', () => {
    const make = (source: string): ChatTemplate =>
      new ChatTemplate({ origin: 'x', source, specialTokens: {} });
    expect(make('enable_thinking {{ "thinking" }}').hasThinkingSwitch).toBe(false);
    expect(make('{% if thinking %}a{% endif %}').hasThinkingSwitch).toBe(true);
  });
});

describe('strftime', () => {
  it('writes the directives of Python', () => {
    const date = new Date(2026, 0, 5, 15, 4, 9);
    expect(strftime(date, '%a %A %b %B %d %-d %H %I %j %m %M %p %S %y %Y %% %Q')).toBe(
      'Mon Monday Jan January 05 5 15 03 005 01 04 PM 09 26 2026 % %Q',
    );
  });
});
