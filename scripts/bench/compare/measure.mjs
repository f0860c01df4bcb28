// Times the same task of several peers in turn (A B C A B C …), so that drift of the machine meets
// all of them alike, and sets their medians beside headspark's.

/** Runs shorter than this are warmed up once; longer ones cannot afford it and hardly gain. */
const warmUpBelow = 2;
/** Runs shorter than this are over before processor and caches are theirs: several in each turn. */
const repeatBelow = 0.05;
const shortRepeats = 20;
/** The first run may pack weights, so that only the second of a short task tells how long it takes. */
const packingBelow = 0.5;
/** A contender this slow is not run again. */
const giveUpAbove = 20;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The tasks that a filter A,B names, in its order and then in their own. */
export function wantedTasks(tasks, filter) {
  const filters = filter.split(',');
  const place = (name) => filters.findIndex((part) => name.includes(part));
  return tasks.filter((name) => place(name) >= 0).sort((a, b) => place(a) - place(b));
}

async function runOnce(contender) {
  const reply = await contender.worker.run(contender.task, contender.variant);
  if (reply.error !== undefined) contender.error = reply.error;
  return reply.seconds;
}

async function runRound(contenders, round) {
  for (const contender of contenders) {
    if (contender.error !== undefined || contender.slow) continue;
    for (let repeat = 0; repeat < (contender.repeats ?? 1); repeat++) {
      const seconds = await runOnce(contender);
      if (seconds === undefined) break;
      if (round === 0 && seconds < warmUpBelow) {
        // That was the warm-up.
        const warm = seconds < packingBelow ? await runOnce(contender) : seconds;
        if (warm !== undefined && warm < repeatBelow)
          contender.repeats = Math.max(contender.repeats ?? 1, shortRepeats);
        break;
      }
      contender.seconds.push(seconds);
      contender.slow = seconds > giveUpAbove;
      if (contender.slow) break;
    }
  }
}

function summarize({ peer, variant, error, seconds, scale = 1 }) {
  if (error !== undefined || seconds.length === 0) {
    return { peer, variant, error: error ?? 'no run' };
  }
  const ms = seconds.map((value) => value * scale * 1000);
  return {
    peer,
    variant,
    medianMs: median(ms),
    minMs: Math.min(...ms),
    maxMs: Math.max(...ms),
    runs: ms.length,
  };
}

/**
 * Measures one task. The first contender is headspark's; every variant of headspark's is a base of
 * ratios: how many times as long each contender takes.
 * @param contenders  { worker, peer, task, variant, scale (of its times), repeats (per round) }
 */
export async function compareTask(task, contenders, { rounds }) {
  const states = contenders.map((contender) => ({ ...contender, seconds: [] }));
  for (let round = 0; round <= rounds; round++) {
    // The round after the last is for those that spent their first on warming up.
    const due = states.filter((s) => s.seconds.length < rounds * (s.repeats ?? 1));
    await runRound(due, round);
  }
  const results = states.map(summarize);
  const usable = results.filter(({ error }) => error === undefined);
  for (const base of usable.filter(({ peer }) => peer === results[0].peer)) {
    for (const result of usable) {
      result.ratios ??= {};
      result.ratios[base.variant] = {
        median: result.medianMs / base.medianMs,
        // What the fastest runs say: the least touched by neighbours, on a machine that has some.
        minimum: result.minMs / base.minMs,
      };
    }
  }
  return { task, contenders: results };
}
