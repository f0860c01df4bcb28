// What the parts measured beside what a GPU is held to (on an H200; other cards are shown the same
// goals). A figure is { name, value (text), goal, met (undefined: not measured) }.

const times = (ratio) => `${ratio.toFixed(2)}x`;
const seconds = (ms) => `${(ms / 1000).toFixed(3)} s`;
/** Two timings of one kernel differ by less than this without being different. */
const sameTime = 1.02;

const unmeasured = (name, goal) => ({ name, goal, value: '-', met: undefined });

/** The contenders of a comparison that ran, by name of peer and variant. */
function contenders(comparison) {
  const ran = comparison.contenders.filter(({ error }) => error === undefined);
  const own = (variant) => ran.find((c) => c.peer === 'headspark' && c.variant === variant);
  return { own, peers: ran.filter((c) => c.peer !== 'headspark') };
}

/** Attention of one size and direction: the faster of PyTorch's bf16 kernels over `fast`. */
function attentionFigures(comparison) {
  const { own, peers } = contenders(comparison);
  const [plain, gated] = [own('fast'), own('fast gated')];
  const best = Math.min(
    ...peers.filter(({ variant }) => variant.endsWith('bf16')).map(({ medianMs }) => medianMs),
  );
  const figures = [];
  if (plain && Number.isFinite(best)) {
    const ratio = best / plain.medianMs;
    const name = `${comparison.task} beside PyTorch's fastest`;
    figures.push({ name, value: times(ratio), goal: '0.9x', met: ratio >= 0.9 });
  }
  if (plain && gated) {
    const ratio = gated.medianMs / plain.medianMs;
    const name = `${comparison.task}, gated over not`;
    figures.push({ name, value: times(ratio), goal: '1x', met: ratio <= sameTime });
  }
  return figures;
}

function eapIgFigures(part) {
  const names = ['EAP-IG, 1.5B, 64 x 128 tokens, fast', 'the same beside PyTorch'];
  const goals = ['0.6 s', '2x'];
  const comparison = part?.comparisons?.find(({ task }) => task === 'eap-ig');
  const { own, peers } = comparison ? contenders(comparison) : { own: () => undefined, peers: [] };
  const fast = own('fast');
  if (!fast) return names.map((name, index) => unmeasured(name, goals[index]));
  const best = Math.min(...peers.map(({ medianMs }) => medianMs));
  const ratio = best / fast.medianMs;
  return [
    {
      name: names[0],
      value: seconds(fast.medianMs),
      goal: goals[0],
      met: fast.medianMs <= 600,
    },
    Number.isFinite(best)
      ? { name: names[1], value: times(ratio), goal: goals[1], met: ratio >= 2 }
      : unmeasured(names[1], goals[1]),
  ];
}

/** The first result of a bench_model run that had one workload, against a limit in seconds. */
function timeFigure(part, name, limit) {
  const goal = limit === undefined ? 'runs' : `${limit} s`;
  const result = part?.results?.[0];
  if (result === undefined) return unmeasured(name, goal);
  const met = !part.failed && (limit === undefined || result.medianMs <= limit * 1000);
  return { name, value: seconds(result.medianMs), goal, met };
}

function decodeFigure(part) {
  const [name, goal] = ['decoding, 1.5B, 256 rows of 64 variants', '80000 tokens/s'];
  const rate = part?.results?.at(-1)?.tokensPerS;
  if (rate === undefined) return unmeasured(name, goal);
  const met = !part.failed && rate >= 80000;
  return { name, value: `${Math.round(rate)} tokens/s`, goal, met };
}

function passFigure(part, name) {
  if (part?.code === undefined) return unmeasured(name, 'passes');
  if (part.code !== 0) {
    return { name, value: `failed with code ${part.code}`, goal: 'passes', met: false };
  }
  const value = part.sharedGoldens === false ? 'passed, those of test/fixtures' : 'passed';
  return { name, value, goal: 'passes', met: true };
}

/** All figures, from the results of parts by name; parts may be missing. */
export function goalFigures(results) {
  const attention = (results.peers?.comparisons ?? []).filter(({ task }) =>
    task.startsWith('attention'),
  );
  return [
    passFigure(results.tests, 'op suite and goldens'),
    passFigure(results.memcheck, 'compute-sanitizer memcheck'),
    passFigure(results.racecheck, 'compute-sanitizer racecheck'),
    ...(attention.length > 0
      ? attention.flatMap(attentionFigures)
      : [unmeasured('attention beside PyTorch', '0.9x')]),
    ...eapIgFigures(results.peers),
    timeFigure(results.large, 'EAP-IG, 7B, 64 x 128 tokens, fast', 3),
    timeFigure(results['large-long'], 'EAP-IG, 7B, pairs of 512 tokens', undefined),
    timeFigure(results.sweep, 'all single heads, 1.5B, 100 x 128 tokens, fast', 15),
    decodeFigure(results.decode),
  ];
}
