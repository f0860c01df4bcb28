// A peer of scripts/bench/compare for tests: its times are what the task's name says.
import { createInterface } from 'node:readline';

const answer = (reply) => process.stdout.write(`${JSON.stringify(reply)}\n`);
if (process.argv[2] === 'broken') {
  console.error('No module named torch');
  process.exit(3);
}
const tasks = ['0.5', '3', '30', 'fail', 'die'].map((variant) => ({ task: 'work', variant }));
answer({ peer: 'fake 1.0', settings: process.env.FAKE_SETTING ?? 'none', tasks });
for await (const line of createInterface({ input: process.stdin })) {
  const { variant } = JSON.parse(line);
  if (variant === 'die') process.exit(4);
  if (variant === 'fail') answer({ error: 'RuntimeError: out of memory' });
  else answer({ seconds: Number(variant) });
}
