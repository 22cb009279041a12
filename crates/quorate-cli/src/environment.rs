//! Values from the environment, for flags that were not given.
//!
//! `QUORATE_X` wins over etcd's own `ETCD_X` (`ETCDCTL_X` for the client verbs), and a flag wins over
//! both. A variable that is set but empty counts as not set, as etcd has it.

use std::env;

/// Which of etcd's prefixes a verb reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prefix {
    Server,
    Client,
}

/// The value of a flag such as `data-dir`.
pub(crate) fn value(prefix: Prefix, flag: &str) -> Option<String> {
    let [ours, theirs] = names(prefix, flag);
    let read = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    read(&ours).or_else(|| read(&theirs))
}

/// Names of the variables of a flag, ours first.
pub(crate) fn names(prefix: Prefix, flag: &str) -> [String; 2] {
    let flag = flag.to_uppercase().replace('-', "_");
    let theirs = match prefix {
        Prefix::Server => "ETCD",
        Prefix::Client => "ETCDCTL",
    };
    [format!("QUORATE_{flag}"), format!("{theirs}_{flag}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_has_our_name_and_etcds() {
        assert_eq!(names(Prefix::Server, "data-dir"), ["QUORATE_DATA_DIR", "ETCD_DATA_DIR"]);
        assert_eq!(names(Prefix::Client, "endpoints"), ["QUORATE_ENDPOINTS", "ETCDCTL_ENDPOINTS"]);
    }
}
