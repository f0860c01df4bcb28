// Tables for people: for timings, ratios, growth, peers, and goals.
import Table from 'cli-table3';

const plain = { style: { head: [], border: [], compact: true } };

/** Milliseconds with three significant digits, as ms or s. */
export function formatMs(ms) {
  if (!Number.isFinite(ms)) return '-';
  const [value, unit] = ms >= 1000 ? [ms / 1000, 's'] : [ms, 'ms'];
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return `${value.toFixed(digits)} ${unit}`;
}

const formatBytes = (bytes) => (bytes ? `${Math.round(bytes / 2 ** 20)} MiB` : '');
const formatRatio = (ratio) => (ratio === undefined ? '' : `${ratio.toFixed(2)}x`);
const percent = (share) => `${Math.round(share * 100)} %`;
const range = ({ minMs, maxMs }) => `${formatMs(minMs)} .. ${formatMs(maxMs)}`;
const formatError = (error) => (typeof error === 'number' ? error.toExponential(1) : '');

function render(head, rows, right) {
  const colAligns = head.map((_, column) => (right.includes(column) ? 'right' : 'left'));
  const table = new Table({ head, colAligns, ...plain });
  table.push(...rows);
  return table.toString();
}

export function resultsTable(results) {
  const rows = results.map((r) => [
    r.name,
    formatMs(r.medianMs),
    range(r),
    r.gflops > 0 ? (r.gflops / 1000).toFixed(3) : '',
    r.gflops > 0 && r.peakGflops > 0 ? percent(r.peakShare) : '',
    r.gflops > 0 && r.bf16PeakGflops > 0 ? percent(r.gflops / r.bf16PeakGflops) : '',
    r.gbPerS > 0 ? r.gbPerS.toFixed(1) : '',
    formatBytes(r.peakBytes),
    formatError(r.error),
  ]);
  const head = [
    '',
    'median',
    'min .. max',
    'TFLOP/s',
    'of fp32',
    'of bf16',
    'GB/s',
    'memory',
    'error',
  ];
  return render(head, rows, [1, 3, 4, 5, 6, 7, 8]);
}

export function ratiosTable(ratios) {
  const rows = ratios.map((r) => [
    r.name,
    `${r.ratio.toFixed(3)}x`,
    formatMs(r.slow.medianMs),
    formatMs(r.fast.medianMs),
    formatError(r.difference),
    r.note ?? '',
  ]);
  return render(['', 'ratio', 'first', 'second', 'difference', ''], rows, [1, 2, 3, 4]);
}

export function scalingTable(scaling) {
  const rows = scaling.map((s) => [
    `${s.amount} ${s.what}`,
    formatMs(s.medianMs),
    s.msPerAdded ? formatMs(s.msPerAdded) : '',
    formatBytes(s.peakBytes),
  ]);
  return render(['', 'median', 'each added', 'memory'], rows, [1, 2, 3]);
}

/** Figures of gpu/goals.mjs. */
export function goalsTable(figures) {
  const verdict = ({ met, doubt }) => {
    if (met === undefined) return 'not measured';
    return `${met ? 'met' : 'missed'}${doubt === undefined ? '' : ` (${doubt})`}`;
  };
  const rows = figures.map((f) => [f.name, f.value, f.goal, verdict(f)]);
  return render(['', 'measured', 'goal', ''], rows, [1, 2]);
}

/** `comparisons` of compare/measure.mjs: one block of rows per task. */
export function comparisonTable(comparisons) {
  const all = comparisons.flatMap(({ contenders }) => contenders);
  const bases = [...new Set(all.flatMap(({ ratios }) => Object.keys(ratios ?? {})))];
  const rows = comparisons.flatMap(({ task, contenders }) =>
    contenders.map((c, index) => [
      index === 0 ? task : '',
      `${c.peer} ${c.variant}`,
      c.error ?? formatMs(c.medianMs),
      c.error ? '' : range(c),
      c.error ? '' : String(c.runs),
      ...bases.flatMap((base) => {
        const { median, minimum } = c.ratios?.[base] ?? {};
        return [formatRatio(median), formatRatio(minimum)];
      }),
    ]),
  );
  const ratioHeads = bases.flatMap((base) => [`of ${base}`, 'minima']);
  const head = ['task', 'who', 'median', 'min .. max', 'runs', ...ratioHeads];
  const right = head.map((_, column) => column).filter((column) => column > 1 && column !== 3);
  return render(head, rows, right);
}
