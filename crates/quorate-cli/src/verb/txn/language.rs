//! The language of a transaction's lines: conditions such as `mod("key") > "0"`, and operations that
//! are `get`, `put` and `del` with their usual flags.
//!
//! Words are separated by blanks; quotes keep blanks in a word, and a backslash keeps a quote.

use bytes::Bytes;
use clap::{Parser, Subcommand};
use quorate_client::proto::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_client::proto::request_op::Request;
use quorate_client::proto::{Compare, RequestOp};

use super::super::{del, get, put};
use crate::failure::Failure;

/// Reads `target("key") operator "value"`.
pub(super) fn condition(line: &str) -> Result<Compare, Failure> {
    let bad = || {
        Failure::usage(
            format!("`{line}` is no condition"),
            "a condition is of the form target(\"key\") operator \"value\"",
            "for example: value(\"a\") = \"1\" (targets: value, version, create, mod, lease)",
        )
    };
    let (target, rest) = line.split_once('(').ok_or_else(bad)?;
    let (key, rest) = literal(rest).ok_or_else(bad)?;
    let rest = rest.trim_start().strip_prefix(')').ok_or_else(bad)?.trim_start();
    let (result, rest) = operator(rest).ok_or_else(bad)?;
    let (value, rest) = literal(rest).ok_or_else(bad)?;
    if !rest.trim().is_empty() {
        return Err(bad());
    }
    let number = || value.parse::<i64>().map_err(|_| bad());
    let (target, union) = match target.trim() {
        "value" | "val" => {
            (CompareTarget::Value, TargetUnion::Value(Bytes::from(value.clone().into_bytes())))
        }
        "version" | "ver" => (CompareTarget::Version, TargetUnion::Version(number()?)),
        "create" | "c" => (CompareTarget::Create, TargetUnion::CreateRevision(number()?)),
        "mod" | "m" => (CompareTarget::Mod, TargetUnion::ModRevision(number()?)),
        "lease" => {
            let lease = i64::from_str_radix(&value, 16).map_err(|_| bad())?;
            (CompareTarget::Lease, TargetUnion::Lease(lease))
        }
        _ => return Err(bad()),
    };
    Ok(Compare {
        result: result.into(),
        target: target.into(),
        key: Bytes::from(key.into_bytes()),
        range_end: Bytes::new(),
        target_union: Some(union),
    })
}

fn operator(text: &str) -> Option<(CompareResult, &str)> {
    let operators = [
        ("!=", CompareResult::NotEqual),
        ("==", CompareResult::Equal),
        ("=", CompareResult::Equal),
        (">", CompareResult::Greater),
        ("<", CompareResult::Less),
    ];
    operators.into_iter().find_map(|(sign, result)| Some((result, text.strip_prefix(sign)?)))
}

/// A quoted text, or a bare word up to a blank or a parenthesis.
fn literal(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|symbol: char| symbol.is_whitespace() || symbol == ')');
        let (word, rest) = text.split_at(end.unwrap_or(text.len()));
        return (!word.is_empty()).then(|| (word.to_owned(), rest));
    };
    let mut word = String::new();
    let mut symbols = quoted.char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '"' => return Some((word, &quoted[at + 1..])),
            '\\' => word.push(escaped(symbols.next()?.1)),
            _ => word.push(symbol),
        }
    }
    None
}

fn escaped(symbol: char) -> char {
    match symbol {
        'n' => '\n',
        't' => '\t',
        other => other,
    }
}

/// One operation of a transaction.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Debug, Subcommand)]
enum Operation {
    Get(get::Select),
    Put(put::Pair),
    Del(del::Select),
}

/// Reads `get`, `put` or `del` with its flags.
pub(super) fn operation(line: &str) -> Result<RequestOp, Failure> {
    let bad = |why: &str| {
        Failure::usage(
            format!("`{line}` is no operation: {why}"),
            "an operation is get, put or del with the flags of that verb",
            "for example: put a 1, get a --prefix, del a --prev-kv",
        )
    };
    let words = words(line).ok_or_else(|| bad("a quote is not closed"))?;
    let parsed = Line::try_parse_from(words).map_err(|error| {
        let text = error.to_string();
        bad(text.lines().next().unwrap_or_default().trim_start_matches("error: "))
    })?;
    let request = match parsed.operation {
        Operation::Get(select) => Request::RequestRange(select.request()?),
        Operation::Put(pair) => {
            Request::RequestPut(pair.request(|| Err(bad("the value is missing")))?)
        }
        Operation::Del(select) => Request::RequestDeleteRange(select.request()?),
    };
    Ok(RequestOp { request: Some(request) })
}

/// Splits a line at blanks outside quotes; `None` when a quote is not closed.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut symbols = line.chars();
    while let Some(symbol) = symbols.next() {
        match (quote, symbol) {
            (Some(open), _) if symbol == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(symbol);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().push(escaped(symbols.next()?));
            }
            (None, _) if symbol.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(symbol),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_etcdctl_reads_them() {
        let read = |line| condition(line).unwrap();
        let compare = read("mod(\"key 1\") > \"12\"");
        assert_eq!(compare.key.as_ref(), b"key 1");
        assert_eq!(compare.target(), CompareTarget::Mod);
        assert_eq!(compare.result(), CompareResult::Greater);
        assert_eq!(compare.target_union, Some(TargetUnion::ModRevision(12)));
        let value = read(r#"value("a") != "say \"x\"""#);
        assert_eq!(value.target_union, Some(TargetUnion::Value("say \"x\"".into())));
        assert_eq!(read("version(a)=0").target_union, Some(TargetUnion::Version(0)));
        assert_eq!(read("lease(\"a\") = \"1f\"").target_union, Some(TargetUnion::Lease(31)));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for line in
            ["a = 1", "mod(a = 1", "mod(a) ~ 1", "mod(a) = x", "size(a) = 1", "mod(a) = 1 2"]
        {
            assert!(condition(line).is_err(), "{line}");
        }
    }

    #[test]
    fn operations_have_the_flags_of_their_verbs() {
        let read = |line| operation(line).unwrap().request.unwrap();
        let Request::RequestPut(put) = read("put \"a b\" 'c d' --prev-kv") else {
            panic!("no put")
        };
        assert_eq!((put.key.as_ref(), put.value.as_ref()), (&b"a b"[..], &b"c d"[..]));
        assert!(put.prev_kv);
        let Request::RequestRange(get) = read("get a --prefix --limit 3") else { panic!("no get") };
        assert_eq!((get.range_end.as_ref(), get.limit), (&b"b"[..], 3));
        let Request::RequestPut(put) = read("put a \"\"") else { panic!("no put") };
        assert!(put.value.is_empty());
    }

    #[test]
    fn what_is_no_operation_is_refused_with_a_reason() {
        for line in ["put a", "got a", "get \"a", "get", "del a --frob"] {
            assert!(operation(line).is_err(), "{line}");
        }
        assert!(operation("put a").unwrap_err().what.contains("value is missing"));
    }
}
