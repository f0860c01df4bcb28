// Job arrays without a cluster: scripts, what is submitted again, and what it waits for.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { StageNode } from '../../../lib/study/graph.js';
import { taskList, type StageArray } from '../../../lib/study/slurm/arrays.js';
import type { Cell } from '../../../lib/study/slurm/cells.js';
import { decide, dependencyOf } from '../../../lib/study/slurm/resubmit.js';
import {
  arrayScript,
  checkRunPath,
  shellWord,
  taskSettings,
  type ScriptContext,
} from '../../../lib/study/slurm/script.js';
import type { SlurmSettings, Study } from '../../../lib/study/study.js';

const study = { checkpoints: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] } as unknown as Study;

function node(kind: string, checkpoint: string | undefined, inputs: StageNode[]): StageNode {
  const of = checkpoint === undefined ? {} : { checkpoint };
  const roles = Object.fromEntries(inputs.map((input, index) => [String(index), input]));
  return { kind, id: checkpoint ?? 'all', ...of, inputs: roles, weights: [] } as never;
}

/** Scores of three checkpoints; a diff of each with the first; one table of all. */
function arrays(): StageArray[] {
  const names = ['a', 'b', 'c'];
  const scores = names.map((name) => node('scores', name, []));
  const sizes = names.map((name, index) => node('sizes', name, [scores[index]]));
  const diffs = [1, 2].map((index) => node('diff', names[index], [scores[0], scores[index]]));
  const table = node('table', undefined, diffs);
  const array = (
    kind: string,
    nodes: StageNode[],
    needs: StageArray['needs'],
    first = 1,
  ): StageArray => {
    const tasks = nodes.map((_, index) => index + first);
    const own = new Map(nodes.map((one, index) => [index + first, [one]]));
    return { kind, title: kind, tasks, parts: 3, computes: kind === 'scores', needs, nodes: own };
  };
  return [
    array('scores', scores, []),
    array('sizes', sizes, [{ kind: 'scores', matching: true }]),
    array('diff', diffs, [{ kind: 'scores', matching: false }], 2),
    array('table', [table], [{ kind: 'diff', matching: false }]),
  ];
}

interface Known {
  done?: string[];
  queued?: Record<string, [job: number, state: string, reason?: string]>;
}

function cells({ done = [], queued = {} }: Known): Cell[] {
  return arrays().flatMap(({ kind, tasks }) =>
    tasks.map((task): Cell => {
      const key = `${kind}/${task}`;
      const [job, state, reason = ''] = queued[key] ?? [];
      return {
        stage: kind,
        task,
        stages: 1,
        stored: done.includes(key) ? 1 : 0,
        queued: job === undefined ? undefined : { job, task, stage: kind, state: state, reason },
        submitted: undefined,
      };
    }),
  );
}

function plan(known: Known) {
  const decisions = decide(arrays(), cells(known), study);
  const jobs = new Map<string, number>();
  return decisions.map((decision, index) => {
    const dependency = dependencyOf(decision, decisions, { jobs, study });
    jobs.set(decision.array.kind, 100 + index);
    const { submit, live, cancel } = decision;
    return { submit, live: live.map(({ task }) => task), cancel, dependency };
  });
}

