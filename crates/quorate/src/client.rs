//! The handle through which an application talks to its node.

use std::fmt;
use std::sync::Arc;

use crate::codec::{Codec, CodecError};
use crate::error::{CallError, Refusal};
use crate::machine::StateMachine;
use crate::runtime::port::{self, Port};
use crate::runtime::shared::Shared;
use crate::session::{Session, SessionConfig};
use crate::sessions::{SessionId, SessionRequest, Stamp};

/// How fresh a query's answer has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consistency {
    /// The answer reflects every call that had ended when the query began, on whatever node. Costs
    /// a round trip to a majority, shared by all queries of a moment.
    #[default]
    Linearizable,
    /// The answer comes from this node's state as it is: it may be old, for as long as this node
    /// is cut off.
    Local,
}

/// A handle for calls and queries through one node, on the tokio runtime it was made on.
///
/// Clones share that runtime's port. A client is cheap to clone and meant to be: one per runtime,
/// cloned into every task.
pub struct Client<M: StateMachine> {
    inner: Arc<Inner<M>>,
}

struct Inner<M: StateMachine> {
    shared: Arc<Shared<M>>,
    port: Arc<Port<M>>,
}

impl<M: StateMachine> Clone for Client<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: StateMachine> fmt::Debug for Client<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl<M: StateMachine> Drop for Inner<M> {
    fn drop(&mut self) {
        self.port.abandon();
    }
}

impl<M: StateMachine> Client<M> {
    pub(crate) fn new(shared: &Arc<Shared<M>>) -> Self {
        let port = shared.register();
        tokio::spawn(port::run(Arc::clone(&port), Arc::clone(shared)));
        Self { inner: Arc::new(Inner { shared: Arc::clone(shared), port }) }
    }

    /// Has a command applied on every node, and gives the reply of the state machine.
    ///
    /// The node finds the leader; where there is none, the call waits a short while for one. The
    /// command is sent at most once. Dropping the future gives up the reply, not the command.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] when the command was certainly not applied, [`CallError::Unknown`]
    /// when nobody can say.
    pub async fn call(&self, command: M::Command) -> Result<M::Reply, CallError> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes).map_err(Refusal::Unencodable)?;
        drop(command);
        let Inner { shared, port } = &*self.inner;
        port.call(shared, bytes).await
    }

    /// Opens a session: calls through it are applied exactly once, whatever is lost on the way.
    ///
    /// # Errors
    ///
    /// As [`Session::call`]. Nothing was applied.
    pub async fn session(&self) -> Result<Session<M>, CallError> {
        self.session_with(SessionConfig::default()).await
    }

    /// As [`Client::session`], with other times.
    ///
    /// # Errors
    ///
    /// As [`Client::session`].
    pub async fn session_with(&self, config: SessionConfig) -> Result<Session<M>, CallError> {
        Session::open(self.clone(), config).await
    }

    /// Sends a command of a session once, for a server that passes on the sessions of its own
    /// clients. Whoever sends it again, through this node or another, with the same session and
    /// sequence, is given the same reply. A stamp that asks for something else is refused.
    ///
    /// # Errors
    ///
    /// As [`Client::call`], and [`CallError::Expired`].
    pub async fn call_as(&self, command: M::Command, stamp: Stamp) -> Result<M::Reply, CallError> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes).map_err(Refusal::Unencodable)?;
        drop(command);
        let Inner { shared, port } = &*self.inner;
        match stamp {
            Stamp::None => port.call(shared, bytes).await,
            Stamp::Command { .. } => port.call_stamped(shared, Arc::new(bytes), stamp).await,
            Stamp::Session { .. } => {
                let error =
                    CodecError::Unencodable("a command with a session's request".to_owned());
                Err(Refusal::Unencodable(error).into())
            }
        }
    }

    /// Opens, keeps alive or closes a session, for such a server. Sent once; sending it again does
    /// no harm, but for a session too many that expires by itself.
    ///
    /// # Errors
    ///
    /// As [`Client::call_as`].
    pub async fn request_session(
        &self,
        session: SessionId,
        request: SessionRequest,
    ) -> Result<SessionId, CallError> {
        let Inner { shared, port } = &*self.inner;
        port.request_session(shared, session, request).await
    }

    pub(crate) async fn send_stamped(
        &self,
        command: &Arc<Vec<u8>>,
        stamp: Stamp,
    ) -> Result<M::Reply, CallError> {
        let Inner { shared, port } = &*self.inner;
        port.call_stamped(shared, Arc::clone(command), stamp).await
    }

    /// Answers a query from this node's state, as fresh as `consistency` says.
    ///
    /// # Errors
    ///
    /// When the node belongs to no cluster yet, finds no leader in time (linearizable queries), or
    /// has stopped. A query has no effect, so that it may always be asked again.
    pub async fn read(
        &self,
        query: M::Query,
        consistency: Consistency,
    ) -> Result<M::Answer, Refusal> {
        let Inner { shared, port } = &*self.inner;
        port.read(shared, query, consistency == Consistency::Linearizable).await
    }
}
