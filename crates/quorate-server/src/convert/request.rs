//! etcd's requests as the store's commands and reads.

use quorate_kv::{
    Compare, CompareTarget, DeleteRange, KeyRange, KvError, LeaseId, MAX_TXN_OPERATIONS, Operation,
    Put, Range, Relation, Revision, SortOrder, SortTarget, Txn,
};
use quorate_proto::etcdserverpb as pb;
use quorate_proto::etcdserverpb::compare::{
    CompareResult, CompareTarget as TargetKind, TargetUnion,
};
use quorate_proto::etcdserverpb::range_request;
use quorate_proto::etcdserverpb::request_op::Request;

use crate::api_error::ApiError;

/// A read of a range; whether it may be served locally is not part of it.
pub(crate) fn range(request: &pb::RangeRequest) -> Result<Range, ApiError> {
    let sort_order = match range_request::SortOrder::try_from(request.sort_order) {
        Ok(range_request::SortOrder::None) => SortOrder::None,
        Ok(range_request::SortOrder::Ascend) => SortOrder::Ascend,
        Ok(range_request::SortOrder::Descend) => SortOrder::Descend,
        Err(_) => return Err(KvError::InvalidSortOption.into()),
    };
    let sort_target = match range_request::SortTarget::try_from(request.sort_target) {
        Ok(range_request::SortTarget::Key) => SortTarget::Key,
        Ok(range_request::SortTarget::Version) => SortTarget::Version,
        Ok(range_request::SortTarget::Create) => SortTarget::CreateRevision,
        Ok(range_request::SortTarget::Mod) => SortTarget::ModRevision,
        Ok(range_request::SortTarget::Value) => SortTarget::Value,
        Err(_) => return Err(KvError::InvalidSortOption.into()),
    };
    Ok(Range {
        range: KeyRange::new(&request.key, &request.range_end),
        limit: request.limit,
        revision: Revision(request.revision),
        sort_order,
        sort_target,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: request.min_mod_revision,
        max_mod_revision: request.max_mod_revision,
        min_create_revision: request.min_create_revision,
        max_create_revision: request.max_create_revision,
    })
}

/// A put, with key and value copied out of the receive buffer.
pub(crate) fn put(request: &pb::PutRequest) -> Put {
    let mut put = Put::new(&request.key, &request.value);
    put.lease = LeaseId(request.lease);
    put.return_previous = request.prev_kv;
    put.ignore_value = request.ignore_value;
    put.ignore_lease = request.ignore_lease;
    put
}

/// A deletion.
pub(crate) fn delete_range(request: &pb::DeleteRangeRequest) -> DeleteRange {
    DeleteRange {
        range: KeyRange::new(&request.key, &request.range_end),
        return_previous: request.prev_kv,
    }
}

/// A transaction. The depth of nesting is bounded by the decoder of the request.
pub(crate) fn txn(request: &pb::TxnRequest) -> Result<Txn, ApiError> {
    // What cannot be converted is rare; only then it matters which of several faults comes first.
    convert(request).map_err(|fault| first_fault(request, MAX_TXN_OPERATIONS).unwrap_or(fault))
}

fn convert(request: &pb::TxnRequest) -> Result<Txn, ApiError> {
    Ok(Txn {
        compares: request.compare.iter().map(compare).collect::<Result<_, _>>()?,
        success: request.success.iter().map(operation).collect::<Result<_, _>>()?,
        failure: request.failure.iter().map(operation).collect::<Result<_, _>>()?,
    })
}

/// The first fault in etcd's order: number of operations, comparisons, operations. `limit` is what
/// outer transactions leave of the number.
fn first_fault(request: &pb::TxnRequest, limit: usize) -> Option<ApiError> {
    let lengths = [request.compare.len(), request.success.len(), request.failure.len()];
    let longest = lengths.into_iter().max().unwrap_or_default();
    let Some(left) = limit.checked_sub(longest) else {
        return Some(KvError::TooManyOperations.into());
    };
    for given in &request.compare {
        if given.key.is_empty() {
            return Some(KvError::KeyNotProvided.into());
        }
        if let Err(fault) = compare(given) {
            return Some(fault);
        }
    }
    request.success.iter().chain(&request.failure).find_map(|given| match &given.request {
        Some(Request::RequestTxn(nested)) => first_fault(nested, left),
        _ => match operation(given) {
            Ok(Operation::Range(range)) => range.validate().err().map(ApiError::from),
            Ok(Operation::Put(put)) => put.validate().err().map(ApiError::from),
            Ok(Operation::DeleteRange(delete)) => delete.validate().err().map(ApiError::from),
            Ok(Operation::Txn(_)) => None,
            Err(fault) => Some(fault),
        },
    })
}

fn operation(request: &pb::RequestOp) -> Result<Operation, ApiError> {
    match &request.request {
        Some(Request::RequestRange(request)) => Ok(Operation::Range(range(request)?)),
        Some(Request::RequestPut(request)) => Ok(Operation::Put(put(request))),
        Some(Request::RequestDeleteRange(request)) => {
            Ok(Operation::DeleteRange(delete_range(request)))
        }
        Some(Request::RequestTxn(request)) => Ok(Operation::Txn(convert(request)?)),
        // etcd's words for an operation without content.
        None => Err(KvError::KeyNotFound.into()),
    }
}

fn compare(request: &pb::Compare) -> Result<Compare, ApiError> {
    let relation = match CompareResult::try_from(request.result) {
        Ok(CompareResult::Equal) => Relation::Equal,
        Ok(CompareResult::Greater) => Relation::Greater,
        Ok(CompareResult::Less) => Relation::Less,
        Ok(CompareResult::NotEqual) => Relation::NotEqual,
        Err(_) => {
            return Err(ApiError::UnknownEnum { field: "compare.result", value: request.result });
        }
    };
    // Without a value of the target's own kind, etcd compares with zero or nothing.
    let number = |of_kind: fn(&TargetUnion) -> Option<i64>| {
        request.target_union.as_ref().and_then(of_kind).unwrap_or_default()
    };
    let target = match TargetKind::try_from(request.target) {
        Ok(TargetKind::Version) => CompareTarget::Version(number(|given| match given {
            TargetUnion::Version(version) => Some(*version),
            _ => None,
        })),
        Ok(TargetKind::Create) => CompareTarget::CreateRevision(number(|given| match given {
            TargetUnion::CreateRevision(revision) => Some(*revision),
            _ => None,
        })),
        Ok(TargetKind::Mod) => CompareTarget::ModRevision(number(|given| match given {
            TargetUnion::ModRevision(revision) => Some(*revision),
            _ => None,
        })),
        Ok(TargetKind::Value) => CompareTarget::Value(match &request.target_union {
            Some(TargetUnion::Value(value)) => Box::from(&**value),
            _ => Box::default(),
        }),
        Ok(TargetKind::Lease) => CompareTarget::Lease(number(|given| match given {
            TargetUnion::Lease(lease) => Some(*lease),
            _ => None,
        })),
        Err(_) => {
            return Err(ApiError::UnknownEnum { field: "compare.target", value: request.target });
        }
    };
    Ok(Compare { range: KeyRange::new(&request.key, &request.range_end), relation, target })
}
