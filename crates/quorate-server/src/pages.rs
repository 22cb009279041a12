//! What the client port answers to plain HTTP: `/version`, `/health`, `/livez`, `/readyz` and
//! `/metrics`, as etcd does.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use quorate::Consistency;
use quorate_kv::AlarmKind;
use tonic::body::Body;

use crate::api_error::ApiError;
use crate::backend::{Backend, Context};
use crate::version;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers a request that is not gRPC.
pub(crate) async fn serve<B: Backend, T>(
    context: &Context<B>,
    request: &Request<T>,
) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "method not allowed\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let serializable = has_flag(request.uri().query(), "serializable");
    match request.uri().path() {
        "/version" => page(StatusCode::OK, JSON, version_json()),
        "/health" => {
            let excluded = excluded(request.uri().query());
            health(context, serializable, &excluded).await
        }
        "/livez" => probe(context, Consistency::Local).await,
        "/readyz" => probe(context, Consistency::Linearizable).await,
        "/metrics" => metrics(context).await,
        _ => page(StatusCode::NOT_FOUND, TEXT, "404 page not found\n"),
    }
}

fn version_json() -> String {
    format!(
        r#"{{"etcdserver":"{}","etcdcluster":"{}","quorate":"{}"}}"#,
        version::ETCD_SERVER,
        version::ETCD_CLUSTER,
        version::QUORATE
    )
}

/// Whether the query says `name=true`.
fn has_flag(query: Option<&str>, name: &str) -> bool {
    let is_set = |part: &str| part.split_once('=').is_some_and(|part| part == (name, "true"));
    query.is_some_and(|query| query.split('&').any(is_set))
}

/// Why the member cannot serve with this consistency, if so.
async fn ailment<B: Backend>(context: &Context<B>, consistency: Consistency) -> Option<String> {
    if let Err(error) = context.check_serving() {
        return Some(error.text().into_owned());
    }
    if consistency == Consistency::Linearizable && context.backend.standing().leader.is_none() {
        // etcd's word for it.
        return Some("RAFT NO LEADER".to_owned());
    }
    let read = context.stats(consistency).await;
    read.err().map(|error: ApiError| format!("QGET ERROR:{}", error.text()))
}

/// Names of the alarms that do not count: every `exclude=NAME` of the query.
fn excluded(query: Option<&str>) -> Vec<&str> {
    let parts = query.unwrap_or_default().split('&');
    parts.filter_map(|part| part.strip_prefix("exclude=")).collect()
}

/// etcd's name of an alarm.
pub(crate) const fn alarm_name(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::NoSpace => "NOSPACE",
        AlarmKind::Corrupt => "CORRUPT",
        _ => "UNKNOWN",
    }
}

/// The first alarm that counts, in etcd's words.
async fn alarm<B: Backend>(context: &Context<B>, excluded: &[&str]) -> Option<String> {
    context.check_serving().ok()?;
    let (alarms, _) = context.alarms(Consistency::Local).await.ok()?;
    let mut names = alarms.iter().map(|alarm| alarm_name(alarm.kind));
    names.find(|name| !excluded.contains(name)).map(|name| format!("ALARM {name}"))
}

async fn health<B: Backend>(
    context: &Context<B>,
    serializable: bool,
    excluded: &[&str],
) -> Response<Body> {
    let consistency = if serializable { Consistency::Local } else { Consistency::Linearizable };
    let ailment = match alarm(context, excluded).await {
        None => ailment(context, consistency).await,
        alarm => alarm,
    };
    context.metrics.health(ailment.is_none());
    let code = code(ailment.as_deref());
    let reason = escape(ailment.as_deref().unwrap_or_default());
    let healthy = ailment.is_none();
    page(code, JSON, format!(r#"{{"health":"{healthy}","reason":"{reason}"}}"#))
}

async fn probe<B: Backend>(context: &Context<B>, consistency: Consistency) -> Response<Body> {
    let ailment = ailment(context, consistency).await;
    let code = code(ailment.as_deref());
    page(code, TEXT, ailment.map_or_else(|| "ok\n".to_owned(), |ailment| ailment + "\n"))
}

const fn code(ailment: Option<&str>) -> StatusCode {
    if ailment.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics<B: Backend>(context: &Context<B>) -> Response<Body> {
    let stats = context.stats(Consistency::Local).await.ok();
    let incoming = context.incoming.held();
    match context.metrics.text(context.backend.standing(), stats, incoming) {
        Ok(text) => page(StatusCode::OK, OPEN_METRICS, text),
        Err(_) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the metrics have no text\n"),
    }
}

/// A text as the inside of a JSON string.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            control if control < ' ' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

fn page(code: StatusCode, kind: &'static str, content: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(content.into())));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_digits_and_dots_in_etcds_fields() {
        for version in [version::ETCD_SERVER, version::ETCD_CLUSTER] {
            let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
            assert_eq!(parts.len(), 3, "{version}");
        }
        let start = r#"{"etcdserver":"3.5.21","etcdcluster":"3.5.0","quorate":""#;
        assert!(version_json().starts_with(start), "{}", version_json());
    }

    #[test]
    fn a_reason_cannot_break_the_json_around_it() {
        assert_eq!(escape("a\"b\\c\n"), "a\\\"b\\\\c\\u000a");
    }

    #[test]
    fn flags_of_a_query_are_told_apart() {
        assert!(has_flag(Some("a=b&serializable=true"), "serializable"));
        for query in [None, Some(""), Some("serializable"), Some("serializable=false")] {
            assert!(!has_flag(query, "serializable"), "{query:?}");
        }
    }
}
