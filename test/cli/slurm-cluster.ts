// A real Slurm of one node on loopback, in a temporary folder with its own configuration: munged,
// slurmctld and slurmd as children of the test. Nothing of the machine's own Slurm is touched.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { hostname, tmpdir, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const programs = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue', 'scancel', 'scontrol'];

function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Programs of Slurm and munge that are not installed here. */
export const missingPrograms = programs.filter((name) => findProgram(name) === undefined);

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

/** No cgroups, no accounts, short intervals; the node says that it has more processors than it has. */
function configuration(folder: string, [controller, node]: number[]): string {
  const user = userInfo().username;
  return `ClusterName=headspark
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
AuthInfo=socket=${folder}/munge.socket
CredType=cred/munge
SlurmctldPort=${controller}
SlurmdPort=${node}
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
KillWait=2
MinJobAge=300
NodeName=localhost NodeHostname=${hostname()} NodeAddr=127.0.0.1 CPUs=8 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
}

export interface Task {
  job: number;
  task: number;
  name: string;
  state: string;
}

export class SlurmCluster {
  readonly folder: string;
  /** What a command needs to reach it. */
  readonly environment: { SLURM_CONF: string };
  readonly #children: ChildProcess[] = [];
  /** What the daemons said, for a failing test. */
  #said = '';

  private constructor(folder: string) {
    this.folder = folder;
    this.environment = { SLURM_CONF: join(folder, 'slurm.conf') };
  }

  static async start(): Promise<SlurmCluster> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'headspark-slurm-')));
    const cluster = new SlurmCluster(folder);
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { folder } = this;
    // munged wants its files in a folder that only their owner can write.
    await chmod(folder, 0o755);
    await writeFile(join(folder, 'munge.key'), randomBytes(1024), { mode: 0o400 });
    await mkdir(join(folder, 'state'));
    await mkdir(join(folder, 'spool'));
    await writeFile(this.environment.SLURM_CONF, configuration(folder, await freePorts(2)));
    const mungeFile = (name: string): string => join(folder, `munge.${name}`);
    this.#spawn('munged', [
      ...['--foreground', '--force', '--num-threads', '2'],
      ...['--socket', mungeFile('socket'), '--key-file', mungeFile('key')],
      ...['--pid-file', mungeFile('pid'), '--log-file', mungeFile('log')],
      ...['--seed-file', mungeFile('seed')],
    ]);
    await this.#until('munged listens', async () => {
      await run('munge', ['--socket', mungeFile('socket'), '--no-input'], { timeout: 10_000 });
      return true;
    });
    this.#spawn('slurmctld', ['-D', '-i']);
    this.#spawn('slurmd', ['-D', '-N', 'localhost']);
    await this.#until('the node is idle', async () =>
      (await this.call('sinfo', ['--noheader', '--format=%T'])).startsWith('idle'),
    );
  }

  #spawn(name: string, args: string[]): void {
    const child = spawn(findProgram(name)!, args, {
      env: { ...process.env, ...this.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
    }
    this.#children.push(child);
  }

  async #until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (let attempt = 0; attempt < 300; attempt++) {
      if (await isSo().catch(() => false)) return;
      await new Promise((wait) => setTimeout(wait, 100));
    }
    throw new Error(`30 s went by before ${what}:\n${this.#said.slice(-4000)}`);
  }

  /** Runs one of Slurm's commands and gives what it prints. */
  async call(command: string, args: readonly string[]): Promise<string> {
    const env = { ...process.env, ...this.environment };
    return (await run(command, [...args], { env, timeout: 60_000 })).stdout;
  }

  async tasks(): Promise<Task[]> {
    const args = ['--noheader', '--array', '--states=all', '--format=%F|%K|%j|%T'];
    const rows = (await this.call('squeue', args)).trim().split('\n').filter(Boolean);
    return rows.map((row) => {
      const [job, task, name, state] = row.split('|');
      return { job: Number(job), task: Number(task), name, state };
    });
  }

  /** The node's log, where a test wants to say why. */
  async log(): Promise<string> {
    return readFile(join(this.folder, 'slurmctld.log'), 'utf8').catch(() => this.#said);
  }

  async stop(): Promise<void> {
    await this.call('scancel', ['--user', userInfo().username]).catch(() => undefined);
    // The last one started goes first: the node before its controller, munge at the end.
    for (const child of [...this.#children].reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const closed = new Promise((done) => child.once('close', done));
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await closed;
      clearTimeout(timer);
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}
