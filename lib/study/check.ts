// What a schema cannot say about a study file: names that are used twice, steps out of order,
// references to what is not there, settings that contradict each other, and stages that this
// version cannot run (refused rather than silently left out).

import { attributionProblems } from './check-attribution.js';
import { benchmarkProblems } from './check-benchmarks.js';
import { headProblem } from './check-head-list.js';
import { chosenProblems } from './check-chosen.js';
import { headsProblems } from './check-heads.js';
import { repeatProblems } from './check-repeats.js';
import { unknownName } from './unknown-name.js';
import type { StudyFile } from './schema.js';
import type { Problem, ValuePath } from './source.js';
import { stageKinds } from './stages/index.js';
import { slug, type Checkpoint, type Study } from './study.js';

/** A later item whose name is, as a part of file names, that of an earlier one. */
function doubled(what: string, items: readonly { name: string; path: ValuePath }[]): Problem[] {
  const seen = new Map<string, string>();
  return items.flatMap(({ name, path }) => {
    const key = slug(name).toLowerCase();
    const earlier = seen.get(key);
    seen.set(key, name);
    if (earlier === undefined) return [];
    return [{ path, message: `the name "${name}" is taken by another ${what}; give it its own` }];
  });
}

function nameProblems(file: StudyFile, study: Study): Problem[] {
  const named = (key: string, items: readonly { name: string }[]) =>
    items.map(({ name }, index) => ({ name, path: [key, index, 'name'] }));
  const nameOf = ({ name, path }: Checkpoint): { name: string; path: ValuePath } => ({
    name,
    path: [...path, 'name'],
  });
  return [
    ...doubled('benchmark', named('benchmarks', file.benchmarks)),
    ...doubled('checkpoint', study.checkpoints.map(nameOf)),
    ...doubled(
      'series',
      study.series.map(({ label }, index) => ({ name: label, path: ['series', index, 'label'] })),
    ),
    ...doubled('prompt form', named('prompt-forms', file['prompt-forms'])),
    ...doubled('task', named('tasks', file.tasks)),
    ...doubled('ablation', named('ablations', file.ablations)),
    ...doubled('entry of heads', named('heads', file.heads)),
  ];
}

function stepProblems(study: Study): Problem[] {
  return study.series.flatMap(({ base, checkpoints }) =>
    checkpoints.flatMap(({ step, path }, index): Problem[] => {
      const before = index === 0 ? base.step - 1 : checkpoints[index - 1].step;
      if (step > before) return [];
      const expected = index === 0 ? `at least the base's ${base.step}` : `above ${before}`;
      const message = `steps must rise: expected a step ${expected}, got ${step}`;
      return [{ path: [...path, 'step'], message }];
    }),
  );
}

function checkpointProblems(file: StudyFile): Problem[] {
  return file.series.flatMap(({ checkpoints }, index) =>
    checkpoints.flatMap(({ model, adapter }, place): Problem[] => {
      if (model !== undefined || adapter !== undefined) return [];
      const message = 'expected a model (folder or hub id) or an adapter on the base';
      return [{ path: ['series', index, 'checkpoints', place], message }];
    }),
  );
}

function seriesProblems(study: Study): Problem[] {
  return study.series.flatMap(({ label, corruptedRewardOf, base }, index) => {
    if (corruptedRewardOf === undefined) return [];
    const path = ['series', index, 'corrupted-reward-of'];
    const others = study.series.filter((other) => other.label !== label);
    const known = others.map((other) => other.label);
    const problems = unknownName('other series', corruptedRewardOf, { known, path });
    const reference = others.find((other) => other.label === corruptedRewardOf);
    if (reference && reference.base.name !== base.name) {
      const message = `"${corruptedRewardOf}" starts from another base, so the two cannot be compared`;
      problems.push({ path, message });
    }
    return problems;
  });
}

function sourceProblem(task: StudyFile['tasks'][number], path: ValuePath): Problem[] {
  const sources = (['pairs', 'generate', 'openings'] as const).filter((key) => task[key]);
  if (sources.length !== 1) {
    const got = sources.length === 0 ? 'none of them' : sources.join(' and ');
    return [{ path, message: `expected one of pairs, generate or openings, got ${got}` }];
  }
  return [];
}

/** A writer of openings must be a post-trained checkpoint. */
function writerProblem(task: StudyFile['tasks'][number], path: ValuePath, study: Study): Problem[] {
  const by = task.openings?.by;
  if (by === undefined) return [];
  const known = study.series.flatMap(({ checkpoints }) => checkpoints.map(({ name }) => name));
  const place = { known, path: [...path, 'openings', 'by'] };
  return unknownName('post-trained checkpoint', by, place);
}

