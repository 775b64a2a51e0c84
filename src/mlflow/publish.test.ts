import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { filesBelow } from './publish.ts'

let folder: string
let elsewhere: string
beforeEach(async () => {
  const root = await mkdtemp(join(tmpdir(), 'nustream-publish-'))
  onTestFinished(() => rm(root, { recursive: true }))
  folder = join(root, 'model')
  elsewhere = join(root, 'elsewhere')
  for (const path of [folder, elsewhere]) await mkdir(path)
  await writeFile(join(folder, 'model.json'), '{}')
  await writeFile(join(elsewhere, 'blob'), 'weights')
})

describe('filesBelow()', () => {
  it('gives files, links to files and files in linked folders, without hidden ones', async () => {
    await symlink(join(elsewhere, 'blob'), join(folder, 'model.onnx'))
    await symlink(elsewhere, join(folder, 'member'))
    await mkdir(join(folder, '.git'))
    await writeFile(join(folder, '.git', 'HEAD'), '')
    expect(await filesBelow(folder)).toEqual(['member/blob', 'model.json', 'model.onnx'])
  })

  it('refuses a link that leads nowhere', async () => {
    await symlink(join(elsewhere, 'gone'), join(folder, 'model.onnx'))
    await expect(filesBelow(folder)).rejects.toMatchObject({
      code: 'model_missing',
      message: expect.stringMatching(
        /^the link .*model\/model\.onnx leads nowhere: .*nothing was published$/,
      ),
    })
  })

  it('refuses a link to a folder that holds it', async () => {
    await symlink(folder, join(folder, 'itself'))
    await expect(filesBelow(folder)).rejects.toMatchObject({
      message: expect.stringContaining('itself leads back to a folder that holds it'),
    })
  })
})
