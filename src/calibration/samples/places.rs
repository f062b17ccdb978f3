//! Where samples lie: what a path leads to, in which order.

use std::{
    cmp::Ordering,
    fs::{self, File},
    io::{Read, Seek},
    path::{Path, PathBuf},
};

use super::{archive, npy};
use crate::{
    error::{Error, ErrorKind, Result},
    file::{LFS_POINTER, is_lfs_pointer},
};

/// A list of a million paths has less.
const MAX_LIST: u64 = 1 << 28;

/// A file or folder that holds one sample, or many.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    Npz(PathBuf),
    Npy(PathBuf),
    TestSet(PathBuf),
}

/// What a path led to.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Places of one sample each; at least one.
    Each(Vec<Place>),
    /// A file of many samples.
    Stacked(Place),
}

impl Place {
    pub fn path(&self) -> &Path {
        match self {
            Self::Npz(path) | Self::Npy(path) | Self::TestSet(path) => path,
        }
    }
}

/// Opens a file of samples. A pipe or device among them is refused: whoever opened it might wait for ever.
pub(super) fn open(path: &Path) -> Result<File> {
    if !fs::metadata(path).map_err(ErrorKind::Read)?.is_file() {
        return Err(Error::sample("is not a regular file"));
    }
    let mut file = File::open(path).map_err(ErrorKind::Read)?;
    let mut beginning = Vec::new();
    file.by_ref().take(64).read_to_end(&mut beginning).map_err(ErrorKind::Read)?;
    if is_lfs_pointer(&beginning) {
        return Err(Error::sample(LFS_POINTER));
    }
    file.rewind().map_err(ErrorKind::Read)?;
    Ok(file)
}

/// Finds what a path leads to.
pub(super) fn find(path: &Path) -> Result<Found> {
    let found = match fs::metadata(path).map_err(ErrorKind::Read) {
        Err(error) => Err(error.into()),
        Ok(metadata) if metadata.is_dir() => in_folder(path).map(Found::Each),
        Ok(metadata) if metadata.is_file() => match file(path) {
            Ok(Some(place)) => Ok(Found::Stacked(place)),
            Ok(None) => listed(path).map(Found::Each),
            Err(error) => Err(error),
        },
        Ok(_) => Err(Error::sample("is neither a file nor a folder")),
    };
    found.map_err(|error| error.in_file(path))
}

/// The file of arrays that a file is; `None` if it can only be a list.
fn file(path: &Path) -> Result<Option<Place>> {
    let mut beginning = Vec::new();
    open(path)?.take(8).read_to_end(&mut beginning).map_err(ErrorKind::Read)?;
    if archive::is_archive(&beginning) {
        Ok(Some(Place::Npz(path.to_owned())))
    } else if npy::is_npy(&beginning) {
        Ok(Some(Place::Npy(path.to_owned())))
    } else if has_extension(path, "npz") || has_extension(path, "npy") {
        Err(Error::sample("is not what its name says: neither an .npz archive nor an .npy array; is it complete?"))
    } else {
        Ok(None)
    }
}

fn in_folder(folder: &Path) -> Result<Vec<Place>> {
    let entries = entries(folder)?;
    let with = |extension: &str| -> Vec<PathBuf> {
        entries.iter().filter(|path| has_extension(path, extension) && !path.is_dir()).cloned().collect()
    };
    let is_test_set = |path: &&PathBuf| name(path).starts_with("test_data_set_") && path.is_dir();
    let test_sets: Vec<PathBuf> = if entries.iter().any(|path| is_test_set_input(path)) {
        vec![folder.to_owned()]
    } else {
        entries.iter().filter(is_test_set).cloned().collect()
    };
    match (with("npz"), with("npy"), test_sets) {
        (npz, npy, sets) if npz.is_empty() && npy.is_empty() && sets.is_empty() => {
            Err(Error::sample("has no samples: no .npz or .npy files, no test_data_set_* folders, no input_*.pb files"))
        }
        (npz, npy, sets) if npy.is_empty() && sets.is_empty() => Ok(npz.into_iter().map(Place::Npz).collect()),
        (npz, npy, sets) if npz.is_empty() && sets.is_empty() => Ok(npy.into_iter().map(Place::Npy).collect()),
        (npz, npy, sets) if npz.is_empty() && npy.is_empty() => Ok(sets.into_iter().map(Place::TestSet).collect()),
        (npz, npy, sets) => Err(Error::sample(format!(
            "has samples of several kinds ({} .npz, {} .npy, {} test sets); keep one kind, or list the files in a text file",
            npz.len(),
            npy.len(),
            sets.len()
        ))),
    }
}

