// What the parts measured beside what a GPU is held to (on an H200; other cards are shown the same
// goals). A figure is { name, value (text), goal, met (undefined: not measured), doubt }: a doubt says
// why it is no more than a first look, or not to be believed.

const times = (ratio) => `${ratio.toFixed(2)}x`;
const seconds = (ms) => `${(ms / 1000).toFixed(3)} s`;
/** Two timings of one kernel differ by less than this without being different. */
const sameTime = 1.02;

const unmeasured = (name, goal) => ({ name, goal, value: '-', met: undefined });

const FIRST_LOOK = 'first look';

/** A part, or where it found no figures the step of the first look; { part, doubt }. */
function partOf(results, name) {
  const has = (part) =>
    [part?.results, part?.comparisons, part?.suites, part?.cases].some((list) => list?.length > 0);
  const first = results.smoke?.steps?.[name];
  if (!has(results[name]) && has(first)) return { part: first, doubt: FIRST_LOOK };
  return { part: results[name], doubt: undefined };
}

/** Why a measurement is not to be believed. @param entry  its result, where it has several */
function doubtOf(part, entry = part) {
  if (part.problem !== undefined) return 'not by cuBLASLt';
  if (entry.verified === false) return part.failed ? 'wrong' : 'not verified';
  return undefined;
}

/** The contenders of a comparison that ran, by name of peer and variant. */
function contenders(comparison) {
  const ran = comparison.contenders.filter(({ error }) => error === undefined);
  const own = (variant) => ran.find((c) => c.peer === 'headspark' && c.variant === variant);
  return { own, peers: ran.filter((c) => c.peer !== 'headspark') };
}

/** Attention of one size and direction: the faster of PyTorch's bf16 kernels over `fast`. */
function attentionFigures(comparison, doubt) {
  const { own, peers } = contenders(comparison);
  const [plain, gated] = [own('fast'), own('fast gated')];
  const best = Math.min(
    ...peers.filter(({ variant }) => variant.endsWith('bf16')).map(({ medianMs }) => medianMs),
  );
  const figures = [];
  if (plain && Number.isFinite(best)) {
    const ratio = best / plain.medianMs;
    const name = `${comparison.task} beside PyTorch's fastest`;
    figures.push({ name, value: times(ratio), goal: '0.9x', met: ratio >= 0.9, doubt });
  }
  if (plain && gated) {
    const ratio = gated.medianMs / plain.medianMs;
    const name = `${comparison.task}, gated over not`;
    figures.push({ name, value: times(ratio), goal: '1x', met: ratio <= sameTime, doubt });
  }
  return figures;
}

function allAttentionFigures({ part, doubt }) {
  const comparisons = part?.comparisons?.filter(({ task }) => task.startsWith('attention')) ?? [];
  const figures = comparisons.flatMap((comparison) =>
    attentionFigures(comparison, doubtOf(part) ?? doubt),
  );
  return figures.length > 0 ? figures : [unmeasured('attention beside PyTorch', '0.9x')];
}

function eapIgFigures(results) {
  const names = ['EAP-IG, 1.5B, 64 x 128 tokens, fast', 'the same beside PyTorch'];
  const goals = ['0.6 s', '2x'];
  const { part, doubt } = partOf(results, 'eap-ig');
  const comparison = part?.comparisons?.find(({ task }) => task === 'eap-ig');
  const { own, peers } = comparison ? contenders(comparison) : { own: () => undefined, peers: [] };
  const fast = own('fast');
  if (!fast) {
    // The first look has no peer beside it.
    return [timeFigure({ part, doubt }, names[0], 0.6), unmeasured(names[1], goals[1])];
  }
  const best = Math.min(...peers.map(({ medianMs }) => medianMs));
  const ratio = best / fast.medianMs;
  return [
    {
      name: names[0],
      value: seconds(fast.medianMs),
      goal: goals[0],
      met: fast.medianMs <= 600,
      doubt: doubtOf(part),
    },
    Number.isFinite(best)
      ? {
          name: names[1],
          value: times(ratio),
          goal: goals[1],
          met: ratio >= 2,
          doubt: doubtOf(part),
        }
      : unmeasured(names[1], goals[1]),
  ];
}

/** The first result of a bench_model run that had one workload, against a limit in seconds. */
function timeFigure({ part, doubt }, name, limit) {
  const goal = limit === undefined ? 'runs' : `${limit} s`;
  const result = part?.results?.[0];
  if (result === undefined) return unmeasured(name, goal);
  const met = !part.failed && (limit === undefined || result.medianMs <= limit * 1000);
  const value = seconds(result.medianMs);
  return { name, value, goal, met, doubt: doubtOf(part, result) ?? doubt };
}

function decodeFigure({ part, doubt }) {
  const [name, goal] = ['decoding, 1.5B, 256 rows of 64 variants', '80000 tokens/s'];
  const rate = part?.results?.find(({ variants }) => variants > 1)?.tokensPerS;
  if (rate === undefined) return unmeasured(name, goal);
  const met = !part.failed && rate >= 80000;
  const value = `${Math.round(rate)} tokens/s`;
  return { name, value, goal, met, doubt: doubtOf(part) ?? doubt };
}

const shown = (names) =>
  names.length > 4
    ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`
    : names.join(', ');

/** Suites by ctest. */
function suitesFigure({ part, doubt }) {
  const [name, goal] = ['op suite and goldens', 'passes'];
  if (!part?.suites?.length) return unmeasured(name, goal);
  const bad = part.suites.filter(({ result }) => result !== 'Passed').map((suite) => suite.name);
  const good = part.suites.length - bad.length;
  if (bad.length > 0) {
    return { name, goal, met: false, value: `${shown(bad)} failed, ${good} passed`, doubt };
  }
  if (part.code !== 0) return { name, goal, met: false, value: `ended, ${good} passed`, doubt };
  const where = part.sharedGoldens === false ? ', those of test/fixtures' : '';
  return { name, goal, met: true, value: `${good} passed${where}`, doubt };
}

/** Cases under a tool of compute-sanitizer. */
function sanitizerFigure({ part, doubt }, tool) {
  const [name, goal] = [`compute-sanitizer ${tool}`, 'passes'];
  if (!part?.cases?.length) return unmeasured(name, goal);
  const { cases, leftOut } = part;
  const good = cases.filter(({ result }) => result === 'passed').length;
  const late = cases.filter(({ result }) => result === 'ran out of time').length;
  const bad = cases.length - good - late;
  if (bad > 0) return { name, goal, met: false, value: `${bad} failed, ${good} passed`, doubt };
  const whole = leftOut !== undefined && leftOut.length === 0;
  const rest = leftOut === undefined ? 'was ended' : `${leftOut.length} left out`;
  return { name, goal, met: whole, value: `${good} passed${whole ? '' : `, ${rest}`}`, doubt };
}

/** All figures, from the results of parts by name; parts may be missing or end early. */
export function goalFigures(results) {
  const part = (name) => partOf(results, name);
  return [
    suitesFigure(part('tests')),
    sanitizerFigure(part('memcheck'), 'memcheck'),
    sanitizerFigure(part('racecheck'), 'racecheck'),
    ...allAttentionFigures(part('attention')),
    ...eapIgFigures(results),
    timeFigure(part('large'), 'EAP-IG, 7B, 64 x 128 tokens, fast', 3),
    timeFigure(part('large-long'), 'EAP-IG, 7B, pairs of 512 tokens', undefined),
    timeFigure(part('sweep'), 'all single heads, 1.5B, 100 x 128 tokens, fast', 15),
    decodeFigure(part('decode')),
  ];
}
