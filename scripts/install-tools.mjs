// What a build from source needs on this machine: CMake 3.21, a C++20 compiler, make or ninja.
// Used by install.mjs; kept apart so that tests can look at the message without building.
import { spawnSync } from 'node:child_process';

const minimumCMake = [3, 21];

/** First line that `command args` prints, or undefined when it cannot be run. */
function firstLine(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? `${stdout}${stderr}`.split('\n')[0] : undefined;
}

function cmakeProblem() {
  const line = firstLine('cmake', ['--version']);
  if (line === undefined) return 'CMake 3.21 or later (no cmake on PATH)';
  const found = /(\d+)\.(\d+)/.exec(line);
  const [major, minor] = found ? [Number(found[1]), Number(found[2])] : [0, 0];
  const enough = major > minimumCMake[0] || (major === minimumCMake[0] && minor >= minimumCMake[1]);
  return enough ? undefined : `CMake 3.21 or later (found: ${line})`;
}

function compilerProblem() {
  const candidates = process.env.CXX
    ? [process.env.CXX]
    : process.platform === 'win32'
      ? ['cl', 'clang++', 'g++']
      : ['c++', 'g++', 'clang++'];
  // cl has no --version and exits non-zero for it, but it then was found.
  const works = candidates.some((name) => {
    const [command, ...args] = name.split(' ');
    return name === 'cl'
      ? !spawnSync('cl').error
      : firstLine(command, [...args, '--version']) !== undefined;
  });
  if (works) return undefined;
  return `a C++20 compiler: gcc 11, clang 14 or later (not found: ${candidates.join(', ')})`;
}

function makeProblem() {
  if (process.platform === 'win32') return undefined; // Visual Studio brings its own
  const works = ['ninja', 'make'].some((name) => firstLine(name, ['--version']) !== undefined);
  return works ? undefined : 'make or ninja';
}

/** The missing tools, in words; empty when a build can start. */
export function missingTools() {
  return [cmakeProblem(), compilerProblem(), makeProblem()].filter((text) => text !== undefined);
}

function howToInstall() {
  if (process.platform === 'darwin') return 'xcode-select --install && brew install cmake';
  if (process.platform === 'win32') {
    return 'winget install Kitware.CMake Microsoft.VisualStudio.2022.BuildTools';
  }
  const byManager = {
    'apt-get': 'sudo apt-get install -y cmake g++ make',
    dnf: 'sudo dnf install -y cmake gcc-c++ make',
    apk: 'sudo apk add cmake g++ make linux-headers',
    pacman: 'sudo pacman -S --needed cmake gcc make',
    zypper: 'sudo zypper install -y cmake gcc-c++ make',
  };
  const manager = Object.keys(byManager).find((name) => !spawnSync(name, ['--version']).error);
  return manager ? byManager[manager] : 'install cmake, g++ and make with the system’s packages';
}

/** The one message for a machine that cannot build. */
export function missingToolsMessage(missing) {
  return [
    `headspark has no prebuilt addon for ${process.platform}-${process.arch} and cannot build one.`,
    ...missing.map((text) => `  missing: ${text}`),
    `  install: ${howToInstall()}`,
    '  then run the same npm command again.',
  ].join('\n');
}
