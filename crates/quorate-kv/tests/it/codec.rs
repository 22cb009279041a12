//! The encoding against everything that is not one.

use proptest::prelude::*;
use quorate::{Codec, CodecError};
use quorate_kv::{
    Alarm, AlarmChange, AlarmKind, Append, Command, Compare, CompareTarget, DeleteRange, KeyRange,
    MAX_TXN_OPERATIONS, Operation, Outcome, Put, Relation, Reply, Revision, Txn, TxnReply,
};

use crate::commands::command;

fn encoded<T: Codec>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes).unwrap();
    bytes
}

fn nested(levels: usize) -> Command {
    let mut txn = Txn::default();
    for _ in 1..levels {
        txn = Txn { success: vec![Operation::Txn(txn)], ..Txn::default() };
    }
    Command::Txn(txn)
}

#[test]
fn a_put_costs_few_bytes_beside_key_and_value() {
    let bytes = encoded(&Command::Put(Put::new(b"key", b"value")));
    assert_eq!(bytes, b"\x01\x01\x00\x03key\x05value", "version, kind, options, two lengths");
}

#[test]
fn the_bytes_of_every_kind_of_command_stay_as_they_are() {
    let txn = Txn {
        compares: vec![Compare::key(b"k", Relation::NotEqual, CompareTarget::Version(2))],
        success: vec![Operation::Put(Put::new(b"k", b""))],
        failure: vec![],
    };
    let alarm = Alarm { kind: AlarmKind::NoSpace, member: 258 };
    let table: [(Command, &[u8]); 6] = [
        (Command::Alarm(AlarmChange::Raise(alarm)), b"\x01\x06\x01\x01\x02\x01\0\0\0\0\0\0"),
        (Command::Alarm(AlarmChange::Clear(alarm)), b"\x01\x06\x00\x01\x02\x01\0\0\0\0\0\0"),
        (Command::Append(Append::new(b"key", b"more")), b"\x01\x07\x03key\x04more"),
        (
            Command::DeleteRange(DeleteRange::new(KeyRange::from_key(b"k")).with_previous()),
            b"\x01\x02\x02\x01k\x01\x00",
        ),
        (Command::Compact(Revision(258)), b"\x01\x04\x02\x01\0\0\0\0\0\0"),
        (
            Command::Txn(txn),
            b"\x01\x03\x01\x03\x01k\x00\x00\x02\0\0\0\0\0\0\0\x01\x01\x00\x01k\x00\x00",
        ),
    ];
    for (command, bytes) in table {
        assert_eq!(encoded(&command).escape_ascii().to_string(), bytes.escape_ascii().to_string());
        assert_eq!(Command::decode(bytes), Ok(command));
    }
}

#[test]
fn nesting_is_followed_as_deep_as_the_limit_of_operations_allows() {
    let deepest = nested(MAX_TXN_OPERATIONS + 1);
    assert_eq!(deepest.validate(), Ok(()));
    assert_eq!(Command::decode(&encoded(&deepest)), Ok(deepest));

    let too_deep = nested(MAX_TXN_OPERATIONS + 2);
    let refused = too_deep.encode(&mut Vec::new());
    assert!(matches!(refused, Err(CodecError::Unencodable(_))), "{refused:?}");
}

#[test]
fn nesting_without_end_is_refused_and_not_followed() {
    // Each level: no comparison, one operation, which is a transaction.
    let mut bytes = vec![1, 3];
    (0..1_000_000).for_each(|_| bytes.extend([0, 1, 3]));
    let refused = Command::decode(&bytes);
    let reason = "transactions are nested too deep".to_owned();
    assert_eq!(refused, Err(CodecError::Malformed(reason)));

    let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 0, 0];
    // Each level: kind, revision, that it succeeded, one outcome.
    (0..1_000_000).for_each(|_| bytes.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]));
    let reason = "outcomes are nested too deep".to_owned();
    assert_eq!(Reply::decode(&bytes), Err(CodecError::Malformed(reason)));
}

#[test]
fn the_reply_to_the_deepest_transaction_can_be_encoded() {
    let mut store = quorate_kv::Store::default();
    let reply = store.apply(nested(MAX_TXN_OPERATIONS + 1), &mut Vec::new());
    assert_eq!(Reply::decode(&encoded(&reply)), Ok(reply));
}