fn listed(list: &Path) -> Result<Vec<Place>> {
    let mut text = Vec::new();
    open(list)?.take(MAX_LIST + 1).read_to_end(&mut text).map_err(ErrorKind::Read)?;
    let text = String::from_utf8(text).ok().filter(|text| text.len() as u64 <= MAX_LIST && !text.contains('\0'));
    let text = text
        .ok_or_else(|| Error::sample("is neither an .npz archive, nor an .npy array, nor a text that lists paths"))?;
    let folder = list.parent().unwrap_or(Path::new(""));
    let mut places = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let place = listed_place(&folder.join(line));
            places.push(place.map_err(|error| error.of_sample_part(format_args!("line {}: '{line}'", index + 1)))?);
        }
    }
    if places.is_empty() {
        return Err(Error::sample("lists no samples"));
    }
    Ok(places)
}

fn listed_place(path: &Path) -> Result<Place> {
    let metadata = fs::metadata(path).map_err(|error| Error::sample(format!("cannot be read: {error}")))?;
    if metadata.is_dir() {
        let is_test_set = entries(path)?.iter().any(|path| is_test_set_input(path));
        return match is_test_set {
            true => Ok(Place::TestSet(path.to_owned())),
            false => Err(Error::sample("is a folder without input_*.pb files; a line of a list is one sample")),
        };
    }
    match metadata.is_file().then(|| file(path)).transpose()?.flatten() {
        Some(place) => Ok(place),
        None => Err(Error::sample("is neither an .npz nor an .npy file, nor a test set's folder")),
    }
}

/// What lies in a folder, but for what is hidden, in order.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(ErrorKind::Read)? {
        paths.push(entry.map_err(ErrorKind::Read)?.path());
    }
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort_by(|a, b| natural(&name(a), &name(b)).then_with(|| a.cmp(b)));
    Ok(paths)
}

/// The number of the input that a file of a test set is for.
pub(super) fn input_number(path: &Path) -> Option<usize> {
    name(path).strip_prefix("input_")?.strip_suffix(".pb")?.parse().ok()
}

fn is_test_set_input(path: &Path) -> bool {
    input_number(path).is_some()
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it.eq_ignore_ascii_case(extension))
}

/// Compares names; runs of digits in them count as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (digits_a, digits_b) = (digits(a), digits(b));
        if !digits_a.is_empty() && !digits_b.is_empty() {
            let (number_a, number_b) = (digits_a.trim_start_matches('0'), digits_b.trim_start_matches('0'));
            let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
            if order.is_ne() {
                return order;
            }
            (a, b) = (&a[digits_a.len()..], &b[digits_b.len()..]);
        }
        let (mut rest_a, mut rest_b) = (a.chars(), b.chars());
        match (rest_a.next(), rest_b.next()) {
            (None, None) => return Ordering::Equal,
            (next_a, next_b) if next_a != next_b => return next_a.cmp(&next_b),
            _ => (a, b) = (rest_a.as_str(), rest_b.as_str()),
        }
    }
}

fn digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_by_value() {
        let mut names = ["b1", "a10", "a2", "a02x", "a", "a2b", "10", "9", "é2", "a00000000000000000000000000003"];
        names.sort_by(|a, b| natural(a, b).then_with(|| a.cmp(b)));
        assert_eq!(names, ["9", "10", "a", "a2", "a2b", "a02x", "a00000000000000000000000000003", "a10", "b1", "é2"]);
    }
}
