//! A server: services by name, and how often they were called.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::{Error, Result, to_answer};
use crate::context::BoxFuture;
use crate::network::Handler;

/// Executes one request of a service: the method's name without the service's, and the arguments.
pub type Call = Arc<dyn Fn(&str, Vec<u8>) -> BoxFuture<Result<Vec<u8>>> + Send + Sync>;

/// Puts services together.
pub struct ServerBuilder {
    name: String,
    services: BTreeMap<&'static str, Call>,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// A server without services.
    #[must_use]
    pub const fn new(name: String) -> Self {
        Self { name, services: BTreeMap::new() }
    }

    /// Adds a service; the function `add_service` of a service calls it.
    ///
    /// # Errors
    ///
    /// [`Error::Duplicate`] if there is one with this name.
    pub fn add_service(&mut self, name: &'static str, call: Call) -> Result<()> {
        if self.services.contains_key(name) {
            return Err(Error::Duplicate(name.to_owned()));
        }
        self.services.insert(name, call);
        Ok(())
    }

    /// The server.
    #[must_use]
    pub fn build(self) -> Server {
        let Self { name, services } = self;
        Server(Arc::new(Inner { name, services, count: AtomicUsize::new(0) }))
    }
}

/// A server; clones are the same one.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    name: String,
    services: BTreeMap<&'static str, Call>,
    count: AtomicUsize,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.0.services.keys().collect();
        f.debug_struct("Server").field("name", &self.0.name).field("services", &services).finish()
    }
}

impl Server {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many requests it began to execute.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Executes a request: `service.method`, and the encoded arguments.
    ///
    /// # Errors
    ///
    /// [`Error::Unimplemented`], and what the handler says.
    pub async fn dispatch(&self, name: &str, args: Vec<u8>) -> Result<Vec<u8>> {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        let unimplemented = || Error::Unimplemented(name.to_owned());
        let (service, method) = name.split_once('.').ok_or_else(unimplemented)?;
        let call = self.0.services.get(service).ok_or_else(unimplemented)?;
        call(method, args).await
    }

    /// Executes a request and gives what travels back.
    pub async fn answer(&self, name: &str, args: Vec<u8>) -> Vec<u8> {
        to_answer(self.dispatch(name, args).await)
    }
}

impl Handler for Server {
    fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> BoxFuture<Vec<u8>> {
        Box::pin(async move { self.answer(&method, args).await })
    }
}
