//! Seeds that once failed, kept as tests: one line each.
//!
//! A failing seed prints the line. It names the settings that differ from the usual ones, so that a
//! shrunk run stays as small as it was found.
//!
//! ```
//! # use quorate_sim::regression;
//! // Name it after the bug, not after the seed.
//! regression!(an_old_leader_serves_no_read, seed = 4711);
//! regression!(a_torn_tail_is_cut, seed = 17, nodes = 3, millis = 4_500, faults = "crash:0+4,unsynced");
//! # fn main() {}
//! ```

use core::time::Duration;

use crate::run::{Lines, Options, Run, Target};
use crate::world::Faults;

/// Makes a test of a seed: see [`regression`](self).
///
/// The settings are `nodes`, `clients`, `rate`, `millis` and `faults`. `target = ..` before the seed
/// names what to run instead of the built-in store.
#[macro_export]
macro_rules! regression {
    ($name:ident, target = $target:expr, seed = $seed:expr $(, $setting:ident = $value:expr)* $(,)?) => {
        #[test]
        fn $name() {
            $crate::regression::Case::new($seed)$(.$setting($value))*.assert_clean($target);
        }
    };
    ($name:ident, seed = $seed:expr $(, $setting:ident = $value:expr)* $(,)?) => {
        $crate::regression!(
            $name, target = $crate::run::BuiltIn, seed = $seed $(, $setting = $value)*
        );
    };
}

/// A seed with the settings that it failed with.
#[derive(Clone, Debug)]
pub struct Case {
    seed: u64,
    options: Options,
}

impl Case {
    /// A seed with the usual settings.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, options: Options::default() }
    }

    /// Number of nodes.
    #[must_use]
    pub const fn nodes(mut self, nodes: usize) -> Self {
        self.options.nodes = nodes;
        self
    }

    /// Number of clients.
    #[must_use]
    pub const fn clients(mut self, clients: u32) -> Self {
        self.options.clients = clients;
        self
    }

    /// Requests of all clients per second.
    #[must_use]
    pub const fn rate(mut self, rate: u32) -> Self {
        self.options.rate = rate;
        self
    }

    /// How long anything may go wrong, in milliseconds.
    #[must_use]
    pub const fn millis(mut self, millis: u64) -> Self {
        self.options.duration = Duration::from_millis(millis);
        self
    }

    /// What may go wrong, such as `all`, `none`, `all,-crash` or `drop/4,crash:0+3-7`: see
    /// [`Faults`].
    ///
    /// # Panics
    ///
    /// When no fault has such a name.
    #[must_use]
    pub fn faults(mut self, faults: &str) -> Self {
        self.options.faults = match faults.parse::<Faults>() {
            Ok(faults) => faults,
            Err(error) => panic!("{error}"),
        };
        self
    }

    /// Runs the seed.
    ///
    /// # Panics
    ///
    /// When it fails, with everything there is to say about it.
    pub fn assert_clean(&self, target: impl Target) {
        let run = Run::new(target, self.options.clone());
        if run.seed(self.seed, Lines::None).broken.is_some() {
            panic!("{}", run.seed(self.seed, Lines::Recent));
        }
    }
}

/// The line that makes a test of a seed with these settings, of the built-in store or a target.
#[must_use]
pub fn line(target: Option<&str>, seed: u64, options: &Options) -> String {
    let usual = Options::default();
    let target = target.map(|target| format!("target = {target}, ")).unwrap_or_default();
    let mut line = format!("regression!(name_of_the_bug, {target}seed = {seed}");
    let mut add = |name: &str, value: String| line += &format!(", {name} = {value}");
    if options.nodes != usual.nodes {
        add("nodes", options.nodes.to_string());
    }
    if options.clients != usual.clients {
        add("clients", options.clients.to_string());
    }
    if options.rate != usual.rate {
        add("rate", options.rate.to_string());
    }
    if options.duration != usual.duration {
        add("millis", options.duration.as_millis().to_string());
    }
    if options.faults != usual.faults {
        add("faults", format!("{:?}", options.faults.to_string()));
    }
    line + ");"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Fault;

    #[test]
    fn a_line_names_what_is_unusual() {
        let usual = Options::default();
        assert_eq!(line(None, 4, &usual), "regression!(name_of_the_bug, seed = 4);");
        let of_target = "regression!(name_of_the_bug, target = Kv, seed = 4);";
        assert_eq!(line(Some("Kv"), 4, &usual), of_target);
        let options = Options {
            nodes: 3,
            duration: Duration::from_millis(4_500),
            faults: Faults::only([Fault::Drop, Fault::Crash]),
            ..usual
        };
        assert_eq!(
            line(None, 4, &options),
            "regression!(name_of_the_bug, seed = 4, nodes = 3, millis = 4500, \
             faults = \"drop,crash\");"
        );
        let case = Case::new(4).nodes(3).millis(4_500).faults("drop,crash");
        assert_eq!(case.options, options);
    }
}
