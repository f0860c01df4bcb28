// Counted kernels for people.
import Table from 'cli-table3';
import { UNITS } from './kernels.mjs';

const plain = { style: { head: [], border: [], compact: true } };
const thousands = (cycles) => (cycles / 1000).toFixed(0);

/** Cycles that a line's units take beyond those its bytes need. */
const excess = ({ shared, units, needed }) => (units - needed) / (shared ? 1 : 4);

/** What is asked for in vain by one line of a kernel. */
function siteText(site) {
  const memory = site.shared ? 'shared wavefronts' : 'sectors';
  const what = `${site.write ? 'writes' : 'reads'} ${site.units} ${memory} for ${site.needed}`;
  return `    ${site.lines.slice(0, 3).join(' < ')} ${what}`;
}

/** `most` lines of each kernel that take a twentieth of its cycles more than they need. */
export function countsTable(kernels, most) {
  const table = new Table({
    head: ['thousand cycles', ...UNITS, 'launches', 'blocks', 'products'],
    colAligns: ['left', ...UNITS.map(() => 'right'), 'right', 'right', 'right'],
    ...plain,
  });
  for (const { name, cycles, launches, blocks, products, sites } of kernels) {
    const numbers = [launches, blocks, products].map(String);
    table.push([name, ...UNITS.map((unit) => thousands(cycles[unit])), ...numbers]);
    const limit = Math.max(...Object.values(cycles)) / 20;
    const wasteful = sites
      .filter((site) => excess(site) > limit)
      .sort((a, b) => excess(b) - excess(a));
    for (const site of wasteful.slice(0, most)) {
      table.push([{ content: siteText(site), colSpan: UNITS.length + 4 }]);
    }
  }
  return table.toString();
}
