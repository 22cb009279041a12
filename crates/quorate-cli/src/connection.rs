//! The flags that every client verb has, and the client made of them.

use std::time::Duration;

use clap::Args;
use quorate_client::{CallError, Client};

use crate::environment::{self, Prefix};
use crate::failure::Failure;
use crate::runtime;

const DEFAULT_ENDPOINT: &str = "127.0.0.1:2379";

/// Flags that every client verb has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
#[group(skip)]
pub(crate) struct Options {
    /// Servers to ask, in this order [default: 127.0.0.1:2379]
    #[arg(long, value_name = "HOST:PORT,..")]
    pub(crate) endpoints: Option<String>,
    /// Longest time to wait for a connection
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_time)]
    pub(crate) dial_timeout: Duration,
    /// Longest time to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    pub(crate) command_timeout: Duration,
}

impl Options {
    /// A client of the endpoints that the flag, the environment or the default names.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let text = self.endpoints.clone();
        let text = text.or_else(|| environment::value(Prefix::Client, "endpoints"));
        let text = text.as_deref().unwrap_or(DEFAULT_ENDPOINT);
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let options = quorate_client::Options::default()
            .timeout(self.command_timeout)
            .connect_timeout(self.dial_timeout);
        Client::new(names, options).map_err(|error| {
            Failure::usage(
                format!("--endpoints {text}: {error}"),
                "each endpoint is a host and a port, and commas stand between them",
                "quorate status --endpoints 127.0.0.1:2379,127.0.0.1:22379",
            )
        })
    }

    /// Makes one call and waits for it.
    pub(crate) fn call<R>(
        &self,
        call: impl AsyncFnOnce(Client) -> Result<R, CallError>,
    ) -> Result<R, Failure> {
        let client = self.client()?;
        Ok(runtime::single_threaded()?.block_on(call(client))?)
    }
}

/// Reads a time as etcd's flags write it: `5s`, `500ms`, `1m`, or a plain number of seconds.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "write a time such as 5s or 500ms".to_owned())?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        _ => return Err("write a time such as 5s, 500ms or 1m".to_owned()),
    };
    let time = number.checked_mul(milliseconds).map(Duration::from_millis);
    time.filter(|time| !time.is_zero()).ok_or_else(|| "the time must be more than zero".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_etcd_writes_them() {
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_time("5"), Ok(Duration::from_secs(5)));
        assert!(parse_time("0s").is_err());
        assert!(parse_time("5h").is_err());
        assert!(parse_time("s").is_err());
        assert!(parse_time("99999999999999999999s").is_err());
    }
}