describe('what is submitted', () => {
  it('is everything at first, each after what it reads', () => {
    expect(plan({})).toEqual([
      { submit: [1, 2, 3], live: [], cancel: [], dependency: undefined },
      { submit: [1, 2, 3], live: [], cancel: [], dependency: 'aftercorr:100' },
      { submit: [2, 3], live: [], cancel: [], dependency: 'afterok:100' },
      { submit: [1], live: [], cancel: [], dependency: 'afterok:102' },
    ]);
  });

  it('is nothing that is stored or in the queue', () => {
    const all = plan({
      done: ['scores/1', 'scores/2', 'scores/3', 'sizes/1', 'sizes/2'],
      queued: {
        'sizes/3': [7, 'RUNNING'],
        'diff/2': [8, 'RUNNING'],
        'diff/3': [8, 'PENDING', 'Resources'],
        'table/1': [9, 'PENDING', 'Dependency'],
      },
    });
    expect(all.flatMap(({ submit }) => submit)).toEqual([]);
    expect(all.flatMap(({ cancel }) => cancel)).toEqual([]);
    expect(all.map(({ live }) => live)).toEqual([[], [3], [2, 3], [1]]);
  });

  it('is a failed task and what waits for it; live ones are waited for one by one', () => {
    const [scores, sizes, diff, table] = plan({
      done: ['scores/1', 'sizes/1'],
      queued: {
        'scores/2': [5, 'RUNNING'],
        'scores/3': [5, 'FAILED', 'NonZeroExitCode'],
        'sizes/2': [6, 'PENDING', 'Dependency'],
        'sizes/3': [6, 'PENDING', 'Dependency'],
        'diff/2': [7, 'PENDING', 'Dependency'],
        'diff/3': [7, 'PENDING', 'DependencyNeverSatisfied'],
        'table/1': [8, 'CANCELLED', 'DependencyNeverSatisfied'],
      },
    });
    expect(scores).toEqual({ submit: [3], live: [2], cancel: [], dependency: undefined });
    expect(sizes).toMatchObject({ submit: [3], live: [2], cancel: ['6_3'] });
    expect(sizes.dependency).toBe('aftercorr:100');
    // diff/2 reads scores 1 and 2, which are stored and running: it stays.
    expect(diff).toMatchObject({
      submit: [3],
      live: [2],
      cancel: ['7_3'],
      dependency: 'afterok:100',
    });
    expect(table).toMatchObject({ submit: [1], dependency: 'afterok:102:7_2' });
  });

  it('is a task whose job ended without its results', () => {
    const [scores] = plan({ queued: { 'scores/2': [5, 'COMPLETED'] }, done: ['scores/1'] });
    expect(scores.submit).toEqual([2, 3]);
  });
});

describe('the script of an array', () => {
  const settings: SlurmSettings = {
    partition: 'gpu',
    time: '04:00:00',
    gpus: 'a100:2',
    cpus: 8,
    memory: '32G',
    constraint: 'a100&nvlink',
    concurrent: 2,
    setup: 'module load nodejs/20\n',
    options: ['--mail-type=FAIL'],
    stages: { sizes: { partition: 'cpu' }, table: { gpus: '0' } },
  };
  const context: ScriptContext = {
    study: 'two words',
    file: "/data/o'brien/study.yaml",
    run: '/data/a run',
    settings,
    options: ['--device', 'cuda:0'],
    isa: 'avx2',
  };
  const [scores, sizes] = arrays();

  it('asks for what the study says, GPUs only where models run', () => {
    const text = arrayScript(scores, context);
    for (const line of [
      '#SBATCH --job-name="two-words.scores"',
      '#SBATCH --chdir="/data/a run"',
      '#SBATCH --array="1-3%2"',
      '#SBATCH --partition="gpu"',
      '#SBATCH --time="04:00:00"',
      '#SBATCH --gres="gpu:a100:2"',
      '#SBATCH --cpus-per-task="8"',
      '#SBATCH --mem="32G"',
      '#SBATCH --constraint="a100&nvlink"',
      '#SBATCH --mail-type=FAIL',
      'module load nodejs/20',
      'export HEADSPARK_ISA=avx2',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).toContain('--only scores --strict --device cuda:0 --threads 8 --shard "${SLURM');
    const other = arrayScript(sizes, context);
    expect(other).toContain('--partition="cpu"');
    expect(other).not.toContain('gpu:');
    expect(taskSettings({ ...settings, gpus: '0' }, scores).gpus).toBeUndefined();
  });

  it('is a script of the shell, whatever the names', () => {
    const words = { ...settings, setup: '', command: 'printf "[%s]"' };
    const text = arrayScript(scores, { ...context, settings: words });
    const said = execFileSync('bash', ['-c', text.replace('exec ', '')], {
      env: { ...process.env, SLURM_ARRAY_TASK_ID: '2' },
      encoding: 'utf8',
    });
    expect(said).toContain("[/data/o'brien/study.yaml][--out][/data/a run][--only][scores]");
    expect(said).toMatch(/\[--shard\]\[2\/3\]$/);
  });

  it('refuses folders that cannot stand in it', () => {
    expect(() => checkRunPath('/data/"x"')).toThrow(/quote, a backslash or a line break/);
    expect(() => checkRunPath('/data/x\ny')).toThrow(/choose another folder/);
    checkRunPath('/data/ä b$c');
  });

  it('quotes words and lists tasks', () => {
    expect(shellWord('a/b-c.d')).toBe('a/b-c.d');
    expect(shellWord("it's $x")).toBe("'it'\\''s $x'");
    expect(taskList([1, 2, 3, 5, 7, 8])).toBe('1-3,5,7-8');
    expect(taskList([4])).toBe('4');
  });
});
