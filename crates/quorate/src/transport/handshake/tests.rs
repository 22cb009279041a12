//! Every reason to refuse a connection, and that no bytes can hurt the decoders.

use proptest::prelude::*;

use super::*;

const CLUSTER: ClusterId = ClusterId(0xc1);

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("tests use numbers above zero")
}

fn caller(node: u64, boot: u64, process: u64) -> Caller {
    Caller { node: id(node), boot: BootCounter(boot), process }
}

fn me() -> Acquaintances {
    #[cfg(quorate_mutants)]
    mutant::pick(&std::env::var("QUORATE_MUTANT").unwrap_or_default());
    Acquaintances::new(caller(1, 5, 50), CLUSTER)
}

fn hello(node: u64, boot: u64, process: u64) -> Hello {
    Hello::new(caller(node, boot, process), CLUSTER, Some(id(1)), Channel::Control)
}

fn refusal(result: Result<Accepted, HandshakeRefusal>) -> (HandshakeRefusal, String) {
    let refusal = result.unwrap_err();
    (refusal, refusal.to_string())
}

#[test]
fn a_member_is_welcome_on_both_channels() {
    let mut me = me();
    let accepted = me.judge(&hello(2, 1, 20)).unwrap();
    assert_eq!(accepted.carries, Use::Control);
    assert_eq!((accepted.welcome.version, accepted.welcome.cluster), (1, CLUSTER));
    assert_eq!(accepted.welcome.from, caller(1, 5, 50));
    let bulk = Hello::new(caller(2, 1, 20), CLUSTER, Some(id(1)), Channel::Bulk);
    assert_eq!(me.judge(&bulk).unwrap().carries, Use::Bulk);
    assert_eq!(me.boot_of(id(2)), Some(BootCounter(1)));
}

#[test]
fn another_cluster_is_refused_with_both_ids() {
    let mut hello = hello(2, 1, 20);
    hello.cluster = ClusterId(0xc2);
    let (_, text) = refusal(me().judge(&hello));
    assert!(text.contains("cluster c193") && text.contains("cluster c194"), "{text}");
    hello.to = None;
    assert!(matches!(
        me().judge(&hello),
        Err(HandshakeRefusal::WrongCluster { there: CLUSTER, dialer: ClusterId(0xc2) })
    ));
}

#[test]
fn a_stale_address_is_refused_with_both_nodes() {
    let mut hello = hello(2, 1, 20);
    hello.to = Some(id(3));
    let (refusal, text) = refusal(me().judge(&hello));
    assert_eq!(refusal, HandshakeRefusal::WrongNode { there: id(1), wanted: id(3) });
    assert!(text.contains("node n1 is at the address, and node n3 was wanted"), "{text}");
}

#[test]
fn nobody_in_particular_may_be_asked_about_founding_only() {
    let stranger = Hello::new(caller(2, 1, 20), ClusterId::ZERO, None, Channel::Control);
    let mut me = me();
    assert_eq!(me.judge(&stranger).unwrap().carries, Use::Founding);
    assert_eq!(me.boot_of(id(2)), None, "strangers are not remembered: they are without number");
    let bulk = Hello { channel: 2, ..stranger };
    assert_eq!(me.judge(&bulk), Err(HandshakeRefusal::UnknownChannel { channel: 2 }));
    let to_me = Hello { to: Some(id(1)), ..stranger };
    assert!(matches!(me.judge(&to_me), Err(HandshakeRefusal::WrongCluster { .. })));
    let mut empty = Acquaintances::new(caller(1, 5, 50), ClusterId::ZERO);
    assert_eq!(empty.judge(&stranger).unwrap().carries, Use::Founding);
    let refused = empty.judge(&hello(2, 1, 20));
    assert_eq!(refused, Err(HandshakeRefusal::NotFounded { there: id(1) }));
    empty.join(CLUSTER);
    assert_eq!(empty.judge(&hello(2, 1, 20)).unwrap().carries, Use::Control);
}

#[test]
fn an_older_boot_than_remembered_is_refused() {
    let mut me = me();
    assert!(!me.judge(&hello(2, 4, 20)).unwrap().new_boot);
    assert!(me.judge(&hello(2, 6, 21)).unwrap().new_boot, "a higher boot wins");
    let (refusal, text) = refusal(me.judge(&hello(2, 4, 20)));
    assert!(refusal.supersedes_dialer());
    assert!(text.contains("has met boot b6") && text.contains("in boot b4"), "{text}");
}

