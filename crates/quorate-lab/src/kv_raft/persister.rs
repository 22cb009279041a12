//! One text that survives a crash, in a file.
//!
//! A save writes a file beside it, makes that durable, and gives it the name: a crash leaves the text
//! before or the text after, and never half of one. The first line of the file has the length and a
//! checksum of what follows: a file that something else changed is told from one that was saved.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::persister as lab;

/// How the first line begins.
const HEAD: &str = "quorate-lab 1";

/// A file that is not as it was saved, or cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    /// The operating system refused.
    #[error("cannot {what} {}: {error}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The contents are not what was saved.
    #[error(
        "{} is damaged: {why}. A peer that forgets its vote may vote twice: bring back the file, or \
         remove it only together with this peer's membership",
        path.display()
    )]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Persister(Place);

#[derive(Debug)]
enum Place {
    /// One writer at a time.
    File(Mutex<PathBuf>),
    /// What the harness copies when it crashes a peer.
    Lab(Arc<lab::Persister>),
}

impl Persister {
    /// Keeps the text in this file. It need not be there yet; its folder has to.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(Mutex::new(path.into())))
    }

    /// Keeps the text where the lab's harness keeps what survives a crash.
    #[must_use]
    pub const fn over(persister: Arc<lab::Persister>) -> Self {
        Self(Place::Lab(persister))
    }

    /// Saves a text in place of the one before.
    ///
    /// # Panics
    ///
    /// If it cannot be saved: a peer that goes on has promised what it will not remember.
    pub fn save(&self, text: &str) {
        self.try_save(text).unwrap_or_else(|error| panic!("{error}"));
    }

    /// The text as it was saved last; empty if none was.
    ///
    /// # Panics
    ///
    /// If the file is damaged, in the words of [`Damaged`].
    #[must_use]
    pub fn read(&self) -> String {
        self.try_read().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Saves a text in place of the one before.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn try_save(&self, text: &str) -> Result<(), Damaged> {
        match &self.0 {
            Place::File(path) => {
                let path = path.lock().unwrap_or_else(PoisonError::into_inner);
                replace(&path, text)
            }
            Place::Lab(persister) => {
                persister.save_state(text.as_bytes().to_vec());
                Ok(())
            }
        }
    }

    /// The text as it was saved last; empty if none was.
    ///
    /// # Errors
    ///
    /// If the file is damaged or cannot be read.
    pub fn try_read(&self) -> Result<String, Damaged> {
        match &self.0 {
            Place::File(path) => {
                let path = path.lock().unwrap_or_else(PoisonError::into_inner);
                load(&path)
            }
            Place::Lab(persister) => String::from_utf8(persister.state()).map_err(|error| {
                let path = PathBuf::from("the saved state");
                Damaged::Contents { path, why: error.to_string() }
            }),
        }
    }
}

fn checksum(text: &str) -> u64 {
    // FNV-1a: it has to notice damage, not to resist anybody.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn replace(path: &Path, text: &str) -> Result<(), Damaged> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let failed = |what| {
        let path = path.to_owned();
        move |error| Damaged::File { what, path, error }
    };
    let mut file = File::create(&beside).map_err(failed("write"))?;
    let head = format!("{HEAD} {} {:016x}\n", text.len(), checksum(text));
    file.write_all(head.as_bytes()).map_err(failed("write"))?;
    file.write_all(text.as_bytes()).map_err(failed("write"))?;
    file.sync_all().map_err(failed("write"))?;
    fs::rename(&beside, path).map_err(failed("replace"))?;
    // The name is durable when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or_else(|| Path::new("."))).map_err(failed("sync"))?;
    folder.sync_all().map_err(failed("sync"))
}

fn load(path: &Path) -> Result<String, Damaged> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(Damaged::File { what: "read", path: path.to_owned(), error }),
    };
    contents(bytes).map_err(|why| Damaged::Contents { path: path.to_owned(), why })
}

fn contents(bytes: Vec<u8>) -> Result<String, String> {
    let whole = String::from_utf8(bytes).map_err(|error| format!("it is no text: {error}"))?;
    let (head, text) = whole.split_once('\n').ok_or("it has no first line")?;
    let mut words = head
        .strip_prefix(HEAD)
        .ok_or_else(|| format!("its first line does not begin with `{HEAD}`"))?
        .split_whitespace();
    let length: Option<usize> = words.next().and_then(|word| word.parse().ok());
    let sum = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
    let (Some(length), Some(sum)) = (length, sum) else {
        return Err("its first line has no length and checksum".to_owned());
    };
    let found = text.len();
    if found != length {
        return Err(format!("it has {found} bytes after the first line, and {length} were saved"));
    }
    if checksum(text) != sum {
        return Err("its checksum is another one".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_back_and_nothing_saved_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer");
        let persister = Persister::new(&path);
        assert_eq!(persister.read(), "");
        for text in ["one", "", "två\nlines\n", "x"] {
            persister.save(text);
            assert_eq!(persister.read(), text);
            assert_eq!(Persister::new(&path).read(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_crash_in_the_middle_of_a_save_leaves_the_text_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer");
        Persister::new(&path).save("before");
        fs::write(folder.path().join("peer.new"), "half of wh").unwrap();
        let persister = Persister::new(&path);
        assert_eq!(persister.read(), "before");
        persister.save("after");
        assert_eq!(persister.read(), "after");
    }

    #[test]
    fn every_damage_is_told_with_the_file_and_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer");
        Persister::new(&path).save("{\"term\":3}");
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(Persister::new(&path).try_read().is_err(), "bit of byte {place}");
            fs::write(&path, &whole[..place]).unwrap();
            assert!(Persister::new(&path).try_read().is_err(), "{place} bytes");
        }
        fs::write(&path, b"{\"term\":4}\n").unwrap();
        let words = Persister::new(&path).try_read().unwrap_err().to_string();
        assert!(words.contains("peer is damaged: its first line does not begin"), "{words}");
        let panic = std::panic::catch_unwind(|| Persister::new(&path).read()).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>(), Some(&words));
    }
}
