//! The generated code is current: cheap, without the generator.
//!
//! `cargo xtask generate --check` is the dear version, which generates again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

const REMEDY: &str = "run `cargo xtask generate` and commit the result";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The manifest's facts of one kind, by name.
fn facts(kind: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("src/generated/MANIFEST")).unwrap();
    let facts: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' ')?.split_once(' '))
        .map(|(name, fact)| (name.to_owned(), fact.to_owned()))
        .collect();
    assert!(!facts.is_empty(), "the manifest lists no {kind}; {REMEDY}");
    facts
}

/// The digests of a folder's files, by name.
fn digests(folder: &str) -> BTreeMap<String, String> {
    fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let digest = format!("{:032x}", xxh3_128(&fs::read(entry.path()).unwrap()));
            (entry.file_name().into_string().unwrap(), digest)
        })
        .filter(|(name, _)| name != "MANIFEST")
        .collect()
}

#[test]
fn every_proto_file_is_the_one_that_the_code_was_made_from() {
    assert_eq!(facts("input"), digests("proto"), "{REMEDY}");
}

#[test]
fn no_generated_file_was_edited_by_hand() {
    assert_eq!(facts("output"), digests("src/generated"), "{REMEDY}");
}

#[test]
fn the_code_was_made_by_the_generators_that_the_lock_file_names() {
    let lock = fs::read_to_string(root().join("../../Cargo.lock")).unwrap();
    for (name, version) in facts("generator") {
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&entry), "{name} {version} is not the locked version; {REMEDY}");
    }
}