#[test]
fn a_length_that_reaches_beyond_the_end_is_refused() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x7f];
    let prefixes: [&[u8]; 4] = [
        b"\x01\x01\x00",      // the key of a put
        b"\x01\x01\x00\x01k", // its value
        b"\x01\x03",          // the comparisons of a transaction
        b"\x01\x03\x00",      // its operations
    ];
    for prefix in prefixes {
        let bytes = [prefix, &huge].concat();
        let reason = "a length reaches beyond the end".to_owned();
        assert_eq!(Command::decode(&bytes), Err(CodecError::Malformed(reason)), "{prefix:?}");
    }
}

#[test]
fn whatever_is_unknown_or_superfluous_is_refused() {
    let table: [(&[u8], &str); 12] = [
        (b"\x01\x00", "an unknown kind of command"),
        (b"\x01\x05", "an unknown kind of command"),
        (b"\x01\x01\x10\x01k\x01v", "an unknown option is set"),
        (b"\x01\x01\x00\x01k\x01v\x00", "bytes follow the value"),
        (b"\x01\x01\x00\x01k", "it ends within the value"),
        (b"\x01\x04\x01\x00", "it ends within a number"),
        (b"\x01\x01\x00\x81\x00k\x01v", "a length is not in its shortest form"),
        (
            b"\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            "a length is too large for this machine",
        ),
        (b"\x01\x01\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "a length is too long"),
        (b"\x01\x01\x01\0\0\0\0\0\0\0\0\x01k\x01v", "an option that is set has no value"),
        (b"\x01\x03\x00\x01\x04\x00", "an unknown kind of operation"),
        (b"\x01\x03\x01\x04\x01k\x00\x00", "an unknown relation"),
    ];
    for (bytes, reason) in table {
        let refused = Command::decode(bytes);
        assert_eq!(refused, Err(CodecError::Malformed(reason.to_owned())), "{bytes:?}");
    }
    assert_eq!(Command::decode(b""), Err(CodecError::Empty));
    assert_eq!(Command::decode(b"\x02\x04\0\0\0\0\0\0\0\0"), Err(CodecError::Version(2)));
    assert_eq!(Reply::decode(b""), Err(CodecError::Empty));
    assert_eq!(Reply::decode(b"\x02"), Err(CodecError::Version(2)));
}

#[test]
fn a_reply_with_a_key_and_value_that_do_not_fit_is_refused() {
    let mut bytes = vec![1];
    bytes.extend([0; 8]); // revision
    bytes.push(1); // put
    bytes.extend([0; 8]); // its revision
    bytes.push(1); // a previous version follows
    bytes.push(36);
    bytes.extend([1, 0, 0, 0]); // a key of one byte, of which there is none
    bytes.extend([0; 32]);
    let reason = "a key and value whose lengths do not fit".to_owned();
    assert_eq!(Reply::decode(&bytes), Err(CodecError::Malformed(reason)));
}

#[test]
fn an_outcome_within_a_reply_is_read_with_its_place() {
    let put = Outcome::Txn(TxnReply { revision: Revision(3), succeeded: false, outcomes: vec![] });
    let reply = Reply {
        revision: Revision(4),
        result: Ok(Outcome::Txn(TxnReply {
            revision: Revision(4),
            succeeded: true,
            outcomes: vec![put, Outcome::Compact],
        })),
    };
    assert_eq!(Reply::decode(&encoded(&reply)), Ok(reply));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_are_refused_or_are_the_encoding_of_what_they_decode_to(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        small in prop::collection::vec(0..6_u8, 0..60),
    ) {
        for bytes in [bytes, small] {
            for bytes in [bytes.clone(), [&[1], &bytes[..]].concat()] {
                if let Ok(command) = Command::decode(&bytes) {
                    prop_assert_eq!(encoded(&command), bytes.clone());
                }
                if let Ok(reply) = Reply::decode(&bytes) {
                    prop_assert_eq!(encoded(&reply), bytes);
                }
            }
        }
    }

    #[test]
    fn a_command_that_is_cut_or_has_a_changed_byte_never_passes_for_the_same(
        command in command(),
        place in any::<prop::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let bytes = encoded(&command);
        let at = place.index(bytes.len());
        prop_assert!(Command::decode(&bytes[..at]).is_err(), "no prefix is a command");
        let mut changed = bytes;
        changed[at] ^= change;
        match Command::decode(&changed) {
            Ok(other) => {
                prop_assert_ne!(&other, &command);
                prop_assert_eq!(encoded(&other), changed, "a command has one encoding");
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
