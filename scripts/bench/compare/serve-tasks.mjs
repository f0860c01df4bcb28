// The peers' side of the line protocol (worker.mjs has the other): announce the tasks in one JSON
// line, then run one task per request line and answer with the seconds it took.
import { createInterface } from 'node:readline';

const answer = (reply) => process.stdout.write(`${JSON.stringify(reply)}\n`);

/** `tasks` are { task, variant, run }; run may be asynchronous. */
export async function serveTasks({ peer, settings, tasks }) {
  answer({ peer, settings, tasks: tasks.map(({ task, variant }) => ({ task, variant })) });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const request = JSON.parse(line);
      const found = tasks.find((t) => t.task === request.task && t.variant === request.variant);
      const start = performance.now();
      await found.run();
      answer({ seconds: (performance.now() - start) / 1000 });
    } catch (error) {
      answer({ error: `${error.name}: ${error.message}` });
    }
  }
}

/** Tokens for a prompt of `count`, all inside the vocabulary. */
export function promptTokens(count, vocab) {
  return Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocab);
}