#[test]
fn two_processes_in_one_boot_are_both_refused_until_a_later_boot() {
    let mut me = me();
    assert!(me.judge(&hello(2, 4, 20)).is_ok());
    assert!(me.judge(&hello(2, 4, 20)).is_ok(), "the same process may come again");
    let expected = HandshakeRefusal::SameNode { node: id(2), boot: BootCounter(4) };
    assert_eq!(me.judge(&hello(2, 4, 99)), Err(expected));
    assert_eq!(me.judge(&hello(2, 4, 20)), Err(expected), "the first one, too");
    assert!(me.judge(&hello(2, 5, 99)).unwrap().new_boot);
}

#[test]
fn who_claims_to_be_this_node_is_refused() {
    let mut me = me();
    assert_eq!(me.judge(&hello(1, 5, 50)), Err(HandshakeRefusal::Itself));
    let old = HandshakeRefusal::OldBoot { remembered: BootCounter(5), dialer: BootCounter(4) };
    assert_eq!(me.judge(&hello(1, 4, 50)), Err(old));
    for boot in [5, 6] {
        let twin = HandshakeRefusal::SameNode { node: id(1), boot: BootCounter(5) };
        assert_eq!(me.judge(&hello(1, boot, 51)), Err(twin));
    }
    let founding = Hello::new(caller(1, 5, 50), ClusterId::ZERO, None, Channel::Control);
    assert_eq!(me.judge(&founding), Err(HandshakeRefusal::Itself));
}

#[test]
fn versions_must_meet() {
    for versions in [(2, 9), (0, 0), (9, 2)] {
        let hello = Hello { versions, ..hello(2, 1, 20) };
        let (refusal, text) = refusal(me().judge(&hello));
        assert_eq!(refusal, HandshakeRefusal::Version { min: 1, max: 1 }, "{versions:?}");
        assert!(text.contains("versions 1 to 1 only"), "{text}");
    }
    let hello = Hello { versions: (0, 7), ..hello(2, 1, 20) };
    assert_eq!(me().judge(&hello).unwrap().welcome.version, 1);
}

#[test]
fn a_removed_node_is_told_so() {
    let mut me = me();
    me.set_removed([id(2)]);
    let (_, text) = refusal(me.judge(&hello(2, 1, 20)));
    assert!(text.contains("node n2 was removed from cluster"), "{text}");
    me.set_removed([]);
    assert!(me.judge(&hello(2, 1, 20)).is_ok());
}

#[test]
fn features_and_channels_of_later_versions_are_no_accident() {
    let hello_with = Hello { features: u64::MAX, ..hello(2, 1, 20) };
    assert_eq!(me().judge(&hello_with).unwrap().welcome.features, FEATURES);
    let hello_with = Hello { channel: 9, ..hello(2, 1, 20) };
    let (refusal, _) = refusal(me().judge(&hello_with));
    assert_eq!(refusal, HandshakeRefusal::UnknownChannel { channel: 9 });
}

#[test]
fn strangers_cannot_fill_the_memory() {
    let mut me = me();
    for node in 0..MAX_REMEMBERED as u64 {
        assert!(me.judge(&hello(node + 2, 1, 20)).is_ok());
    }
    assert_eq!(me.judge(&hello(99_999, 1, 20)), Err(HandshakeRefusal::Busy));
    assert!(me.judge(&hello(2, 1, 20)).is_ok(), "who is known stays welcome");
}

#[test]
fn the_dialer_checks_who_answered() {
    let mut me = me();
    let welcome = Welcome { version: 1, features: 0, cluster: CLUSTER, from: caller(2, 3, 20) };
    assert_eq!(me.check_welcome(id(2), &welcome), Ok(false));
    let wrong = WelcomeError::WrongNode { there: id(2), wanted: id(3) };
    assert_eq!(me.check_welcome(id(3), &welcome), Err(wrong));
    let other = Welcome { cluster: ClusterId(7), ..welcome };
    assert!(matches!(me.check_welcome(id(2), &other), Err(WelcomeError::WrongCluster { .. })));
    for from in [caller(2, 2, 19), caller(2, 3, 21)] {
        let old = Welcome { from, ..welcome };
        assert!(matches!(me.check_welcome(id(2), &old), Err(WelcomeError::Boot { .. })));
    }
    let later = Welcome { from: caller(2, 4, 21), ..welcome };
    assert_eq!(me.check_welcome(id(2), &later), Ok(true));
}

