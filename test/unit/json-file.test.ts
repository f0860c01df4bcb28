// Keys that stand twice in one object of a JSON text.
import { expect, it } from 'vitest';
import { repeatedKey } from '../../lib/json-file.js';

it.each([
  ['{"a": 1, "b": 2, "a": 3}', 'a'],
  ['{"a": {"b": 1, "b": [2]}}', 'b'],
  ['[{"a": 1}, {"c": "\\"", "c": 2}]', 'c'],
  ['{"a": {"a": 1}, "b": ["a", {"a": 2}], "c": "a\\": {"}', undefined],
  ['{"a": "{\\"a\\": 1}", "b": ":"}', undefined],
  ['[1, "a", "a"]', undefined],
])('%s: %s', (text, key) => {
  expect(() => JSON.parse(text)).not.toThrow();
  expect(repeatedKey(text)).toBe(key);
});

it('long texts are no harder', () => {
  const long = `{"a": "${'x\\"'.repeat(6_000_000)}", "b": [${'12,'.repeat(1_000_000)}1]}`;
  expect(repeatedKey(long)).toBeUndefined();
});
