//! `quorate txn`: a transaction read from standard input, in etcdctl's language ([`language`]).

mod language;

use std::io::{self, BufRead, IsTerminal};

use clap::Args;
use quorate_client::proto::TxnRequest;

use crate::connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, Printer};

const AFTER_HELP: &str = "\
Three groups of lines, each ended by an empty line: conditions; what to do when all hold; what
to do otherwise.

  value(\"a\") = \"1\"          also: mod, create, version, lease; and <, >, !=
                            (an empty line)
  put a 2
  get a --prefix
                            (an empty line)
  del a --prev-kv

  printf 'version(\"a\") = \"0\"\\n\\nput a 1\\n\\nget a\\n' | quorate txn";

/// Where to run it and how to print what came.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Ask for each group
    #[arg(short, long)]
    interactive: bool,
    #[command(flatten)]
    connection: connection::Options,
    #[command(flatten)]
    output: output::Options,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let input = io::stdin();
    let prompts = arguments.interactive || input.is_terminal();
    let request = read(&mut input.lock(), prompts)?;
    let reply = arguments.connection.call(async |client| client.txn(request).await)?;
    Printer::new(&arguments.output, Format::Simple).txn(&reply)
}

fn read(input: &mut impl BufRead, prompts: bool) -> Result<TxnRequest, Failure> {
    let conditions = group(input, prompts, "compares:")?;
    let success = group(input, prompts, "success requests (get, put, del):")?;
    let failure = group(input, prompts, "failure requests (get, put, del):")?;
    Ok(TxnRequest {
        compare: each(&conditions, language::condition)?,
        success: each(&success, language::operation)?,
        failure: each(&failure, language::operation)?,
    })
}

fn each<T>(lines: &[String], parse: fn(&str) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    lines.iter().map(|line| parse(line)).collect()
}

/// The lines up to an empty one or the end.
fn group(input: &mut impl BufRead, prompts: bool, title: &str) -> Result<Vec<String>, Failure> {
    if prompts {
        println!("{title}");
    }
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let read = input.read_line(&mut line).map_err(|error| {
            Failure::new(
                Exit::Refused,
                format!("cannot read the transaction: {error}"),
                "it is read from standard input, as text in UTF-8",
                "quorate txn --help",
            )
        })?;
        let line = line.trim();
        if read == 0 || line.is_empty() {
            return Ok(lines);
        }
        lines.push(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_groups_make_a_transaction() {
        let mut input = "value(\"a\") = \"1\"\n\nput a 2\nget a\n\ndel a\n\n".as_bytes();
        let request = read(&mut input, false).unwrap();
        assert_eq!(request.compare.len(), 1);
        assert_eq!(request.success.len(), 2);
        assert_eq!(request.failure.len(), 1);
        assert!(read(&mut "".as_bytes(), false).unwrap().success.is_empty());
    }
}
