// `headspark doctor`: what this machine has and what headspark makes of it.

import { doctor, measurePeak } from '../doctor.js';
import type { DeviceInfo, PeakResult } from '../native.js';
import { formatBytes } from '../progress.js';
import { version } from '../version.js';
import type { Command } from './command.js';
import type { Context } from './context.js';
import { formatNumber } from './output.js';
import { optionGroups } from './vocabulary.js';

function featureText({ features }: DeviceInfo): string {
  const names = Object.entries(features)
    .filter(([, present]) => present)
    .map(([name]) => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase());
  return names.join(' ') || 'none of those that have kernels';
}

function kernelText(isa: string, hidden: string | null): string {
  if (hidden === null) return isa;
  return `${isa}; ${hidden} runs too, but is not announced: HEADSPARK_ISA=${hidden} takes it`;
}

function deviceRows(info: DeviceInfo, hidden: string | null): [string, string][] {
  const quota = info.cgroupCpus === null ? 'no limit' : `${formatNumber(info.cgroupCpus, 1)} CPUs`;
  const limit = info.cgroupMemoryBytes === null ? 'no limit' : formatBytes(info.cgroupMemoryBytes);
  const gpus = info.gpu.devices.map((gpu): [string, string] => [
    `gpu ${gpu.index}`,
    `${gpu.name}, compute ${gpu.computeCapability}, ` +
      `${formatBytes(gpu.memoryFreeBytes)} free of ${formatBytes(gpu.memoryTotalBytes)}` +
      (gpu.problem === null ? '' : `; not used: ${gpu.problem}`),
  ]);
  return [
    ['cpu', `${info.cpuName} (${info.architecture})`],
    ['cores', `${info.physicalCores} cores, ${info.logicalCpus} logical CPUs`],
    ['threads', `${info.usableThreads} may be used`],
    ['features', featureText(info)],
    ['kernels', kernelText(info.isa, hidden)],
    [
      'memory',
      `${formatBytes(info.memoryAvailableBytes)} free of ${formatBytes(info.memoryTotalBytes)}`,
    ],
    ['control group', `${quota}, memory ${limit}`],
    ['gpu', info.gpu.status],
    ...gpus,
    ...(info.gpu.products === ''
      ? []
      : [['matrix products', info.gpu.products] as [string, string]]),
  ];
}

function peakRows(peak: PeakResult): [string, string][] {
  return [
    [
      'arithmetic',
      `${formatNumber(peak.fmaGflops, 1)} GFLOP/s fp32 with ${peak.threads} threads, ${peak.isa}`,
    ],
    ['bandwidth', `${formatNumber(peak.copyGbPerS, 1)} GB/s copying`],
  ];
}

function printRows(context: Context, rows: readonly [string, string][]): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, text] of rows) {
    context.print(`  ${context.paint('dim', name.padEnd(width))}  ${text}`);
  }
}

export const doctorCommand: Command = {
  name: 'doctor',
  usage: 'doctor',
  describe: 'Show processor features, threads, memory, devices and versions',
  positionals: [],
  options: ['measure', 'threads', ...optionGroups.every],
  examples: [['$0 doctor --measure', 'also measure peak arithmetic and bandwidth']],
  async run(args, context) {
    context.print(context.paint('bold', `headspark ${version}`));
    const report = await doctor().catch((error: unknown) => {
      printRows(context, [['node', process.version]]);
      throw error;
    });
    const { build, device, hiddenIsa } = report;
    printRows(context, [
      ['node', `${process.version} on ${process.platform}-${process.arch}`],
      [
        'addon',
        `${build.version}, ${build.compiler}, ${build.buildType}, Node-API ${build.napiVersion}, ` +
          `${build.cuda ? 'with' : 'without'} CUDA`,
      ],
      ...deviceRows(device, hiddenIsa),
    ]);
    if (!args.flag('measure')) return report;
    const threads = args.number('threads');
    const peak = await context.task('measure', 'steps', ({ onJob }) =>
      measurePeak({ threads, signal: context.signal, onProgress: onJob }),
    );
    context.heading('Measured peak');
    printRows(context, peakRows(peak));
    return { ...report, peak };
  },
};
