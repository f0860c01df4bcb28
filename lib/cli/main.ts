#!/usr/bin/env node
// The command line's entry.
import { version } from '../version.js';

console.log(version);
