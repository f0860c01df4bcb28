// What a call of the library says to wrong arguments: a sentence with a code, never a TypeError.
import { expect } from 'vitest';
import { HeadsparkError } from '../../lib/index.js';

/** Anything, as JavaScript may pass it. */
export const any = (value: unknown): never => value as never;

/** The function of the library that is called, the call, and what its refusal says. */
export type Case = [name: string, call: () => unknown, message: RegExp];

async function refusalOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

export async function expectRefusal(call: () => unknown, message: RegExp): Promise<void> {
  const refusal = await refusalOf(call);
  expect(refusal).toBeInstanceOf(HeadsparkError);
  expect(refusal).toMatchObject({
    code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
    message: expect.stringMatching(message) as string,
  });
}
