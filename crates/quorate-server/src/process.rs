//! What the process uses, as Linux tells it; nothing elsewhere.

use std::fs;

/// Clock ticks in a second, which Linux fixes for programs.
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes in a page where nothing else is known.
const PAGE_BYTES: u64 = 4096;

/// What the process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    pub(crate) resident_bytes: u64,
    pub(crate) cpu_seconds: f64,
    pub(crate) open_files: Option<u64>,
}

/// What this process uses, where the system tells.
pub(crate) fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut usage = parse(&stat)?;
    let files = fs::read_dir("/proc/self/fd").ok();
    // The directory that is being read is itself an open file.
    usage.open_files = files.and_then(|files| u64::try_from(files.count()).ok()?.checked_sub(1));
    Some(usage)
}

/// Reads `/proc/self/stat`: user time, system time and resident pages stand 14th, 15th and 24th.
fn parse(stat: &str) -> Option<Usage> {
    // The second field is the program's name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let user: u32 = fields.nth(11)?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    let pages: u64 = fields.nth(8)?.parse().ok()?;
    let cpu_seconds = (f64::from(user) + f64::from(system)) / TICKS_PER_SECOND;
    Some(Usage { resident_bytes: pages * PAGE_BYTES, cpu_seconds, open_files: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_whatever_the_program_is_called() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 17 18 19 20 3 22";
        let usage = parse(stat).unwrap();
        assert_eq!((usage.resident_bytes, usage.cpu_seconds), (3 * 4096, 2.0));
        assert_eq!(parse("7 (cut"), None);
    }
}
