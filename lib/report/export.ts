// The figures of a report as files: SVG and PNG of every picture, CSV, Parquet and a booktabs table
// of every table.

import { join } from 'node:path';
import { writeFileAtomic } from '../atomic-file.js';
import { withCallbacks, type CallbackResult, type JobProgress } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import { makeFolder } from '../file-errors.js';
import { tableCsv, tableLatex, type Cell, type Column, type DataTable } from './data-table.js';
import { exportFormats, type ExportFormat } from './export-formats.js';
import { wholeCaption, type Figure } from './figure.js';
import { standaloneSvg } from './svg.js';

type ColumnType = 'STRING' | 'DOUBLE' | 'BOOLEAN';

const typeOf = ({ kind }: Column): ColumnType =>
  kind === 'text' ? 'STRING' : kind === 'flag' ? 'BOOLEAN' : 'DOUBLE';

/** A table as a Parquet file. */
export async function tableParquet({ columns, rows }: DataTable): Promise<Uint8Array> {
  // Only an export needs the writer, so a report alone does not load it.
  const { parquetWriteBuffer } = await import('hyparquet-writer');
  const value = (cell: Cell | undefined): Cell =>
    cell === undefined || (typeof cell === 'number' && !Number.isFinite(cell)) ? null : cell;
  const buffer = parquetWriteBuffer({
    columnData: columns.map((column) => ({
      name: column.key,
      type: typeOf(column),
      nullable: true,
      data: rows.map((row) => value(row[column.key])),
    })),
  });
  return new Uint8Array(buffer);
}

/** Twice the size on screen: sharp on paper at half width. */
const pngScale = 2;

const font = {
  loadSystemFonts: true,
  defaultFontFamily: 'DejaVu Sans',
  sansSerifFamily: 'DejaVu Sans',
};

/** A PNG without its texts would be worse than none. */
function checkFonts(Resvg: typeof import('@resvg/resvg-js').Resvg): void {
  const probe =
    '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><text y="15">x</text></svg>';
  if (new Resvg(probe, { font }).getBBox() !== undefined) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_FILE_NOT_FOUND',
    'this machine has no font to write into PNG files; install one (fonts-dejavu-core on Debian), ' +
      'or choose other formats, for instance svg,csv.',
  );
}

async function pngBytes(svg: string): Promise<Uint8Array> {
  const { Resvg } = await import('@resvg/resvg-js');
  checkFonts(Resvg);
  const image = new Resvg(svg, { fitTo: { mode: 'zoom', value: pngScale }, font });
  return image.render().asPng();
}

/** Writes the asked-for files of one figure and gives their names. */
async function exportFigure(
  figure: Figure,
  folder: string,
  formats: readonly ExportFormat[],
): Promise<string[]> {
  const { id, title, picture, table, paperTable = table } = figure;
  const words = `${title}. ${wholeCaption(figure)}`;
  const files: [string, string | Uint8Array][] = [];
  const svg = picture ? standaloneSvg(picture, words) : undefined;
  if (svg !== undefined && formats.includes('svg')) files.push([`${id}.svg`, svg]);
  if (svg !== undefined && formats.includes('png')) files.push([`${id}.png`, await pngBytes(svg)]);
  if (formats.includes('csv')) files.push([`${id}.csv`, tableCsv(table)]);
  if (formats.includes('parquet')) files.push([`${id}.parquet`, await tableParquet(table)]);
  if (formats.includes('latex')) {
    files.push([`${id}.tex`, tableLatex(paperTable, words, id)]);
  }
  for (const [name, data] of files) await writeFileAtomic(join(folder, name), data);
  return files.map(([name]) => name);
}

/** Writes the files of all figures. */
export async function exportFigures(
  figures: readonly Figure[],
  folder: string,
  options: {
    formats?: readonly ExportFormat[];
    onProgress?: ((progress: JobProgress) => CallbackResult) | undefined;
  } = {},
): Promise<string[]> {
  return withCallbacks(options, async ({ formats = exportFormats, onProgress }) => {
    await makeFolder(folder);
    const names: string[] = [];
    for (const [index, figure] of figures.entries()) {
      onProgress?.({ done: index, total: figures.length, phase: 'figures' });
      names.push(...(await exportFigure(figure, folder, formats)));
    }
    return names;
  });
}
