/** Where a Kafka broker for the tests comes from. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Releases that stand for a line of versions in `KAFKA_VERSION`. */
const releases: Readonly<Record<string, string>> = { '3': '3.9.2', '3.9': '3.9.2', '4': '4.2.0' };
export const defaultVersion = '4';

/** The release that `version` (a release or a line of them) means. */
export const releaseOf = (version = process.env.KAFKA_VERSION || defaultVersion): string =>
  releases[version] ?? version;

/** What starts brokers here; `missing` says why nothing does. */
export type Provider =
  | { readonly kind: 'given'; readonly brokers: readonly string[] }
  | { readonly kind: 'docker' }
  | { readonly kind: 'java' }
  | { readonly kind: 'missing'; readonly reason: string };

const answers = async (command: string, ...args: readonly string[]): Promise<string | undefined> => {
  try {
    const { stdout, stderr } = await run(command, args, { timeout: 20_000 });
    return stdout + stderr;
  } catch {
    return undefined;
  }
};

let found: Promise<Provider> | undefined;

/** Brokers named by `KAFKA_BROKERS` (unless it must be one of our `own`), else a Docker engine that answers, else Java 17 and Maven. */
export async function provider(own = false): Promise<Provider> {
  const brokers = process.env.KAFKA_BROKERS?.split(',').filter(Boolean);
  return brokers?.length && !own ? { kind: 'given', brokers } : (found ??= look());
}

async function look(): Promise<Provider> {
  if ((await answers('docker', 'info', '--format', '{{.ServerVersion}}')) !== undefined)
    return { kind: 'docker' };
  const java = /version "(\d+)/.exec((await answers('java', '-version')) ?? '')?.[1];
  const maven = await answers('mvn', '--version');
  if (Number(java) >= 17 && maven !== undefined) return { kind: 'java' };
  return {
    kind: 'missing',
    reason: `no Kafka: no Docker engine answers, Java is ${java ?? 'missing'} (17 needed), Maven is ${maven ? 'there' : 'missing'}`,
  };
}

const pom = (release: string): string => `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>sansa-stream</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${release}</version>
  </dependency></dependencies>
</project>
`;

/** The class path of a Kafka release, fetched once by Maven into the user's cache directory. */
export async function classPath(release: string): Promise<string> {
  const cache = join(homedir(), '.cache/sansa-stream/kafka');
  const libraries = join(cache, release);
  if (!existsSync(libraries)) {
    mkdirSync(cache, { recursive: true });
    const building = mkdtempSync(join(cache, 'building-'));
    try {
      writeFileSync(join(building, 'pom.xml'), pom(release));
      const copy = [
        'dependency:copy-dependencies',
        `-DoutputDirectory=${building}`,
        '-DincludeScope=runtime',
      ];
      await run('mvn', ['-B', '-q', '-f', join(building, 'pom.xml'), ...copy], { timeout: 600_000 });
      if (!existsSync(libraries)) renameSync(building, libraries);
    } catch (error) {
      // Another process may have been faster.
      if (!existsSync(libraries)) throw error;
    } finally {
      rmSync(building, { recursive: true, force: true });
    }
  }
  return join(libraries, '*');
}
