//! The course scenario "RPC byte count": every command travels to every follower once.

use super::course::{Course, slow_heartbeats};

#[test]
fn ten_commands_of_five_thousand_letters_take_at_most_two_hundred_thousand_bytes() {
    for seed in 1..=5 {
        let mut course = Course::of(3, slow_heartbeats(), seed);
        course.one("99", 3, false);
        let before = course.world.traffic();
        let mut letters = 0;
        for index in 2..12 {
            let command = course.text(5_000);
            assert_eq!(course.one(&command, 3, false), index);
            letters += command.len() as u64;
        }
        let spent = course.world.traffic() - before;
        println!("bytes of ten commands of 5,000 letters, seed {seed}: {spent}");
        let budget = 3 * letters + 50_000;
        assert_eq!(budget, 200_000);
        assert!(spent.bytes <= budget, "{spent}");
        assert!(spent.bytes >= 2 * letters, "two followers hold every byte: {spent}");
    }
}