#[test]
#[should_panic(expected = "never changes from cluster")]
fn a_node_never_changes_its_cluster() {
    me().join(ClusterId(0xbad));
}

#[test]
fn the_layout_of_the_handshake_is_frozen() {
    let hello = Hello {
        versions: (1, 2),
        channel: 1,
        features: 3,
        cluster: ClusterId(4),
        from: caller(5, 7, 8),
        to: Some(id(6)),
    };
    let bytes = hello.encode();
    assert_eq!(&bytes[..16], b"qrtpeer\n\x01\0\x02\0\x01\0\0\0");
    let numbers: Vec<u8> = bytes[16..64].iter().step_by(8).copied().collect();
    assert_eq!(numbers, [3, 4, 5, 6, 7, 8]);
    assert_eq!(Hello::decode(&bytes), Ok(hello));
    let refusal = HandshakeRefusal::SameNode { node: id(9), boot: BootCounter(10) };
    let bytes = encode_reply(caller(5, 7, 8), ClusterId(4), Err(refusal));
    assert_eq!(&bytes[..16], b"qrtback\n\x07\0\0\0\0\0\0\0");
    let numbers: Vec<u8> = bytes[16..72].iter().step_by(8).copied().collect();
    assert_eq!(numbers, [0, 4, 5, 7, 8, 9, 10]);
}

#[test]
fn every_answer_comes_back_from_its_bytes() {
    let here = caller(5, 7, 8);
    let welcome = Welcome { version: 1, features: 0, cluster: ClusterId(4), from: here };
    let bytes = encode_reply(here, ClusterId(4), Ok(welcome));
    assert_eq!(decode_reply(&bytes), Ok(Ok(welcome)));
    for refusal in [
        HandshakeRefusal::Version { min: 1, max: 3 },
        HandshakeRefusal::WrongCluster { there: ClusterId(1), dialer: ClusterId(2) },
        HandshakeRefusal::WrongNode { there: id(1), wanted: id(2) },
        HandshakeRefusal::NotFounded { there: id(1) },
        HandshakeRefusal::Itself,
        HandshakeRefusal::OldBoot { remembered: BootCounter(2), dialer: BootCounter(1) },
        HandshakeRefusal::SameNode { node: id(1), boot: BootCounter(2) },
        HandshakeRefusal::Removed { node: id(1), cluster: ClusterId(2) },
        HandshakeRefusal::UnknownChannel { channel: 9 },
        HandshakeRefusal::Busy,
        HandshakeRefusal::Unknown { code: 200 },
    ] {
        let bytes = encode_reply(here, ClusterId(4), Err(refusal));
        assert_eq!(decode_reply(&bytes), Ok(Err(refusal)));
    }
}

#[test]
fn any_flipped_bit_of_the_handshake_is_noticed() {
    let hello = hello(2, 1, 20).encode();
    for bit in 0..HELLO_BYTES * 8 {
        let mut damaged = hello;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Hello::decode(&damaged).is_err(), "bit {bit}");
    }
    let reply = encode_reply(caller(1, 1, 1), CLUSTER, Err(HandshakeRefusal::Busy));
    for bit in 0..REPLY_BYTES * 8 {
        let mut damaged = reply;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_reply(&damaged).is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn no_bytes_with_a_good_checksum_make_the_decoders_panic(
        mut hello in prop::collection::vec(any::<u8>(), HELLO_BYTES - 12),
        mut reply in prop::collection::vec(any::<u8>(), REPLY_BYTES - 12),
        small in 0_u8..12,
    ) {
        let mut bytes = HELLO_MAGIC.to_vec();
        bytes.append(&mut hello);
        let bytes: [u8; HELLO_BYTES] = sealed(bytes);
        if let Ok(hello) = Hello::decode(&bytes) {
            let _accepted = me().judge(&hello);
        }
        let mut bytes = REPLY_MAGIC.to_vec();
        reply[0] = small;
        bytes.append(&mut reply);
        let bytes: [u8; REPLY_BYTES] = sealed(bytes);
        let _decoded = decode_reply(&bytes);
    }
}
