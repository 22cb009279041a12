//! The straight lines of the steady state beside the general code: a twin of the node takes each
//! input on the short way, where that is open to it, and must be and ask for the same.

use quorate_core::{Effect, Input, Instant, Message, Persist, Raft, Send};

/// Whether the input was one for a straight line.
///
/// # Panics
///
/// When it led to something else there than `raft` and `effects`.
pub fn takes_the_same_step(
    mut twin: Raft,
    now: Instant,
    input: &Input,
    raft: &Raft,
    effects: &[Effect],
) -> bool {
    let Some(asked) = step(&mut twin, now, input) else { return false };
    assert_eq!(asked, effects, "the straight line asks for something else after {input:?}");
    assert!(twin == *raft, "the straight line leaves {twin:?} after {input:?}, not {raft:?}");
    true
}

fn step(twin: &mut Raft, now: Instant, input: &Input) -> Option<Vec<Effect>> {
    let mut asked = Vec::new();
    match input {
        Input::Message(envelope) => {
            let mut envelope = envelope.clone();
            if let Message::Append(append) = &envelope.message {
                let runs = append.runs.clone();
                let run = runs.first().filter(|_| runs.len() == 1);
                if run.is_none() && !runs.is_empty() {
                    return None;
                }
                let before = twin.clone();
                let Some(after) = twin.follow_on(now, &mut envelope, run) else {
                    assert!(before == *twin, "what is not taken changes nothing");
                    return None;
                };
                asked.extend(apply(&before, twin));
                asked.extend(run.map(|run| {
                    Effect::Persist(Persist {
                        token: after.expect("a write has a token"),
                        hard_state: None,
                        truncate_from: None,
                        append: Some((run.first, run.last())),
                        commit: twin.commit(),
                    })
                }));
                if envelope.message.is_reply() {
                    asked.push(Effect::Send(Send { envelope, after }));
                }
                return Some(asked);
            }
            let before = twin.clone();
            if !twin.acknowledged(now, &envelope) {
                assert!(before == *twin, "what is not taken changes nothing");
                return None;
            }
            asked.extend(apply(&before, twin));
        }
        Input::Persisted(token) => {
            let before = twin.clone();
            if !twin.written(now, *token) {
                assert!(before == *twin, "what is not taken changes nothing");
                return None;
            }
            asked.extend(apply(&before, twin));
        }
        Input::Flush => {
            let before = twin.clone();
            if !twin.wants_flush() || !twin.flush_to(now, &mut asked) {
                assert!(before == *twin, "what is not taken changes nothing");
                return None;
            }
        }
        _ => return None,
    }
    Some(asked)
}

/// What a step lets be executed.
fn apply(before: &Raft, after: &Raft) -> Option<Effect> {
    let (first, last) = (before.executable_through().next(), after.executable_through());
    (first <= last).then_some(Effect::Apply { first, last })
}
