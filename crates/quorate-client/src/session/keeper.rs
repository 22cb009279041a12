//! Keeps the session of a [`Session`](super::Session) alive while a handle is held, then closes it.
//!
//! - It begins with the first session that is opened, and looks after whichever stands in the place:
//!   the caller may open another.
//! - It holds no handle while it sleeps, and closes the session even if the last handle was gone
//!   before it began.
//! - A session whose closing is lost expires by itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quorate_proto::quoratepb as qpb;
use tokio::time::{Instant, sleep};

use super::{Inner, quorate};
use crate::error::CallError;

/// Keeps the session alive while a handle is held, then closes it.
pub(super) fn keep(inner: &Arc<Inner>) -> impl Future<Output = ()> + Send + use<> {
    let (client, every) = (inner.client.clone(), inner.options.time_to_live / 4);
    let (place, dropped) = (Arc::clone(&inner.place), Arc::clone(&inner.dropped));
    let inner = Arc::downgrade(inner);
    async move {
        loop {
            tokio::select! {
                () = dropped.notified() => break,
                () = sleep(every) => {}
            }
            let Some(held) = inner.upgrade() else { break };
            let Some(line) = place.lock().await.clone() else { continue };
            let is_expired = line.is_expired.load(Ordering::Relaxed);
            if is_expired || line.is_fresh.swap(false, Ordering::Relaxed) {
                continue;
            }
            let session = line.id;
            let send = |channel| async move {
                quorate(channel).keep_session_alive(qpb::SessionRequest { session }).await
            };
            let until = Instant::now() + every;
            if let Err(CallError::Expired { .. }) = held.insist(until, send).await {
                line.is_expired.store(true, Ordering::Relaxed);
            }
        }
        // The one that stands there in the end, which may be younger than the last look.
        let line = place.lock().await.take();
        let line = line.filter(|line| !line.is_expired.load(Ordering::Relaxed));
        let Some(line) = line else { return };
        // Once, where it is easy: a session that stays expires by itself.
        let endpoint = &client.each()[client.current() % client.each().len()];
        if let Ok(channel) = endpoint.channel().await {
            drop(quorate(channel).close_session(qpb::SessionRequest { session: line.id }).await);
        }
    }
}
