/** A file does not follow its format. The message names what was found; whoever opened the file adds its name. */
export class FormatError extends Error {
  override get name(): string {
    return 'FormatError'
  }
}
