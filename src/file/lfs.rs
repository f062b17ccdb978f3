//! Git LFS keeps large files apart and leaves a text of some lines in their place. Whoever clones a
//! repository without it finds that text under the name of a model.

/// What is said of a file that is such a text.
pub(crate) const LFS_POINTER: &str =
    "is a Git LFS pointer, which stands for the file, and not the file itself; `git lfs pull` fetches it";

/// Whether a file is a pointer, by how it begins (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
pub(crate) fn is_lfs_pointer(beginning: &[u8]) -> bool {
    const FIRST_LINES: [&[u8]; 2] = [b"version https://git-lfs.github.com/", b"version http://git-media.io/"];
    FIRST_LINES.iter().any(|line| beginning.starts_with(line))
}