function taskProblems(file: StudyFile, study: Study): Problem[] {
  const forms = file['prompt-forms'].map(({ name }) => name);
  return file.tasks.flatMap((task, index) => {
    const path = ['tasks', index];
    const problems = [...sourceProblem(task, path), ...writerProblem(task, path, study)];
    if (typeof task.pairs === 'object') {
      for (const form of Object.keys(task.pairs)) {
        const place = { known: forms, path: [...path, 'pairs', form], atKey: true as const };
        problems.push(...unknownName('prompt form', form, place));
      }
      if (Object.keys(task.pairs).length === 0) {
        const message = 'expected a file name, or a file name for each prompt form, got no file';
        problems.push({ path: [...path, 'pairs'], message });
      }
    }
    if (task.generate && forms.length > 1) {
      const message =
        `a generator makes the same pairs under every prompt form (${forms.join(', ')}); ` +
        'give a file of pairs for each form';
      problems.push({ path: [...path, 'generate'], atKey: true, message });
    }
    return problems;
  });
}

function selectionProblems({ selection }: StudyFile): Problem[] {
  const { rule, n, tau } = selection;
  const missing = (key: string, what: string): Problem[] => [
    { path: ['selection'], message: `rule ${rule} needs ${key} (${what})` },
  ];
  const idle = (key: string): Problem[] => [
    { path: ['selection', key], atKey: true, message: `rule ${rule} does not read ${key}` },
  ];
  if (rule === 'threshold') {
    return [
      ...(tau === undefined ? missing('tau', 'edges that reach it are in') : []),
      ...(n === undefined ? [] : idle('n')),
    ];
  }
  return [
    ...(n === undefined ? missing('n', 'how many edges') : []),
    ...(rule === 'greedy' && tau !== undefined ? idle('tau') : []),
  ];
}

/** Settings of random sets and of groups that a plan of other heads would not read. */
function unreadBy(entry: StudyFile['ablations'][number], path: ValuePath, study: Study): Problem[] {
  const unread = [
    [
      'top-k',
      entry.single === true || entry.heads !== undefined,
      'top-k says which heads of a group',
    ],
    ['controls', entry.single === true, 'single heads are set against no random sets'],
    ['match', entry.single === true, 'single heads are set against no random sets'],
  ] as const;
  return unread.flatMap(([key, isUnread, why]): Problem[] =>
    isUnread && study.source.has([...path, key])
      ? [{ path: [...path, key], atKey: true, message: `${why}; leave ${key} out` }]
      : [],
  );
}

function ablationProblems(file: StudyFile, study: Study): Problem[] {
  const tasks = file.tasks.map(({ name }) => name);
  const forms = file['prompt-forms'].map(({ name }) => name);
  return file.ablations.flatMap((entry, index) => {
    const path = ['ablations', index];
    const kinds = (['group', 'heads', 'single'] as const).filter((key) => entry[key]);
    const problems: Problem[] = [];
    if (kinds.length > 1) {
      problems.push({
        path,
        message: `expected one of group, heads or single, got ${kinds.join(' and ')}`,
      });
    }
    problems.push(...headProblem(entry.heads, [...path, 'heads']));
    const references = [
      ['task', entry.tasks, tasks, 'tasks'],
      ['prompt form', entry['prompt-forms'], forms, 'prompt-forms'],
    ] as const;
    for (const [what, names, known, key] of references) {
      names?.forEach((name, place) => {
        problems.push(...unknownName(what, name, { known, path: [...path, key, place] }));
      });
    }
    const changing = entry.factors.indexOf(1);
    if (changing >= 0) {
      const message = 'expected a factor other than 1, which changes nothing, got 1';
      problems.push({ path: [...path, 'factors', changing], message });
    }
    problems.push(...unreadBy(entry, path, study));
    if (entry.references !== undefined && (!entry.benchmarks || entry.ablation === 'zero')) {
      const message =
        'references are the problems whose runs mean and resample ablations of benchmarks read; ' +
        'leave references out';
      problems.push({ path: [...path, 'references'], atKey: true, message });
    }
    if (entry.positions !== 'all' && !entry.benchmarks && file.attribution.metric !== 'nll') {
      const message = `positions ${entry.positions} needs the metric nll, which has a continuation`;
      problems.push({ path: [...path, 'positions'], message });
    }
    return problems;
  });
}

function slurmProblems({ slurm }: StudyFile): Problem[] {
  const known = stageKinds.map(({ kind }) => kind);
  return Object.keys(slurm?.stages ?? {}).flatMap((kind) =>
    unknownName('stage', kind, { known, path: ['slurm', 'stages', kind], atKey: true }),
  );
}

/** Every mistake that can be found without opening a model or a pairs file. */
export function checkStudyFile(file: StudyFile, study: Study): Problem[] {
  return [
    ...nameProblems(file, study),
    ...checkpointProblems(file),
    ...stepProblems(study),
    ...seriesProblems(study),
    ...taskProblems(file, study),
    ...attributionProblems(file, study),
    ...selectionProblems(file),
    ...ablationProblems(file, study),
    ...chosenProblems(file, study),
    ...headsProblems(file, study),
    ...benchmarkProblems(file, study),
    ...repeatProblems(file),
    ...slurmProblems(file),
  ];
}
