/** The manual's pages and their blocks of code. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '../..');

/** A fenced block of a page. */
export interface Block {
  readonly page: string;
  /** Line of its first line of code, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  /** From `<!-- not run: … -->` or `<!-- only compiled: … -->` before it: how much of it is left out, and why. */
  readonly except: { readonly kind: 'not run' | 'only compiled'; readonly reason: string } | undefined;
}

const skipped = ['node_modules', 'dist', 'results', '.git'];

function pagesIn(directory: string): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap(entry => {
    if (skipped.includes(entry.name)) return [];
    const path = join(directory, entry.name);
    return entry.isDirectory() ? pagesIn(path) : path.endsWith('.md') ? [path] : [];
  });
}

/** Paths of all pages. */
export const pages: readonly string[] = pagesIn('.').sort();

export const textOf = (page: string): string => readFileSync(join(root, page), 'utf8');

/** The blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const text = textOf(page);
  const fenced = /(<!-- (not run|only compiled): ([^>]*?) -->\n)?^```(\w*)\n(.*?)^```$/gms;
  return [...text.matchAll(fenced)].map(match => {
    const [, comment = '', kind, reason = '', language = '', code = ''] = match;
    const line = text.slice(0, match.index + comment.length).split('\n').length + 1;
    return { page, line, language, code, except: kind ? { kind, reason } : undefined } as Block;
  });
}
