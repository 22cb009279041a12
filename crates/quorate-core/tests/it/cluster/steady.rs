//! The straight lines of the steady state beside the general code: a twin of the node takes each
//! input on the short way, where that is open to it, and must be and ask for the same.

use quorate_core::{Effect, Input, Instant, Message, Raft};

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
                let Some(followed) = twin.follow_on(now, &mut envelope, run) else {
                    assert!(before == *twin, "what is not taken changes nothing");
                    return None;
                };
                asked.extend(followed.apply.map(|(first, last)| Effect::Apply { first, last }));
                asked.extend(followed.persist.map(Effect::Persist));
                let send = |after| Effect::Send(quorate_core::Send { envelope, after });
                asked.extend(followed.reply.map(send));
                return Some(asked);
            }
            let before = twin.clone();
            let Some(settled) = twin.acknowledged(now, &envelope) else {
                assert!(before == *twin, "what is not taken changes nothing");
                return None;
            };
            asked.extend(settled.apply.map(|(first, last)| Effect::Apply { first, last }));
        }
        Input::Persisted(token) => {
            let before = twin.clone();
            let Some(settled) = twin.written(now, *token) else {
                assert!(before == *twin, "what is not taken changes nothing");
                return None;
            };
            asked.extend(settled.apply.map(|(first, last)| Effect::Apply { first, last }));
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
