import { cpSync, lstatSync } from 'node:fs';

/** Copies a file or a folder, but for sockets: they are of the process that listens on them. */
export function copyFiles(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: path => !lstatSync(path).isSocket() });
}
