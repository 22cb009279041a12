//! Rosters and founding records: what they refuse, and that no bytes can hurt their decoders.

use proptest::prelude::*;

use super::*;

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("tests use numbers above zero")
}

fn member(number: u64) -> Member {
    Member {
        id: id(number),
        name: format!("n{number}"),
        peer_address: format!("127.0.0.1:{}", 7000 + number),
        client_urls: vec![format!("http://127.0.0.1:{}", 2000 + number)],
    }
}

fn encoded(roster: &Roster) -> Vec<u8> {
    let mut out = Vec::new();
    roster.encode(&mut out);
    out
}

#[test]
fn a_roster_comes_back_from_its_bytes_with_every_part() {
    let roster = Roster::new([member(3), member(1)], [member(1), member(2)], [member(9)]).unwrap();
    let back = Roster::decode(&encoded(&roster)).unwrap();
    assert_eq!(back, roster);
    assert_eq!(back.membership(), Membership::new([id(1), id(3)], [id(1), id(2)], [id(9)]));
    assert_eq!(back.members().map(|m| m.id.get()).collect::<Vec<_>>(), [1, 2, 3, 9]);
    assert_eq!(back.outgoing().map(|m| m.id.get()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(back.learners().map(|m| m.id.get()).collect::<Vec<_>>(), [9]);
    assert_eq!(back.member(id(2)), Some(&member(2)));
}

#[test]
fn the_layout_of_a_roster_is_frozen() {
    let roster = Roster::of_voters([member(5)]).unwrap();
    let mut expected = vec![1, 1, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    expected.extend_from_slice(b"n5\x0e\x00127.0.0.1:7005\x01\x00\x15\x00http://127.0.0.1:2005");
    assert_eq!(encoded(&roster), expected);
    let record = FoundingRecord { cluster: ClusterId(7), roster }.encode();
    assert_eq!(&record[..17], b"qrtfound\x01\x07\0\0\0\0\0\0\0");
    assert_eq!(&record[17..record.len() - 4], expected);
}

#[test]
fn a_roster_without_voters_or_with_a_node_in_two_shapes_is_refused() {
    assert_eq!(Roster::new([], [], [member(1)]), Err(RosterError::NoVoter));
    assert_eq!(Roster::new([], [member(1)], []), Err(RosterError::NoVoter));
    let mut other = member(1);
    other.name = "other".to_owned();
    assert_eq!(Roster::new([member(1)], [other], []), Err(RosterError::Conflict(id(1))));
    assert_eq!(Roster::new([member(1)], [], [member(1)]), Err(RosterError::Conflict(id(1))));
    assert_eq!(Roster::of_voters([member(1), member(1)]), Err(RosterError::Conflict(id(1))));
}

#[test]
fn two_members_may_share_an_address_while_one_replaces_the_other() {
    let mut successor = member(2);
    successor.peer_address = member(1).peer_address;
    assert!(Roster::new([successor], [member(1)], []).is_ok());
}

#[test]
fn limits_hold_when_making_as_when_reading() {
    let many = Roster::of_voters((1..=129).map(member));
    assert!(matches!(many, Err(RosterError::Wire(WireError::Limit { found: 129, .. }))));
    let mut long = member(1);
    long.name = "x".repeat(MAX_NAME_BYTES + 1);
    assert!(matches!(Roster::of_voters([long]), Err(RosterError::Wire(WireError::Limit { .. }))));
    let big = vec![0; MAX_ROSTER_BYTES + 1];
    assert!(matches!(Roster::decode(&big), Err(RosterError::Wire(WireError::Limit { .. }))));
}

#[test]
fn members_out_of_order_or_without_a_known_part_are_refused() {
    let mut bytes = encoded(&Roster::of_voters([member(1), member(2)]).unwrap());
    let good = bytes.clone();
    for bits in [0, 5, 6, 7, 8, 255] {
        bytes[3] = bits;
        assert!(Roster::decode(&bytes).is_err(), "parts {bits} have no meaning");
    }
    bytes.clone_from(&good);
    bytes[4] = 2;
    assert!(Roster::decode(&bytes).is_err(), "the same id twice");
    bytes[4] = 3;
    assert!(Roster::decode(&bytes).is_err(), "ids must ascend");
    bytes.clone_from(&good);
    bytes.push(0);
    assert!(Roster::decode(&bytes).is_err(), "nothing may follow");
    bytes.clone_from(&good);
    bytes[0] = 2;
    let text = Roster::decode(&bytes).unwrap_err().to_string();
    assert!(text.contains("version 2"), "{text}");
}

#[test]
fn a_founding_record_comes_back_and_any_flipped_bit_is_noticed() {
    let roster = Roster::of_voters([member(1), member(2), member(3)]).unwrap();
    let record = FoundingRecord { cluster: ClusterId(0xfeed), roster };
    let bytes = record.encode();
    assert_eq!(FoundingRecord::decode(&bytes), Ok(record));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(FoundingRecord::decode(&damaged).is_err(), "bit {bit}");
    }
    for end in 0..bytes.len() {
        assert!(FoundingRecord::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_founding_record_of_cluster_zero_is_refused() {
    let roster = Roster::of_voters([member(1)]).unwrap();
    let bytes = FoundingRecord { cluster: ClusterId::ZERO, roster }.encode();
    assert_eq!(FoundingRecord::decode(&bytes), Err(RosterError::NoCluster));
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(roster) = Roster::decode(&bytes) {
            prop_assert_eq!(encoded(&roster), bytes.clone(), "a roster has one encoding");
        }
        prop_assert!(FoundingRecord::decode(&bytes).is_err());
    }

    #[test]
    fn mutated_rosters_are_read_or_refused_but_never_hurt(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let roster = Roster::new([member(1), member(4)], [member(1)], [member(2)]).unwrap();
        let mut bytes = encoded(&roster);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(read) = Roster::decode(&bytes) {
            prop_assert_eq!(encoded(&read), bytes, "a roster has one encoding");
        }
    }
}
