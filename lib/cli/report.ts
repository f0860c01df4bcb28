// `headspark report`: a study's run as one HTML page, and its figures as files.

import { formatBytes } from '../progress.js';
import {
  exportFormats,
  watchReport,
  writeReport,
  type ExportFormat,
  type ReportOptions,
  type WatchLook,
} from '../report/index.js';
import { usageError } from './arguments.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { plural } from './output.js';
import { checkOutputs } from './outputs.js';
import { optionGroups } from './vocabulary.js';

/** --formats as a list; undefined: all. */
export function formatsOf(text: string | undefined): ExportFormat[] | undefined {
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !exportFormats.includes(name as ExportFormat));
  if (unknown !== undefined) {
    throw usageError(`--formats "${unknown}" is unknown: use ${exportFormats.join(', ')}.`);
  }
  return names as ExportFormat[];
}

/** `12 of 58 stages, running attribution sft-step10.sums.thinking 40 %` */
function lookLine({ state }: WatchLook): string {
  const { done, total, running, queued } = state;
  if (total === 0) return 'the run has not begun';
  const [first, ...others] = running;
  const share = first?.share > 0 ? ` ${Math.floor(100 * first.share)} %` : '';
  const parts = [
    `${done} of ${plural(total, 'stage')}`,
    ...(first ? [`running ${first.kind} ${first.id}${share}`] : []),
    ...(others.length > 0 ? [`and ${others.length} more`] : []),
    ...(queued > 0 ? [`${plural(queued, 'task')} in the queue`] : []),
    ...(state.going ? [] : ['nothing works on the run now']),
  ];
  return parts.join(', ');
}

/** On a terminal one line that changes; elsewhere a plain line when results have arrived. */
async function watch(run: string, options: ReportOptions, context: Context) {
  const { out } = options;
  context.resumeHint = `${out} shows the run as it stands; follow it again with the same command.`;
  context.endsInOrder();
  return context.task('watch', 'stages', ({ reporter }) => {
    let said = '';
    return watchReport(run, {
      ...options,
      signal: context.signal,
      onLook: (look) => {
        const { done, total } = look.state;
        if (context.interactive) {
          reporter.update(done, Math.max(1, total), lookLine(look));
          return;
        }
        const key = `${done}/${total} ${look.state.going}`;
        if (key === said) return;
        said = key;
        context.note(`watch: ${lookLine(look)}${look.drawn ? `; wrote ${out}` : ''}`);
      },
    });
  });
}

export const reportCommand: Command = {
  name: 'report',
  usage: 'report <run>',
  describe: 'Write the report of a study run as one self-contained page',
  positionals: [{ name: 'run', describe: 'folder of the run' }],
  options: ['out', 'figures', 'formats', 'watch', ...optionGroups.every],
  meanings: { out: 'page to write; one that is there is replaced; default: ./report.html' },
  examples: [
    ['$0 report run --out report.html', 'opens from disk, needs no network'],
    ['$0 report run --out report.html --watch', 'beside a run that is still going'],
    ['$0 report run --out report.html --figures figures', 'also SVG, PNG, CSV, Parquet, LaTeX'],
  ],
  async run(args, context) {
    const out = args.text('out') ?? './report.html';
    const [figures, formats] = [args.text('figures'), formatsOf(args.text('formats'))];
    if (formats && figures === undefined) throw usageError('--formats needs --figures FOLDER.');
    await checkOutputs(args, [
      { option: '--out', path: out, kind: 'file', extensions: ['.html'] },
      { option: '--figures', path: figures, kind: 'folder' },
    ]);
    const run = args.positional('run');
    const options: ReportOptions = {
      out,
      ...(figures === undefined ? {} : { figures }),
      ...(formats ? { formats } : {}),
    };
    const summary = args.flag('watch')
      ? await watch(run, options, context)
      : await context.task('figures', 'figures', ({ onJob }) =>
          writeReport(run, { ...options, onProgress: onJob }),
        );
    if (summary.missing > 0) {
      context.warn(`the run is not finished: ${plural(summary.missing, 'stage')} have no result.`);
    }
    const count = summary.sections.reduce((sum, section) => sum + section.figures.length, 0);
    context.print(`Wrote ${out}: ${plural(count, 'figure')}, ${formatBytes(summary.bytes)}.`);
    if (figures !== undefined) {
      context.print(`Wrote ${plural(summary.files.length, 'file')} to ${figures}.`);
    }
    return summary;
  },
};
