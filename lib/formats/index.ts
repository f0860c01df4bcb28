// File formats: NumPy arrays and the reference's circuits, read as hostile, written atomically.

export * from './npy.js';
export * from './reference-json.js';
export * from './reference-pt.js';
export * from './score-file.js';
