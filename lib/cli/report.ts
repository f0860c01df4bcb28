// `headspark report`: a study's run as one HTML page, and its figures as files.

import { formatBytes } from '../progress.js';
import { exportFormats, writeReport, type ExportFormat } from '../report/index.js';
import { usageError } from './arguments.js';
import type { Command } from './command.js';
import { checkOutput } from './inputs.js';
import { plural } from './output.js';
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

export const reportCommand: Command = {
  name: 'report',
  usage: 'report <run>',
  describe: 'Write the report of a study run as one self-contained page',
  positionals: [{ name: 'run', describe: 'folder of the run' }],
  options: ['out', 'figures', 'formats', ...optionGroups.every],
  examples: [
    ['$0 report run --out report.html', 'opens from disk, needs no network'],
    ['$0 report run --out report.html --figures figures', 'also SVG, PNG, CSV, Parquet, LaTeX'],
  ],
  async run(args, context) {
    const out = args.text('out') ?? './report.html';
    await checkOutput(out, '--out', ['.html']);
    const [figures, formats] = [args.text('figures'), formatsOf(args.text('formats'))];
    if (formats && figures === undefined) throw usageError('--formats needs --figures FOLDER.');
    const summary = await context.task('figures', 'figures', ({ onCount }) =>
      writeReport(args.positional('run'), {
        out,
        ...(figures === undefined ? {} : { figures }),
        ...(formats ? { formats } : {}),
        onProgress: onCount,
      }),
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
