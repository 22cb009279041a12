//! The same requests to etcd itself and to this server: the replies must be equal, errors with code
//! and text.
//!
//! Where etcd and this server are known to differ, the comparison looks away, and says so: see
//! [`deviates`], [`refuse_by_state`] and [`Draw::range`].
//!
//! It starts an etcd of its own: the one that `QUORATE_ETCD` names, or the one that is installed. Where
//! there is none it says so and compares nothing, unless `CI` is set: then it fails. `QUORATE_ROUNDS` and `QUORATE_SEED` choose how many
//! requests and which.

use std::fs::File;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_kv::KvError;
use quorate_proto::etcdserverpb::compare::TargetUnion;
use quorate_proto::etcdserverpb::request_op::Request as Op;
use quorate_proto::etcdserverpb::response_op::Response as OpReply;

use super::*;

/// Requests that are compared, unless told otherwise.
const ROUNDS: u32 = 2_000;

/// An etcd with an empty store; it ends with this value.
struct Etcd {
    process: Child,
    channel: Channel,
    folder: tempfile::TempDir,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.process.kill().expect("it is ours");
        self.process.wait().expect("it was killed");
    }
}

impl Etcd {
    /// Starts it; nothing where there is no etcd.
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let url = |at: &TcpListener| format!("http://{}", at.local_addr().unwrap());
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [client, peer] = free.each_ref().map(url);
        drop(free);
        let binary = std::env::var_os("QUORATE_ETCD").unwrap_or_else(|| "etcd".into());
        let started = Command::new(&binary)
            .args(["--data-dir", folder.path().to_str().unwrap(), "--log-level", "error"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn();
        let process = match started {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            started => started.unwrap(),
        };
        let channel = Endpoint::from_shared(client).unwrap().connect_lazy();
        let mut etcd = Self { process, channel, folder };
        let begin = Instant::now();
        let first = pb::RangeRequest { key: "first".into(), ..Default::default() };
        while KvClient::new(etcd.channel.clone()).range(first.clone()).await.is_err() {
            if let Some(status) = etcd.process.try_wait().unwrap() {
                let log = std::fs::read_to_string(etcd.folder.path().join("log")).unwrap();
                panic!("etcd ended by itself, {status}: {log}");
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "etcd does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(etcd)
    }
}

fn setting<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A small generator of numbers (xorshift), so that a run can be repeated.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn once_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn number(&mut self, end: u64) -> i64 {
        i64::try_from(self.below(end)).unwrap()
    }

    fn key(&mut self) -> Bytes {
        const KEYS: [&[u8]; 9] = [b"", b"a", b"a\0", b"ab", b"b", b"ba", b"c", b"\0", b"\xff"];
        // An empty key is an error, which ends a request early: rare.
        let first = u64::from(!self.once_in(40));
        Bytes::from_static(KEYS[usize::try_from(first + self.below(8) * first).unwrap()])
    }

    fn end(&mut self) -> Bytes {
        match self.below(4) {
            0 => Bytes::new(),
            1 => Bytes::from_static(b"\0"),
            _ => self.key(),
        }
    }

    fn value(&mut self) -> Bytes {
        Bytes::from(self.below(4).to_string())
    }

    fn revision(&mut self, now: i64) -> i64 {
        match self.below(8) {
            0 => now - self.number(12),
            1 => now + self.number(3),
            2 => -self.number(3),
            _ => 0,
        }
    }

    fn range(&mut self, now: i64) -> pb::RangeRequest {
        let bound = |draw: &mut Self| if draw.once_in(6) { now - draw.number(20) } else { 0 };
        let sort_order = i32::try_from(self.below(3)).unwrap();
        // With a target but no order, etcd cuts to the limit before it sorts.
        let targets = if sort_order == 0 { 1 } else { 5 };
        pb::RangeRequest {
            key: self.key(),
            range_end: self.end(),
            limit: if self.once_in(3) { self.number(5) - 1 } else { 0 },
            sort_order,
            sort_target: i32::try_from(self.below(targets)).unwrap(),
            serializable: self.once_in(2),
            keys_only: self.once_in(5),
            count_only: self.once_in(8),
            min_mod_revision: bound(self),
            max_mod_revision: bound(self),
            min_create_revision: bound(self),
            max_create_revision: bound(self),
            revision: self.revision(now),
        }
    }

    fn put(&mut self) -> pb::PutRequest {
        let ignore_value = self.once_in(6);
        let ignore_lease = self.once_in(8);
        pb::PutRequest {
            key: self.key(),
            value: if ignore_value && !self.once_in(4) { Bytes::new() } else { self.value() },
            lease: if self.once_in(30) { 12345 } else { 0 },
            prev_kv: self.once_in(2),
            ignore_value,
            ignore_lease,
        }
    }

    fn delete(&mut self) -> pb::DeleteRangeRequest {
        let range_end = if self.once_in(3) { self.end() } else { Bytes::new() };
        pb::DeleteRangeRequest { key: self.key(), range_end, prev_kv: self.once_in(2) }
    }

    fn compare(&mut self, now: i64) -> pb::Compare {
        let target = i32::try_from(self.below(5)).unwrap();
        let kind = if self.once_in(10) { self.below(6) } else { u64::try_from(target).unwrap() };
        let number = |draw: &mut Self| draw.number(4);
        let target_union = match kind {
            0 => Some(TargetUnion::Version(number(self))),
            1 => Some(TargetUnion::CreateRevision((now - self.number(6)) * self.number(2))),
            2 => Some(TargetUnion::ModRevision((now - self.number(6)) * self.number(2))),
            3 => Some(TargetUnion::Value(self.value())),
            4 => Some(TargetUnion::Lease(number(self))),
            _ => None,
        };
        pb::Compare {
            result: i32::try_from(self.below(4)).unwrap(),
            target,
            key: self.key(),
            range_end: if self.once_in(3) { self.end() } else { Bytes::new() },
            target_union,
        }
    }

    /// A range as it may stand in a transaction, where etcd takes a negative revision for one that
    /// may have been compacted.
    fn nested_range(&mut self, now: i64) -> pb::RangeRequest {
        let range = self.range(now);
        pb::RangeRequest { revision: range.revision.max(0), ..range }
    }

    fn operation(&mut self, now: i64, depth: u32) -> pb::RequestOp {
        let request = match self.below(if depth == 0 { 9 } else { 12 }) {
            0..=3 => Op::RequestPut(self.put()),
            4..=6 => Op::RequestRange(self.nested_range(now)),
            7 | 8 => Op::RequestDeleteRange(self.delete()),
            _ => Op::RequestTxn(self.txn(now, depth - 1)),
        };
        pb::RequestOp { request: Some(request).filter(|_| !self.once_in(60)) }
    }

    fn request(&mut self, now: i64) -> pb::RequestOp {
        loop {
            let request = match self.below(6) {
                4 => pb::RequestOp { request: Some(Op::RequestRange(self.range(now))) },
                5 => pb::RequestOp { request: Some(Op::RequestTxn(self.txn(now, 2))) },
                _ => self.operation(now, 0),
            };
            if request.request.is_some() {
                return request;
            }
        }
    }

    fn txn(&mut self, now: i64, depth: u32) -> pb::TxnRequest {
        let operations = |draw: &mut Self| {
            let most = if draw.once_in(50) { 70 } else { 4 };
            (0..draw.below(most)).map(|_| draw.operation(now, depth)).collect()
        };
        let (success, failure) = (operations(self), operations(self));
        let compare = (0..self.below(3)).map(|_| self.compare(now)).collect();
        pb::TxnRequest { compare, success, failure }
    }
}

/// Whether this is a transaction that etcd carries out although it puts a key and deletes it too:
/// it misses deletions without end, and some beside nested transactions.
fn deviates(request: &pb::RequestOp) -> bool {
    let Some(Op::RequestTxn(txn)) = &request.request else { return false };
    let refused =
        crate::convert::txn(txn).is_ok_and(|txn| txn.validate() == Err(KvError::DuplicateKey));
    let operations = || txn.success.iter().chain(&txn.failure);
    refused
        && operations().any(|operation| match &operation.request {
            Some(Op::RequestTxn(_)) => true,
            Some(Op::RequestDeleteRange(delete)) => &*delete.range_end == b"\0",
            _ => false,
        })
}

/// Whether both refuse because of the state. If several things in a request do not fit the state,
/// etcd looks at leases, puts and ranges in another order.
fn refuse_by_state(theirs: &Ended, ours: &Ended) -> bool {
    let by_state = |ended: &Ended| {
        ended.as_ref().is_err_and(|(code, text)| {
            matches!(code, Code::OutOfRange | Code::NotFound) || text == "etcdserver: key not found"
        })
    };
    by_state(theirs) && by_state(ours)
}

/// Keeps what two servers must agree on: not who they are, but the revision.
fn plain(header: &mut Option<pb::ResponseHeader>) {
    if let Some(header) = header {
        *header = pb::ResponseHeader { revision: header.revision, ..Default::default() };
    }
}

fn plain_txn(reply: &mut pb::TxnResponse) {
    plain(&mut reply.header);
    for reply in &mut reply.responses {
        match &mut reply.response {
            Some(OpReply::ResponseRange(reply)) => plain(&mut reply.header),
            Some(OpReply::ResponsePut(reply)) => plain(&mut reply.header),
            Some(OpReply::ResponseDeleteRange(reply)) => plain(&mut reply.header),
            Some(OpReply::ResponseTxn(reply)) => plain_txn(reply),
            None => {}
        }
    }
}

type Ended = Result<pb::TxnResponse, (Code, String)>;

/// Sends one request of any kind and gives its end, in the shape of a transaction's.
async fn send(kv: &mut KvClient<Channel>, request: &pb::RequestOp) -> Ended {
    let reply = |header, response| pb::TxnResponse {
        header,
        succeeded: true,
        responses: vec![pb::ResponseOp { response: Some(response) }],
    };
    let ended = match request.request.clone().unwrap() {
        Op::RequestRange(request) => kv.range(request).await.map(|found| {
            let found = found.into_inner();
            reply(found.header, OpReply::ResponseRange(found))
        }),
        Op::RequestPut(request) => kv.put(request).await.map(|found| {
            let found = found.into_inner();
            reply(found.header, OpReply::ResponsePut(found))
        }),
        Op::RequestDeleteRange(request) => kv.delete_range(request).await.map(|found| {
            let found = found.into_inner();
            reply(found.header, OpReply::ResponseDeleteRange(found))
        }),
        Op::RequestTxn(request) => kv.txn(request).await.map(tonic::Response::into_inner),
    };
    let mut ended = ended.map_err(|status| (status.code(), status.message().to_owned()));
    if let Ok(reply) = &mut ended {
        plain_txn(reply);
    }
    ended
}

#[tokio::test]
async fn beside_etcd_every_reply_is_the_same() {
    let Some(process) = Etcd::start().await else {
        let missing = "there is no etcd; install etcd-server, or name one with QUORATE_ETCD";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        return eprintln!("skipped: {missing}");
    };
    let mut etcd = KvClient::new(process.channel.clone());
    let port = Port::open().await;
    let mut ours = port.kv().await;
    let mut draw = Draw(setting("QUORATE_SEED", 1));
    let mut now = 1;
    let mut differing = 0;
    for round in 0..setting("QUORATE_ROUNDS", ROUNDS) {
        if draw.once_in(200) {
            let request = pb::CompactionRequest { revision: now - draw.number(30), physical: true };
            let theirs = etcd.compact(request).await.map_err(|status| status.message().to_owned());
            let mine = ours.compact(request).await.map_err(|status| status.message().to_owned());
            assert_eq!(theirs.map(|_| ()), mine.map(|_| ()), "round {round}: {request:?}");
            continue;
        }
        let request = draw.request(now);
        if deviates(&request) {
            continue;
        }
        let (theirs, mine) = (send(&mut etcd, &request).await, send(&mut ours, &request).await);
        if theirs != mine && !refuse_by_state(&theirs, &mine) {
            differing += 1;
            eprintln!("round {round}: {request:?}\n  etcd: {theirs:?}\n  ours: {mine:?}");
            assert!(differing < 5, "too many differences");
        }
        if let Ok(pb::TxnResponse { header: Some(header), .. }) = theirs {
            now = header.revision;
        }
    }
    assert_eq!(differing, 0);
}
