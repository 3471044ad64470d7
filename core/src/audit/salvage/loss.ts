/** Something that cannot be brought back, or could not be put where it was. */
export interface Loss {
  /** In plain words. */
  readonly what: string;
  /** Of the log. */
  readonly index?: number;
  readonly inode?: number;
  /** Where the file is now; undefined if it is nowhere. */
  readonly path?: string;
  /** The first page, counted over all groups, and how many. */
  readonly page?: number;
  readonly pages?: number;
}
