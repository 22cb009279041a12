//! The files that the rules look at: all that git tracks or would track, without build output.

use std::path::Path;
use std::process::Command;
use std::{fs, io};

/// One file of the checkout.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Path from the root of the checkout, with forward slashes.
    pub(super) path: String,
    /// Size on disk.
    pub(super) bytes: u64,
    /// Content, when it is text.
    pub(super) text: Option<String>,
}

impl SourceFile {
    #[cfg(test)]
    pub(super) fn for_test(path: &str, text: &str) -> Self {
        let bytes = u64::try_from(text.len()).expect("lengths fit 64 bits");
        Self { path: path.to_owned(), bytes, text: Some(text.to_owned()) }
    }

    /// Whether a tool wrote this file, so that rules of style do not apply.
    pub(super) fn is_generated(&self) -> bool {
        self.path.split('/').any(|part| part == "generated") || self.path == "Cargo.lock"
    }

    /// Whether the file is data that tests read as it is.
    pub(super) fn is_fixture(&self) -> bool {
        self.path.split('/').any(|part| part == "fixtures")
    }

    /// Whether the whole file is test code.
    pub(super) fn is_test(&self) -> bool {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        let name = parts.pop().unwrap_or_default();
        name == "tests.rs" || parts.iter().any(|part| matches!(*part, "tests" | "benches"))
    }

    /// Whether this is Rust that people write.
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs") && !self.is_generated() && !self.is_fixture()
    }
}

/// Reads every file of the checkout.
pub(super) fn list(root: &Path) -> Result<Vec<SourceFile>, String> {
    let mut paths = match from_git(root) {
        Some(paths) => paths,
        None => from_folders(root)?,
    };
    paths.sort();
    paths.dedup();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = match fs::read(root.join(&path)) {
            Ok(bytes) => bytes,
            // Deleted in the work tree, still in git's index.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{path}: {error}")),
        };
        let size = u64::try_from(bytes.len()).map_err(|error| error.to_string())?;
        files.push(SourceFile { path, bytes: size, text: String::from_utf8(bytes).ok() });
    }
    Ok(files)
}

fn from_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> =
        text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

/// For a source archive without git.
fn from_folders(root: &Path) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let at = root.join(&folder);
        let listing = fs::read_dir(&at).map_err(|error| format!("{}: {error}", at.display()))?;
        for item in listing {
            let item = item.map_err(|error| format!("{}: {error}", at.display()))?;
            let name = item.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = item.file_type().map_err(|error| format!("{path}: {error}"))?;
            let skip = matches!(path.as_str(), "target" | ".git" | "data" | "quorate-demo");
            if kind.is_dir() && !skip {
                folders.push(path);
            } else if kind.is_file() {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}
