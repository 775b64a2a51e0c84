import { basename } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Test files of a minute and more, the longest first. */
const LONGEST = [
  'prometheus.test.ts',
  'outages.test.ts',
  'mlflow-registry.test.ts',
  'grafana-queries.test.ts',
  'redis-cluster.test.ts',
  'mlflow.test.ts',
]

/** Starts the longest files first, so that none of them runs alone at the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = (file: TestSpecification) => LONGEST.includes(basename(file.moduleId))
    const long = sorted.filter(isLong).sort((a, b) => placeOf(a) - placeOf(b))
    return [...long, ...sorted.filter((file) => !isLong(file))]
  }
}

function placeOf(file: TestSpecification): number {
  return LONGEST.indexOf(basename(file.moduleId))
}
