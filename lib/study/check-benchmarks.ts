// Mistakes about benchmarks, their sampling, and ablations that answer them, as far as they can be
// found without opening a file.

import { samplingKeys } from './read-benchmarks.js';
import type { StudyFile } from './schema.js';
import type { Problem, ValuePath } from './source.js';
import type { Study } from './study.js';
import { unknownName } from './unknown-name.js';

/** A key of the sampling of a benchmark stands with it, or with the study's sampling. */
function samplingPath(file: StudyFile, index: number, key: 'k' | 'samples'): ValuePath {
  const own = file.benchmarks[index].sampling[key] !== undefined;
  return own ? ['benchmarks', index, 'sampling', key] : ['sampling', key];
}

function passProblems(file: StudyFile): Problem[] {
  const seen = new Set<string>();
  return file.benchmarks.flatMap((_, index) => {
    const { k = [], samples = 1 } = samplingKeys(file, index);
    return k.flatMap((value, place): Problem[] => {
      if (value <= samples) return [];
      const path = [...samplingPath(file, index, 'k'), place];
      // The study's own k are wrong once, however many benchmarks read them.
      if (seen.has(path.join())) return [];
      seen.add(path.join());
      const message = `pass@${value} needs at least ${value} samples of a problem, got samples: ${samples}`;
      return [{ path, message }];
    });
  });
}

function referenceProblems(file: StudyFile, study: Study): Problem[] {
  const forms = file['prompt-forms'].map(({ name }) => name);
  const checkpoints = study.checkpoints.map(({ name }) => name);
  return file.benchmarks.flatMap((entry, index) => {
    const path = ['benchmarks', index];
    const named = Array.isArray(entry.checkpoints) ? entry.checkpoints : [];
    return [
      ...(entry['prompt-forms'] ?? []).flatMap((name, place) =>
        unknownName('prompt form', name, {
          known: forms,
          path: [...path, 'prompt-forms', place],
        }),
      ),
      ...named.flatMap((name, place) =>
        unknownName('checkpoint', name, {
          known: checkpoints,
          path: [...path, 'checkpoints', place],
        }),
      ),
    ];
  });
}

/** Settings that an ablation which answers benchmarks does not read. */
function unreadProblems(
  entry: StudyFile['ablations'][number],
  path: ValuePath,
  study: Study,
): Problem[] {
  const problems: Problem[] = [];
  if (entry.tasks && (entry.heads !== undefined || entry.single === true)) {
    const message =
      'tasks say whose heads are ablated, which heads and single say already; leave tasks out';
    problems.push({ path: [...path, 'tasks'], atKey: true, message });
  }
  if (study.source.has([...path, 'parts'])) {
    const message =
      'parts cut what is run on pairs, and answers are cut by the parts of their benchmark; leave parts out';
    problems.push({ path: [...path, 'parts'], atKey: true, message });
  }
  return problems;
}

/** An ablation that answers benchmarks, under forms that the benchmark is asked in. */
function ablationProblems(file: StudyFile, study: Study): Problem[] {
  const known = file.benchmarks.map(({ name }) => name);
  return file.ablations.flatMap((entry, index) => {
    if (!entry.benchmarks) return [];
    const path = ['ablations', index];
    const problems: Problem[] = [];
    if (known.length === 0) {
      const message = 'the study has no benchmarks to answer; name them under benchmarks';
      return [{ path: [...path, 'benchmarks'], atKey: true as const, message }];
    }
    entry.benchmarks.forEach((name, place) => {
      problems.push(
        ...unknownName('benchmark', name, { known, path: [...path, 'benchmarks', place] }),
      );
    });
    return [...problems, ...unreadProblems(entry, path, study)];
  });
}

function unusedProblems(file: StudyFile): Problem[] {
  const problems: Problem[] = [];
  if (file.sampling && file.benchmarks.length === 0) {
    const message = 'sampling says how benchmarks are answered, and there are no benchmarks';
    problems.push({ path: ['sampling'], atKey: true, message });
  }
  const used = new Set(file.ablations.flatMap(({ benchmarks }) => benchmarks ?? []));
  file.benchmarks.forEach(({ name, checkpoints }, index) => {
    if (checkpoints !== 'none' || used.has(name)) return;
    const message = `no checkpoint and no ablation answers the benchmark "${name}"`;
    problems.push({ path: ['benchmarks', index, 'checkpoints'], message });
  });
  return problems;
}

/** Everything that is wrong with benchmarks before their files are read. */
export function benchmarkProblems(file: StudyFile, study: Study): Problem[] {
  return [
    ...referenceProblems(file, study),
    ...passProblems(file),
    ...ablationProblems(file, study),
    ...unusedProblems(file),
  ];
}
