//! Makes the Rust code of `quorate-proto` from its `.proto` files.
//!
//! The generated code is committed, so that nobody needs a generator to build. The generator is
//! pure Rust but takes long to build; it stands behind the feature `generate`. Without the feature
//! this module calls cargo again with it, in a target directory of its own.
//!
//! Beside the code lies `MANIFEST`: the generators' versions and a digest of every input and every
//! output. A plain test of `quorate-proto` compares it with the files and with `Cargo.lock`, so that
//! a forgotten run is noticed without the generator; `cargo xtask generate --check` generates again
//! and compares byte for byte.

/// Generates the code and writes it; with `check`, compares it with what is committed instead.
///
/// # Errors
///
/// When a `.proto` file does not compile, a file cannot be read or written, or, with `check`, when
/// a committed file differs from what would be generated.
pub(crate) fn run(check: bool) -> Result<(), String> {
    backend::run(check).map_err(|error| format!("generate: {error}"))
}

#[cfg(not(feature = "generate"))]
mod backend {
    use std::error::Error;
    use std::path::Path;
    use std::process::Command;

    /// Calls cargo again with the generator built in.
    pub(super) fn run(check: bool) -> Result<(), Box<dyn Error>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        // The generator runs for milliseconds and is built once: speed of the build is what counts.
        command
            .current_dir(&root)
            .args(["run", "--quiet", "--package", "xtask", "--features", "generate"])
            .args(["--config", "profile.dev.opt-level=0"])
            .args(["--target-dir", "target/generate", "--", "generate"]);
        if check {
            command.arg("--check");
        }
        let status = command.status().map_err(|error| format!("cargo does not start: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err("the generator failed; its own message stands above".into())
        }
    }
}

#[cfg(feature = "generate")]
mod backend {
    use std::collections::BTreeMap;
    use std::error::Error;
    use std::fmt::Write as _;
    use std::fs;
    use std::path::{Path, PathBuf};

    use xxhash_rust::xxh3::xxh3_128;

    /// The `.proto` files, in the order in which they are compiled.
    const INPUTS: [&str; 4] = ["mvcc.proto", "etcd.proto", "health.proto", "quorate.proto"];
    /// Crates whose version decides what is generated.
    const GENERATORS: [&str; 4] = ["protox", "prost-build", "tonic-build", "tonic-prost-build"];
    const MANIFEST: &str = "MANIFEST";

    pub(super) fn run(check: bool) -> Result<(), Box<dyn Error>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let proto = root.join("crates/quorate-proto/proto");
        let target = root.join("crates/quorate-proto/src/generated");
        let mut files = generate(&root, &proto)?;
        let manifest = manifest(&root, &proto, &files)?;
        files.insert(MANIFEST.to_owned(), manifest);
        if check { compare(&target, &files) } else { write(&target, &files) }
    }

    /// Runs the generators and returns what they make, by file name.
    fn generate(root: &Path, proto: &Path) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
        let descriptors = protox::compile(INPUTS, [proto])?;
        let scratch = root.join("target/generate/proto");
        if scratch.exists() {
            fs::remove_dir_all(&scratch)?;
        }
        fs::create_dir_all(&scratch)?;
        tonic_prost_build::configure()
            .bytes(".")
            .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
            .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
            .out_dir(&scratch)
            .emit_rerun_if_changed(false)
            .compile_fds(descriptors)?;
        let mut files = BTreeMap::new();
        for path in listing(&scratch)? {
            files.insert(name_of(&path)?, fs::read_to_string(&path)?);
        }
        Ok(files)
    }

    /// What the committed code was made from and with, one fact a line.
    fn manifest(
        root: &Path,
        proto: &Path,
        files: &BTreeMap<String, String>,
    ) -> Result<String, Box<dyn Error>> {
        let lock = fs::read_to_string(root.join("Cargo.lock"))?;
        let mut text = String::from("# Written by `cargo xtask generate`; do not edit.\n");
        for generator in GENERATORS {
            writeln!(text, "generator {generator} {}", locked_version(&lock, generator)?)?;
        }
        for path in listing(proto)? {
            writeln!(text, "input {} {:032x}", name_of(&path)?, xxh3_128(&fs::read(&path)?))?;
        }
        for (name, content) in files {
            writeln!(text, "output {name} {:032x}", xxh3_128(content.as_bytes()))?;
        }
        Ok(text)
    }

    /// The version of a crate in a lock file.
    fn locked_version(lock: &str, name: &str) -> Result<String, Box<dyn Error>> {
        let entry = format!("name = \"{name}\"\nversion = \"");
        let (_, rest) =
            lock.split_once(&entry).ok_or_else(|| format!("Cargo.lock names no crate {name}"))?;
        let (version, _) =
            rest.split_once('"').ok_or_else(|| format!("Cargo.lock breaks off at {name}"))?;
        Ok(version.to_owned())
    }

    fn write(target: &Path, files: &BTreeMap<String, String>) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(target)?;
        for path in listing(target)? {
            if !files.contains_key(&name_of(&path)?) {
                fs::remove_file(path)?;
            }
        }
        for (name, content) in files {
            fs::write(target.join(name), content)?;
        }
        Ok(())
    }

    fn compare(target: &Path, files: &BTreeMap<String, String>) -> Result<(), Box<dyn Error>> {
        let mut differing = Vec::new();
        for (name, content) in files {
            if fs::read_to_string(target.join(name)).ok().as_ref() != Some(content) {
                differing.push(name.clone());
            }
        }
        for path in listing(target)? {
            let name = name_of(&path)?;
            if !files.contains_key(&name) {
                differing.push(name);
            }
        }
        if differing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{}: {} not what the .proto files give; run `cargo xtask generate` and commit the result",
            target.display(),
            differing.join(", ")
        )
        .into())
    }

    /// The files of a directory, by name.
    fn listing(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
        let mut paths = fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()?;
        paths.sort();
        Ok(paths)
    }

    fn name_of(path: &Path) -> Result<String, Box<dyn Error>> {
        let name = path.file_name().and_then(|name| name.to_str());
        Ok(name.ok_or_else(|| format!("{} has no plain name", path.display()))?.to_owned())
    }
}
