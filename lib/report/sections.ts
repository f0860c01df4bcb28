// The order of a report: what was found first, how it was made last.

import type { Figure, Section } from './figure.js';
import { ablationFigures } from './figures/ablations.js';
import { benchmarkAblationFigures } from './figures/benchmark-ablations.js';
import { benchmarkScoreFigures, passFigures } from './figures/benchmarks.js';
import { cohortTables } from './figures/cohort-tables.js';
import { circuitFigures } from './figures/circuits.js';
import { formFigures, headSetFigures, noiseFigures } from './figures/differences.js';
import { headsFigures } from './figures/head-properties.js';
import { effectFigures, frequencyFigures } from './figures/maps.js';
import { checkpointFailureFigures, gatedFailureFigures } from './figures/failures.js';
import { flipFigures } from './figures/flips.js';
import { regimeFigures } from './figures/regimes.js';
import { scoreFigures } from './figures/scores.js';
import { cohortFigures, correlationFigures, survivalFigures } from './figures/series.js';
import { figureBytes } from './page.js';
import type { RunData, View } from './run-data.js';

type Draw = (data: RunData, view: View) => Figure[];

interface Plan {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** Drawn once for each view. */
  readonly draw?: readonly Draw[];
  /** Drawn once. */
  readonly whole?: readonly ((data: RunData) => Figure[])[];
}

const plans: readonly Plan[] = [
  {
    id: 'scores',
    title: 'Scores',
    text: 'How well every checkpoint does on the pairs, and how much of that its circuit keeps.',
    draw: [scoreFigures],
  },
  {
    id: 'circuits',
    title: 'Circuits',
    text: 'Which heads, and which edges between them, carry the behaviour.',
    draw: [circuitFigures],
  },
  {
    id: 'differences',
    title: 'Differences against the base',
    text:
      'Heads that emerge, stay or vanish. A set difference of two thresholded sets is noisy, so ' +
      'every head carries the share of bootstrap resamples that agree, and the base is compared ' +
      'with itself.',
    draw: [noiseFigures, effectFigures, headSetFigures],
  },
  {
    id: 'training',
    title: 'Over training',
    text: 'When heads appear, how long they stay, and whether their number moves with the reward.',
    draw: [cohortFigures, cohortTables, frequencyFigures, survivalFigures, correlationFigures],
  },
  {
    id: 'regimes',
    title: 'Series side by side',
    text: 'Do different ways of training bring up the same heads, and at which depth?',
    draw: [regimeFigures],
  },
  {
    id: 'ablations',
    title: 'Ablation and scaling',
    text: 'Do the heads cause the behaviour? Every set is set against matched random sets.',
    draw: [ablationFigures],
  },
  {
    id: 'heads',
    title: 'What the heads do',
    text:
      'Where heads look, what they write and whether they copy; and which of it goes with the harm ' +
      'that their ablation does.',
    draw: [headsFigures],
  },
  {
    id: 'benchmarks',
    title: 'Benchmarks',
    text: 'What every checkpoint solves when it writes answers, and how its answers fail.',
    whole: [benchmarkScoreFigures, passFigures, checkpointFailureFigures],
  },
  {
    id: 'solving',
    title: 'Solving with heads gated',
    text:
      'The same problems answered while heads are ablated or scaled, every set against matched ' +
      'random sets, and the answers that flipped.',
    whole: [benchmarkAblationFigures, gatedFailureFigures],
  },
];

/** Of the figures; with styles, script and settings the page stays under 5 MB. */
const pageBytes = 4_500_000;
/** The flipped answers take what the other figures leave, within reason. */
const flipBytes = { least: 100_000, most: 1_200_000 };

function flipsBeside(data: RunData, others: readonly Figure[]): Figure[] {
  const left = pageBytes - others.reduce((sum, figure) => sum + figureBytes(figure), 0);
  return flipFigures(data, Math.max(flipBytes.least, Math.min(flipBytes.most, left)));
}

/** All sections that have something to show. */
export function sectionsOf(data: RunData): Section[] {
  const sections = plans.map(({ id, title, text, draw = [], whole = [] }) => ({
    id,
    title,
    text,
    figures: [
      ...draw.flatMap((one) => data.views.flatMap((view) => one(data, view))),
      ...whole.flatMap((one) => one(data)),
    ],
  }));
  const forms = formFigures(data);
  const place = sections.findIndex(({ id }) => id === 'differences');
  sections[place] = { ...sections[place], figures: [...sections[place].figures, ...forms] };
  const flips = flipsBeside(
    data,
    sections.flatMap(({ figures }) => figures),
  );
  const solving = sections.findIndex(({ id }) => id === 'solving');
  sections[solving] = { ...sections[solving], figures: [...sections[solving].figures, ...flips] };
  return sections.filter(({ figures }) => figures.length > 0);
}
